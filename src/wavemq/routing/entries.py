"""References to messages in the order in which they came, as columns of numbers.

Owns one first-in-first-out list of entries that takes 20 bytes for each. Refuses to know limits,
lanes' meaning and messages. Fault model: none; whoever appends does it in ascending order.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from operator import itemgetter
from typing import Final

from wavemq.routing.records import Entry, LaneKey, RecordId

TAKEN_MAX: Final = 4096
"""Taken entries that the columns keep before they are cut, if those are most of them."""
EMPTIED_MAX: Final = 64
"""The same where nothing else is left."""
RECENT_MAX: Final = 32
"""The last entries that a list keeps as objects beside the columns, where not all came at once."""
_NO_ENTRIES: Final[list[Entry]] = []

record_of: Final[Callable[[Entry], RecordId]] = itemgetter(0)
"""An entry's record, and below the others of its parts, where many are looked at."""
size_bytes_of: Final[Callable[[Entry], int]] = itemgetter(1)
_lane_of: Final[Callable[[Entry], LaneKey]] = itemgetter(2)
made_entry: Final[Callable[[tuple[int, int, int]], Entry]] = partial(tuple.__new__, Entry)
"""Makes an entry of its parts without a call of the interpreter's."""


class EntryFifo:
    """Entries, ascending by record.

    Args:
        records: type `Q`; taken over, not copied, as the others are.
        sizes_bytes: type `I`, as long.
        lanes: type `q`, as long.
    """

    __slots__ = ("_first", "_head", "_lanes", "_recent", "_records", "_sizes_bytes", "size_bytes")

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
        # As objects, where they are at hand: the last ones, which many queues share, and the first.
        self._recent = _NO_ENTRIES
        self._head: Entry | None = None
        self.size_bytes = sum(self._sizes_bytes)

    def __len__(self) -> int:
        return len(self._records) - self._first

    def __iter__(self) -> Iterator[Entry]:
        return map(self._at, range(self._first, len(self._records)))

    def append(self, entry: Entry) -> None:
        """Put an entry at the end; its record is above all others."""
        self.extend([entry])

    def extend(self, entries: list[Entry]) -> None:
        """Put entries, ascending by record, at the end; their records are above all others.

        The list must not change afterwards.
        """
        is_empty = self._first == len(self._records)
        self._recent = entries if is_empty else [*self._recent, *entries][-RECENT_MAX:]
        if len(entries) == 1:
            record, size_bytes, lane = entries[0]
            self._records.append(record)
            self._sizes_bytes.append(size_bytes)
            self._lanes.append(lane)
            self.size_bytes += size_bytes
        else:
            self._records.extend(map(record_of, entries))
            self._sizes_bytes.extend(map(size_bytes_of, entries))
            self._lanes.extend(map(_lane_of, entries))
            self.size_bytes += sum(map(size_bytes_of, entries))

    def head(self) -> Entry | None:
        """Return the first."""
        if self._head is None and self._first < len(self._records):
            index = self._first_recent()
            self._head = self._recent[index] if index >= 0 else self._at(self._first)
        return self._head

    def ahead(self, count_max: int) -> list[Entry]:
        """Return up to so many from the front."""
        index = self._first_recent()
        if index >= 0:
            return self._recent[index : index + count_max]
        first, end = self._first, self._first + count_max
        columns = zip(
            self._records[first:end],
            self._sizes_bytes[first:end],
            self._lanes[first:end],
            strict=True,
        )
        return list(map(made_entry, columns))

    def _first_recent(self) -> int:
        """Return where the first is among the last ones; negative: it is not."""
        return self._first - len(self._records) + len(self._recent)

    def popleft(self) -> Entry:
        """Remove the first, and return it."""
        entry = self.head()
        assert entry is not None, "its caller looked"
        self.remove_first((entry,))
        return entry

    def remove_first(self, entries: Sequence[Entry]) -> None:
        """Remove entries that `ahead` returned."""
        self._head = None
        self._first += len(entries)
        if self._first == len(self._records):
            self.size_bytes = 0
            self._recent = _NO_ENTRIES  # all of a batch may be in there
            if self._first > EMPTIED_MAX:
                self._cut()
            return
        self.size_bytes -= sum(map(size_bytes_of, entries))
        if self._first > TAKEN_MAX and 2 * self._first > len(self._records):
            self._cut()

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
            self._recent = _NO_ENTRIES
            self._records += other._records[first:last]
            self._lanes += other._lanes[first:last]
            sizes_bytes = other._sizes_bytes[first:last]
            self._sizes_bytes += sizes_bytes
            self.size_bytes += sum(sizes_bytes)

    def _take_over(self, other: EntryFifo) -> None:
        self._records, self._lanes = other._records, other._lanes
        self._sizes_bytes, self.size_bytes = other._sizes_bytes, other.size_bytes
        self._first = 0
        self._recent, self._head = _NO_ENTRIES, None
