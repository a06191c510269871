"""Keeping opened keys on disk so that only the holder of the entity secret can read them.

Owns the derivation of one sealing key for each perspective and the sealed form. Refuses to know
what is sealed. Fault model: whoever reads or writes the disk learns nothing and can only make
`open` fail; a record moved to another place (another perspective or attestation) fails too.
"""

from __future__ import annotations

import hmac
import os
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from wavemq.errors import CorruptRecordError

if TYPE_CHECKING:
    from wavemq.wave.hashes import Hash

_NONCE_BYTES: Final = 12
_PURPOSE: Final = b"wavemq authority state: opened keys, version 1"
_TAGS: Final = b"wavemq authority state: tags of sealed secrets, version 1"


class Sealer:
    """Seals and opens small secrets under a key that only this perspective can derive.

    AES-256-GCM with a random nonce; the place of the record is authenticated with it. A router
    seals far fewer than 2^32 records for one perspective, so random nonces do not repeat.

    Args:
        secret64: the perspective's primary Ed25519 secret, 64 bytes.
    """

    __slots__ = ("_aead", "_tag_key")

    def __init__(self, secret64: bytes) -> None:
        key = HKDF(hashes.SHA256(), length=32, salt=None, info=_PURPOSE).derive(secret64)
        self._aead = AESGCM(key)
        self._tag_key = HKDF(hashes.SHA256(), length=32, salt=None, info=_TAGS).derive(secret64)

    def seal(self, place: Hash, secret: bytes) -> bytes:
        """Return `secret` sealed for the record of the object `place`."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, secret, place.to_bytes())

    def tag(self, secret: bytes) -> bytes:
        """Return 32 bytes that are the same for the same secret, and say nothing else about it."""
        return hmac.digest(self._tag_key, secret, "sha256")

    def open(self, place: Hash, sealed: bytes) -> bytes:
        """Return what was sealed for the record of the object `place`.

        Raises:
            CorruptRecordError: the record was changed, moved, or sealed by another key.
        """
        nonce, ciphertext = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            return self._aead.decrypt(nonce, ciphertext, place.to_bytes())
        except (InvalidTag, ValueError) as error:
            raise CorruptRecordError("a sealed key on disk does not open") from error
