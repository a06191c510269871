"""The queue toward a designated router: what is held up keeps its order."""

from __future__ import annotations

from wavemq.clock import Instant
from wavemq.routing.config import QueueLimits
from wavemq.routing.records import Entry, LaneKey, RecordId
from wavemq.routing.uplink_queue import LIVE_BYTES_MAX, Lane, UplinkQueue

HELD_UP, OTHER = LaneKey(1), LaneKey(2)


def open_queue() -> UplinkQueue:
    queue = UplinkQueue(QueueLimits(1000, 1 << 30))
    queue.is_open = True
    return queue


def taken(queue: UplinkQueue) -> list[int]:
    """Take all that may be sent, and return the records."""
    records: list[int] = []
    while (lane := next((one for one in queue.lanes() if queue.head(one)), None)) is not None:
        records.append(queue.take(lane).record)
    return records


def test_held_up_topic_keeps_its_order_when_the_backlog_is_looked_at_before_the_live_lane() -> None:
    queue = open_queue()
    queue.extend([Entry(RecordId(1), 10, HELD_UP)])
    queue.extend([Entry(RecordId(2), LIVE_BYTES_MAX - 20, OTHER)])
    queue.extend([Entry(RecordId(3), 10, HELD_UP)])  # the live lane is full now
    queue.extend([Entry(RecordId(4), 10, HELD_UP)])
    queue.take(Lane.LIVE)
    queue.hold_up(RecordId(1))
    assert queue.head(Lane.BACKLOG) is None
    queue.extend([Entry(RecordId(5), 10, HELD_UP)])
    assert [one.record for one in queue.held_up[HELD_UP].waiting] == [1, 3, 4, 5]
    queue.held_up[HELD_UP].due = Instant(0)
    queue.release(HELD_UP)
    assert sorted(taken(queue)) == [1, 2, 3, 4, 5]
    assert [one.record for one in queue.in_flight() if one.lane == HELD_UP] == [1, 3, 4, 5]


def test_held_up_topic_lets_the_backlog_behind_it_go() -> None:
    queue = open_queue()
    queue.extend([Entry(RecordId(1), 10, HELD_UP)])
    queue.extend([Entry(RecordId(2), LIVE_BYTES_MAX - 10, HELD_UP)])
    queue.extend([Entry(RecordId(3), 10, HELD_UP)])
    queue.extend([Entry(RecordId(4), 10, OTHER)])
    queue.take(Lane.LIVE)
    queue.hold_up(RecordId(1))
    assert taken(queue) == [4]
