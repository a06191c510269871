"""Ed25519 (RFC 8032), with the 64-byte secrets that WAVE stores.

Owns signing keys and verification, one by one or in bulk. Refuses to know what is signed. A wrong
length is an invalid signature, never a crash; verification returns nothing that could be ignored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from wavemq import _kernel
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


@dataclass(frozen=True, slots=True)
class SignedBytes:
    """A signature that has not been checked yet, with all that it takes to check it.

    Args:
        public: the key that it should be by, 32 bytes.
        signature: 64 bytes.
        content: what it should be over.
    """

    public: bytes
    signature: bytes
    content: bytes


def verify(public: bytes, signature: bytes, data: bytes) -> None:
    """Return if `signature` is by `public` over `data`.

    The rule is that of RFC 8032 without the cofactor, which Go and OpenSSL follow too; one
    implementation decides here, alone or in bulk, so that no two answers can differ.

    Raises:
        InvalidSignatureError: it is not, or a length is wrong.
    """
    if not _kernel.ed25519_verify(public, signature, data):
        raise InvalidSignatureError(_reason(public, signature))


def verify_each(signed: Sequence[SignedBytes]) -> list[InvalidSignatureError | None]:
    """Check many signatures on all cores without the GIL; return what is wrong with each.

    The caller must raise, or act upon, every outcome that is not None.
    """
    outcomes = _kernel.ed25519_verify_many(
        [(one.public, one.signature, one.content) for one in signed]
    )
    return [
        None if is_genuine else InvalidSignatureError(_reason(one.public, one.signature))
        for one, is_genuine in zip(signed, outcomes, strict=True)
    ]


def _reason(public: bytes, signature: bytes) -> str:
    if len(public) != PUBLIC_BYTES or len(signature) != SIGNATURE_BYTES:
        return "a key or signature has the wrong length"
    return "the signature does not verify"
