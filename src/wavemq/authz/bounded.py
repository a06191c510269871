"""A mapping that forgets what was used least recently.

Owns the bound on every in-memory cache of authority. Refuses to know what is kept. Fault model:
anybody may cause entries to be made, so the number of entries is all that may be relied on.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """How a cache fares: entries now, and lookups so far."""

    entries: int
    entries_max: int
    hits: int
    misses: int
    evictions: int


class BoundedCache(Generic[K, V]):
    """Keeps at most `entries_max` entries; one that is read or written is young again.

    Threads may share one.

    Args:
        entries_max: the bound, at least 1.
    """

    __slots__ = ("_entries", "_entries_max", "_evictions", "_hits", "_lock", "_misses")

    def __init__(self, entries_max: int) -> None:
        self._entries: OrderedDict[K, V] = OrderedDict()
        self._entries_max = entries_max
        self._lock = threading.Lock()
        self._hits = 0
        self._misses = 0
        self._evictions = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> V | None:
        """Return the value and make it young; None when there is none."""
        with self._lock:
            value = self._entries.get(key)
            if value is None:
                self._misses += 1
                return None
            self._hits += 1
            self._entries.move_to_end(key)
            return value

    def put(self, key: K, value: V) -> None:
        """Keep `value`, at the cost of the oldest entry when there is no room."""
        with self._lock:
            self._entries[key] = value
            self._entries.move_to_end(key)
            if len(self._entries) > self._entries_max:
                self._entries.popitem(last=False)
                self._evictions += 1

    def remove(self, key: K) -> None:
        """Forget `key` if it is there."""
        with self._lock:
            self._entries.pop(key, None)

    def statistics(self) -> CacheStatistics:
        """Return the counts."""
        return CacheStatistics(
            len(self._entries), self._entries_max, self._hits, self._misses, self._evictions
        )
