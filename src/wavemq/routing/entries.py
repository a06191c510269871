"""References to messages in the order in which they came, as columns of numbers.

Owns one first-in-first-out list of entries that takes 20 bytes for each. Refuses to know limits,
lanes' meaning and messages. Fault model: none; whoever appends does it in ascending order.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
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

    __slots__ = ("_first", "_lanes", "_records", "_sizes_bytes", "size_bytes")

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
        self.size_bytes = sum(self._sizes_bytes)

    def __len__(self) -> int:
        return len(self._records) - self._first

    def __iter__(self) -> Iterator[Entry]:
        return map(self._at, range(self._first, len(self._records)))

    def append(self, entry: Entry) -> None:
        """Put an entry at the end; its record is above all others."""
        self._records.append(entry.record)
        self._sizes_bytes.append(entry.size_bytes)
        self._lanes.append(entry.lane)
        self.size_bytes += entry.size_bytes

    def head(self) -> Entry | None:
        """Return the first."""
        return self._at(self._first) if self._first < len(self._records) else None

    def ahead(self, count_max: int) -> list[Entry]:
        """Return up to so many from the front."""
        end = min(self._first + count_max, len(self._records))
        return [self._at(index) for index in range(self._first, end)]

    def popleft(self) -> Entry:
        """Remove the first, and return it."""
        entry = self._at(self._first)
        self._first += 1
        self.size_bytes -= entry.size_bytes
        if self._first > TAKEN_MAX and 2 * self._first > len(self._records):
            self._cut()
        return entry

    def merge(self, entries: Iterable[Entry]) -> None:
        """Put entries, ascending by record, where their records belong."""
        returned = list(entries)
        if not returned:
            return
        head = self.head()
        if head is None or returned[-1].record < head.record:
            self._put_in_front(returned)
            return
        merged = sorted((*returned, *self))  # both ascend, so sorting takes one pass
        self._replace(merged)

    def remove(self, records: Collection[int]) -> list[Entry]:
        """Remove the entries of some records, and return them."""
        removed = [one for one in self if one.record in records]
        if removed:
            self._replace([one for one in self if one.record not in records])
        return removed

    def clear(self) -> list[Entry]:
        """Remove and return all."""
        everything = list(self)
        self._replace(())
        return everything

    def records(self) -> Sequence[int]:
        """Return the record of each."""
        return self._records[self._first :]

    def _at(self, index: int) -> Entry:
        return Entry(
            RecordId(self._records[index]), self._sizes_bytes[index], LaneKey(self._lanes[index])
        )

    def _cut(self) -> None:
        del self._records[: self._first]
        del self._sizes_bytes[: self._first]
        del self._lanes[: self._first]
        self._first = 0

    def _put_in_front(self, entries: Sequence[Entry]) -> None:
        self._cut()
        self._records[:0] = array("Q", [one.record for one in entries])
        self._sizes_bytes[:0] = array("I", [one.size_bytes for one in entries])
        self._lanes[:0] = array("q", [one.lane for one in entries])
        self.size_bytes += sum(one.size_bytes for one in entries)

    def _replace(self, entries: Sequence[Entry]) -> None:
        self._records = array("Q", [one.record for one in entries])
        self._sizes_bytes = array("I", [one.size_bytes for one in entries])
        self._lanes = array("q", [one.lane for one in entries])
        self._first = 0
        self.size_bytes = sum(self._sizes_bytes)
