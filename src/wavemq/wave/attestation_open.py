"""Opening attestations: who can read what of an encrypted body, and whether it is genuine.

Owns the ways in (wave.md 4.9) as pure functions of the attestation and the keys given, and the
signature checks. Refuses to fetch anything and to know which keys a perspective holds. What cannot
be opened with the keys at hand is no error; what opens to nonsense is `MalformedObjectError`.

The ways in, for a caller that is not just verifying:
1. `envelope_key_*` finds the 28-byte key of the envelope: as subject, as attester (which gives the
   body key too), or with a label key of the subject's system.
2. `read_envelope` gives the partition.
3. `body_key_*` finds the 56-byte body key with the subject's master key or a content key.
4. `open_body` decrypts; `check_signatures` must follow before anything in it is believed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from wavemq.crypto import exchange, lqibe, wkdibe
from wavemq.crypto.signing import SignedBytes, verify
from wavemq.crypto.symmetric import SEALED_KEY_BYTES, open_sealed
from wavemq.errors import (
    BodySchemeError,
    InvalidMultihashError,
    InvalidSignatureError,
    MalformedObjectError,
    MalformedPartitionError,
    MessageDecryptError,
    ObjectError,
)
from wavemq.wave import der
from wavemq.wave.attestation import (
    EPHEMERAL_SIGNATURE,
    Attestation,
    PlainBody,
    VerifierBody,
    Wr1Body,
)
from wavemq.wave.bundle import (
    Addendum,
    ContentKey,
    KeyBundle,
    LabelKey,
    key_bundles,
    label_keys,
    read_addendums,
)
from wavemq.wave.entity import Entity
from wavemq.wave.jedi_delegation import read_delegation
from wavemq.wave.partition import Partition, check_partition

VERIFIER_KEY_BYTES: Final = SEALED_KEY_BYTES
ENVELOPE_KEY_BYTES: Final = SEALED_KEY_BYTES
BODY_KEY_BYTES: Final = 2 * SEALED_KEY_BYTES
PROVER_KEY_BYTES: Final = ENVELOPE_KEY_BYTES + BODY_KEY_BYTES
DELEGATION_LENGTH_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class Envelope:
    """A readable envelope.

    Args:
        partition: which keys open the body.
        body_key_message: the body key under the subject's WKD-IBE system.
        key: that opened the envelope, 28 bytes.
    """

    partition: Partition
    body_key_message: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class OpenedAttestation:
    """A readable body.

    Args:
        body: what a verifier learns.
        addendums: keys that travel with the grant.
        partition: of the body; None for an unencrypted one.
        verifier_key: 28 bytes that open `body` alone; empty for an unencrypted body.
        prover_key: 84 bytes that open everything; empty for an unencrypted body.
    """

    body: VerifierBody
    addendums: tuple[Addendum, ...] = field(repr=False)
    partition: Partition | None
    verifier_key: bytes = field(repr=False)
    prover_key: bytes = field(repr=False)

    @property
    def label_keys(self) -> tuple[LabelKey, ...]:
        """The label keys among the addendums."""
        return label_keys(self.addendums)

    @property
    def bundles(self) -> tuple[KeyBundle, ...]:
        """The key bundles among the addendums."""
        return key_bundles(self.addendums)


def _encrypted(attestation: Attestation) -> Wr1Body:
    if not isinstance(attestation.content, Wr1Body):
        raise BodySchemeError("the attestation is not encrypted")
    return attestation.content


def _plaintext(key: bytes, sealed: bytes, what: str) -> bytes:
    try:
        return open_sealed(key, sealed)
    except MessageDecryptError as error:
        raise MalformedObjectError(f"the {what} does not open with its key") from error


def open_with_verifier_key(attestation: Attestation, key: bytes | None) -> VerifierBody:
    """Return the verifier body.

    Args:
        attestation: to read.
        key: 28 bytes; None or empty for an unencrypted body.

    Raises:
        BodySchemeError: the body is encrypted and there is no key of 28 bytes.
        MalformedObjectError: the key does not open it.
    """
    if isinstance(attestation.content, PlainBody):
        return attestation.content.body
    if key is None or len(key) != VERIFIER_KEY_BYTES:
        raise BodySchemeError(
            f"the attestation is not decryptable: a verifier key has {VERIFIER_KEY_BYTES} bytes"
        )
    return _verifier_body(attestation.content, key)


def _verifier_body(content: Wr1Body, key: bytes) -> VerifierBody:
    reader = der.Reader(_plaintext(key, content.verifier_body, "verifier body"))
    outer = reader.sequence()
    reader.finish()
    body = VerifierBody.read(outer)
    outer.finish()
    return body


def open_with_prover_key(attestation: Attestation, key: bytes) -> OpenedAttestation:
    """Return everything in the body.

    Args:
        attestation: to read.
        key: 84 bytes; ignored for an unencrypted body.

    Raises:
        BodySchemeError: the key has another length.
        MalformedObjectError: the key does not open it.
    """
    if isinstance(attestation.content, PlainBody):
        return open_plain(attestation)
    if len(key) != PROVER_KEY_BYTES:
        raise BodySchemeError(f"a prover key has {PROVER_KEY_BYTES} bytes")
    envelope = read_envelope(attestation, key[:ENVELOPE_KEY_BYTES])
    return open_body(attestation, envelope, key[ENVELOPE_KEY_BYTES:])


def open_plain(attestation: Attestation) -> OpenedAttestation:
    """Return everything in an unencrypted body.

    Raises:
        BodySchemeError: it is encrypted.
    """
    if not isinstance(attestation.content, PlainBody):
        raise BodySchemeError("the attestation is encrypted")
    content = attestation.content
    return OpenedAttestation(content.body, content.addendums, None, b"", b"")


def envelope_key_as_subject(attestation: Attestation, direct_secret: bytes) -> bytes | None:
    """Return the envelope key for the subject's Curve25519 secret, or None if it is not his."""
    try:
        found = exchange.direct_decrypt(direct_secret, _encrypted(attestation).envelope_key_subject)
    except MessageDecryptError:
        return None
    return _checked_envelope_key(found)


