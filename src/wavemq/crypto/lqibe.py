"""LQ-IBE keys and messages (crypto.md 4 and 5.4).

Owns the key types and the message format: uint16 BE 96 || KEM ciphertext (96) || AES-128-GCM.
Points are checked by the kernel; unsound bytes of a key raise `MalformedObjectError`, unsound bytes
of a message `MessageDecryptError`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from wavemq import _kernel
from wavemq.crypto.symmetric import SEALED_KEY_BYTES, TAG_BYTES, open_sealed, seal
from wavemq.errors import MalformedObjectError, MessageDecryptError

PARAMS_BYTES: Final = 192
MASTER_BYTES: Final = 32
POINT_BYTES: Final = 48
CIPHERTEXT_BYTES: Final = 96
MESSAGE_OVERHEAD_BYTES: Final = 2 + CIPHERTEXT_BYTES + TAG_BYTES
_LENGTH_PREFIX: Final = CIPHERTEXT_BYTES.to_bytes(2, "big")
_CACHED_MAX: Final = 1024


@lru_cache(maxsize=_CACHED_MAX)
def identity_point(identity: bytes) -> bytes:
    """Return the 48-byte point of an identity (crypto.md 2.3)."""
    return _kernel.lq_identity_point(identity)


@lru_cache(maxsize=_CACHED_MAX)
def _check_params(data: bytes) -> None:
    try:
        _kernel.lq_check_params(data)
    except _kernel.EncodingError as error:
        raise MalformedObjectError(f"LQ-IBE parameters are unsound: {error}") from error


class Params:
    """Public parameters of one entity's system.

    Args:
        data: 192 bytes, kept as they are.

    Raises:
        MalformedObjectError: the length is wrong. Unsound points raise it at first use, or
            at `check`.
    """

    __slots__ = ("_bytes",)

    def __init__(self, data: bytes) -> None:
        if len(data) != PARAMS_BYTES:
            raise MalformedObjectError(f"LQ-IBE parameters have {PARAMS_BYTES} bytes")
        self._bytes = bytes(data)

    @classmethod
    def from_bytes(cls, data: bytes) -> Params:
        """Decode and check parameters.

        Raises:
            MalformedObjectError: they are unsound.
        """
        params = cls(data)
        params.check()
        return params

    def check(self) -> None:
        """Check both points.

        Raises:
            MalformedObjectError: one is unsound.
        """
        _check_params(self._bytes)

    def to_bytes(self) -> bytes:
        """Return the 192 bytes."""
        return self._bytes

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Params) and self._bytes == other._bytes

    def __hash__(self) -> int:
        return hash(self._bytes)

    def __repr__(self) -> str:
        return f"Params({self._bytes[:8].hex()}...)"


class MasterKey:
    """The master key of one entity's system.

    Args:
        data: 32 bytes, a little-endian integer that may be r or more; kept as it is.

    Raises:
        MalformedObjectError: the length is wrong.
    """

    __slots__ = ("_bytes",)

    def __init__(self, data: bytes) -> None:
        if len(data) != MASTER_BYTES:
            raise MalformedObjectError(f"an LQ-IBE master key has {MASTER_BYTES} bytes")
        self._bytes = bytes(data)

    @classmethod
    def from_bytes(cls, data: bytes) -> MasterKey:
        """Take a serialized master key."""
        return cls(data)

    def to_bytes(self) -> bytes:
        """Return the 32 bytes."""
        return self._bytes

    def extract(self, identity: bytes) -> SecretKey:
        """Return the secret key of an identity."""
        return SecretKey(_kernel.lq_extract(self._bytes, identity))

    def __repr__(self) -> str:
        return "MasterKey(...)"


class SecretKey:
    """The secret key of one identity.

    Args:
        data: a 48-byte point, checked at each use.

    Raises:
        MalformedObjectError: the length is wrong.
    """

    __slots__ = ("_bytes",)

    def __init__(self, data: bytes) -> None:
        if len(data) != POINT_BYTES:
            raise MalformedObjectError(f"an LQ-IBE secret key has {POINT_BYTES} bytes")
        self._bytes = bytes(data)

    @classmethod
    def from_bytes(cls, data: bytes) -> SecretKey:
        """Take a serialized key."""
        return cls(data)

    def to_bytes(self) -> bytes:
        """Return the 48 bytes."""
        return self._bytes

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretKey) and self._bytes == other._bytes

    def __hash__(self) -> int:
        return hash(self._bytes)

    def __repr__(self) -> str:
        return "SecretKey(...)"


def setup() -> tuple[Params, MasterKey]:
    """Return a fresh system."""
    params, master = _kernel.lq_setup()
    return Params(params), MasterKey(master)


def encrypt(params: Params, identity: bytes, data: bytes) -> bytes:
    """Return the message for the holder of the identity's key.

    Raises:
        MalformedObjectError: the parameters are unsound.
    """
    try:
        key, ciphertext = _kernel.lq_encapsulate(params.to_bytes(), identity, SEALED_KEY_BYTES)
    except _kernel.EncodingError as error:
        raise MalformedObjectError(f"LQ-IBE parameters are unsound: {error}") from error
    return _LENGTH_PREFIX + ciphertext + seal(key, data)


def decrypt(secret: SecretKey, point: bytes, data: bytes) -> bytes:
    """Return the content of a message.

    Args:
        secret: the key of the identity.
        point: the identity's point, as `identity_point` returns it (48 bytes).
        data: the message.

    Raises:
        MessageDecryptError: the key does not fit, or the message was changed or cut.
    """
    if len(data) < MESSAGE_OVERHEAD_BYTES or data[:2] != _LENGTH_PREFIX:
        raise MessageDecryptError("could not decrypt: wrong length")
    end = 2 + CIPHERTEXT_BYTES
    try:
        key = _kernel.lq_decapsulate(secret.to_bytes(), point, data[2:end], SEALED_KEY_BYTES)
    except _kernel.EncodingError as error:
        raise MessageDecryptError(f"could not decrypt: {error}") from error
    return open_sealed(key, data[end:])
