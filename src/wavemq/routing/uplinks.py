"""Toward designated routers: what goes up, and which subscriptions are kept open there.

Owns the state of each uplink, the window of frames in flight, and when something is tried again.
Refuses to know connections. Fault model: a link can break at any moment, and what was not answered
is then sent again; a designated router can refuse a frame for good, which drops it, or for now,
which holds the uplink up for a bounded time; it can end a stream at any time. Delays double up to a
bound, and are spread without randomness, by the ids of what is tried again.
"""

from __future__ import annotations

import zlib
from collections import deque
from typing import Final

from wavemq.clock import NANOSECONDS_PER_SECOND, Instant
from wavemq.errors import QueueError, RemoteProtocolError, UnavailableError
from wavemq.routing.core import Core, DropCause, UplinkPause, UplinkSubscriptionRetry
from wavemq.routing.effects import (
    CloseUplinkSubscription,
    Delivery,
    OpenUplinkSubscription,
    Transmit,
)
from wavemq.routing.events import (
    FrameAccepted,
    FrameRefused,
    UplinkConnected,
    UplinkDisconnected,
    UplinkSubscriptionEnded,
    UplinkSubscriptionOpened,
)
from wavemq.routing.queue import MessageQueue
from wavemq.routing.reader import next_deliveries
from wavemq.routing.records import Place, QueueId, UplinkQueueDefinition
from wavemq.routing.snapshot import StoredQueue
from wavemq.routing.status import UplinkStatus
from wavemq.routing.subscriptions import Subscription
from wavemq.wave.hashes import Hash

RETRY_SECONDS_MIN: Final = 0.5
RETRY_SECONDS_MAX: Final = 30.0
UNSETTLED_MAX: Final = 2048
"""Messages that the designated router has taken while our disk does not know it yet. It recognises
twice as many when they come again."""
OPENING_MAX: Final = 64
"""Subscriptions that are being opened at a time: a site with thousands does not flood its link."""
FRAME_ATTEMPTS_MAX: Final = 16
"""How often a frame is sent that the designated router cannot judge now; about six minutes."""


class Uplink:
    """The way to the designated router of one namespace.

    Args:
        namespace: whose.
        queue_id: of its queue.
        queue: messages formed here that the designated router has not taken yet.
    """

    __slots__ = (
        "attempts",
        "due_again",
        "failures",
        "is_connected",
        "is_paused",
        "namespace",
        "opening",
        "queue",
        "queue_id",
        "to_open",
    )

    def __init__(self, namespace: Hash, queue_id: QueueId, queue: MessageQueue) -> None:
        self.namespace = namespace
        self.queue_id = queue_id
        self.queue = queue
        self.is_connected = False
        self.is_paused = False
        self.failures = 0
        self.to_open: deque[Subscription] = deque()
        self.opening: dict[QueueId, None] = {}
        # Frames in flight that were refused for now, and how often.
        self.attempts: dict[Place, int] = {}
        self.due_again: dict[Place, None] = {}


