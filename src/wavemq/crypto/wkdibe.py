"""WKD-IBE ("OAQUE") keys and messages (crypto.md 3 and 5.5).

Owns the key types, patterns, and the message format: uint16 BE 720 || KEM ciphertext (720) ||
AES-128-GCM. Points are decoded and checked by the kernel when a key is first used; bytes that are
not sound raise `MalformedObjectError`. A key of a wrong pattern looks like a wrong ciphertext.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from wavemq import _kernel
from wavemq.crypto.symmetric import SEALED_KEY_BYTES, TAG_BYTES, open_sealed, seal
from wavemq.errors import MalformedObjectError, MalformedPartitionError, MessageDecryptError

SLOTS: Final = 20
PARAMS_BYTES: Final = 1297
MASTER_BYTES: Final = 48
CIPHERTEXT_BYTES: Final = 720
MESSAGE_OVERHEAD_BYTES: Final = 2 + CIPHERTEXT_BYTES + TAG_BYTES
_LENGTH_PREFIX: Final = CIPHERTEXT_BYTES.to_bytes(2, "big")
_PARAMS_CACHED_MAX: Final = 256
"""Decoded parameters kept; each takes up to 150 KiB with its tables, most 2 KiB."""

Pattern = tuple[bytes, ...]
"""One component for each of the 20 slots; `b""` is a free slot."""


def secret_key_length(free_slots: int) -> int:
    """Return the bytes of a serialized secret key with that many free slots (crypto.md 3.4)."""
    return 193 + 52 * free_slots


def check_pattern(pattern: Pattern) -> None:
    """Require 20 components.

    Raises:
        MalformedPartitionError: there are more or less.
    """
    if len(pattern) != SLOTS:
        raise MalformedPartitionError(f"a pattern has {SLOTS} components, not {len(pattern)}")


@lru_cache(maxsize=_PARAMS_CACHED_MAX)
def _decoded_params(data: bytes) -> _kernel.WkdParams:
    try:
        decoded = _kernel.WkdParams.from_bytes(data)
    except _kernel.EncodingError as error:
        raise MalformedObjectError(f"WKD-IBE parameters are unsound: {error}") from error
    # Without the signature extension, the same length is 21 slots.
    if decoded.slots != SLOTS:
        raise MalformedObjectError(f"WKD-IBE parameters must have {SLOTS} slots and signatures")
    return decoded


class Params:
    """Public parameters of one entity's system.

    Args:
        data: 1297 bytes; kept as they are, since ownership of keys is decided by their hash.

    Raises:
        MalformedObjectError: the length is wrong. Unsound points raise it at first use, or
            at `check`.
    """

    __slots__ = ("_bytes",)

    def __init__(self, data: bytes) -> None:
        if len(data) != PARAMS_BYTES:
            raise MalformedObjectError(f"WKD-IBE parameters have {PARAMS_BYTES} bytes")
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
        """Decode every point.

        Raises:
            MalformedObjectError: one is unsound.
        """
        _ = self.decoded

    @property
    def decoded(self) -> _kernel.WkdParams:
        """The kernel's handle; decoded once per process while it stays in the cache."""
        return _decoded_params(self._bytes)

    def to_bytes(self) -> bytes:
        """Return the 1297 bytes."""
        return self._bytes

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Params) and self._bytes == other._bytes

    def __hash__(self) -> int:
        return hash(self._bytes)

    def __repr__(self) -> str:
        return f"Params({self._bytes[1:9].hex()}...)"


class MasterKey:
    """The master key of one entity's system.

    Args:
        data: 48 bytes.

    Raises:
        MalformedObjectError: they are no sound point.
    """

    __slots__ = ("_decoded",)

    def __init__(self, data: bytes) -> None:
        try:
            self._decoded = _kernel.WkdMasterKey.from_bytes(data)
        except _kernel.EncodingError as error:
            raise MalformedObjectError(f"a WKD-IBE master key is unsound: {error}") from error

    @classmethod
    def from_bytes(cls, data: bytes) -> MasterKey:
        """Decode and check a master key."""
        return cls(data)

    @property
    def decoded(self) -> _kernel.WkdMasterKey:
        """The kernel's handle."""
        return self._decoded

    def to_bytes(self) -> bytes:
        """Return the 48 bytes."""
        return self._decoded.to_bytes()

    def derive(self, params: Params, pattern: Pattern) -> SecretKey:
        """Return a fresh delegable key for exactly `pattern`.

        Raises:
            MalformedPartitionError: the pattern has not 20 components.
            MalformedObjectError: the parameters are unsound.
        """
        check_pattern(pattern)
        return SecretKey(self._decoded.derive(params.decoded, pattern).to_bytes())

    def __repr__(self) -> str:
        return "MasterKey(...)"


