"""Subscriptions and their readers, from the first request to the end.

Owns who may resume what, which stream reads a queue, and the end of a subscription (wavemq.md 7).
Refuses to know the wire. Fault model: clients come back under names that are in use, streams die
unnoticed, readers stop reading; peers give up subscriptions that are not theirs.
"""

from __future__ import annotations

from collections.abc import Iterable

from wavemq.clock import NANOSECONDS_PER_SECOND, Instant
from wavemq.errors import (
    InvalidParameterError,
    NoSuchSubscriptionError,
    QueueError,
    SubscriptionFailedError,
    UnsubscribedError,
    WaveMQError,
)
from wavemq.messages.message import SubscriptionRequest, subscription_id
from wavemq.messages.verified import Verified
from wavemq.routing.config import Durability
from wavemq.routing.core import (
    DISK_FAILS,
    NO_DESIGNATED_ROUTER,
    Core,
    DropCause,
    QueueExpiry,
    ReturnsDue,
)
from wavemq.routing.draft import PublishWaiter, SubscriptionWaiter
from wavemq.routing.effects import Deliver, EndConsumer
from wavemq.routing.events import (
    ClockStepped,
    ConsumerAttached,
    ConsumerDetached,
    CreditChanged,
    DeliveriesAcknowledged,
    DeliveriesReturned,
    DeliveryConfirmed,
    PeerSubscriptionRequested,
    PeerUnsubscribeRequested,
    RequestId,
    SubscriptionReproved,
    SubscriptionRequested,
    SubscriptionWithdrawn,
)
from wavemq.routing.queue import MessageQueue
from wavemq.routing.reader import next_deliveries
from wavemq.routing.records import ConsumerQueueDefinition, Entry, QueueId
from wavemq.routing.snapshot import StoredQueue
from wavemq.routing.subscriptions import Consumer, Subscription, absolute_end, key_of
from wavemq.routing.uplinks import Uplinks


