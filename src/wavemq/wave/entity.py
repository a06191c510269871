"""Entities: public identities that sign themselves (wave.md 3).

Owns decoding, the self-signature, and lookups of keys by kind. Refuses to look up revocations: an
entity says how it could be revoked. An `Entity` that exists has a valid signature.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from wavemq.clock import Instant
from wavemq.crypto import lqibe, wkdibe
from wavemq.crypto.hashing import keccak256_many
from wavemq.crypto.signing import SignedBytes, verify, verify_each
from wavemq.errors import (
    InvalidParameterError,
    InvalidSignatureError,
    MalformedDERError,
    MalformedObjectError,
    UnexpectedObjectError,
    UnsupportedKeySchemeError,
)
from wavemq.limits import ENTITY_BYTES_MAX
from wavemq.wave import der
from wavemq.wave.hashes import Hash
from wavemq.wave.pem import decode_pem_or_der
from wavemq.wave.public_key import (
    CURVE25519,
    ED25519,
    IBE_PARAMS,
    OAQUE_PARAMS,
    Capability,
    PublicKey,
)
from wavemq.wave.revocation import RevocationOption, read_options
from wavemq.wave.validity import Validity

ENTITY_KIND = (2, 2)
ENTITY_SECRET_KIND = (2, 4)


@dataclass(frozen=True)
class Entity:
    """A genuine entity.

    Args:
        wire: the wire object.
        verifying_key: certifies the entity and signs its attestations (32 bytes, Ed25519).
        keys: the other keys, in order.
        validity: its period.
        revocations: how it could be revoked.
    """

    wire: bytes
    verifying_key: bytes
    keys: tuple[PublicKey, ...]
    validity: Validity
    revocations: tuple[RevocationOption, ...]
    verifying_capabilities: tuple[int, ...] = field(default=(), repr=False)

    @classmethod
    def from_bytes(cls, wire: bytes) -> Entity:
        """Decode a wire object and check its signature.

        Raises:
            MalformedDERError: it is no canonical DER.
            UnexpectedObjectError: it is another object.
            InvalidSignatureError: it is not signed by its own key.
            MalformedObjectError: a key is unsound.
        """
        return cls.all_from_bytes((wire,))[0]

    @classmethod
    def all_from_bytes(cls, wires: Sequence[bytes]) -> list[Entity]:
        """Decode many wire objects; their signatures and hashes are worked out on all cores.

        Raises:
            ObjectError: as `from_bytes`, for the first that is unsound.
        """
        read = [_read_inner(_inner_of(wire), bytes(wire)) for wire in wires]
        for failure in verify_each([signed for _, signed in read]):
            if failure is not None:
                raise failure
        entities = [entity for entity, _ in read]
        if len(entities) > 1:
            for entity, digest in zip(entities, keccak256_many(wires), strict=True):
                entity.__dict__["hash"] = Hash(digest)  # where `cached_property` keeps it
        return entities

    @classmethod
    def from_inner(cls, inner: bytes) -> Entity:
        """Decode the bare SEQUENCE, as it stands inside an entity secret.

        Raises:
            ObjectError: as `from_bytes`.
        """
        entity, signed = _read_inner(inner, None)
        verify(signed.public, signed.signature, signed.content)
        return entity

    @cached_property
    def hash(self) -> Hash:
        """The entity's name."""
        return Hash.of(self.wire)

    @property
    def inner(self) -> bytes:
        """The bare SEQUENCE."""
        _, value = der.Reader(self.wire).external()
        return value.element()

    @property
    def may_attest(self) -> bool:
        """Whether the verifying key may sign name declarations and attestations."""
        return Capability.ATTESTATION in self.verifying_capabilities

    def _first(self, kind: tuple[int, int], what: str) -> bytes:
        for key in self.keys:
            if key.kind == kind:
                return key.content
        raise MalformedObjectError(f"the entity has no {what} key")

    @property
    def direct_key(self) -> bytes:
        """Its Curve25519 key, 32 bytes."""
        return self._first(CURVE25519, "Curve25519")

    @property
    def ibe_params_bytes(self) -> bytes:
        """Its LQ-IBE parameters, 192 bytes."""
        return self._first(IBE_PARAMS, "IBE")

    @property
    def oaque_params_bytes(self) -> bytes:
        """Its WKD-IBE parameters, 1297 bytes."""
        return self._first(OAQUE_PARAMS, "OAQUE")

    @cached_property
    def ibe_params(self) -> lqibe.Params:
        """Its LQ-IBE parameters."""
        return lqibe.Params(self.ibe_params_bytes)

    @cached_property
    def oaque_params(self) -> wkdibe.Params:
        """Its WKD-IBE parameters."""
        return wkdibe.Params(self.oaque_params_bytes)

    @property
    def message_signing_keys(self) -> tuple[bytes, ...]:
        """Ed25519 keys that may sign messages, 32 bytes each."""
        return tuple(
            key.content for key in self.keys if key.kind == ED25519 and key.has(Capability.SIGNING)
        )

    def check_validity(self, now: Instant) -> None:
        """Return if `now` is within the entity's period (wave.md 3.5).

        Raises:
            InvalidParameterError: it is not.
        """
        if self.validity.is_expired(now):
            raise InvalidParameterError("Entity expired")
        if self.validity.is_pending(now):
            note = self.validity.clock_note(now)
            raise InvalidParameterError(f"Entity not valid yet: {note}")

    def __repr__(self) -> str:
        return f"Entity({self.hash.to_text()!r})"


