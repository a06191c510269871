"""The core's side of the disk: when to write, whom to answer, what a failure means.

Owns the moments of writes and the fate of what could not be written. Refuses to know files. Fault
model: the disk may be full or broken, for seconds or for good. Then publishers are refused at once
instead of waiting; what came from designated routers, who were not promised anything, stays in
memory within the queues' limits; delivery goes on; and the disk is tried again in intervals.
"""

from __future__ import annotations

from typing import Final

from wavemq.clock import (
    NANOSECONDS_PER_MICROSECOND,
    NANOSECONDS_PER_MILLISECOND,
    NANOSECONDS_PER_SECOND,
    Instant,
)
from wavemq.errors import QueueError, SubscriptionFailedError, WaveMQError
from wavemq.routing.core import (
    Core,
    DropCause,
    JournalFlush,
    JournalGather,
    JournalRetry,
    ReadRetry,
)
from wavemq.routing.draft import PublishWaiter, SubscriptionWaiter
from wavemq.routing.effects import ReadRecords, WriteJournal
from wavemq.routing.events import JournalFailed, JournalWritten, RecordsRead, RecordsUnread
from wavemq.routing.queue import WithdrawingQueue
from wavemq.routing.records import Place, QueueId
from wavemq.routing.subscribing import Subscribing
from wavemq.routing.uplinks import Uplinks

FLUSH_MILLISECONDS: Final = 10
"""How long traces of what was delivered or dropped may wait for company.

A crash that loses them repeats deliveries, and brings back what was dropped."""
FLUSH_COUNT: Final = 512
"""Removals that wait no longer: after a crash as many messages would come again."""
GATHER_MICROSECONDS: Final = 300
"""How long a write waits for those who will publish again since they were just answered."""
GATHER_COUNT_MAX: Final = 64
"""So many do not wait for more: what a write costs by itself is spread thin enough."""
RETRY_SECONDS: Final = 1.0
"""Between attempts on a failing disk, to write or to read."""