def _checked_envelope_key(found: bytes) -> bytes:
    """Return the envelope key; newer writers append a delegation (wave.md 4.8)."""
    extra = found[ENVELOPE_KEY_BYTES:]
    if len(found) < ENVELOPE_KEY_BYTES or (
        extra
        and (
            len(extra) < DELEGATION_LENGTH_BYTES
            or int.from_bytes(extra[:DELEGATION_LENGTH_BYTES], "little")
            != len(extra) - DELEGATION_LENGTH_BYTES
        )
    ):
        raise MalformedObjectError("the envelope key has the wrong length")
    return found[:ENVELOPE_KEY_BYTES]


def delegated_keys(attestation: Attestation, direct_secret: bytes) -> tuple[KeyBundle, ...]:
    """Return JEDI keys that a newer writer sent beside the envelope key (wave.md 4.8).

    Args:
        attestation: to read.
        direct_secret: the Curve25519 secret of its subject.

    Returns:
        Nothing where there are none, or what stands for them is malformed: the grant is good.
    """
    if not isinstance(attestation.content, Wr1Body):
        return ()
    try:
        found = exchange.direct_decrypt(direct_secret, attestation.content.envelope_key_subject)
        _checked_envelope_key(found)
        if len(found) == ENVELOPE_KEY_BYTES:
            return ()
        return (read_delegation(found[ENVELOPE_KEY_BYTES + DELEGATION_LENGTH_BYTES :]).bundle,)
    except (MessageDecryptError, ObjectError, InvalidMultihashError):
        return ()


def keys_as_attester(attestation: Attestation, direct_secret: bytes) -> bytes | None:
    """Return the prover key (84 bytes) for the attester's Curve25519 secret, or None."""
    try:
        found = exchange.direct_decrypt(
            direct_secret, _encrypted(attestation).envelope_key_attester
        )
    except MessageDecryptError:
        return None
    if len(found) != PROVER_KEY_BYTES:
        raise MalformedObjectError("the attester's keys have the wrong length")
    return found


def envelope_key_with_label(attestation: Attestation, key: LabelKey) -> bytes | None:
    """Return the envelope key for a label key of the subject's system, or None."""
    try:
        found = key.open(_encrypted(attestation).envelope_key_ibe)
    except MessageDecryptError:
        return None
    if len(found) != ENVELOPE_KEY_BYTES:
        raise MalformedObjectError("the envelope key has the wrong length")
    return found