class Subscribing:
    """Opens, serves and ends subscriptions.

    Args:
        core: shared state.
        uplinks: where local subscriptions are kept open.
    """

    def __init__(self, core: Core, uplinks: Uplinks) -> None:
        self._core = core
        self._uplinks = uplinks

    def restore(self, definition: ConsumerQueueDefinition, stored: StoredQueue) -> None:
        """Take a subscription found on disk; its clock begins anew, since nobody could drain it."""
        core = self._core
        queue = MessageQueue(core.config.consumer_queue, stored.entries, stored.dropped_count)
        subscription = self._make(stored.queue, definition, queue)
        subscription.position = stored.position
        if core.subscriptions.with_key(subscription.key) is None:
            core.subscriptions.add(subscription)
            core.watch_expiry(subscription)

    # --- requests ---------------------------------------------------------------------------

    def requested(self, event: SubscriptionRequested) -> None:
        """Open or resume a subscription of a local client."""
        namespace = event.subscription.value.namespace
        config = self._core.config
        if namespace not in config.uplinks and namespace not in config.designated:
            error = InvalidParameterError(NO_DESIGNATED_ROUTER)
            self._fail(event.request, "could not subscribe", error)
            return
        definition = ConsumerQueueDefinition(event.subscription, is_local=True)
        self._open(event.request, definition, "")

    def peer_requested(self, event: PeerSubscriptionRequested) -> None:
        """Open or resume a subscription of a site."""
        if event.subscription.value.namespace not in self._core.config.designated:
            error = InvalidParameterError("this router is not designated for the namespace")
            self._fail(event.request, "could not subscribe", error)
            return
        definition = ConsumerQueueDefinition(event.subscription, is_local=False)
        self._open(event.request, definition, event.link)

    def peer_unsubscribe_requested(self, event: PeerUnsubscribeRequested) -> None:
        """End a subscription of a site, if it was last opened over the same link."""
        core = self._core
        identity = subscription_id(event.source, event.identifier)
        for subscription in core.subscriptions.with_link(event.link):
            if subscription.key.identity == identity:
                error = UnsubscribedError("the subscription was given up")
                self.end(subscription, error, DropCause.ENDED)
                core.reply_when_durable(PublishWaiter(event.request))
                return
        core.refuse(
            event.request,
            NoSuchSubscriptionError("this link has not opened such a subscription"),
        )

    def _open(self, request: RequestId, definition: ConsumerQueueDefinition, link: str) -> None:
        core = self._core
        if absolute_end(definition.subscription) <= core.now:
            ended = InvalidParameterError("the subscription would have ended already")
            self._fail(request, "could not subscribe", ended)
            return
        known = core.subscriptions.with_key(key_of(definition))
        if known is not None:
            self._resume(request, known, definition, link)
            return
        if core.is_disk_failing:
            self._fail(request, "could not subscribe", QueueError(DISK_FAILS))
            return
        if len(core.subscriptions) >= core.config.subscriptions_max:
            full = QueueError("the router has as many subscriptions as it may")
            self._fail(request, "could not subscribe", full)
            return
        queue_id = core.ledger.create_queue(definition)
        subscription = self._make(queue_id, definition, MessageQueue(core.config.consumer_queue))
        core.subscriptions.add(subscription)
        core.subscriptions.link(subscription, link)
        core.watch_expiry(subscription)
        self._uplinks.follow(subscription)
        core.reply_when_durable(SubscriptionWaiter(request, queue_id, is_new=True))

    def _resume(
        self,
        request: RequestId,
        known: Subscription,
        definition: ConsumerQueueDefinition,
        link: str,
    ) -> None:
        """Hand over the queue of a subscription that exists, if it is for the same filter."""
        core, bound, wanted = self._core, known.request, definition.subscription.value
        if bound.namespace != wanted.namespace or bound.topic_filter != wanted.topic_filter:
            core.refuse(
                request,
                SubscriptionFailedError(
                    f"the identifier is bound to the URI {bound.topic_filter.text!r} of the "
                    f"namespace {bound.namespace.to_text()}; choose another, or let it expire"
                ),
            )
            return
        is_changed = _terms(definition.subscription) != _terms(known.definition.subscription)
        known.redefine(definition)
        known.drained = core.now
        core.subscriptions.link(known, link)
        core.watch_expiry(known)
        if is_changed:
            core.ledger.redefine_queue(known.queue_id, definition)
            self._uplinks.follow(known)
        waiter = SubscriptionWaiter(request, known.queue_id, is_new=False)
        if core.is_disk_failing:  # the queue is there; its new terms follow when they can
            core.reply_done(waiter)
        else:
            core.reply_when_durable(waiter)

    def _make(
        self, queue_id: QueueId, definition: ConsumerQueueDefinition, queue: MessageQueue
    ) -> Subscription:
        core = self._core
        return Subscription(
            queue_id, definition, queue, queue_expiry_s=core.config.queue_expiry_s, now=core.now
        )

    def _fail(self, request: RequestId, reason: str, cause: WaveMQError) -> None:
        self._core.refuse(request, SubscriptionFailedError(reason, cause=cause))

    # --- readers ----------------------------------------------------------------------------

    def attached(self, event: ConsumerAttached) -> None:
        """Let a stream read a queue; an older one of the same queue ends."""
        core, subscription = self._core, self._core.subscriptions.with_queue(event.queue)
        if subscription is None:
            core.order(EndConsumer(event.consumer, UnsubscribedError("the subscription has ended")))
            return
        older = subscription.consumer
        if older is not None:
            core.order(
                EndConsumer(
                    older.consumer,
                    UnsubscribedError("another reader of the same subscription took over"),
                )
            )
            self._take_back(subscription)
        core.subscriptions.attach(subscription, Consumer(event.consumer, max(event.credit, 1)))
        core.ready[subscription.queue_id] = None

    def done(self, events: Iterable[DeliveryConfirmed | DeliveriesAcknowledged]) -> None:
        """Let go of what streams took, and of what readers are done with."""
        core = self._core
        left: list[tuple[QueueId, Entry]] = []
        for event in events:
            subscription = core.subscriptions.with_consumer(event.consumer)
            if subscription is None:
                continue
            if isinstance(event, DeliveryConfirmed):
                entries = subscription.queue.confirm_through(event.place)
            else:
                entries = subscription.queue.confirm_all(event.places)
            if entries:
                queue_id = subscription.queue_id
                left += [(queue_id, entry) for entry in entries]
                subscription.drained = core.now
                core.ready[queue_id] = None
        if left:
            core.ledger.let_go(left)
            core.counts.delivered += len(left)

    def returned(self, event: DeliveriesReturned) -> None:
        """Deliver again later what a reader gave back."""
        core = self._core
        subscription = core.subscriptions.with_consumer(event.consumer)
        if subscription is None:
            return
        due = Instant(core.now + round(event.delay_s * NANOSECONDS_PER_SECOND))
        for place in event.places:
            entry = subscription.queue.return_later(place, due)
            if entry is not None:
                core.ledger.unpin(entry.record)
        self._take_due(subscription)

    def returns_due(self, key: ReturnsDue) -> None:
        """Deliver again what was given back."""
        subscription = self._core.subscriptions.with_queue(key.queue)
        if subscription is not None:
            self._take_due(subscription)

    def _take_due(self, subscription: Subscription) -> None:
        core, queue = self._core, subscription.queue
        dropped = queue.take_due(core.now)
        core.note_dropped(dropped)
        if dropped.entries:
            core.ledger.drop(subscription.queue_id, queue, dropped.entries)
        core.ready[subscription.queue_id] = None
        next_due = queue.next_due()
        if next_due is not None:
            core.timers.set(ReturnsDue(subscription.queue_id), next_due)

    def credit_changed(self, event: CreditChanged) -> None:
        """Let more or fewer messages be in flight to a reader."""
        subscription = self._core.subscriptions.with_consumer(event.consumer)
        if subscription is not None and subscription.consumer is not None:
            subscription.consumer.credit = max(event.credit, 1)
            self._core.ready[subscription.queue_id] = None

    def clock_stepped(self, event: ClockStepped) -> None:
        """Let nobody lose time by a clock that was set."""
        core = self._core
        for subscription in core.subscriptions.all():
            subscription.drained = Instant(subscription.drained + event.by_ns)
            subscription.queue.shift_due(event.by_ns)
            # The timer moved along, but the end of the authority may have come nearer.
            core.timers.cancel(QueueExpiry(subscription.queue_id))
            core.watch_expiry(subscription)

    def detached(self, event: ConsumerDetached) -> None:
        """Take back what a stream did not confirm."""
        core = self._core
        subscription = core.subscriptions.with_consumer(event.consumer)
        if subscription is None:
            return
        if subscription.queue.is_empty:
            subscription.drained = core.now
        self._take_back(subscription)
        core.subscriptions.detach(subscription)
        core.watch_expiry(subscription)

    def serve(self, subscription: Subscription) -> None:
        """Order as many deliveries as the reader's credit allows."""
        core, consumer = self._core, subscription.consumer
        if consumer is None:
            return
        deliveries = next_deliveries(
            core,
            subscription.queue_id,
            subscription.queue,
            credit=consumer.credit,
            is_durable_only=core.config.durability is Durability.JOURNALED,
        )
        if deliveries:
            core.order(Deliver(consumer.consumer, deliveries))

    def _take_back(self, subscription: Subscription) -> None:
        core = self._core
        returned, dropped = subscription.queue.give_back()
        for entry in returned:
            core.ledger.unpin(entry.record)
        core.note_dropped(dropped)
        if dropped.entries:
            core.ledger.drop(subscription.queue_id, subscription.queue, dropped.entries)

    # --- ends -------------------------------------------------------------------------------

    def expiry_due(self, key: QueueExpiry) -> None:
        """End a subscription whose time has come."""
        core, subscription = self._core, self._core.subscriptions.with_queue(key.queue)
        if subscription is None:
            return
        if subscription.deadline() <= core.now:
            error = UnsubscribedError("the subscription has expired")
            self.end(subscription, error, DropCause.EXPIRY)
        else:
            core.watch_expiry(subscription)

    def withdrawn(self, event: SubscriptionWithdrawn) -> None:
        """End a subscription whose proof was revoked."""
        subscription = self._core.subscriptions.with_queue(event.queue)
        if subscription is not None and subscription.request.proof == event.proof:
            self._core.counts.revoked += 1
            self.end(subscription, UnsubscribedError(event.reason), DropCause.REVOKED)

    def reproved(self, event: SubscriptionReproved) -> None:
        """Go on with another proof; its reader notices nothing."""
        core, known = self._core, self._core.subscriptions.with_queue(event.queue)
        if known is None or known.request.proof != event.proof:
            return
        definition = ConsumerQueueDefinition(event.subscription, known.is_local)
        assert key_of(definition) == known.key, "another proof makes no other subscription"
        known.redefine(definition)
        core.watch_expiry(known)
        core.ledger.redefine_queue(known.queue_id, definition)
        self._uplinks.follow(known)

    def end(self, subscription: Subscription, error: WaveMQError, cause: DropCause) -> None:
        """Remove a subscription with its queue and all that is in it."""
        core = self._core
        if subscription.consumer is not None:
            core.order(EndConsumer(subscription.consumer.consumer, error))
        self._uplinks.unfollow(subscription)
        core.subscriptions.remove(subscription)
        core.timers.cancel(QueueExpiry(subscription.queue_id))
        core.timers.cancel(ReturnsDue(subscription.queue_id))
        core.forget_queue(subscription.queue_id)
        core.ready.pop(subscription.queue_id, None)
        core.stalled.pop(subscription.queue_id, None)
        removed_count = core.ledger.remove_queue(subscription.queue_id, subscription.queue)
        core.counts.dropped[cause] += removed_count


def _terms(subscription: Verified[SubscriptionRequest]) -> tuple[object, ...]:
    """Return what a later request for the same subscription may change."""
    request = subscription.value
    return (request.proof, request.expiry_s, request.absolute_expiry, subscription.granted_until)