class Journaling:
    """Orders writes and reads, and answers when they are done.

    Args:
        core: shared state.
        subscribing: told which subscriptions could not be kept.
        uplinks: whose queues are written too.
    """

    def __init__(self, core: Core, subscribing: Subscribing, uplinks: Uplinks) -> None:
        self._core = core
        self._subscribing = subscribing
        self._uplinks = uplinks
        # Who would wait for one write if all who publish now came together.
        self._expected = 1

    # --- writes -----------------------------------------------------------------------------

    def order_write(self) -> None:
        """Order the next write if there is one to be made now."""
        core, ledger = self._core, self._core.ledger
        for waiter in ledger.take_idle_waiters():
            core.reply_done(waiter)
        draft = ledger.draft
        if ledger.is_writing or core.is_disk_failing or draft.is_empty:
            return
        if 0 < len(draft.waiters) < self._expected:
            if core.timers.instant_of(JournalGather()) is None:
                wait = GATHER_MICROSECONDS * NANOSECONDS_PER_MICROSECOND
                core.timers.set(JournalGather(), Instant(core.now + wait))
        elif draft.is_urgent or len(draft.removed_entries) >= FLUSH_COUNT:
            self._write()
        elif core.timers.instant_of(JournalFlush()) is None:
            delay = FLUSH_MILLISECONDS * NANOSECONDS_PER_MILLISECOND
            core.timers.set(JournalFlush(), Instant(core.now + delay))

    def gather_due(self) -> None:
        """Expect nobody any more; the write is ordered with all else of this call."""
        self._expected = 1

    def flush_due(self) -> None:
        """Write what has waited for company."""
        core = self._core
        if not (core.ledger.is_writing or core.is_disk_failing or core.ledger.draft.is_empty):
            self._write()

    def _write(self) -> None:
        self._core.timers.cancel(JournalFlush())
        self._core.timers.cancel(JournalGather())
        self._core.order(WriteJournal(*self._core.ledger.begin_write()))

    def retry_due(self) -> None:
        """Try the disk again."""
        core = self._core
        core.is_disk_failing = False
        self.flush_due()

    def written(self, event: JournalWritten) -> None:
        """Answer those who waited, and deliver what may be delivered now."""
        waiters, queues = self._core.ledger.finish_write(event.batch)
        # Whoever publishes one message after the other does so again now. Written together they
        # cost half of what they do in two groups that take turns.
        together = (*waiters, *self._core.ledger.draft.waiters)
        publishes = sum(isinstance(one, PublishWaiter) for one in together)
        self._expected = min(publishes, GATHER_COUNT_MAX)
        for waiter in waiters:
            self._core.reply_done(waiter)
        self._core.ready.update(dict.fromkeys(queues))
        self._uplinks.wake()

    def failed(self, event: JournalFailed) -> None:
        """Refuse those who waited, take their messages back, and try again later."""
        core = self._core
        waiters = core.ledger.fail_write(event.batch)
        if waiters is None:
            return
        core.counts.journal_failures += 1
        core.is_disk_failing = True
        delay = round(RETRY_SECONDS * NANOSECONDS_PER_SECOND)
        core.timers.set(JournalRetry(), Instant(core.now + delay))
        late, core.ledger.draft.waiters = core.ledger.draft.waiters, []
        self._withdraw([one for one in (*waiters, *late) if isinstance(one, PublishWaiter)])
        for waiter in (*waiters, *late):
            if isinstance(waiter, PublishWaiter):
                error = QueueError("it could not be kept on disk", cause=event.error)
                core.refuse(waiter.request, error)
            else:
                self._refuse_subscription(waiter, event.error)

    def _refuse_subscription(self, waiter: SubscriptionWaiter, cause: WaveMQError) -> None:
        """Refuse a subscription whose queue is not there; one that was resumed has its queue."""
        core = self._core
        if not waiter.is_new:
            core.reply_done(waiter)
            return
        error = SubscriptionFailedError("the subscription could not be kept", cause=cause)
        subscription = core.subscriptions.with_queue(waiter.queue)
        if subscription is not None:
            self._subscribing.end(subscription, error, DropCause.ENDED)
        core.refuse(waiter.request, error)

    def _withdraw(self, waiters: list[PublishWaiter]) -> None:
        """Take messages out of queues again, but for those being sent."""
        core = self._core
        records: dict[QueueId, set[Place]] = {}
        for waiter in waiters:
            if waiter.seen is not None:
                core.forget(*waiter.seen)
            if waiter.record is not None:
                for queue_id in waiter.queues:
                    records.setdefault(queue_id, set()).add(waiter.record)
        for queue_id, wanted in records.items():
            queue = self._queue(queue_id)
            if queue is not None:
                withdrawn = queue.withdraw(wanted)
                core.counts.withdrawn += len(withdrawn)
                core.ledger.release(queue_id, withdrawn)

    def _queue(self, queue_id: QueueId) -> WithdrawingQueue | None:
        subscription = self._core.subscriptions.with_queue(queue_id)
        if subscription is not None:
            return subscription.queue
        uplink = self._uplinks.with_queue(queue_id)
        return None if uplink is None else uplink.queue

    # --- reads ------------------------------------------------------------------------------

    def order_reads(self) -> None:
        """Order the reads that queues asked for."""
        wanted = self._core.ledger.take_wanted()
        if wanted:
            self._core.order(ReadRecords(wanted))

    def read(self, event: RecordsRead) -> None:
        """Go on with the queues that waited."""
        for record, message in event.messages:
            self._core.ledger.arrive(record, message)
        self._wake()

    def unread(self, event: RecordsUnread) -> None:
        """Ask again later."""
        core = self._core
        core.ledger.give_up(event.records)
        delay = round(RETRY_SECONDS * NANOSECONDS_PER_SECOND)
        core.timers.set(ReadRetry(), Instant(core.now + delay))

    def read_retry_due(self) -> None:
        """Ask again."""
        self._wake()

    def _wake(self) -> None:
        core = self._core
        core.ready.update(core.stalled)
        core.stalled.clear()
