"""The queue toward a designated router against what it promises: order per key, sums, limits."""

from __future__ import annotations

from collections.abc import Sequence

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from wavemq.clock import Instant
from wavemq.routing.config import QueueLimits
from wavemq.routing.records import Entry, LaneKey, Place, RecordId
from wavemq.routing.uplink_queue import UplinkQueue

KEYS = st.integers(0, 3).map(LaneKey)
SIZES = st.sampled_from([1, 100, 30_000])
LIMITS = QueueLimits(messages_max=20, bytes_max=400_000)


class UplinkQueueModel(RuleBasedStateMachine):
    """Mirrors a queue as a set of what waits and a list of what is in flight."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = UplinkQueue(LIMITS)
        self.next_record = 1
        self.waiting: dict[Place, Entry] = {}
        self.in_flight: dict[Place, Entry] = {}
        self.dropped = 0

    # --- what happens -----------------------------------------------------------------------

    @rule(messages=st.lists(st.tuples(KEYS, SIZES), min_size=1, max_size=4))
    def extend(self, messages: list[tuple[LaneKey, int]]) -> None:
        entries: list[Entry] = []
        for key, size in messages:
            entries.append(Entry(RecordId(self.next_record), size, key))
            self.next_record += 1
        self.waiting.update({entry.record: entry for entry in entries})
        self._drop(self.queue.extend(entries).entries)
        self._check_limits()

    @rule()
    def open(self) -> None:
        self.queue.is_open = True

    @precondition(lambda self: self.queue.is_open)
    @rule(is_turned=st.booleans())
    def take(self, *, is_turned: bool) -> None:
        lanes = self.queue.lanes()
        for lane in reversed(lanes) if is_turned else lanes:  # one may wait for the disk
            head = self.queue.head(lane)
            if head is not None:
                assert self.queue.take(lane) == head
                self._taken(head)
                return
        held_up = self.queue.held_up
        assert all(one.lane in held_up for one in self.waiting.values()), "something may be sent"

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data())
    def confirm(self, data: st.DataObject) -> None:
        place = data.draw(st.sampled_from(sorted(self.in_flight)))
        entry = self.in_flight.pop(place)
        assert self.queue.confirm(place) == entry

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data())
    def refuse_from(self, data: st.DataObject) -> None:
        """A designated router that refuses a message refuses what follows on the topic with it."""
        place = data.draw(st.sampled_from(sorted(self.in_flight)))
        key = self.in_flight[place].lane
        for behind in sorted(self.in_flight):
            if behind >= place and self.in_flight[behind].lane == key:
                entry, held_up = self.queue.hold_up(behind)
                held_up.due = Instant(0)
                self.waiting[behind] = self.in_flight.pop(behind)
                assert entry == self.waiting[behind]

    @rule()
    def probe(self) -> None:
        for key, held_up in self.queue.held_up.items():
            if not held_up.unanswered and held_up.waiting:
                self._taken(self.queue.take_probe(key))

    @rule()
    def release(self) -> None:
        for key, held_up in list(self.queue.held_up.items()):
            if not held_up.unanswered:
                self.queue.release(key)

    @rule()
    def give_back(self) -> None:
        returned, dropped = self.queue.give_back()
        assert returned == sorted(self.in_flight.values())
        self.waiting |= self.in_flight
        self.in_flight.clear()
        self._drop(dropped.entries)
        self._check_limits()
        assert not self.queue.held_up

    @rule(places=st.sets(st.integers(1, 60).map(RecordId), max_size=5))
    def withdraw(self, places: set[Place]) -> None:
        withdrawn = self.queue.withdraw(places)
        assert sorted(withdrawn) == sorted(
            self.waiting.pop(place) for place in places if place in self.waiting
        )

    def _check_limits(self) -> None:
        assert len(self.waiting) <= LIMITS.messages_max
        assert sum(one.size_bytes for one in self.waiting.values()) <= LIMITS.bytes_max

    def _taken(self, entry: Entry) -> None:
        older = [one for one in self.waiting.values() if one.lane == entry.lane and one < entry]
        assert not older, "it overtakes"
        self.in_flight[entry.record] = self.waiting.pop(entry.record)

    def _drop(self, dropped: Sequence[Entry]) -> None:
        for entry in dropped:
            assert entry == min(self.waiting.values()), "the oldest go first"
            del self.waiting[entry.record]
            self.dropped += 1

    # --- what always holds ------------------------------------------------------------------

    @invariant()
    def sums_agree(self) -> None:
        queue = self.queue
        assert queue.waiting_count == len(self.waiting)
        assert queue.waiting_bytes == sum(one.size_bytes for one in self.waiting.values())
        assert queue.in_flight_bytes == sum(one.size_bytes for one in self.in_flight.values())
        assert len(queue) == len(self.waiting) + len(self.in_flight)
        assert queue.dropped_count == self.dropped
        for key, held_up in queue.held_up.items():
            assert held_up.unanswered == sum(one.lane == key for one in self.in_flight.values())


TestUplinkQueue = UplinkQueueModel.TestCase
