"""One queue: an order of references, with limits.

Owns the places of messages, what is in flight, what is dropped and the sums. Refuses to know the
messages, disk, readers and time. Fault model: none outside; a misuse by the caller is an assertion.

What is in flight is being sent and may have arrived, so it is never dropped. It is not counted
against the limits either, since its own bound is the window of whoever sends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable

from wavemq.routing.config import QueueLimits
from wavemq.routing.records import Place, RecordId, StoredEntry


class MessageQueue:
    """References to messages, first in, first out.

    Args:
        limits: of what waits.
        entries: what it holds, ascending by place.
        dropped_count: what it dropped before.
    """

    __slots__ = (
        "_in_flight",
        "_in_flight_bytes",
        "_last",
        "_limits",
        "_waiting",
        "_waiting_bytes",
        "dropped_count",
    )

    def __init__(
        self, limits: QueueLimits, entries: Iterable[StoredEntry] = (), dropped_count: int = 0
    ) -> None:
        self._limits = limits
        self._waiting = deque(entries)
        self._waiting_bytes = sum(entry.size_bytes for entry in self._waiting)
        self._in_flight: dict[Place, StoredEntry] = {}
        self._in_flight_bytes = 0
        self._last = self._waiting[-1].place if self._waiting else Place(0)
        self.dropped_count = dropped_count

    # --- sums -------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._waiting) + len(self._in_flight)

    @property
    def size_bytes(self) -> int:
        """Bytes of all that it holds."""
        return self._waiting_bytes + self._in_flight_bytes

    @property
    def waiting_count(self) -> int:
        """Messages not in flight."""
        return len(self._waiting)

    @property
    def in_flight_count(self) -> int:
        """Messages taken and not confirmed."""
        return len(self._in_flight)

    @property
    def in_flight_bytes(self) -> int:
        """Their bytes."""
        return self._in_flight_bytes

    # --- in ---------------------------------------------------------------------------------

    def append(self, record: RecordId, size_bytes: int) -> tuple[StoredEntry, list[StoredEntry]]:
        """Put a message at the end.

        Returns:
            Its entry, and the entries dropped to make room; the message itself is among them if
            it alone is over the limit.
        """
        self._last = Place(self._last + 1)
        entry = StoredEntry(self._last, record, size_bytes)
        if size_bytes > self._limits.bytes_max:
            # Dropping everything else for a message that does not fit either helps nobody.
            self.dropped_count += 1
            return entry, [entry]
        self._waiting.append(entry)
        self._waiting_bytes += size_bytes
        return entry, self.trim()

    def trim(self) -> list[StoredEntry]:
        """Drop the oldest that wait until the limits hold, and return them."""
        waiting, limits = self._waiting, self._limits
        dropped: list[StoredEntry] = []
        while len(waiting) > limits.messages_max or self._waiting_bytes > limits.bytes_max:
            oldest = waiting.popleft()
            self._waiting_bytes -= oldest.size_bytes
            dropped.append(oldest)
        self.dropped_count += len(dropped)
        return dropped

    # --- out --------------------------------------------------------------------------------

    def head(self) -> StoredEntry | None:
        """Return the oldest that waits."""
        return self._waiting[0] if self._waiting else None

    def ahead(self, count_max: int) -> list[StoredEntry]:
        """Return up to so many of the oldest that wait."""
        return [self._waiting[index] for index in range(min(count_max, len(self._waiting)))]

    def take(self) -> StoredEntry:
        """Put the oldest that waits in flight, and return it."""
        entry = self._waiting.popleft()
        self._waiting_bytes -= entry.size_bytes
        self._in_flight[entry.place] = entry
        self._in_flight_bytes += entry.size_bytes
        return entry

    def skip(self) -> StoredEntry:
        """Drop the oldest that waits, and return it."""
        entry = self._waiting.popleft()
        self._waiting_bytes -= entry.size_bytes
        self.dropped_count += 1
        return entry

    def confirm(self, place: Place) -> StoredEntry | None:
        """Remove what is in flight at a place; None if nothing is."""
        entry = self._in_flight.pop(place, None)
        if entry is not None:
            self._in_flight_bytes -= entry.size_bytes
        return entry

    def confirm_through(self, place: Place) -> list[StoredEntry]:
        """Remove what is in flight up to and with a place, and return it."""
        confirmed: list[StoredEntry] = []
        while self._in_flight:
            first = next(iter(self._in_flight))
            if first > place:
                break
            entry = self.confirm(first)
            assert entry is not None
            confirmed.append(entry)
        return confirmed

    def give_back(self) -> tuple[list[StoredEntry], list[StoredEntry]]:
        """Let all that is in flight wait again, at its old places.

        Returns:
            What was in flight, and the entries dropped since the limits count it again.
        """
        returned = sorted(self._in_flight.values(), key=lambda entry: entry.place)
        self._in_flight.clear()
        self._in_flight_bytes = 0
        self._waiting.extendleft(reversed(returned))
        self._waiting_bytes += sum(entry.size_bytes for entry in returned)
        return returned, self.trim()

    def withdraw(self, places: Collection[Place]) -> list[StoredEntry]:
        """Remove those of some places that wait, without counting them as dropped."""
        withdrawn = [entry for entry in self._waiting if entry.place in places]
        if withdrawn:
            self._waiting = deque(entry for entry in self._waiting if entry.place not in places)
            self._waiting_bytes -= sum(entry.size_bytes for entry in withdrawn)
        return withdrawn

    def record_in_flight(self, place: Place) -> RecordId | None:
        """Return what is in flight at a place."""
        entry = self._in_flight.get(place)
        return None if entry is None else entry.record

    def in_flight(self) -> list[StoredEntry]:
        """Return what is in flight."""
        return list(self._in_flight.values())

    def clear(self) -> list[StoredEntry]:
        """Remove everything, count it as dropped, and return it."""
        everything = [*self._in_flight.values(), *self._waiting]
        self._in_flight.clear()
        self._waiting.clear()
        self._in_flight_bytes = self._waiting_bytes = 0
        self.dropped_count += len(everything)
        return everything
