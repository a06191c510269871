"""Key encapsulation for many messages at once (crypto.md 3 and 4).

Owns the memory of what stays the same from one message to the next: tables of targets, and keys as
they open ciphertexts. Refuses to know messages. Every encapsulation is fresh: nothing but tables of
public values is used twice. Fault model: anybody may name targets and send ciphertexts, so both
memories are bounded; openers hold secrets, are found by a hash of theirs, and wipe them when they
are forgotten.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

from wavemq import _kernel
from wavemq.crypto import lqibe, wkdibe
from wavemq.errors import MalformedObjectError

PATTERN_TARGETS_MAX: Final = 128
"""Targets kept; each takes up to 170 KiB together with the tables of its system."""
IDENTITY_TARGETS_MAX: Final = 64
"""Each takes 100 KiB."""
OPENERS_MAX: Final = 512
"""Openers that one `Openers` keeps; each takes up to 20 KiB."""

Target = _kernel.WkdTarget | _kernel.LqTarget
Opener = _kernel.WkdOpener | _kernel.LqOpener


@lru_cache(maxsize=PATTERN_TARGETS_MAX)
def pattern_target(params: wkdibe.Params, pattern: wkdibe.Pattern) -> _kernel.WkdTarget:
    """Return the holders of keys that match a pattern, to encrypt to; 0.8 ms where it is not known.

    Raises:
        MalformedPartitionError: the pattern has not 20 components.
        MalformedObjectError: the parameters are unsound.
    """
    wkdibe.check_pattern(pattern)
    return _kernel.WkdTarget(params.decoded, pattern)


@lru_cache(maxsize=IDENTITY_TARGETS_MAX)
def identity_target(params: lqibe.Params, identity: bytes) -> _kernel.LqTarget:
    """Return the holder of the key of an identity, to encrypt to; 1.7 ms where it is not known.

    Raises:
        MalformedObjectError: the parameters are unsound.
    """
    try:
        return _kernel.LqTarget(params.to_bytes(), identity)
    except _kernel.EncodingError as error:
        raise MalformedObjectError(f"LQ-IBE parameters are unsound: {error}") from error


def encapsulate_many(targets: Sequence[Target], key_bytes: int) -> list[tuple[bytes, bytes]]:
    """Return for each target a fresh symmetric key and its ciphertext; all cores, no GIL."""
    return _kernel.encapsulate_many(targets, key_bytes)


def decapsulate_many(
    ciphertexts: Sequence[tuple[Opener, bytes]], key_bytes: int
) -> list[bytes | None]:
    """Return the symmetric key of each ciphertext, None where it is unsound.

    An opener that does not fit gives a wrong one. On all cores, without the GIL.
    """
    return _kernel.decapsulate_many(ciphertexts, key_bytes)


class Openers:
    """Remembers keys as they open ciphertexts, the last that were used. Threads may share one.

    Args:
        entries_max: the bound.
    """

    __slots__ = ("_entries", "_entries_max", "_lock")

    def __init__(self, entries_max: int = OPENERS_MAX) -> None:
        self._entries: OrderedDict[tuple[object, ...], Opener] = OrderedDict()
        self._entries_max = entries_max
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def of_pattern(self, secret: bytes, pattern: wkdibe.Pattern) -> Opener:
        """Return what opens ciphertexts for exactly `pattern` with a key whose slots are among it.

        Raises:
            MalformedPartitionError: the pattern has not 20 components.
            MalformedObjectError: the key is unsound.
        """
        wkdibe.check_pattern(pattern)
        return self._get(
            (_named(secret), pattern),
            lambda: _kernel.WkdOpener.of_secret(
                wkdibe.SecretKey(secret).decoded, wkdibe.SLOTS, pattern
            ),
        )

    def of_pattern_master(self, master: wkdibe.MasterKey) -> Opener:
        """Return what opens all ciphertexts of a system."""
        return self._get(
            (_named(master.to_bytes()),), lambda: _kernel.WkdOpener.of_master(master.decoded)
        )

    def of_identity(self, secret: bytes, point: bytes) -> Opener:
        """Return what opens ciphertexts to the identity of a key (48 bytes) with its point.

        Raises:
            MalformedObjectError: the key or the point is unsound.
        """
        return self._get((_named(secret), point), lambda: _identity_opener(secret, point))

    def of_identity_master(self, master: lqibe.MasterKey, identity: bytes) -> Opener:
        """Return what opens ciphertexts to an identity of one's own system."""
        point = lqibe.identity_point(identity)
        return self._get(
            (_named(master.to_bytes()), point),
            lambda: _identity_opener(master.extract(identity).to_bytes(), point),
        )

    def _get(self, name: tuple[object, ...], make: Callable[[], Opener]) -> Opener:
        with self._lock:
            known = self._entries.get(name)
            if known is not None:
                self._entries.move_to_end(name)
                return known
        made = make()
        with self._lock:
            self._entries[name] = made
            self._entries.move_to_end(name)
            if len(self._entries) > self._entries_max:
                self._entries.popitem(last=False)
        return made


def _named(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()


def _identity_opener(secret: bytes, point: bytes) -> Opener:
    try:
        return _kernel.LqOpener(secret, point)
    except _kernel.EncodingError as error:
        raise MalformedObjectError(f"an LQ-IBE key is unsound: {error}") from error
