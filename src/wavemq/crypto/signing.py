"""Ed25519 (RFC 8032), with the 64-byte secrets that WAVE stores.

Owns signing keys and verification. Refuses to know what is signed. A wrong length is an invalid
signature, never a crash; verification raises and returns nothing.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from wavemq.errors import InvalidSignatureError, MalformedObjectError

PUBLIC_BYTES: Final = 32
SECRET_BYTES: Final = 64
SIGNATURE_BYTES: Final = 64


class SigningKey:
    """An Ed25519 key pair (crypto.md 5.1).

    Args:
        secret64: the seed followed by the public key, 64 bytes.

    Raises:
        MalformedObjectError: the length is wrong or the halves do not belong together.
    """

    __slots__ = ("_key", "_secret64")

    def __init__(self, secret64: bytes) -> None:
        if len(secret64) != SECRET_BYTES:
            raise MalformedObjectError(f"an Ed25519 secret has {SECRET_BYTES} bytes")
        self._key = Ed25519PrivateKey.from_private_bytes(secret64[:PUBLIC_BYTES])
        self._secret64 = bytes(secret64)
        if self._key.public_key().public_bytes_raw() != secret64[PUBLIC_BYTES:]:
            raise MalformedObjectError("the halves of an Ed25519 secret do not belong together")

    @classmethod
    def generate(cls) -> SigningKey:
        """Return a fresh random key."""
        key = Ed25519PrivateKey.generate()
        return cls(key.private_bytes_raw() + key.public_key().public_bytes_raw())

    @property
    def public(self) -> bytes:
        """The public key, 32 bytes."""
        return self._secret64[PUBLIC_BYTES:]

    @property
    def secret64(self) -> bytes:
        """Seed and public key, 64 bytes: what keyrings store and revocations are derived from."""
        return self._secret64

    def sign(self, data: bytes) -> bytes:
        """Return the 64-byte signature of `data`."""
        return self._key.sign(data)

    def __repr__(self) -> str:
        return f"SigningKey(public={self.public.hex()})"


def verify(public: bytes, signature: bytes, data: bytes) -> None:
    """Return if `signature` is by `public` over `data`.

    Raises:
        InvalidSignatureError: it is not, or a length is wrong.
    """
    if len(public) != PUBLIC_BYTES or len(signature) != SIGNATURE_BYTES:
        raise InvalidSignatureError("a key or signature has the wrong length")
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, data)
    except (InvalidSignature, ValueError) as error:
        raise InvalidSignatureError("the signature does not verify") from error
