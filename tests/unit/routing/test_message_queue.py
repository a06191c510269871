"""One queue: order, limits, and what is in flight."""

from __future__ import annotations

import pytest

from wavemq.errors import ConfigError
from wavemq.routing.config import QueueLimits
from wavemq.routing.queue import MessageQueue
from wavemq.routing.records import Place, RecordId, StoredEntry


def queue_of(count: int, *, messages_max: int = 3, bytes_max: int = 1000) -> MessageQueue:
    queue = MessageQueue(QueueLimits(messages_max, bytes_max))
    for number in range(1, count + 1):
        queue.append(RecordId(number), 10)
    return queue


def records(entries: list[StoredEntry]) -> list[int]:
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
    entry, dropped = queue.append(RecordId(9), 51)
    assert dropped == [entry]
    assert records(queue.ahead(10)) == [1, 2]
    assert queue.dropped_count == 1


def test_what_is_in_flight_is_neither_dropped_nor_counted_against_the_limit() -> None:
    queue = queue_of(3)
    taken = queue.take()
    _, dropped = queue.append(RecordId(4), 10)
    assert dropped == []
    assert len(queue) == 4
    _, dropped = queue.append(RecordId(5), 10)
    assert records(dropped) == [2]
    assert queue.confirm(taken.place) == taken


def test_given_back_messages_are_at_the_head_again_in_order() -> None:
    queue = queue_of(3)
    queue.take()
    queue.take()
    returned, dropped = queue.give_back()
    assert (records(returned), dropped) == ([1, 2], [])
    assert records(queue.ahead(10)) == [1, 2, 3]
    assert queue.in_flight_count == queue.in_flight_bytes == 0


def test_giving_back_more_than_fits_drops_the_oldest() -> None:
    queue = queue_of(3)
    queue.take()
    queue.append(RecordId(4), 10)
    _, dropped = queue.give_back()
    assert records(dropped) == [1]
    assert queue.dropped_count == 1


def test_confirming_through_a_place_leaves_what_comes_later() -> None:
    queue = queue_of(3)
    places = [queue.take().place for _ in range(3)]
    assert records(queue.confirm_through(places[1])) == [1, 2]
    assert records(queue.in_flight()) == [3]
    assert queue.confirm_through(places[1]) == []


def test_unknown_places_are_ignored() -> None:
    queue = queue_of(1)
    assert queue.confirm(Place(1)) is None, "it waits"
    assert queue.confirm(Place(77)) is None
    assert queue.record_in_flight(Place(77)) is None
    assert queue.withdraw({Place(77)}) == []
    assert len(queue) == 1


def test_withdrawn_messages_are_not_counted_as_dropped() -> None:
    queue = queue_of(3)
    queue.take()
    assert records(queue.withdraw({Place(1), Place(2)})) == [2], "the first is in flight"
    assert queue.dropped_count == 0
    assert queue.size_bytes == 20


def test_cleared_queue_counts_all_as_dropped() -> None:
    queue = queue_of(3)
    queue.take()
    assert sorted(records(queue.clear())) == [1, 2, 3]
    assert (len(queue), queue.size_bytes, queue.dropped_count) == (0, 0, 3)


def test_restored_queue_goes_on_after_its_last_place() -> None:
    entries = [StoredEntry(Place(7), RecordId(1), 10), StoredEntry(Place(9), RecordId(2), 10)]
    queue = MessageQueue(QueueLimits(10, 1000), entries, dropped_count=5)
    entry, _ = queue.append(RecordId(3), 10)
    assert entry.place == 10
    assert (len(queue), queue.size_bytes, queue.dropped_count) == (3, 30, 5)
    assert queue.head() == entries[0]


@pytest.mark.parametrize("bounds", [(0, 1), (1, 0), (-1, 5)])
def test_limits_hold_at_least_one_message(bounds: tuple[int, int]) -> None:
    with pytest.raises(ConfigError):
        QueueLimits(*bounds)
