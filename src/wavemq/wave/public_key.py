"""The public keys that an entity lists (wave.md 3.1, crypto.md 5.1)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from wavemq.errors import MalformedObjectError
from wavemq.wave import der

ED25519: Final = (11, 1)
CURVE25519: Final = (11, 2)
OAQUE_CHILD: Final = (11, 7)
OAQUE_PARAMS: Final = (11, 8)
IBE_PARAMS: Final = (11, 9)
IBE_CHILD: Final = (11, 10)
CONTENT_BYTES: Final = {ED25519: 32, CURVE25519: 32, OAQUE_PARAMS: 1297, IBE_PARAMS: 192}
"""Sizes of the kinds whose value is one OCTET STRING."""


class Capability(IntEnum):
    """What a key may be used for."""

    CERTIFICATION = 1
    ATTESTATION = 2
    SIGNING = 3
    AUTHENTICATION = 4
    AUTHORIZATION = 5
    ENCRYPTION = 6


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One key with its capabilities.

    Args:
        capabilities: in the order of the encoding.
        kind: arc and member of its OID; None if it is not WAVE's.
        content: of the OCTET STRING for kinds in `CONTENT_BYTES`, else the encoded value.
        unknown: the key's element where the kind is not one of `CONTENT_BYTES`.
    """

    capabilities: tuple[int, ...]
    kind: tuple[int, int] | None
    content: bytes
    unknown: bytes = b""

    def has(self, capability: Capability) -> bool:
        """Whether the key may be used for `capability`."""
        return capability in self.capabilities

    def to_der(self) -> bytes:
        """Return the `EntityPublicKey` element."""
        key = self.unknown
        if self.kind in CONTENT_BYTES and self.kind is not None:
            key = der.external(self.kind, der.octets(self.content))
        return der.sequence(der.set_of_integers(self.capabilities), key)

    @classmethod
    def read(cls, reader: der.Reader) -> PublicKey:
        """Read an `EntityPublicKey` element.

        Raises:
            MalformedObjectError: a key has the wrong size.
        """
        inner = reader.sequence()
        capabilities = inner.integers()
        raw = inner.element(der.EXTERNAL)
        inner.finish()
        kind, value = der.Reader(raw).external()
        if kind not in CONTENT_BYTES or kind is None:
            return cls(capabilities, kind, value.element(), raw)
        content = value.octets()
        value.finish()
        if len(content) != CONTENT_BYTES[kind]:
            raise MalformedObjectError(f"a public key has {len(content)} bytes")
        return cls(capabilities, kind, content)
