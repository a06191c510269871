"""A queue against a plain list, over any sequence of operations."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from wavemq.routing.config import QueueLimits
from wavemq.routing.queue import MessageQueue
from wavemq.routing.records import Place, RecordId, StoredEntry

LIMITS = QueueLimits(messages_max=4, bytes_max=20)


class QueueModel(RuleBasedStateMachine):
    """Keeps what waits and what is in flight in lists, and counts every message once."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = MessageQueue(LIMITS)
        self.waiting: list[StoredEntry] = []
        self.in_flight: list[StoredEntry] = []
        self.appended = self.confirmed = self.dropped = self.withdrawn = 0

    def trim(self) -> list[StoredEntry]:
        dropped = []
        while (
            len(self.waiting) > LIMITS.messages_max
            or sum(entry.size_bytes for entry in self.waiting) > LIMITS.bytes_max
        ):
            dropped.append(self.waiting.pop(0))
        self.dropped += len(dropped)
        return dropped

    @rule(size_bytes=st.integers(1, 25))
    def append(self, size_bytes: int) -> None:
        self.appended += 1
        entry, dropped = self.queue.append(RecordId(self.appended), size_bytes)
        if size_bytes > LIMITS.bytes_max:
            self.dropped += 1
            assert dropped == [entry]
        else:
            self.waiting.append(entry)
            assert dropped == self.trim()

    @precondition(lambda self: self.waiting)
    @rule()
    def take(self) -> None:
        entry = self.waiting.pop(0)
        self.in_flight.append(entry)
        assert self.queue.take() == entry

    @precondition(lambda self: self.waiting)
    @rule()
    def skip(self) -> None:
        self.dropped += 1
        assert self.queue.skip() == self.waiting.pop(0)

    @rule(place=st.integers(0, 30))
    def confirm(self, place: int) -> None:
        expected = next((entry for entry in self.in_flight if entry.place == place), None)
        assert self.queue.confirm(Place(place)) == expected
        if expected is not None:
            self.in_flight.remove(expected)
            self.confirmed += 1

    @rule(place=st.integers(0, 30))
    def confirm_through(self, place: int) -> None:
        expected = [entry for entry in self.in_flight if entry.place <= place]
        assert self.queue.confirm_through(Place(place)) == expected
        self.in_flight = [entry for entry in self.in_flight if entry.place > place]
        self.confirmed += len(expected)

    @rule()
    def give_back(self) -> None:
        expected, self.in_flight = self.in_flight, []
        self.waiting = expected + self.waiting
        assert self.queue.give_back() == (expected, self.trim())

    @rule(places=st.sets(st.integers(0, 30), max_size=4))
    def withdraw(self, places: set[int]) -> None:
        expected = [entry for entry in self.waiting if entry.place in places]
        assert self.queue.withdraw({Place(place) for place in places}) == expected
        self.waiting = [entry for entry in self.waiting if entry.place not in places]
        self.withdrawn += len(expected)

    @invariant()
    def sums_agree_and_nothing_is_lost(self) -> None:
        queue, everything = self.queue, [*self.waiting, *self.in_flight]
        assert len(queue) == len(everything)
        assert queue.size_bytes == sum(entry.size_bytes for entry in everything)
        assert queue.ahead(100) == self.waiting
        assert queue.in_flight() == self.in_flight
        assert queue.dropped_count == self.dropped
        gone = self.confirmed + self.dropped + self.withdrawn
        assert self.appended == gone + len(everything)


TestQueueModel = QueueModel.TestCase
