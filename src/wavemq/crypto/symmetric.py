"""AES as WAVE uses it: single-use GCM keys with their nonce, protected keyrings, JEDI's counters.

Owns sealing and opening. Any failure to open is one error without detail, so that it is no oracle.
"""

from __future__ import annotations

import hashlib
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from wavemq.errors import InternalError, KeyringDecryptError, MessageDecryptError
from wavemq.limits import KEYRING_ITERATIONS_MAX

SEALED_KEY_BYTES: Final = 28
"""AES-128 key (16) and GCM nonce (12). Each is drawn for one plaintext, so the nonce may travel."""
TAG_BYTES: Final = 16
CTR_KEY_BYTES: Final = 16
CTR_BLOCK_BYTES: Final = 16
KEYRING_ITERATIONS: Final = 100_000
KEYRING_SALT_BYTES: Final = 16
KEYRING_REFUSED: Final = "could not decrypt entity secrets (decryption failed)"
"""All that is ever said about a protected keyring that does not open (wave.md 3.3)."""
# The keyring key comes from a fresh random salt each time, so the fixed nonce is used once per key.
_KEYRING_NONCE: Final = bytes(12)


def seal(key28: bytes, data: bytes) -> bytes:
    """Return AES-128-GCM ciphertext and tag of `data`; `key28` must never seal twice."""
    if len(key28) != SEALED_KEY_BYTES:
        raise InternalError(f"a sealing key has {SEALED_KEY_BYTES} bytes")
    return AESGCM(key28[:16]).encrypt(key28[16:], data, None)


def open_sealed(key28: bytes, data: bytes) -> bytes:
    """Return what was sealed.

    Raises:
        MessageDecryptError: the key is wrong or the bytes were changed.
    """
    if len(key28) != SEALED_KEY_BYTES or len(data) < TAG_BYTES:
        raise MessageDecryptError("could not decrypt: wrong length")
    try:
        return AESGCM(key28[:16]).decrypt(key28[16:], data, None)
    except InvalidTag as error:
        raise MessageDecryptError("could not decrypt") from error


def count(key: bytes, block: bytes, content: bytes) -> bytes:
    """Return `content` under AES-128-CTR; the same call opens what it sealed (crypto.md 6.4).

    Args:
        key: 16 bytes.
        block: the initial counter block, 16 bytes, counted up as one big-endian number; no two
            contents under one key may have the same.
        content: of any length; it is not authenticated.
    """
    if len(key) != CTR_KEY_BYTES or len(block) != CTR_BLOCK_BYTES:
        raise InternalError("a counter's key and block have 16 bytes each")
    coder = Cipher(AES(key), CTR(block)).encryptor()
    return coder.update(content) + coder.finalize()


def _keyring_key(passphrase: bytes, salt: bytes, iterations: int) -> bytes:
    return hashlib.pbkdf2_hmac("sha3_512", passphrase, salt, iterations, 32)


def keyring_seal(
    passphrase: bytes, salt: bytes, data: bytes, *, iterations: int = KEYRING_ITERATIONS
) -> bytes:
    """Return `data` under AES-256-GCM with a key from the passphrase (crypto.md 5.7)."""
    return AESGCM(_keyring_key(passphrase, salt, iterations)).encrypt(_KEYRING_NONCE, data, None)


def keyring_open(passphrase: bytes, salt: bytes, data: bytes, *, iterations: int) -> bytes:
    """Return what `keyring_seal` sealed.

    Raises:
        KeyringDecryptError: wrong passphrase, changed bytes, or an absurd number of iterations.
    """
    if not 1 <= iterations <= KEYRING_ITERATIONS_MAX:
        raise KeyringDecryptError(
            f"the keyring asks for {iterations} iterations; the limit is {KEYRING_ITERATIONS_MAX}"
        )
    try:
        return AESGCM(_keyring_key(passphrase, salt, iterations)).decrypt(
            _KEYRING_NONCE, data, None
        )
    except (InvalidTag, ValueError) as error:
        raise KeyringDecryptError(KEYRING_REFUSED) from error