def envelope_key_with_master(
    attestation: Attestation, subject: Entity, master: lqibe.MasterKey, identity: bytes
) -> bytes | None:
    """Return the envelope key for the subject's own IBE master key, or None."""
    return envelope_key_with_label(
        attestation, LabelKey.extract(subject.ibe_params_bytes, master, identity)
    )


def read_envelope(attestation: Attestation, key: bytes) -> Envelope:
    """Return what the envelope says.

    Raises:
        MalformedObjectError: the key does not open it, or it holds nonsense.
        MalformedDERError: it is no canonical DER.
    """
    reader = der.Reader(_plaintext(key, _encrypted(attestation).envelope, "envelope"))
    inner = reader.sequence()
    reader.finish()
    message = inner.octets()
    listed = inner.sequence()
    inner.finish()
    slots = []
    while not listed.is_at_end:
        slots.append(listed.octets())
    try:
        partition = check_partition(slots)
    except MalformedPartitionError as error:
        raise MalformedObjectError("the partition is malformed", cause=error) from error
    return Envelope(partition, message, key)


def body_key_with_master(
    envelope: Envelope, subject: Entity, master: wkdibe.MasterKey
) -> bytes | None:
    """Return the body key for the subject's own WKD-IBE master key, or None."""
    try:
        return wkdibe.decrypt(
            master, subject.oaque_params, envelope.partition, envelope.body_key_message
        )
    except (MessageDecryptError, ObjectError):
        return None


def body_key_with_content_key(envelope: Envelope, subject: Entity, key: ContentKey) -> bytes | None:
    """Return the body key for a content key of the subject's system that matches, or None."""
    try:
        return key.open(subject.oaque_params, envelope.partition, envelope.body_key_message)
    except (MessageDecryptError, ObjectError):
        return None


def open_body(attestation: Attestation, envelope: Envelope, body_key: bytes) -> OpenedAttestation:
    """Return everything in the body.

    Raises:
        MalformedObjectError: the key has the wrong length, does not open the body, or what is
            inside is unsound.
        MalformedDERError: it is no canonical DER.
    """
    if len(body_key) != BODY_KEY_BYTES:
        raise MalformedObjectError("the body key has the wrong length")
    content = _encrypted(attestation)
    prover_key, verifier_key = body_key[:SEALED_KEY_BYTES], body_key[SEALED_KEY_BYTES:]
    reader = der.Reader(_plaintext(prover_key, content.prover_body, "prover body"))
    inner = reader.sequence()
    reader.finish()
    addendums = read_addendums(inner)
    inner.element(der.SEQUENCE)  # extensions: never interpreted
    inner.finish()
    return OpenedAttestation(
        body=_verifier_body(content, verifier_key),
        addendums=addendums,
        partition=envelope.partition,
        verifier_key=verifier_key,
        prover_key=envelope.key + body_key,
    )


def check_signatures(attestation: Attestation, body: VerifierBody, attester: Entity) -> None:
    """Return if the attestation is by `attester` and whole (wave.md 4.9).

    Raises:
        InvalidSignatureError: a signature or the binding between them does not hold.
    """
    for signed in signatures_of(attestation, body, attester):
        verify(signed.public, signed.signature, signed.content)


def signatures_of(
    attestation: Attestation, body: VerifierBody, attester: Entity
) -> tuple[SignedBytes, SignedBytes]:
    """Return what must be checked before the attestation is believed, for checks in bulk.

    Raises:
        InvalidSignatureError: the binding between the two signatures does not hold.
    """
    if attester.hash != body.attester:
        raise InvalidSignatureError("the attester is another entity")
    if body.binding_kind != EPHEMERAL_SIGNATURE:
        raise InvalidSignatureError("the binding is for another signature scheme")
    if body.binding_key != attestation.ephemeral_key:
        raise InvalidSignatureError("the binding is for another outer key")
    return (
        SignedBytes(attester.verifying_key, body.binding_signature, body.binding),
        SignedBytes(attestation.ephemeral_key, attestation.outer_signature, attestation.tbs),
    )


def check_outer_signature(attestation: Attestation) -> None:
    """Return if the attestation has not been changed since its outer signature.

    Raises:
        InvalidSignatureError: it has.
    """
    verify(attestation.ephemeral_key, attestation.outer_signature, attestation.tbs)
