"""From a queue to whoever sends: the next messages, as far as a window and memory allow.

Owns the step from waiting to in flight. Refuses to know whether a reader or an uplink sends. Fault
model: a message may be on disk only, and is then read back first; it may be unreadable, and is then
dropped and counted.
"""

from __future__ import annotations

from wavemq.routing.core import Core, DropCause
from wavemq.routing.effects import Delivery, made_delivery
from wavemq.routing.entries import record_of
from wavemq.routing.ledger import READ_COUNT_MAX
from wavemq.routing.queue import NEXT_ONES_MAX, MessageQueue
from wavemq.routing.records import QueueId


def next_deliveries(
    core: Core,
    queue_id: QueueId,
    queue: MessageQueue,
    *,
    credit: int,
    is_durable_only: bool,
) -> list[Delivery]:
    """Put the next messages in flight and return them, each with the queue's count of drops.

    Args:
        core: shared state.
        queue_id: of the queue.
        queue: to read.
        credit: messages that may be in flight.
        is_durable_only: hand out what is on disk; the rest follows when it is.
    """
    ledger, window_bytes_max = core.ledger, core.config.window_bytes_max
    deliveries: list[Delivery] = []
    while entries := queue.next_ones(credit, window_bytes_max):
        messages = ledger.send(entries, queue.dropped_count, is_durable_only=is_durable_only)
        sent = entries if len(messages) == len(entries) else entries[: len(messages)]
        if sent:
            queue.take(sent)
            places, attempts = map(record_of, sent), queue.attempts(sent)
            deliveries += map(made_delivery, places, messages, attempts)
        if len(sent) == len(entries):
            if len(entries) < NEXT_ONES_MAX:
                break
            continue
        place = entries[len(sent)].record
        if is_durable_only and not ledger.is_durable(place):
            break  # a crash now would bring it again, as another, or give its number to another
        if not ledger.is_corrupt(place):
            ledger.want(queue.ahead(READ_COUNT_MAX))
            core.stalled[queue_id] = None
            break
        ledger.drop(queue_id, queue, (queue.skip(),))
        core.counts.dropped[DropCause.CORRUPT] += 1
        core.counts.corrupt += 1
    return deliveries