def _inner_of(wire: bytes) -> bytes:
    """Return the bare SEQUENCE inside a wire object."""
    outer = der.Reader(wire)
    kind, value = outer.external()
    outer.finish()
    if kind != ENTITY_KIND:
        raise UnexpectedObjectError("DER is not a wave entity")
    if len(wire) > ENTITY_BYTES_MAX:
        raise MalformedDERError(f"an entity has at most {ENTITY_BYTES_MAX} bytes")
    inner = value.element(der.SEQUENCE)
    value.finish()
    return inner


def _read_inner(inner: bytes, wire: bytes | None) -> tuple[Entity, SignedBytes]:
    """Return what the bare SEQUENCE says, and the signature that must be checked before use."""
    reader = der.Reader(inner)
    body = reader.sequence()
    reader.finish()
    tbs_bytes = body.element(der.SEQUENCE)
    signature = body.octets()
    body.finish()
    tbs = der.Reader(tbs_bytes).sequence()
    verifying = PublicKey.read(tbs)
    listed = tbs.sequence()
    keys = []
    while not listed.is_at_end:
        keys.append(PublicKey.read(listed))
    validity = Validity.read(tbs)
    revocations = read_options(tbs)
    tbs.element(der.SEQUENCE)  # extensions: never interpreted
    tbs.finish()
    if verifying.kind != ED25519:
        raise UnsupportedKeySchemeError("unsupported verifying key scheme")
    if not verifying.has(Capability.CERTIFICATION):
        raise InvalidSignatureError("the verifying key may not certify")
    entity = Entity(
        wire=der.external(ENTITY_KIND, inner) if wire is None else wire,
        verifying_key=verifying.content,
        keys=tuple(keys),
        validity=validity,
        revocations=revocations,
        verifying_capabilities=verifying.capabilities,
    )
    return entity, SignedBytes(verifying.content, signature, tbs_bytes)


def parse_entity(data: bytes) -> Entity:
    """Decode an entity, or the public part of an entity secret, in DER or PEM.

    Raises:
        ObjectError: it is neither, or unsound.
    """
    wire = decode_pem_or_der(data)
    outer = der.Reader(wire)
    kind, value = outer.external()
    outer.finish()
    if kind == ENTITY_SECRET_KIND and len(wire) <= ENTITY_BYTES_MAX:
        inner = value.sequence()
        value.finish()
        entity = inner.element(der.SEQUENCE)
        return Entity.from_inner(entity)
    return Entity.from_bytes(wire)