class Uplinks:
    """All uplinks, by namespace and by queue.

    Args:
        core: shared state.
        stored: queues of uplinks found on disk.
    """

    def __init__(self, core: Core, stored: list[tuple[UplinkQueueDefinition, StoredQueue]]) -> None:
        self._core = core
        self._by_namespace: dict[Hash, Uplink] = {}
        self._by_queue: dict[QueueId, Uplink] = {}
        self._left_over: list[MessageQueue] = []
        limits = core.config.uplink_queue
        for definition, one in stored:
            queue = MessageQueue(limits, one.entries, one.dropped_count)
            if definition.namespace in core.config.uplinks:
                self._add(Uplink(definition.namespace, one.queue, queue))
            else:
                # No longer configured: what it holds was promised, so it stays on disk.
                self._left_over.append(queue)
        for namespace in sorted(core.config.uplinks - self._by_namespace.keys()):
            queue_id = core.ledger.create_queue(UplinkQueueDefinition(namespace))
            self._add(Uplink(namespace, queue_id, MessageQueue(limits)))

    def _add(self, uplink: Uplink) -> None:
        self._by_namespace[uplink.namespace] = uplink
        self._by_queue[uplink.queue_id] = uplink

    def with_namespace(self, namespace: Hash) -> Uplink | None:
        """Return the uplink of a namespace."""
        return self._by_namespace.get(namespace)

    def with_queue(self, queue: QueueId) -> Uplink | None:
        """Return the uplink with a queue."""
        return self._by_queue.get(queue)

    def queues(self) -> list[MessageQueue]:
        """Return all queues, those of uplinks that are no longer configured too."""
        return [*(one.queue for one in self._by_queue.values()), *self._left_over]

    def status(self) -> list[UplinkStatus]:
        """Return a picture of each uplink."""
        return [
            UplinkStatus(
                namespace=one.namespace,
                is_connected=one.is_connected,
                waiting_messages=one.queue.waiting_count,
                waiting_bytes=one.queue.size_bytes - one.queue.in_flight_bytes,
                in_flight_messages=one.queue.in_flight_count,
                in_flight_bytes=one.queue.in_flight_bytes,
                dropped_count=one.queue.dropped_count,
            )
            for one in self._by_namespace.values()
        ]

    @property
    def count(self) -> int:
        """Uplinks configured."""
        return len(self._by_namespace)

    @property
    def connected_count(self) -> int:
        """Uplinks that are up."""
        return sum(one.is_connected for one in self._by_namespace.values())

    # --- links ------------------------------------------------------------------------------

    def connected(self, event: UplinkConnected) -> None:
        """Send what waits, and open the streams of subscriptions."""
        uplink = self._by_namespace.get(event.namespace)
        if uplink is None:
            return
        if uplink.is_connected:  # a new link took over before the old one was missed
            self._lose(uplink)
        uplink.is_connected = True
        self._core.ready[uplink.queue_id] = None
        for subscription in self._subscriptions_of(uplink.namespace):
            subscription.open_attempts = 0
            uplink.to_open.append(subscription)
        self._open_more(uplink)

    def wake(self) -> None:
        """Go on where the disk was waited for."""
        for uplink in self._by_queue.values():
            self._core.ready[uplink.queue_id] = None

    def disconnected(self, event: UplinkDisconnected) -> None:
        """Take back what was not answered."""
        uplink = self._by_namespace.get(event.namespace)
        if uplink is not None and uplink.is_connected:
            self._lose(uplink)

    def _lose(self, uplink: Uplink) -> None:
        core = self._core
        uplink.is_connected = uplink.is_paused = False
        uplink.failures = 0
        uplink.attempts.clear()
        uplink.due_again.clear()
        uplink.to_open.clear()
        uplink.opening.clear()
        core.timers.cancel(UplinkPause(uplink.namespace))
        returned, dropped = uplink.queue.give_back()
        for entry in returned:
            core.ledger.unpin(entry.record)
        core.note_dropped(dropped)
        if dropped.entries:
            core.ledger.drop(uplink.queue_id, uplink.queue, dropped.entries)
        for subscription in self._subscriptions_of(uplink.namespace):
            subscription.is_open_upstream = False
            core.timers.cancel(UplinkSubscriptionRetry(subscription.queue_id))

    # --- frames -----------------------------------------------------------------------------

    def send(self, uplink: Uplink) -> None:
        """Order as many frames as the window allows."""
        core = self._core
        if not uplink.is_connected or uplink.is_paused:
            return
        if core.ledger.unsettled_removals >= UNSETTLED_MAX:
            return  # until the next write is done: after a crash now all of them would go again
        frames = next_deliveries(
            core,
            uplink.queue_id,
            uplink.queue,
            credit=core.config.uplink_window,
            is_durable_only=False,
        )
        if frames:
            core.order(Transmit(uplink.namespace, frames))

    def frame_accepted(self, event: FrameAccepted) -> None:
        """Let go of a message that the designated router has taken."""
        uplink = self._by_namespace.get(event.namespace)
        if uplink is None or not self._leave(uplink, event.place):
            return
        self._core.counts.transmitted += 1
        uplink.failures = 0

    def frame_refused(self, event: FrameRefused) -> None:
        """Drop a message, or try it again later."""
        core = self._core
        uplink = self._by_namespace.get(event.namespace)
        if uplink is None or not uplink.queue.is_in_flight(event.place):
            return
        core.counts.peer_errors += 1
        attempts = uplink.attempts.get(event.place, 0) + 1
        may_help = isinstance(event.error, UnavailableError | RemoteProtocolError)
        # A full disk there says nothing about this message, and takes as long as it takes.
        is_limited = not isinstance(event.error, QueueError)
        if not may_help or (is_limited and attempts >= FRAME_ATTEMPTS_MAX):
            uplink.queue.dropped_count += 1
            self._leave(uplink, event.place)
            core.ledger.note_dropped(uplink.queue_id, uplink.queue)
            core.counts.dropped[DropCause.REFUSED] += 1
            return
        uplink.attempts[event.place] = attempts
        uplink.due_again[event.place] = None
        if not uplink.is_paused:
            uplink.is_paused = True
            uplink.failures += 1
            delay = _delay(uplink.failures, f"{core.config.router_id} {uplink.queue_id}")
            core.timers.set(UplinkPause(uplink.namespace), Instant(core.now + delay))

    def pause_ended(self, key: UplinkPause) -> None:
        """Send again what was refused for now, before what waits."""
        core, uplink = self._core, self._by_namespace[key.namespace]
        uplink.is_paused = False
        frames: list[Delivery] = []
        for place in sorted(uplink.due_again):
            message = core.ledger.message(place)
            assert message is not None, "what is in flight is in memory"
            frames.append(Delivery(place, message.value.dequeued(uplink.queue.dropped_count)))
        uplink.due_again.clear()
        if frames:
            core.order(Transmit(uplink.namespace, frames))
        core.ready[uplink.queue_id] = None

    def _leave(self, uplink: Uplink, place: Place) -> bool:
        """Remove a message in flight; return whether there was one."""
        core = self._core
        entry = uplink.queue.confirm(place)
        if entry is None:
            return False
        core.ledger.unpin(entry.record)
        core.ledger.release(uplink.queue_id, (entry,))
        uplink.attempts.pop(place, None)
        uplink.due_again.pop(place, None)
        core.ready[uplink.queue_id] = None
        return True

    # --- subscriptions ----------------------------------------------------------------------

    def follow(self, subscription: Subscription) -> None:
        """Open the stream of a subscription that was made or has changed."""
        uplink = self._by_namespace.get(subscription.request.namespace)
        if subscription.is_local and uplink is not None and uplink.is_connected:
            self._open(uplink, subscription)

    def unfollow(self, subscription: Subscription) -> None:
        """Close the stream of a subscription that has ended."""
        self._core.timers.cancel(UplinkSubscriptionRetry(subscription.queue_id))
        uplink = self._by_namespace.get(subscription.request.namespace)
        if subscription.is_local and uplink is not None and uplink.is_connected:
            # Also where no stream is open now: the designated router may still have its queue.
            self._core.order(CloseUplinkSubscription(subscription.queue_id, subscription.request))
            self._note_opened(uplink, subscription.queue_id)
        subscription.is_open_upstream = False

    def subscription_opened(self, event: UplinkSubscriptionOpened) -> None:
        """Let another stream be opened."""
        subscription = self._core.subscriptions.with_queue(event.queue)
        if subscription is not None:
            uplink = self._by_namespace.get(subscription.request.namespace)
            if uplink is not None and uplink.is_connected:
                self._note_opened(uplink, event.queue)

    def _note_opened(self, uplink: Uplink, queue: QueueId) -> None:
        uplink.opening.pop(queue, None)
        self._open_more(uplink)

    def _open_more(self, uplink: Uplink) -> None:
        """Open the streams that wait for their turn, as far as may be under way at a time."""
        while uplink.to_open and len(uplink.opening) < OPENING_MAX:
            subscription = uplink.to_open.popleft()
            is_there = self._core.subscriptions.with_queue(subscription.queue_id) is subscription
            if is_there and not subscription.is_open_upstream:
                self._open(uplink, subscription)

    def subscription_ended(self, event: UplinkSubscriptionEnded) -> None:
        """Open a stream again, later and later."""
        core, subscription = self._core, self._core.subscriptions.with_queue(event.queue)
        if subscription is None or not subscription.is_open_upstream:
            return
        if event.error is not None:
            core.counts.peer_errors += 1
        subscription.is_open_upstream = False
        uplink = self._by_namespace.get(subscription.request.namespace)
        if uplink is not None:
            self._note_opened(uplink, event.queue)
        subscription.open_attempts += 1
        delay = _delay(
            subscription.open_attempts, f"{core.config.router_id} {subscription.queue_id}"
        )
        core.timers.set(UplinkSubscriptionRetry(event.queue), Instant(core.now + delay))

    def retry_due(self, key: UplinkSubscriptionRetry) -> None:
        """Open a stream again."""
        subscription = self._core.subscriptions.with_queue(key.queue)
        if subscription is not None:
            self.follow(subscription)

    def _open(self, uplink: Uplink, subscription: Subscription) -> None:
        core = self._core
        uplink.opening[subscription.queue_id] = None
        core.timers.cancel(UplinkSubscriptionRetry(subscription.queue_id))
        subscription.is_open_upstream = True
        core.order(OpenUplinkSubscription(subscription.queue_id, subscription.request))

    def _subscriptions_of(self, namespace: Hash) -> list[Subscription]:
        return [
            one
            for one in self._core.subscriptions.all()
            if one.is_local and one.request.namespace == namespace
        ]


def _delay(attempt: int, name: str) -> int:
    """Return nanoseconds to wait before an attempt: doubling, and spread over half of that."""
    exponent = min(attempt - 1, 16)
    longest_s = min(RETRY_SECONDS_MIN * float(2**exponent), RETRY_SECONDS_MAX)
    share = zlib.crc32(f"{name} {attempt}".encode()) / 0xFFFF_FFFF
    return round(longest_s * (0.5 + 0.5 * share) * NANOSECONDS_PER_SECOND)
