"""A queue against a plain list, over any sequence of operations."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from wavemq.clock import Instant
from wavemq.routing.config import QueueLimits
from wavemq.routing.queue import MessageQueue
from wavemq.routing.records import Entry, LaneKey, Place, RecordId

LIMITS = QueueLimits(messages_max=4, bytes_max=20)


class QueueModel(RuleBasedStateMachine):
    """Keeps what waits and what is in flight in lists, and counts every message once."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = MessageQueue(LIMITS)
        self.waiting: list[Entry] = []
        self.in_flight: list[Entry] = []
        self.returned: list[tuple[int, Entry]] = []
        self.attempts: dict[int, int] = {}
        self.appended = self.confirmed = self.dropped = self.withdrawn = 0

    def trim(self) -> list[Entry]:
        dropped = []
        while (
            len(self.waiting) > LIMITS.messages_max
            or sum(entry.size_bytes for entry in self.waiting) > LIMITS.bytes_max
        ):
            dropped.append(self.waiting.pop(0))
        self.dropped += len(dropped)
        return dropped

    @rule(sizes_bytes=st.lists(st.integers(1, 25), min_size=1, max_size=6))
    def extend(self, sizes_bytes: list[int]) -> None:
        entries: list[Entry] = []
        expected: list[Entry] = []
        for size_bytes in sizes_bytes:
            self.appended += 1
            entry = Entry(RecordId(self.appended), size_bytes, LaneKey(-self.appended))
            entries.append(entry)
            if size_bytes > LIMITS.bytes_max:
                self.dropped += 1
                expected.append(entry)
            else:
                self.waiting.append(entry)
                expected += self.trim()
        assert sorted(self.queue.extend(entries).entries) == sorted(expected)

    @rule(credit=st.integers(0, 6), window_bytes_max=st.integers(0, 40))
    def take(self, credit: int, window_bytes_max: int) -> None:
        expected: list[Entry] = []
        while self.waiting and len(self.in_flight) < credit:
            under_way_bytes = sum(entry.size_bytes for entry in self.in_flight)
            if under_way_bytes and under_way_bytes + self.waiting[0].size_bytes > window_bytes_max:
                break
            expected.append(self.waiting.pop(0))
            self.in_flight.append(expected[-1])
        entries = self.queue.next_ones(credit, window_bytes_max)
        assert entries == expected
        attempts = [self.attempts.get(entry.record, 0) + 1 for entry in expected]
        assert list(self.queue.attempts(entries)) == attempts
        if entries:
            self.queue.take(entries)

    @precondition(lambda self: self.waiting)
    @rule()
    def skip(self) -> None:
        self.dropped += 1
        assert self.queue.skip() == self.waiting.pop(0)

    @rule(place=st.integers(0, 30))
    def confirm(self, place: int) -> None:
        expected = next((entry for entry in self.in_flight if entry.record == place), None)
        assert self.queue.confirm(Place(place)) == expected
        if expected is not None:
            self.in_flight.remove(expected)
            self.confirmed += 1

    @rule(places=st.lists(st.integers(0, 30), max_size=4))
    def confirm_all(self, places: list[int]) -> None:
        by_place = {entry.record: entry for entry in self.in_flight}
        expected = [by_place[Place(place)] for place in dict.fromkeys(places) if place in by_place]
        assert self.queue.confirm_all([Place(one) for one in places]) == expected
        for entry in expected:
            self.in_flight.remove(entry)
        self.confirmed += len(expected)

    @rule(place=st.integers(0, 30))
    def confirm_through(self, place: int) -> None:
        taken = [entry.record for entry in self.in_flight]
        count = taken.index(RecordId(place)) + 1 if place in taken else 0
        expected, self.in_flight = self.in_flight[:count], self.in_flight[count:]
        assert self.queue.confirm_through(Place(place)) == expected
        self.confirmed += len(expected)

    @rule()
    def give_back(self) -> None:
        expected, self.in_flight = sorted(self.in_flight), []
        for entry in expected:
            self.attempts[entry.record] = self.attempts.get(entry.record, 0) + 1
        self.waiting = sorted((*expected, *self.waiting))
        returned, dropped = self.queue.give_back()
        assert returned == expected
        assert list(dropped.entries) == self.trim()

    @rule(place=st.integers(0, 30), due=st.integers(0, 5))
    def return_later(self, place: int, due: int) -> None:
        expected = next((entry for entry in self.in_flight if entry.record == place), None)
        assert self.queue.return_later(Place(place), Instant(due)) == expected
        if expected is not None:
            self.in_flight.remove(expected)
            self.returned.append((due, expected))
            self.attempts[expected.record] = self.attempts.get(expected.record, 0) + 1

    @rule(now=st.integers(0, 5))
    def take_due(self, now: int) -> None:
        due = [entry for instant, entry in self.returned if instant <= now]
        self.returned = [one for one in self.returned if one[0] > now]
        self.waiting = sorted((*due, *self.waiting))
        assert list(self.queue.take_due(Instant(now)).entries) == (self.trim() if due else [])

    @rule(places=st.sets(st.integers(0, 30), max_size=4))
    def withdraw(self, places: set[int]) -> None:
        expected = [entry for entry in self.waiting if entry.record in places]
        assert self.queue.withdraw({Place(place) for place in places}) == expected
        self.waiting = [entry for entry in self.waiting if entry.record not in places]
        self.withdrawn += len(expected)

    @invariant()
    def sums_agree_and_nothing_is_lost(self) -> None:
        queue = self.queue
        everything = [*self.waiting, *self.in_flight, *(entry for _, entry in self.returned)]
        assert len(queue) == len(everything)
        assert queue.size_bytes == sum(entry.size_bytes for entry in everything)
        assert queue.ahead(100) == self.waiting
        assert queue.in_flight() == self.in_flight
        assert queue.next_due() == min((due for due, _ in self.returned), default=None)
        assert queue.dropped_count == self.dropped
        gone = self.confirmed + self.dropped + self.withdrawn
        assert self.appended == gone + len(everything)


TestQueueModel = QueueModel.TestCase
