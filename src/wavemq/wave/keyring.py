"""Entity secrets: an entity with its private keys, and their files (wave.md 3.2, 3.3).

Owns creation, both keyring forms, and the private keys by role. Secrets stay out of `repr` and
errors. A protected keyring opens with its passphrase or not at all.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from functools import cached_property

from wavemq.clock import NANOSECONDS_PER_SECOND, Instant
from wavemq.crypto import exchange, lqibe, symmetric, wkdibe
from wavemq.crypto.signing import SigningKey
from wavemq.errors import (
    InvalidParameterError,
    KeyringDecryptError,
    MalformedDERError,
    MalformedObjectError,
    ObjectError,
    PassphraseRequiredError,
    UnexpectedObjectError,
    UnsupportedKeySchemeError,
)
from wavemq.limits import ENTITY_BYTES_MAX
from wavemq.wave import der
from wavemq.wave.entity import ENTITY_SECRET_KIND, Entity
from wavemq.wave.location import Location
from wavemq.wave.pem import decode_pem_or_der
from wavemq.wave.public_key import (
    CURVE25519,
    ED25519,
    IBE_PARAMS,
    OAQUE_PARAMS,
    Capability,
    PublicKey,
)
from wavemq.wave.revocation import (
    RevocationOption,
    entity_revocation_blob,
    option_of_blob,
)
from wavemq.wave.validity import Validity

_PLAIN_KEYRING = (15, 1)
_PROTECTED_KEYRING = (15, 2)
_SECRET_KINDS = {ED25519: (14, 1), CURVE25519: (14, 2), IBE_PARAMS: (14, 9), OAQUE_PARAMS: (14, 8)}


@dataclass(frozen=True, slots=True, repr=False)
class KeyringEntry:
    """A public key with its secret.

    Args:
        public: the public key.
        secret: content of the secret's OCTET STRING.
    """

    public: PublicKey
    secret: bytes

    def to_der(self) -> bytes:
        """Return the `EntityKeyringEntry` element."""
        if self.public.kind is None or self.public.kind not in _SECRET_KINDS:
            raise UnsupportedKeySchemeError("a keyring cannot hold this kind of key")
        kind = _SECRET_KINDS[self.public.kind]
        return der.sequence(self.public.to_der(), der.external(kind, der.octets(self.secret)))

    @classmethod
    def read(cls, reader: der.Reader) -> KeyringEntry:
        """Read an `EntityKeyringEntry` of a keyring.

        Raises:
            KeyringDecryptError: the kind of key is unknown.
        """
        inner = reader.sequence()
        public = PublicKey.read(inner)
        kind, value = inner.external()
        inner.finish()
        if public.kind is None or _SECRET_KINDS.get(public.kind) != kind:
            raise KeyringDecryptError("the keyring holds a key of an unknown kind")
        secret = value.octets()
        value.finish()
        return cls(public, secret)


@dataclass(frozen=True, repr=False)
class EntitySecret:
    """An entity with all of its private keys.

    Args:
        entity: the public part.
        entries: the keyring, primary key first.
    """

    entity: Entity
    entries: tuple[KeyringEntry, ...]

    def __post_init__(self) -> None:
        """Check that the keyring is whole and belongs to the entity."""
        if not self.entries or self.entries[0].public.kind != ED25519:
            raise KeyringDecryptError("the keyring does not begin with a primary Ed25519 key")
        if self.signing_key.public != self.entity.verifying_key:
            raise KeyringDecryptError("the keyring belongs to another entity")
        _ = (self.direct_secret, self.ibe_master, self.oaque_master)

    @classmethod
    def create(
        cls,
        *,
        not_before: Instant,
        not_after: Instant,
        revocation_location: Location | None,
    ) -> EntitySecret:
        """Return a fresh entity (wave.md 3.2), valid in whole seconds.

        Args:
            not_before: first instant of its validity.
            not_after: last instant.
            revocation_location: where its revocation would be published; None for no option.

        Raises:
            InvalidParameterError: the period is empty.
        """
        if not_after < not_before:
            raise InvalidParameterError("invalid validity times")
        primary, message = SigningKey.generate(), SigningKey.generate()
        direct = exchange.generate()
        ibe_params, ibe_master = lqibe.setup()
        oaque_params, oaque_master = wkdibe.setup()
        attesting = (Capability.CERTIFICATION, Capability.ATTESTATION)
        sealing = (Capability.ENCRYPTION,)
        entries = (
            KeyringEntry(PublicKey(attesting, ED25519, primary.public), primary.secret64),
            KeyringEntry(
                PublicKey((Capability.SIGNING,), ED25519, message.public), message.secret64
            ),
            KeyringEntry(PublicKey(sealing, CURVE25519, exchange.public_of(direct)), direct),
            KeyringEntry(
                PublicKey(sealing, IBE_PARAMS, ibe_params.to_bytes()), ibe_master.to_bytes()
            ),
            KeyringEntry(
                PublicKey(sealing, OAQUE_PARAMS, oaque_params.to_bytes()), oaque_master.to_bytes()
            ),
        )
        options: tuple[RevocationOption, ...] = ()
        if revocation_location is not None:
            blob = entity_revocation_blob(primary.secret64)
            options = (option_of_blob(blob, revocation_location),)
        whole = NANOSECONDS_PER_SECOND
        tbs = der.sequence(
            entries[0].public.to_der(),
            der.sequence(*(entry.public.to_der() for entry in entries[1:])),
            Validity(
                Instant(not_before // whole * whole), Instant(not_after // whole * whole)
            ).to_der(),
            der.sequence(*(option.to_der() for option in options)),
            der.sequence(),
        )
        inner = der.sequence(tbs, der.octets(primary.sign(tbs)))
        return cls(Entity.from_inner(inner), entries)

    @classmethod
    def from_bytes(cls, data: bytes, passphrase: bytes | None = None) -> EntitySecret:
        """Decode an entity secret, DER or PEM; a passphrase for a plain keyring is ignored.

        Raises:
            MalformedDERError: it is no canonical DER.
            UnexpectedObjectError: it is another object.
            UnsupportedKeySchemeError: the keyring is of an unknown form.
            PassphraseRequiredError: it is protected and no passphrase was given.
            KeyringDecryptError: the passphrase is wrong, or a key is of an unknown kind.
        """
        entity, kind, value = _open(data)
        if kind == _PLAIN_KEYRING:
            keyring = value.element(der.SEQUENCE)
            value.finish()
        elif kind == _PROTECTED_KEYRING:
            inner = value.sequence()
            value.finish()
            sealed, salt, iterations = inner.octets(), inner.octets(), inner.integer()
            inner.finish()
            if passphrase is None:
                raise PassphraseRequiredError("the entity secret is protected: give its passphrase")
            keyring = symmetric.keyring_open(passphrase, salt, sealed, iterations=iterations)
            return _opened(cls, entity, keyring)
        else:
            raise UnsupportedKeySchemeError("unsupported keyring scheme")
        try:
            return cls(entity, _read_keyring(keyring))
        except ObjectError as error:
            raise KeyringDecryptError(
                "could not decrypt entity secrets (the keyring is malformed)"
            ) from error

    def to_bytes(self, passphrase: bytes | None = None) -> bytes:
        """Return the wire object; an empty or absent passphrase means no protection."""
        keyring = der.sequence(der.sequence(*(entry.to_der() for entry in self.entries)))
        if not passphrase:
            ring = der.external(_PLAIN_KEYRING, keyring)
        else:
            salt = secrets.token_bytes(symmetric.KEYRING_SALT_BYTES)
            sealed = symmetric.keyring_seal(passphrase, salt, keyring)
            value = der.sequence(
                der.octets(sealed), der.octets(salt), der.integer(symmetric.KEYRING_ITERATIONS)
            )
            ring = der.external(_PROTECTED_KEYRING, value)
        return der.external(ENTITY_SECRET_KIND, der.sequence(self.entity.inner, ring))

    def _secret(self, kind: tuple[int, int]) -> bytes:
        for entry in self.entries:
            if entry.public.kind == kind:
                return entry.secret
        raise KeyringDecryptError("the keyring lacks a key")

    @cached_property
    def signing_key(self) -> SigningKey:
        """The primary key: certifies and attests."""
        return SigningKey(self.entries[0].secret)

    @cached_property
    def message_signing_key(self) -> SigningKey:
        """The first key that may sign messages.

        Raises:
            MalformedObjectError: there is none.
        """
        for entry in self.entries:
            if entry.public.kind == ED25519 and entry.public.has(Capability.SIGNING):
                return SigningKey(entry.secret)
        raise MalformedObjectError("the entity has no message signing key")

    @property
    def secret64(self) -> bytes:
        """The primary key's 64 bytes, from which revocations are derived."""
        return self.signing_key.secret64

    @cached_property
    def direct_secret(self) -> bytes:
        """The Curve25519 secret, 32 bytes."""
        return self._secret(CURVE25519)

    @cached_property
    def ibe_master(self) -> lqibe.MasterKey:
        """The master key of its LQ-IBE system."""
        return lqibe.MasterKey(self._secret(IBE_PARAMS))

    @cached_property
    def oaque_master(self) -> wkdibe.MasterKey:
        """The master key of its WKD-IBE system."""
        return wkdibe.MasterKey(self._secret(OAQUE_PARAMS))

    @property
    def revocation_blob(self) -> bytes:
        """The 32 bytes whose publication revokes this entity."""
        return entity_revocation_blob(self.secret64)

    def __repr__(self) -> str:
        return f"EntitySecret({self.entity.hash.to_text()!r})"


