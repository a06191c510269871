"""What the parts of a core share: its state, its clock for this call, and its orders.

Owns the single place where all mutable state hangs together. Refuses to decide anything. Fault
model: none; only `Router.handle` sets it in motion, in one thread.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from wavemq.clock import Instant
from wavemq.errors import UnsubscribedError, WaveMQError
from wavemq.routing.config import Durability, RoutingConfig
from wavemq.routing.draft import PublishWaiter, Waiter
from wavemq.routing.effects import AcceptSubscription, Effect, Reply, made_reply
from wavemq.routing.events import RequestId
from wavemq.routing.identities import Repeats, queue_scope
from wavemq.routing.ledger import Ledger
from wavemq.routing.queue import Dropped
from wavemq.routing.records import QueueId, Scope
from wavemq.routing.subscriptions import Subscription, Subscriptions
from wavemq.routing.timers import Timers
from wavemq.wave.hashes import Hash

NO_DESIGNATED_ROUTER: Final = "no configured DR for this namespace"
DISK_FAILS: Final = "the router's disk does not take messages now"


@dataclass(frozen=True, slots=True)
class QueueExpiry:
    """A subscription may have ended."""

    queue: QueueId


@dataclass(frozen=True, slots=True)
class ReturnsDue:
    """Messages that a reader gave back are to be delivered again."""

    queue: QueueId


@dataclass(frozen=True, slots=True)
class UplinkProbe:
    """A message that the designated router could not take is due again."""

    namespace: Hash


@dataclass(frozen=True, slots=True)
class UplinkSubscriptionRetry:
    """A subscription's stream is to be opened again."""

    queue: QueueId


@dataclass(frozen=True, slots=True)
class JournalFlush:
    """Traces of what was delivered are to be written."""


@dataclass(frozen=True, slots=True)
class JournalGather:
    """What is to be written has waited for company long enough."""


@dataclass(frozen=True, slots=True)
class JournalRetry:
    """The disk is to be tried again."""


@dataclass(frozen=True, slots=True)
class ReadRetry:
    """Messages are to be read back again."""


TimerKey = (
    QueueExpiry
    | ReturnsDue
    | UplinkProbe
    | UplinkSubscriptionRetry
    | JournalFlush
    | JournalGather
    | JournalRetry
    | ReadRetry
)


class DropCause(StrEnum):
    """Why a message left a queue without a reader."""

    LENGTH = "length"
    """Too many messages waited."""
    SIZE = "size"
    """They were too many bytes."""
    EXPIRY = "expiry"
    """The subscription expired, or its proof did."""
    REVOKED = "revoked"
    """The authority of the subscription was revoked."""
    ENDED = "ended"
    """The subscription was given up."""
    REFUSED = "refused"
    """The designated router refused it for good."""
    CORRUPT = "corrupt"
    """It could not be read back from disk."""
    UNVERIFIABLE = "unverifiable"
    """It came from a designated router, and could not be checked in time."""


@dataclass(slots=True)
class Counts:
    """Counts that only grow; see `RouterStatistics`."""

    published: int = 0
    enqueued: int = 0
    upstream: int = 0
    downstream: int = 0
    duplicates: int = 0
    peer_errors: int = 0
    persisted: int = 0
    queries: int = 0
    corrupt: int = 0
    withdrawn: int = 0
    revoked: int = 0
    delivered: int = 0
    transmitted: int = 0
    journal_failures: int = 0
    dropped: Counter[DropCause] = field(default_factory=Counter)


@dataclass(slots=True)
class Core:
    """State and orders.

    Attributes:
        config: how to behave.
        ledger: messages, and what the journal does not know yet.
        repeats: what came from peers before.
        subscriptions: who wants what.
        timers: what is due when.
        now: the present, as told in this call.
        effects: orders of this call.
        ready: queues that may have something to send, in the order in which that came about.
        stalled: queues that wait until messages are read back.
        is_disk_failing: whether the last write failed.
        counts: for `statistics`.
    """

    config: RoutingConfig
    ledger: Ledger
    repeats: Repeats
    now: Instant
    subscriptions: Subscriptions = field(default_factory=Subscriptions)
    timers: Timers[TimerKey] = field(default_factory=Timers)
    effects: list[Effect] = field(default_factory=list)
    ready: dict[QueueId, None] = field(default_factory=dict)
    stalled: dict[QueueId, None] = field(default_factory=dict)
    is_disk_failing: bool = False
    counts: Counts = field(default_factory=Counts)

    def order(self, effect: Effect) -> None:
        """Order something."""
        self.effects.append(effect)

    def reply_when_durable(self, waiter: Waiter) -> None:
        """Answer a request as soon as all changes so far are on disk.

        A publish is answered at once where no more than acceptance is promised.
        """
        is_promise_small = self.config.durability is Durability.ACCEPTED
        is_early = is_promise_small and isinstance(waiter, PublishWaiter)
        if is_early or not self.ledger.wait(waiter):
            self.reply_done(waiter)

    def reply_done(self, waiter: Waiter) -> None:
        """Answer a request: done."""
        if isinstance(waiter, PublishWaiter):
            self.order(made_reply(waiter.request, None))
        elif self.subscriptions.with_queue(waiter.queue) is not None:
            self.order(AcceptSubscription(waiter.request, waiter.queue))
        else:
            self.refuse(waiter.request, UnsubscribedError("the subscription has ended"))

    def refuse(self, request: RequestId, error: WaveMQError) -> None:
        """Answer a request: not done."""
        self.order(Reply(request, error))

    def note_dropped(self, dropped: Dropped) -> None:
        """Count what limits dropped."""
        if dropped.by_length:
            self.counts.dropped[DropCause.LENGTH] += len(dropped.by_length)
        if dropped.by_size:
            self.counts.dropped[DropCause.SIZE] += len(dropped.by_size)

    def remember(self, scope: Scope, identity: int) -> None:
        """Recognise a message when it comes again."""
        for forgotten in self.repeats.note(scope, identity):
            self.ledger.forget_scope(forgotten)
        self.ledger.recognise(scope, identity)

    def forget(self, scope: Scope, identity: int) -> None:
        """Take a message again if it is repeated: its publisher was told that it failed."""
        self.repeats.forget(scope, identity)
        self.ledger.forget_identity(scope, identity)

    def forget_queue(self, queue: QueueId) -> None:
        """Recognise nothing any more of what was sent for a subscription that has ended."""
        scope = queue_scope(queue)
        if self.repeats.forget_scope(scope):
            self.ledger.forget_scope(scope)

    def watch_expiry(self, subscription: Subscription) -> None:
        """Make sure that a subscription is looked at when it may end, and not much later."""
        key = QueueExpiry(subscription.queue_id)
        known = self.timers.instant_of(key)
        deadline = subscription.deadline()
        # A deadline that moved away is found when the old one comes: cheaper than at each message.
        if known is None or deadline < known:
            self.timers.set(key, deadline)
