"""How objects can be revoked: commitments whose opening is published (wave.md 5).

Owns options and blobs. Refuses to look anything up. An option of an unknown scheme is kept as it is
and says so; what it means is decided where validity is checked.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from wavemq.crypto.hashing import keccak256
from wavemq.errors import (
    MalformedObjectError,
    UnsupportedHashSchemeError,
    UnsupportedLocationSchemeError,
)
from wavemq.wave import der
from wavemq.wave.hashes import Hash
from wavemq.wave.location import Location

_LABEL: Final = b"revocation"
OPTIONS_MAX: Final = 64
"""Ways to revoke one object; everybody makes one."""


@dataclass(frozen=True, slots=True)
class RevocationOption:
    """One way to revoke an object: publishing the blob that hashes to `hash` at `location`.

    Args:
        hash: of the blob, which is also where it would be stored; None for an unknown scheme.
        location: where it would be stored; None for an unknown scheme.
        is_critical: whether an option that cannot be understood counts as exercised.
        unknown: the element of an unknown scheme, as it was read.
    """

    hash: Hash | None
    location: Location | None
    is_critical: bool = True
    unknown: bytes = b""

    def to_der(self) -> bytes:
        """Return the `RevocationOption` element."""
        scheme = self.unknown
        if self.hash is not None and self.location is not None:
            value = der.sequence(self.hash.to_der(), self.location.to_der())
            scheme = der.external((10, 1), value)
        return der.sequence(der.boolean(value=self.is_critical), scheme)

    @classmethod
    def read(cls, reader: der.Reader) -> RevocationOption:
        """Read a `RevocationOption` element."""
        inner = reader.sequence()
        is_critical = inner.boolean()
        raw = inner.element(der.EXTERNAL)
        inner.finish()
        kind, value = der.Reader(raw).external()
        if kind == (10, 1):
            commitment = value.sequence()
            value.finish()
            try:
                found = cls(Hash.read(commitment), Location.read(commitment), is_critical)
            except (UnsupportedHashSchemeError, UnsupportedLocationSchemeError):
                return cls(None, None, is_critical, raw)
            commitment.finish()
            return found
        return cls(None, None, is_critical, raw)


def read_options(reader: der.Reader) -> tuple[RevocationOption, ...]:
    """Read a SEQUENCE OF RevocationOption.

    Raises:
        MalformedObjectError: there are more than `OPTIONS_MAX`: each costs a lookup in storage.
    """
    inner = reader.sequence()
    options: list[RevocationOption] = []
    while not inner.is_at_end:
        if len(options) == OPTIONS_MAX:
            raise MalformedObjectError(f"an object has more than {OPTIONS_MAX} revocation options")
        options.append(RevocationOption.read(inner))
    return tuple(options)


def entity_revocation_blob(secret64: bytes) -> bytes:
    """Return the 32 bytes whose publication revokes an entity."""
    return keccak256(_LABEL + secret64)


def attestation_revocation_blob(attester_secret64: bytes, ephemeral_key: bytes) -> bytes:
    """Return the 32 bytes whose publication revokes an attestation."""
    return keccak256(_LABEL + attester_secret64 + ephemeral_key)


def exercised_by(blob: bytes, options: Iterable[RevocationOption]) -> tuple[RevocationOption, ...]:
    """Return the options that publishing `blob` at their locations exercises."""
    name = Hash.of(blob)
    return tuple(option for option in options if option.hash == name)


def option_of_blob(blob: bytes, location: Location) -> RevocationOption:
    """Return the critical option that `blob` exercises when stored at `location`."""
    return RevocationOption(Hash.of(blob), location)
