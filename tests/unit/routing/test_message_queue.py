"""One queue: order, limits, and what is in flight."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from wavemq.clock import Instant
from wavemq.errors import ConfigError
from wavemq.routing.config import QueueLimits
from wavemq.routing.entries import EntryFifo
from wavemq.routing.queue import NOTHING_DROPPED, Dropped, MessageQueue
from wavemq.routing.records import Entry, LaneKey, Place, RecordId


def entry(number: int, size_bytes: int = 10) -> Entry:
    return Entry(RecordId(number), size_bytes, LaneKey(0))


def queue_of(count: int, *, messages_max: int = 3, bytes_max: int = 1000) -> MessageQueue:
    queue = MessageQueue(QueueLimits(messages_max, bytes_max))
    for number in range(1, count + 1):
        queue.extend([entry(number)])
    return queue


def take(queue: MessageQueue) -> Entry:
    entries = queue.ahead(1)
    queue.take(entries)
    return entries[0]


def records(entries: Sequence[Entry]) -> list[int]:
    return [entry.record for entry in entries]


@pytest.mark.parametrize(("count", "dropped_count"), [(2, 0), (3, 0), (4, 1), (10, 7)])
def test_queue_drops_oldest_when_it_has_too_many(count: int, dropped_count: int) -> None:
    queue = queue_of(count)
    assert queue.dropped_count == dropped_count
    assert records(queue.ahead(10)) == list(range(dropped_count + 1, count + 1))


@pytest.mark.parametrize(("bytes_max", "kept"), [(29, 2), (30, 3), (31, 3)])
def test_queue_drops_oldest_when_it_has_too_many_bytes(bytes_max: int, kept: int) -> None:
    queue = queue_of(5, messages_max=100, bytes_max=bytes_max)
    assert len(queue) == kept
    assert queue.size_bytes == 10 * kept


def test_message_over_the_whole_limit_drops_itself_and_nothing_else() -> None:
    queue = queue_of(2, bytes_max=50)
    assert queue.extend([entry(9, 51)]) == Dropped(by_size=(entry(9, 51),))
    assert records(queue.ahead(10)) == [1, 2]
    assert queue.dropped_count == 1


def test_many_at_once_leave_what_one_after_the_other_leaves() -> None:
    queue = queue_of(2, bytes_max=50)
    dropped = queue.extend([entry(3), entry(4, 51), entry(5), entry(6, 25)])
    assert (records(dropped.by_length), records(dropped.by_size)) == ([1, 2], [4])
    assert records(queue.ahead(10)) == [3, 5, 6]
    assert queue.dropped_count == 3


@pytest.mark.parametrize(
    ("credit", "window_bytes_max", "expected"),
    [(9, 1000, [1, 2, 3]), (2, 1000, [1, 2]), (9, 29, [1, 2]), (9, 5, [1]), (0, 1000, [])],
)
def test_next_ones_are_as_many_as_credit_and_window_allow(
    credit: int, window_bytes_max: int, expected: list[int]
) -> None:
    queue = queue_of(3)
    entries = queue.next_ones(credit, window_bytes_max)
    assert records(entries) == expected
    queue.take(entries)
    left = queue.next_ones(credit, window_bytes_max)
    assert left == [], "what is in flight takes credit and window"
    assert records(queue.confirm_all([Place(RecordId(one)) for one in (*expected, 99)])) == expected
    assert queue.in_flight_bytes == 0


def test_what_is_in_flight_is_neither_dropped_nor_counted_against_the_limit() -> None:
    queue = queue_of(3)
    taken = take(queue)
    assert queue.extend([entry(4)]) == NOTHING_DROPPED
    assert len(queue) == 4
    assert records(queue.extend([entry(5)]).by_length) == [2]
    assert queue.confirm(taken.record) == taken


def test_given_back_messages_are_at_the_head_again_in_order() -> None:
    queue = queue_of(3)
    take(queue)
    take(queue)
    returned, dropped = queue.give_back()
    assert (records(returned), dropped) == ([1, 2], NOTHING_DROPPED)
    assert records(queue.ahead(10)) == [1, 2, 3]
    assert queue.in_flight_count == queue.in_flight_bytes == 0


def test_giving_back_more_than_fits_drops_the_oldest() -> None:
    queue = queue_of(3)
    take(queue)
    queue.extend([entry(4)])
    _, dropped = queue.give_back()
    assert records(dropped.entries) == [1]
    assert queue.dropped_count == 1


def test_confirming_through_a_place_leaves_what_comes_later() -> None:
    queue = queue_of(3)
    places = [take(queue).record for _ in range(3)]
    assert records(queue.confirm_through(places[1])) == [1, 2]
    assert records(queue.in_flight()) == [3]
    assert queue.confirm_through(places[1]) == []


def test_unknown_places_are_ignored() -> None:
    queue = queue_of(1)
    assert queue.confirm(Place(1)) is None, "it waits"
    assert queue.confirm(Place(77)) is None
    assert not queue.is_in_flight(Place(77))
    assert queue.withdraw({Place(77)}) == []
    assert len(queue) == 1


def test_withdrawn_messages_are_not_counted_as_dropped() -> None:
    queue = queue_of(3)
    take(queue)
    assert records(queue.withdraw({Place(1), Place(2)})) == [2], "the first is in flight"
    assert queue.dropped_count == 0
    assert queue.size_bytes == 20


def test_cleared_queue_counts_all_as_dropped() -> None:
    queue = queue_of(3)
    take(queue)
    assert sorted(records(queue.clear())) == [1, 2, 3]
    assert (len(queue), queue.size_bytes, queue.dropped_count) == (0, 0, 3)


def test_restored_queue_goes_on_behind_what_it_held() -> None:
    entries = EntryFifo()
    for one in (entry(7), entry(9)):
        entries.append(one)
    queue = MessageQueue(QueueLimits(10, 1000), entries, dropped_count=5)
    queue.extend([entry(10)])
    assert (len(queue), queue.size_bytes, queue.dropped_count) == (3, 30, 5)
    assert records(queue.ahead(10)) == [7, 9, 10]


def test_returned_message_waits_for_its_time_and_then_comes_first() -> None:
    queue = queue_of(3)
    first, _ = take(queue), take(queue)
    assert queue.return_later(first.record, Instant(50)) == first
    assert (len(queue), queue.in_flight_count, queue.size_bytes) == (3, 1, 30)
    assert queue.next_due() == 50
    assert queue.take_due(Instant(49)) == NOTHING_DROPPED
    assert queue.ahead(1) == [entry(3)], "the first is not due"
    queue.take_due(Instant(50))
    assert records(queue.ahead(10)) == [1, 3]
    assert queue.next_due() is None


def test_attempts_are_counted_until_a_message_is_confirmed() -> None:
    queue = queue_of(1)
    assert queue.attempt(take(queue).record) == 1
    queue.give_back()
    assert queue.attempt(take(queue).record) == 2
    queue.return_later(Place(1), Instant(0))
    queue.take_due(Instant(0))
    assert queue.attempt(take(queue).record) == 3
    queue.confirm(Place(1))
    assert queue.attempt(Place(1)) == 1


def test_confirming_through_a_place_follows_the_order_of_delivery() -> None:
    queue = queue_of(3)
    queue.return_later(take(queue).record, Instant(0))
    take(queue)
    queue.take_due(Instant(0))
    again = take(queue)
    assert records(queue.confirm_through(again.record)) == [2, 1]
    assert queue.in_flight_count == 0


@pytest.mark.parametrize("bounds", [(0, 1), (1, 0), (-1, 5)])
def test_limits_hold_at_least_one_message(bounds: tuple[int, int]) -> None:
    with pytest.raises(ConfigError):
        QueueLimits(*bounds)