def is_protected(data: bytes) -> bool:
    """Whether an entity secret, DER or PEM, needs a passphrase.

    Raises:
        ObjectError: it is no entity secret.
    """
    return _open(data)[1] == _PROTECTED_KEYRING


def _open(data: bytes) -> tuple[Entity, tuple[int, int] | None, der.Reader]:
    """Return the public part, and the kind and value of the keyring."""
    wire = decode_pem_or_der(data)
    outer = der.Reader(wire)
    kind, value = outer.external()
    outer.finish()
    if kind != ENTITY_SECRET_KIND:
        raise UnexpectedObjectError("DER is not a wave entity secret")
    if len(wire) > ENTITY_BYTES_MAX:
        raise MalformedDERError(f"an entity secret has at most {ENTITY_BYTES_MAX} bytes")
    inner = value.sequence()
    value.finish()
    entity = Entity.from_inner(inner.element(der.SEQUENCE))
    ring_kind, ring = inner.external()
    inner.finish()
    return entity, ring_kind, ring


def _opened(make: type[EntitySecret], entity: Entity, keyring: bytes) -> EntitySecret:
    """Return the secret whose keyring a passphrase has opened.

    Whatever is wrong inside is told like a wrong passphrase: who may only ask learns nothing else.

    Raises:
        KeyringDecryptError: something is.
    """
    try:
        return make(entity, _read_keyring(keyring))
    except (ObjectError, KeyringDecryptError) as error:
        raise KeyringDecryptError(symmetric.KEYRING_REFUSED) from error


def _read_keyring(keyring: bytes) -> tuple[KeyringEntry, ...]:
    reader = der.Reader(keyring)
    outer = reader.sequence()
    reader.finish()
    listed = outer.sequence()
    outer.finish()
    entries = []
    while not listed.is_at_end:
        entries.append(KeyringEntry.read(listed))
    return tuple(entries)