class SecretKey:
    """A key for a pattern; its holder can fix the slots that are still free.

    Args:
        data: serialized key of 193 + 52 * free slots bytes; points are checked at first use.

    Raises:
        MalformedObjectError: the length fits no number of free slots.
    """

    __slots__ = ("_bytes", "_decoded")

    def __init__(self, data: bytes) -> None:
        free = len(data) - secret_key_length(0)
        if not 0 <= free <= 52 * SLOTS or free % 52:
            raise MalformedObjectError("a WKD-IBE secret key has the wrong length")
        self._bytes = bytes(data)
        self._decoded: _kernel.WkdSecretKey | None = None

    @classmethod
    def from_bytes(cls, data: bytes) -> SecretKey:
        """Take a serialized key; `check` decodes its points now instead of at first use."""
        return cls(data)

    def check(self) -> None:
        """Decode every point.

        Raises:
            MalformedObjectError: one is unsound.
        """
        _ = self.decoded

    @property
    def decoded(self) -> _kernel.WkdSecretKey:
        """The kernel's handle, decoded at first use."""
        if self._decoded is None:
            try:
                decoded = _kernel.WkdSecretKey.from_bytes(self._bytes)
            except _kernel.EncodingError as error:
                raise MalformedObjectError(f"a WKD-IBE secret key is unsound: {error}") from error
            if any(slot >= SLOTS for slot in decoded.free_slots):
                raise MalformedObjectError("a WKD-IBE secret key names a slot that does not exist")
            self._decoded = decoded
        return self._decoded

    @property
    def free_slot_count(self) -> int:
        """How many slots can still be fixed."""
        return (len(self._bytes) - secret_key_length(0)) // 52

    def to_bytes(self) -> bytes:
        """Return the serialized key."""
        return self._bytes

    def qualify(self, params: Params, pattern: Pattern) -> SecretKey:
        """Return a fresh delegable key for `pattern`, which must contain this key's own slots.

        Raises:
            MalformedPartitionError: the pattern has not 20 components.
            MalformedObjectError: this key or the parameters are unsound, or the pattern leaves a
                slot free that this key has fixed.
        """
        check_pattern(pattern)
        try:
            return SecretKey(self.decoded.qualify(params.decoded, pattern).to_bytes())
        except _kernel.EncodingError as error:
            raise MalformedObjectError(f"could not derive a key: {error}") from error

    def __repr__(self) -> str:
        return f"SecretKey(free_slots={self.free_slot_count})"


def setup() -> tuple[Params, MasterKey]:
    """Return a fresh system with 20 slots and the signature extension."""
    params, master = _kernel.WkdParams.setup(SLOTS)
    return Params(params.to_bytes()), MasterKey(master.to_bytes())


def derive_many(
    params: Params, holder: MasterKey | SecretKey, patterns: Sequence[Pattern]
) -> list[bytes]:
    """Return serialized delegable keys, one for each pattern, made on all cores without the GIL.

    Args:
        params: of the holder's system.
        holder: the master key, or a key whose fixed slots each pattern contains.
        patterns: what each key is for.

    Raises:
        MalformedPartitionError: a pattern has not 20 components.
        MalformedObjectError: a key or the parameters are unsound, or a pattern leaves a slot free
            that the holder's key has fixed.
    """
    for pattern in patterns:
        check_pattern(pattern)
    if isinstance(holder, MasterKey):
        return holder.decoded.derive_many(params.decoded, patterns)
    try:
        return holder.decoded.qualify_many(params.decoded, patterns)
    except _kernel.EncodingError as error:
        raise MalformedObjectError(f"could not derive keys: {error}") from error


def encapsulate(params: Params, pattern: Pattern, key_bytes: int) -> tuple[bytes, bytes]:
    """Return a fresh symmetric key, and its ciphertext for holders of a key that matches.

    Args:
        params: of the system.
        pattern: whom it is for.
        key_bytes: of the symmetric key.

    Raises:
        MalformedPartitionError: the pattern has not 20 components.
        MalformedObjectError: the parameters are unsound.
    """
    check_pattern(pattern)
    return params.decoded.encapsulate(pattern, key_bytes)


def decapsulate(
    holder: MasterKey | SecretKey,
    params: Params,
    pattern: Pattern,
    ciphertext: bytes,
    key_bytes: int,
) -> bytes:
    """Return the symmetric key of a ciphertext; a holder that does not fit gives a wrong one.

    Raises:
        MessageDecryptError: the ciphertext is unsound, or the holder's pattern is another.
        MalformedObjectError: the holder's own key is unsound.
    """
    decoded = holder.decoded
    try:
        if isinstance(decoded, _kernel.WkdMasterKey):
            return decoded.decapsulate(ciphertext, key_bytes)
        return decoded.decapsulate(params.decoded.slots, pattern, ciphertext, key_bytes)
    except _kernel.EncodingError as error:
        raise MessageDecryptError(f"could not decrypt: {error}") from error


def encrypt(params: Params, pattern: Pattern, data: bytes) -> bytes:
    """Return the message for holders of a key that matches `pattern`.

    Raises:
        MalformedPartitionError: the pattern has not 20 components.
        MalformedObjectError: the parameters are unsound.
    """
    key, ciphertext = encapsulate(params, pattern, SEALED_KEY_BYTES)
    return _LENGTH_PREFIX + ciphertext + seal(key, data)


def decrypt(holder: MasterKey | SecretKey, params: Params, pattern: Pattern, data: bytes) -> bytes:
    """Return the content of a message that was encrypted for exactly `pattern`.

    Args:
        holder: the master key, or a key whose fixed slots equal the pattern's there.
        params: of the system.
        pattern: the message's.
        data: the message.

    Raises:
        MessageDecryptError: the key does not fit, or the message was changed or cut.
        MalformedObjectError: the holder's own key is unsound.
    """
    if len(data) < MESSAGE_OVERHEAD_BYTES or data[:2] != _LENGTH_PREFIX:
        raise MessageDecryptError("could not decrypt: wrong length")
    ciphertext = data[2 : 2 + CIPHERTEXT_BYTES]
    key = decapsulate(holder, params, pattern, ciphertext, SEALED_KEY_BYTES)
    return open_sealed(key, data[2 + CIPHERTEXT_BYTES :])
