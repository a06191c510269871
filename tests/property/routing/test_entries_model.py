"""A list of entries against a plain one: the columns and the objects beside them say the same."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from wavemq.routing.entries import RECENT_MAX, EntryFifo
from wavemq.routing.records import Entry, LaneKey, RecordId


class EntriesModel(RuleBasedStateMachine):
    """Keeps the entries in a list."""

    def __init__(self) -> None:
        super().__init__()
        self.fifo = EntryFifo()
        self.entries: list[Entry] = []
        self.next_record = 1

    @rule(count=st.one_of(st.integers(1, 3), st.integers(1, 3 * RECENT_MAX)))
    def extend(self, count: int) -> None:
        records = range(self.next_record, self.next_record + count)
        self.next_record += 2 * count  # places between them are for what is merged
        added = [Entry(RecordId(2 * one), one % 7 + 1, LaneKey(-one)) for one in records]
        self.fifo.extend(added)
        self.entries = [*self.entries, *added]

    @precondition(lambda self: self.entries)
    @rule(count=st.one_of(st.integers(1, 3), st.integers(1, 3 * RECENT_MAX)))
    def remove_first(self, count: int) -> None:
        first = self.fifo.ahead(count)
        assert first == self.entries[:count]
        self.fifo.remove_first(first)
        self.entries = self.entries[count:]

    @precondition(lambda self: self.entries)
    @rule()
    def popleft(self) -> None:
        assert self.fifo.head() == self.entries[0]
        assert self.fifo.popleft() == self.entries.pop(0)

    @rule(places=st.sets(st.integers(0, 400), max_size=5))
    def merge(self, places: set[int]) -> None:
        merged = [Entry(RecordId(2 * one + 1), 3, LaneKey(one)) for one in sorted(places)]
        known = {entry.record for entry in self.entries}
        merged = [entry for entry in merged if entry.record not in known]
        merged = [entry for entry in merged if entry.record < 2 * self.next_record]
        self.fifo.merge(merged)
        self.entries = sorted((*self.entries, *merged))

    @rule(places=st.sets(st.integers(0, 800), max_size=5))
    def remove(self, places: set[int]) -> None:
        removed = [entry for entry in self.entries if entry.record in places]
        assert self.fifo.remove(places) == removed
        self.entries = [entry for entry in self.entries if entry.record not in places]

    @invariant()
    def they_are_the_same(self) -> None:
        assert len(self.fifo) == len(self.entries)
        assert list(self.fifo) == self.entries
        assert self.fifo.head() == (self.entries[0] if self.entries else None)
        assert self.fifo.size_bytes == sum(entry.size_bytes for entry in self.entries)


TestEntriesModel = EntriesModel.TestCase
