"""When something is due.

Owns a set of keys, each with one instant. Refuses to tell the time. Fault model: none.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

from wavemq.clock import Instant

KeyT = TypeVar("KeyT", bound=Hashable)

_STALE_MIN: Final = 64
"""Stale entries borne before the heap is built anew."""


class Timers(Generic[KeyT]):
    """Keys by the instant at which they are due; setting a key again moves it."""

    def __init__(self) -> None:
        self._instants: dict[KeyT, Instant] = {}
        # The number keeps keys that are due together in the order in which they were set.
        self._heap: list[tuple[Instant, int, KeyT]] = []
        self._numbers = itertools.count()

    def instant_of(self, key: KeyT) -> Instant | None:
        """Return when a key is due; None: it is not set."""
        return self._instants.get(key)

    def set(self, key: KeyT, instant: Instant) -> None:
        """Make a key due at an instant."""
        if self._instants.get(key) == instant:
            return
        self._instants[key] = instant
        heapq.heappush(self._heap, (instant, next(self._numbers), key))
        if len(self._heap) > _STALE_MIN + 2 * len(self._instants):
            self._rebuild()

    def cancel(self, key: KeyT) -> None:
        """Forget a key."""
        self._instants.pop(key, None)

    def shift(self, by_ns: int) -> None:
        """Move all instants."""
        self._instants = {key: Instant(due + by_ns) for key, due in self._instants.items()}
        self._heap = [(Instant(due + by_ns), number, key) for due, number, key in self._heap]

    def next_instant(self) -> Instant | None:
        """Return when the first key is due; None: there is none."""
        while self._heap:
            instant, _, key = self._heap[0]
            if self._instants.get(key) == instant:
                return instant
            heapq.heappop(self._heap)
        return None

    def pop_due(self, now: Instant) -> list[KeyT]:
        """Remove and return the keys that are due, the earliest first."""
        due: list[KeyT] = []
        while (instant := self.next_instant()) is not None and instant <= now:
            _, _, key = heapq.heappop(self._heap)
            del self._instants[key]
            due.append(key)
        return due

    def _rebuild(self) -> None:
        """Drop stale entries; what is due together keeps its order."""
        kept = (entry for entry in self._heap if self._instants.get(entry[2]) == entry[0])
        self._heap = sorted(kept)
