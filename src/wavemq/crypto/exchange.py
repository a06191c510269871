"""Curve25519 "direct" messages (crypto.md 5.3).

Owns the message format: ephemeral public key (32) || AES-128-GCM ciphertext || tag (16), keyed by
SHA3-256 of the shared point. Anyone can make such a message: it says nothing about its sender.
"""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from wavemq.crypto.hashing import sha3_256
from wavemq.crypto.symmetric import SEALED_KEY_BYTES, TAG_BYTES, open_sealed, seal
from wavemq.errors import MalformedObjectError, MessageDecryptError

KEY_BYTES: Final = 32
DIRECT_OVERHEAD_BYTES: Final = KEY_BYTES + TAG_BYTES


def generate() -> bytes:
    """Return a fresh 32-byte secret."""
    return X25519PrivateKey.generate().private_bytes_raw()


def public_of(secret: bytes) -> bytes:
    """Return the 32-byte public key of a secret.

    Raises:
        MalformedObjectError: the secret has the wrong length.
    """
    if len(secret) != KEY_BYTES:
        raise MalformedObjectError(f"a Curve25519 secret has {KEY_BYTES} bytes")
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


def _shared_key(secret: X25519PrivateKey, public: bytes) -> bytes:
    shared = secret.exchange(X25519PublicKey.from_public_bytes(public))
    return sha3_256(shared)[:SEALED_KEY_BYTES]


def direct_encrypt(public: bytes, data: bytes) -> bytes:
    """Return `data` encrypted to the holder of `public`'s secret.

    Raises:
        MalformedObjectError: `public` is no usable Curve25519 key.
    """
    ephemeral = X25519PrivateKey.generate()
    try:
        key = _shared_key(ephemeral, public)
    except ValueError as error:
        raise MalformedObjectError("the recipient's Curve25519 key is unusable") from error
    return ephemeral.public_key().public_bytes_raw() + seal(key, data)


def direct_decrypt(secret: bytes, data: bytes) -> bytes:
    """Return what was encrypted to `secret`.

    Raises:
        MessageDecryptError: it was not encrypted to this key, or was changed or cut.
    """
    if len(secret) != KEY_BYTES or len(data) < DIRECT_OVERHEAD_BYTES:
        raise MessageDecryptError("could not decrypt: wrong length")
    try:
        key = _shared_key(X25519PrivateKey.from_private_bytes(secret), data[:KEY_BYTES])
    except ValueError as error:
        raise MessageDecryptError("could not decrypt: unusable ephemeral key") from error
    return open_sealed(key, data[KEY_BYTES:])
