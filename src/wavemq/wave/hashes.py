"""Names of objects: hashes and their multihash forms (wave.md 2.1).

Owns the two schemes that decode and the three forms of a hash. Refuses to know objects.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from enum import Enum
from typing import Final

from wavemq.crypto.hashing import keccak256
from wavemq.errors import InvalidMultihashError, MalformedDERError, UnsupportedHashSchemeError
from wavemq.wave import der

DIGEST_BYTES: Final = 32
MULTIHASH_BYTES: Final = 34
TEXT_CHARACTERS: Final = 48


class HashScheme(Enum):
    """A hash function: its member under arc 9, and its multihash code."""

    SHA3_256 = (1, 0x16)
    KECCAK_256 = (2, 0x1B)


_KECCAK_PREFIX: Final = bytes((HashScheme.KECCAK_256.value[1], DIGEST_BYTES))
_SHA3_PREFIX: Final = bytes((HashScheme.SHA3_256.value[1], DIGEST_BYTES))
_KECCAK_ELEMENT: Final = der.external(
    (9, HashScheme.KECCAK_256.value[0]), der.octets(bytes(DIGEST_BYTES))
)[:-DIGEST_BYTES]
_KECCAK_ELEMENT_BYTES: Final = len(_KECCAK_ELEMENT) + DIGEST_BYTES


@dataclass(frozen=True, slots=True, order=True)
class Hash:
    """The hash of an object.

    Args:
        digest: 32 bytes.
        is_keccak: whether the scheme is Keccak-256, the only one that new objects use.
    """

    digest: bytes
    is_keccak: bool = True

    def __post_init__(self) -> None:
        if len(self.digest) != DIGEST_BYTES:
            raise InvalidMultihashError(f"a digest has {DIGEST_BYTES} bytes")

    # As the generated ones, without making tuples: each message is looked up by several hashes.

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Hash):
            return NotImplemented
        return self.digest == other.digest and self.is_keccak == other.is_keccak

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def scheme(self) -> HashScheme:
        """The hash function."""
        return HashScheme.KECCAK_256 if self.is_keccak else HashScheme.SHA3_256

    @classmethod
    def of(cls, wire: bytes) -> Hash:
        """Return the Keccak-256 hash of a wire object."""
        return cls(keccak256(wire))

    @classmethod
    def from_bytes(cls, multihash: bytes) -> Hash:
        """Decode a 34-byte multihash.

        Raises:
            InvalidMultihashError: wrong length, code or digest length.
        """
        if len(multihash) != MULTIHASH_BYTES or multihash[1] != DIGEST_BYTES:
            raise InvalidMultihashError(
                f"a multihash has {MULTIHASH_BYTES} bytes, beginning 1b 20 for Keccak-256"
            )
        for scheme in HashScheme:
            if multihash[0] == scheme.value[1]:
                return cls(bytes(multihash[2:]), is_keccak=scheme is HashScheme.KECCAK_256)
        raise InvalidMultihashError(f"unsupported multihash code 0x{multihash[0]:02x}")

    @classmethod
    def from_text(cls, text: str) -> Hash:
        """Decode the 48-character URL-safe base64 form.

        Raises:
            InvalidMultihashError: it is none.
        """
        try:
            raw = base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise InvalidMultihashError(f"bad base64: {text!r}") from error
        found = cls.from_bytes(raw)
        if found.to_text() != text:
            raise InvalidMultihashError(f"not a canonical hash: {text!r}")
        return found

    @classmethod
    def parse(cls, given: bytes | str) -> Hash:
        """Decode either form, as the API accepts them.

        Raises:
            InvalidMultihashError: it is neither.
        """
        if isinstance(given, str):
            return cls.from_text(given)
        if len(given) == TEXT_CHARACTERS:
            try:
                return cls.from_text(given.decode("ascii"))
            except UnicodeDecodeError as error:
                raise InvalidMultihashError("not a hash") from error
        return cls.from_bytes(given)

    def to_bytes(self) -> bytes:
        """Return the 34-byte multihash."""
        prefix = _KECCAK_PREFIX if self.is_keccak else _SHA3_PREFIX
        return prefix + self.digest

    def to_text(self) -> str:
        """Return the 48-character form."""
        return base64.urlsafe_b64encode(self.to_bytes()).decode()

    def to_der(self) -> bytes:
        """Return the `Hash` element of wave.md 2.1."""
        return der.external((9, self.scheme.value[0]), der.octets(self.digest))

    @classmethod
    def read(cls, reader: der.Reader) -> Hash:
        """Read a `Hash` element.

        Raises:
            UnsupportedHashSchemeError: the scheme is unknown.
            MalformedDERError: the element is malformed.
        """
        element = reader.element(der.EXTERNAL)
        # Nearly all elements are of this form, which canonical DER leaves no other way to write.
        if len(element) == _KECCAK_ELEMENT_BYTES and element.startswith(_KECCAK_ELEMENT):
            return cls(element[-DIGEST_BYTES:])
        kind, value = der.Reader(element).external()
        for scheme in HashScheme:
            if kind == (9, scheme.value[0]):
                digest = value.octets()
                value.finish()
                if len(digest) != DIGEST_BYTES:
                    raise MalformedDERError(f"a digest has {len(digest)} bytes")
                return cls(digest, is_keccak=scheme is HashScheme.KECCAK_256)
        raise UnsupportedHashSchemeError("unsupported hash scheme")

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        return f"Hash({self.to_text()!r})"


WAVE_PERMISSION_SET: Final = Hash.from_text("GyAZSVTobuuPkf-YOsxW5shK4pqQfOfnY46GV9UUmbGIpA==")
WAVEMQ_PERMISSION_SET: Final = Hash.from_text("GyAUM3SzL9J0OVT-R4b2z4bUA3IPXsRCNrZYwmoeaA9uAQ==")
JEDI_PERMISSION_SET: Final = Hash.from_text("GyAdzlOf-YTN8eq9Fw0-S0XQ_Lh2KL0HCBrDQTvqiDe88A==")
"""Built-in permission sets: hashes that name kinds of permissions (wave.md 2.1)."""
