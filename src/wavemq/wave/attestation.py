"""Attestations: signed grants from one entity to another (wave.md 4.1).

Owns their structure and decoding. What is inside an encrypted body is opened in
`attestation_open`. Decoding is strict, so an attestation re-encodes to the bytes it came from.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

from wavemq.errors import (
    BodySchemeError,
    MalformedDERError,
    UnexpectedObjectError,
    UnsupportedSignatureSchemeError,
)
from wavemq.limits import OBJECT_BYTES_MAX
from wavemq.wave import der
from wavemq.wave.bundle import Addendum, read_addendums
from wavemq.wave.hashes import Hash
from wavemq.wave.location import Location
from wavemq.wave.pem import decode_pem_or_der
from wavemq.wave.policy import Policy, read_policy
from wavemq.wave.revocation import RevocationOption, read_options
from wavemq.wave.validity import Validity

ATTESTATION_KIND: Final = (2, 1)
PLAINTEXT: Final = (3, 1)
WR1: Final = (3, 2)
EPHEMERAL_SIGNATURE: Final = (5, 1)
SIGNED_OUTER_KEY: Final = (6, 1)


@dataclass(frozen=True, slots=True)
class VerifierBody:
    """What a verifier learns.

    Args:
        attester: who grants.
        attester_location: where its entity is stored.
        validity: of the grant.
        policy: what is granted.
        binding: the bytes that the attester signed to bind the outer key.
        binding_kind: signature scheme named there.
        binding_key: the outer key named there.
        binding_signature: by the attester's verifying key.
    """

    attester: Hash
    attester_location: Location
    validity: Validity
    policy: Policy
    binding: bytes
    binding_kind: tuple[int, int] | None
    binding_key: bytes
    binding_signature: bytes

    def to_der(self) -> bytes:
        """Return the element, without extensions."""
        return der.sequence(
            self.attester.to_der(),
            self.attester_location.to_der(),
            self.validity.to_der(),
            self.policy.to_der(),
            der.sequence(),
            der.external(
                SIGNED_OUTER_KEY, der.sequence(self.binding, der.octets(self.binding_signature))
            ),
        )

    @classmethod
    def read(cls, reader: der.Reader) -> VerifierBody:
        """Read the element.

        Raises:
            UnsupportedSignatureSchemeError: the binding is of another kind.
        """
        inner = reader.sequence()
        attester, location = Hash.read(inner), Location.read(inner)
        validity, policy = Validity.read(inner), read_policy(inner)
        inner.element(der.SEQUENCE)  # extensions: never interpreted
        kind, value = inner.external()
        inner.finish()
        if kind != SIGNED_OUTER_KEY:
            raise UnsupportedSignatureSchemeError("unsupported outer signature binding")
        bound = value.sequence()
        value.finish()
        binding = bound.element(der.SEQUENCE)
        signature = bound.octets()
        bound.finish()
        tbs = der.Reader(binding).sequence()
        binding_kind, binding_key = tbs.kind(), tbs.octets()
        tbs.finish()
        return cls(
            attester,
            location,
            validity,
            policy,
            binding,
            binding_kind,
            binding_key,
            signature,
        )


@dataclass(frozen=True, slots=True)
class Wr1Body:
    """The six ciphertexts of an encrypted body, in order (wave.md 4.4)."""

    verifier_body: bytes
    prover_body: bytes
    envelope: bytes
    envelope_key_ibe: bytes
    envelope_key_subject: bytes
    envelope_key_attester: bytes


@dataclass(frozen=True, slots=True)
class PlainBody:
    """An unencrypted body."""

    body: VerifierBody
    addendums: tuple[Addendum, ...]


@dataclass(frozen=True)
class Attestation:
    """A decoded attestation; nothing about it has been verified yet.

    Args:
        wire: the wire object.
        subject: who is granted to.
        subject_location: where its entity, and this object, are stored.
        revocations: how the grant could be revoked.
        content: the body.
        tbs: the bytes under the outer signature.
        ephemeral_key: that the outer signature is by.
        outer_signature: over `tbs`.
    """

    wire: bytes
    subject: Hash
    subject_location: Location
    revocations: tuple[RevocationOption, ...]
    content: Wr1Body | PlainBody
    tbs: bytes
    ephemeral_key: bytes
    outer_signature: bytes

    @classmethod
    def from_bytes(cls, data: bytes) -> Attestation:
        """Decode a wire object, DER or PEM.

        Raises:
            MalformedDERError: it is no canonical DER.
            UnexpectedObjectError: it is another object.
            BodySchemeError: the body's scheme is unknown.
            UnsupportedHashSchemeError, UnsupportedLocationSchemeError,
            UnsupportedSignatureSchemeError: as named.
        """
        wire = decode_pem_or_der(data)
        if len(wire) > OBJECT_BYTES_MAX:
            raise MalformedDERError(f"an attestation has at most {OBJECT_BYTES_MAX} bytes")
        outer = der.Reader(wire)
        kind, value = outer.external()
        outer.finish()
        if kind != ATTESTATION_KIND:
            raise UnexpectedObjectError("DER is not a wave attestation")
        body = value.sequence()
        value.finish()
        tbs_bytes = body.element(der.SEQUENCE)
        signature_kind, signature = body.external()
        body.finish()
        if signature_kind != EPHEMERAL_SIGNATURE:
            raise UnsupportedSignatureSchemeError("unsupported outer signature scheme")
        signed = signature.sequence()
        signature.finish()
        ephemeral_key, outer_signature = signed.octets(), signed.octets()
        signed.finish()
        tbs = der.Reader(tbs_bytes).sequence()
        subject, location = Hash.read(tbs), Location.read(tbs)
        revocations = read_options(tbs)
        tbs.element(der.SEQUENCE)  # extensions: never interpreted
        content = _read_content(tbs)
        tbs.finish()
        return cls(
            bytes(wire),
            subject,
            location,
            revocations,
            content,
            tbs_bytes,
            ephemeral_key,
            outer_signature,
        )

    @cached_property
    def hash(self) -> Hash:
        """The attestation's name."""
        return Hash.of(self.wire)

    @property
    def is_encrypted(self) -> bool:
        """Whether keys are needed to read the body."""
        return isinstance(self.content, Wr1Body)

    def __repr__(self) -> str:
        return f"Attestation({self.hash.to_text()!r})"


def _read_content(tbs: der.Reader) -> Wr1Body | PlainBody:
    kind, value = tbs.external()
    if kind not in (WR1, PLAINTEXT):
        raise BodySchemeError("Unsupported body scheme")
    inner = value.sequence()
    value.finish()
    content: Wr1Body | PlainBody
    if kind == WR1:
        content = Wr1Body(*(inner.octets() for _ in range(6)))
    else:
        body = VerifierBody.read(inner)
        content = PlainBody(body, read_addendums(inner))
        inner.element(der.SEQUENCE)
    inner.finish()
    return content
