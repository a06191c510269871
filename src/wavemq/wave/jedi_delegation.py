"""JEDI keys as newer writers send them: in the envelope key's plaintext (wave.md 4.8).

Owns the reading of that format (crypto.md 6.5); nothing here writes it, since the routers of today
refuse it. Refuses to know envelopes. Fault model: the bytes come from whoever granted; what is
malformed gives no keys, and a key of the wrong length for its pattern is passed over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from wavemq.crypto import wkdibe
from wavemq.errors import MalformedObjectError
from wavemq.wave.bundle import BUNDLE_ENTRIES_MAX, ContentKey, KeyBundle
from wavemq.wave.hashes import Hash
from wavemq.wave.partition import SLOTS, Partition

_KIND_DELEGATION: Final = 2
_KIND_PATTERN: Final = 1
_NUMBER_BYTES: Final = 4


@dataclass(slots=True)
class _Reader:
    """Numbers of four bytes, least significant first, and bytes behind their length."""

    encoded: bytes
    place: int = 0

    def take(self, size: int) -> bytes:
        end = self.place + size
        if end > len(self.encoded):
            raise MalformedObjectError("a JEDI delegation ends too early")
        # By places, not by cutting: the work stays linear however much a stranger sends.
        taken = self.encoded[self.place : end]
        self.place = end
        return taken

    def kind(self, expected: int) -> None:
        if self.take(1)[0] != expected:
            raise MalformedObjectError("a JEDI delegation is of another kind")

    def number(self) -> int:
        return int.from_bytes(self.take(_NUMBER_BYTES), "little")

    def octets(self) -> bytes:
        return self.take(self.number())

    def finish(self) -> None:
        if self.place != len(self.encoded):
            raise MalformedObjectError("a JEDI delegation has bytes behind its end")


@dataclass(frozen=True, slots=True)
class Delegation:
    """Keys of one namespace.

    Args:
        namespace: whose.
        bundle: parameters of its system, and keys.
    """

    namespace: Hash
    bundle: KeyBundle


def read_delegation(encoded: bytes) -> Delegation:
    """Return the keys of a delegation.

    Raises:
        MalformedObjectError: it is cut, too long, or has too many keys.
        InvalidMultihashError: its namespace is no hash.
    """
    reader = _Reader(encoded)
    reader.kind(_KIND_DELEGATION)
    namespace = Hash.from_bytes(reader.octets())
    params = reader.octets()
    if len(params) != wkdibe.PARAMS_BYTES:
        raise MalformedObjectError("a JEDI delegation's parameters have the wrong length")
    count = reader.number()
    if count > BUNDLE_ENTRIES_MAX:
        raise MalformedObjectError(f"a JEDI delegation has more than {BUNDLE_ENTRIES_MAX} keys")
    keys = []
    for _ in range(count):
        pattern = _pattern(reader.octets())
        secret = reader.octets()
        if len(secret) == wkdibe.secret_key_length(pattern.count(b"")):
            keys.append(ContentKey(pattern, secret))
    reader.finish()
    return Delegation(namespace, KeyBundle(params, tuple(keys)))


def _pattern(encoded: bytes) -> Partition:
    reader = _Reader(encoded)
    reader.kind(_KIND_PATTERN)
    length, past = reader.number(), reader.number()
    if length != SLOTS or past > SLOTS:
        raise MalformedObjectError(f"a JEDI pattern has {SLOTS} slots")
    slots = [b""] * SLOTS
    place = -1
    while place + 1 < past:
        index = reader.number()
        if not place < index < past:
            raise MalformedObjectError("the slots of a JEDI pattern are out of order")
        slots[index] = reader.octets()
        place = index
    reader.finish()
    return tuple(slots)
