"""References to messages in the order in which they came, as columns of numbers.

Owns one first-in-first-out list of entries that takes 20 bytes for each. Refuses to know limits,
lanes' meaning and messages. Fault model: none; whoever appends does it in ascending order.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from wavemq.routing.records import Entry, LaneKey, RecordId

TAKEN_MAX: Final = 4096
"""Taken entries that the columns keep before they are cut, if those are most of them."""


class EntryFifo:
    """Entries, ascending by record.

    Args:
        records: type `Q`; taken over, not copied, as the others are.
        sizes_bytes: type `I`, as long.
        lanes: type `q`, as long.
    """

    __slots__ = ("_first", "_head", "_lanes", "_last", "_records", "_sizes_bytes", "size_bytes")

    def __init__(
        self,
        records: array[int] | None = None,
        sizes_bytes: array[int] | None = None,
        lanes: array[int] | None = None,
    ) -> None:
        self._records = array("Q") if records is None else records
        self._sizes_bytes = array("I") if sizes_bytes is None else sizes_bytes
        self._lanes = array("q") if lanes is None else lanes
        self._first = 0
        # As objects, where they are at hand: most queues hold one or two.
        self._head: Entry | None = None
        self._last: Entry | None = None
        self.size_bytes = sum(self._sizes_bytes)

    def __len__(self) -> int:
        return len(self._records) - self._first

    def __iter__(self) -> Iterator[Entry]:
        return map(self._at, range(self._first, len(self._records)))

    def append(self, entry: Entry) -> None:
        """Put an entry at the end; its record is above all others."""
        self._last = entry
        self._records.append(entry.record)
        self._sizes_bytes.append(entry.size_bytes)
        self._lanes.append(entry.lane)
        self.size_bytes += entry.size_bytes

    def head(self) -> Entry | None:
        """Return the first."""
        head = self._head
        if head is None and self._first < len(self._records):
            is_last = self._first == len(self._records) - 1
            head = self._last if is_last else None
            head = self._head = head or self._at(self._first)
        return head

    def ahead(self, count_max: int) -> list[Entry]:
        """Return up to so many from the front."""
        end = min(self._first + count_max, len(self._records))
        return [self._at(index) for index in range(self._first, end)]

    def popleft(self) -> Entry:
        """Remove the first, and return it."""
        entry = self._head or self._at(self._first)
        self._head = None
        self._first += 1
        self.size_bytes -= entry.size_bytes
        if self._first > TAKEN_MAX and 2 * self._first > len(self._records):
            self._cut()
        return entry

    def merge(self, entries: Sequence[Entry]) -> None:
        """Put entries, ascending by record, where their records belong."""
        if not entries:
            return
        self._cut()
        # From the back, so that what is behind each place is moved once; at most places nothing is.
        end = len(self._records)
        behind: list[tuple[int, int]] = []
        for entry in reversed(entries):
            place = bisect_left(self._records, entry.record, 0, end)
            behind.append((place, end))
            end = place
        columns = EntryFifo()
        columns._extend(self, 0, end)
        for entry, (first, last) in zip(entries, reversed(behind), strict=True):
            columns.append(entry)
            columns._extend(self, first, last)
        self._take_over(columns)

    def remove(self, records: Collection[int]) -> list[Entry]:
        """Remove the entries of some records, and return them."""
        self._cut()
        removed: list[Entry] = []
        columns = EntryFifo()
        kept_from = 0
        for record in sorted(records):
            place = bisect_left(self._records, record, kept_from)
            if place < len(self._records) and self._records[place] == record:
                columns._extend(self, kept_from, place)
                removed.append(self._at(place))
                kept_from = place + 1
        if removed:
            columns._extend(self, kept_from, len(self._records))
            self._take_over(columns)
        return removed

    def clear(self) -> list[Entry]:
        """Remove and return all."""
        everything = list(self)
        self._take_over(EntryFifo())
        return everything

    def at(self, index: int) -> Entry | None:
        """Return the one behind so many others."""
        place = self._first + index
        return self._at(place) if place < len(self._records) else None

    def records(self) -> Sequence[int]:
        """Return the record of each."""
        return self._records[self._first :]

    def lanes(self) -> Sequence[int]:
        """Return the lane of each."""
        return self._lanes[self._first :]

    def _at(self, index: int) -> Entry:
        return Entry(
            RecordId(self._records[index]), self._sizes_bytes[index], LaneKey(self._lanes[index])
        )

    def _cut(self) -> None:
        del self._records[: self._first]
        del self._sizes_bytes[: self._first]
        del self._lanes[: self._first]
        self._first = 0

    def _extend(self, other: EntryFifo, first: int, last: int) -> None:
        if first < last:
            self._records += other._records[first:last]
            self._lanes += other._lanes[first:last]
            sizes_bytes = other._sizes_bytes[first:last]
            self._sizes_bytes += sizes_bytes
            self.size_bytes += sum(sizes_bytes)

    def _take_over(self, other: EntryFifo) -> None:
        self._records, self._lanes = other._records, other._lanes
        self._sizes_bytes, self.size_bytes = other._sizes_bytes, other.size_bytes
        self._first = 0
        self._head = self._last = None
