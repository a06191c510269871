"""The router's core: events in, effects out.

Owns the order in which the parts act on a call. Refuses to do I/O, to read a clock and to roll
dice: a run is a function of its configuration, snapshot, events and instants. Fault model: doors
report what strangers do, so no event makes it raise; what is stale or foreign is ignored or
answered. An exception out of `handle` is our own broken invariant.

Each call takes the timers that are due, then the events in order; then readers and uplinks get what
they have room for; then reads and, unless one is in flight, the next write are ordered.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Final, assert_never, cast

from wavemq.clock import Instant
from wavemq.routing.config import Durability, RoutingConfig
from wavemq.routing.core import (
    Core,
    DropCause,
    JournalFlush,
    JournalGather,
    JournalRetry,
    QueueExpiry,
    ReadRetry,
    ReturnsDue,
    TimerKey,
    UplinkProbe,
    UplinkSubscriptionRetry,
)
from wavemq.routing.effects import Effect
from wavemq.routing.events import (
    ClockStepped,
    ConsumerAttached,
    ConsumerDetached,
    CreditChanged,
    DeliveriesAcknowledged,
    DeliveriesReturned,
    DeliveryConfirmed,
    DownlinkReceived,
    DownlinkUnverifiable,
    Event,
    FrameAccepted,
    FrameRefused,
    JournalFailed,
    JournalWritten,
    MessagePublished,
    PeerMessagePublished,
    PeerQueryRequested,
    PeerSubscriptionRequested,
    PeerUnsubscribeRequested,
    QueryRequested,
    RecordsRead,
    RecordsUnread,
    SubscriptionReproved,
    SubscriptionRequested,
    SubscriptionWithdrawn,
    TimerFired,
    UplinkConnected,
    UplinkDisconnected,
    UplinkSubscriptionEnded,
    UplinkSubscriptionOpened,
)
from wavemq.routing.identities import Repeats
from wavemq.routing.intake import Intake
from wavemq.routing.journaling import Journaling
from wavemq.routing.ledger import Ledger
from wavemq.routing.records import ConsumerQueueDefinition, UplinkQueueDefinition
from wavemq.routing.snapshot import Snapshot
from wavemq.routing.statistics import RouterStatistics
from wavemq.routing.status import RouterStatus, SubscriptionStatus
from wavemq.routing.subscribing import Subscribing
from wavemq.routing.subscriptions import StandingSubscription
from wavemq.routing.uplinks import Uplinks

NUMBERS_SKIPPED: Final = 1 << 20
"""Where messages are delivered before they are on disk, more than a crash can leave unwritten."""


class Router:
    """Routes messages between doors, queues and uplinks.

    Args:
        config: how to behave.
        snapshot: what the journal holds.
        now: the present, at which the clocks of restored queues begin.
    """

    def __init__(self, config: RoutingConfig, snapshot: Snapshot, now: Instant) -> None:
        self._core = core = Core(
            config,
            Ledger(
                snapshot,
                resident_bytes_max=config.resident_bytes_max,
                numbers_skipped=NUMBERS_SKIPPED if config.durability is Durability.ACCEPTED else 0,
            ),
            Repeats(snapshot.identities),
            now=now,
        )
        core.counts.corrupt = snapshot.corrupt_count
        stored_uplinks = [
            (stored.definition, stored)
            for stored in snapshot.queues
            if isinstance(stored.definition, UplinkQueueDefinition)
        ]
        self._uplinks = Uplinks(core, stored_uplinks)
        self._intake = Intake(core, self._uplinks)
        self._subscribing = Subscribing(core, self._uplinks)
        self._journaling = Journaling(core, self._subscribing, self._uplinks)
        for stored in snapshot.queues:
            if isinstance(stored.definition, ConsumerQueueDefinition):
                self._subscribing.restore(stored.definition, stored)

    def handle(self, events: Sequence[Event], now: Instant) -> list[Effect]:
        """Take what happened and return what to do, in order.

        Args:
            events: in the order in which they happened.
            now: the present.
        """
        core = self._core
        core.now = now
        for event in events:
            if isinstance(event, ClockStepped):  # before anything is taken for due
                self._step(event)
        for key in core.timers.pop_due(now):
            self._take_timer(key)
        for kind, group in groupby(events, key=type):
            if kind is MessagePublished:
                self._intake.published(cast(Sequence[MessagePublished], list(group)))
            elif kind is PeerMessagePublished:
                self._intake.peer_published(cast(Sequence[PeerMessagePublished], list(group)))
            elif kind is FrameAccepted:
                self._uplinks.frames_accepted(cast(Iterable[FrameAccepted], group))
            elif kind in (DeliveryConfirmed, DeliveriesAcknowledged):
                done = cast(Iterable[DeliveryConfirmed | DeliveriesAcknowledged], group)
                self._subscribing.done(done)
            else:
                for event in group:
                    self._take(event)
        self._send()
        self._journaling.order_reads()
        self._journaling.order_write()
        effects, core.effects = core.effects, []
        return effects

    @property
    def router_id(self) -> str:
        """The router's own id, which lives as long as its journal."""
        return self._core.config.router_id

    @property
    def is_settled(self) -> bool:
        """Whether all that was promised so far is on disk."""
        ledger = self._core.ledger
        return not (ledger.is_writing or ledger.draft.is_urgent)

    def next_deadline(self) -> Instant | None:
        """Return when to report `TimerFired` at the latest; None: never."""
        return self._core.timers.next_instant()

    def standing_subscriptions(self) -> list[StandingSubscription]:
        """Return every subscription, for whoever watches over their authority."""
        return [
            StandingSubscription(one.queue_id, one.request, one.is_local)
            for one in self._core.subscriptions.all()
        ]

    def statistics(self) -> RouterStatistics:
        """Return the counts, without waiting."""
        core, counts = self._core, self._core.counts
        queues = [one.queue for one in core.subscriptions.all()] + self._uplinks.queues()
        return RouterStatistics(
            published_count=counts.published,
            enqueued_count=counts.enqueued,
            upstream_count=counts.upstream,
            downstream_count=counts.downstream,
            duplicate_count=counts.duplicates,
            peer_error_count=counts.peer_errors,
            persisted_count=counts.persisted,
            query_count=counts.queries,
            dropped={cause.value: counts.dropped[cause] for cause in DropCause},
            corrupt_count=counts.corrupt,
            withdrawn_count=counts.withdrawn,
            revoked_count=counts.revoked,
            delivered_count=counts.delivered,
            transmitted_count=counts.transmitted,
            journal_failure_count=counts.journal_failures,
            subscriptions=len(core.subscriptions),
            consumers=core.subscriptions.consumer_count,
            uplinks_configured=self._uplinks.count,
            uplinks_connected=self._uplinks.connected_count,
            queues=len(queues),
            queued_messages=sum(map(len, queues)),
            queued_bytes=sum(queue.size_bytes for queue in queues),
            records=core.ledger.record_count,
            durable_records=core.ledger.durable_count,
            resident_bytes=core.ledger.resident_bytes,
        )

    def status(self, subscriptions_max: int) -> RouterStatus:
        """Return a picture for an operator, with so many subscriptions at most."""
        core, limits = self._core, self._core.config.consumer_queue
        fullest = heapq.nlargest(
            subscriptions_max, core.subscriptions.all(), key=lambda one: len(one.queue)
        )
        return RouterStatus(
            is_disk_failing=core.is_disk_failing,
            uplinks=self._uplinks.status(),
            subscriptions=[
                SubscriptionStatus(
                    namespace=one.request.namespace,
                    topic_filter=one.request.topic_filter,
                    identifier=one.request.identifier,
                    source=one.request.source,
                    is_local=one.is_local,
                    is_attached=one.consumer is not None,
                    queued_messages=len(one.queue),
                    queued_bytes=one.queue.size_bytes,
                    in_flight_messages=one.queue.in_flight_count,
                    messages_max=limits.messages_max,
                    bytes_max=limits.bytes_max,
                    deadline=one.deadline(),
                    dropped_count=one.queue.dropped_count,
                )
                for one in fullest
            ],
        )

    def _take(self, event: Event) -> None:
        """Hand an event to the part that it concerns."""
        match event:
            case JournalWritten():
                self._journaling.written(event)
            case DownlinkReceived():
                self._intake.downlink_received(event)
            case DownlinkUnverifiable():
                self._intake.downlink_unverifiable(event)
            case FrameRefused():
                self._uplinks.frame_refused(event)
            case SubscriptionRequested():
                self._subscribing.requested(event)
            case PeerSubscriptionRequested():
                self._subscribing.peer_requested(event)
            case PeerUnsubscribeRequested():
                self._subscribing.peer_unsubscribe_requested(event)
            case QueryRequested():
                self._intake.query_requested(event)
            case PeerQueryRequested():
                self._intake.peer_query_requested(event)
            case SubscriptionWithdrawn():
                self._subscribing.withdrawn(event)
            case SubscriptionReproved():
                self._subscribing.reproved(event)
            case ConsumerAttached():
                self._subscribing.attached(event)
            case DeliveriesReturned():
                self._subscribing.returned(event)
            case CreditChanged():
                self._subscribing.credit_changed(event)
            case ConsumerDetached():
                self._subscribing.detached(event)
            case UplinkConnected():
                self._uplinks.connected(event)
            case UplinkDisconnected():
                self._uplinks.disconnected(event)
            case UplinkSubscriptionOpened():
                self._uplinks.subscription_opened(event)
            case UplinkSubscriptionEnded():
                self._uplinks.subscription_ended(event)
            case JournalFailed():
                self._journaling.failed(event)
            case RecordsRead():
                self._journaling.read(event)
            case RecordsUnread():
                self._journaling.unread(event)
            case TimerFired() | ClockStepped():
                pass  # what is due, and steps, are taken at every call before the events
            case (
                MessagePublished()
                | PeerMessagePublished()
                | DeliveryConfirmed()
                | DeliveriesAcknowledged()
                | FrameAccepted()
            ):
                pass  # `handle` takes those that follow one another together
            case _:
                assert_never(event)

    def _step(self, event: ClockStepped) -> None:
        """Take note that the clock was set."""
        self._core.timers.shift(event.by_ns)
        self._subscribing.clock_stepped(event)
        self._uplinks.clock_stepped(event.by_ns)

    def _take_timer(self, key: TimerKey) -> None:
        """Do what is due."""
        match key:
            case QueueExpiry():
                self._subscribing.expiry_due(key)
            case ReturnsDue():
                self._subscribing.returns_due(key)
            case UplinkProbe():
                self._uplinks.probe_due(key)
            case UplinkSubscriptionRetry():
                self._uplinks.retry_due(key)
            case JournalFlush():
                self._journaling.flush_due()
            case JournalGather():
                self._journaling.gather_due()
            case JournalRetry():
                self._journaling.retry_due()
            case ReadRetry():
                self._journaling.read_retry_due()
            case _:
                assert_never(key)

    def _send(self) -> None:
        """Give readers and uplinks what they have room for."""
        core = self._core
        ready, core.ready = core.ready, {}
        for queue_id in ready:
            subscription = core.subscriptions.with_queue(queue_id)
            if subscription is not None:
                self._subscribing.serve(subscription)
                continue
            uplink = self._uplinks.with_queue(queue_id)
            if uplink is not None:
                self._uplinks.send(uplink)
