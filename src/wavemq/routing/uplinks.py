"""Toward designated routers: what goes up, and which subscriptions are kept open there.

Owns the state of each uplink, and when something is tried again. Refuses to know connections. Fault
model: a link can break at any moment, and what was not answered is then sent again; a designated
router can refuse a frame for good, which drops it, or for now, which holds up what follows on its
topic and nothing else; it can end a stream at any time. Delays double up to a bound, and are spread
without randomness, by the ids of what is tried again.

What is held up is probed with its oldest message, alone: what came behind that one in flight was
refused with it, or else it would have been overtaken.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Final

from wavemq.clock import Instant
from wavemq.errors import QueueError, is_verdict
from wavemq.routing.config import Durability
from wavemq.routing.core import Core, DropCause, UplinkProbe, UplinkSubscriptionRetry
from wavemq.routing.effects import (
    CloseUplinkSubscription,
    Delivery,
    OpenUplinkSubscription,
    Transmit,
    made_delivery,
)
from wavemq.routing.events import (
    BatchId,
    FrameAccepted,
    FrameRefused,
    UplinkConnected,
    UplinkDisconnected,
    UplinkSubscriptionEnded,
    UplinkSubscriptionOpened,
)
from wavemq.routing.ledger import READ_COUNT_MAX
from wavemq.routing.records import Entry, LaneKey, Place, QueueId, UplinkQueueDefinition
from wavemq.routing.retries import retry_delay_ns
from wavemq.routing.snapshot import StoredQueue
from wavemq.routing.status import UplinkStatus
from wavemq.routing.subscriptions import Subscription
from wavemq.routing.uplink_queue import HeldUp, Lane, UplinkQueue
from wavemq.routing.window import Window
from wavemq.wave.hashes import Hash

UNSETTLED_MAX: Final = 2048
"""Messages that the designated router has taken while our disk does not know it yet. It recognises
twice as many when they come again."""
OPENING_MAX: Final = 64
"""Subscriptions that are being opened at a time: a site with thousands does not flood its link."""
PROBES_MAX: Final = 8
"""Keys that are probed at a time."""
HELD_UP_MAX: Final = 64
"""Keys that are held up while others are still sent: with more, it is not about them."""
FRAME_ATTEMPTS_MAX: Final = 16
"""How often a frame is sent that the designated router cannot judge now; about six minutes."""


class Uplink:
    """The way to the designated router of one namespace.

    Args:
        namespace: whose.
        queue_id: of its queue.
        queue: messages formed here that the designated router has not taken yet.
        window: how much of it may be under way.
    """

    __slots__ = (
        "is_connected",
        "namespace",
        "opening",
        "queue",
        "queue_id",
        "to_open",
        "unsettled_drops",
        "window",
    )

    def __init__(
        self, namespace: Hash, queue_id: QueueId, queue: UplinkQueue, window: Window
    ) -> None:
        self.namespace = namespace
        self.queue_id = queue_id
        self.queue = queue
        self.window = window
        self.is_connected = False
        # By key, the write that will hold that its messages were dropped.
        self.unsettled_drops: dict[LaneKey, BatchId] = {}
        self.to_open: deque[Subscription] = deque()
        self.opening: dict[QueueId, None] = {}


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
        self._left_over: list[UplinkQueue] = []
        limits = core.config.uplink_queue
        for definition, one in stored:
            queue = UplinkQueue(limits, one.entries, one.dropped_count)
            if definition.namespace in core.config.uplinks:
                self._add(definition.namespace, one.queue, queue)
            else:
                # No longer configured: what it holds was promised, so it stays on disk.
                self._left_over.append(queue)
        for namespace in sorted(core.config.uplinks - self._by_namespace.keys()):
            queue_id = core.ledger.create_queue(UplinkQueueDefinition(namespace))
            self._add(namespace, queue_id, UplinkQueue(limits))

    def _add(self, namespace: Hash, queue_id: QueueId, queue: UplinkQueue) -> None:
        window = Window(self._core.config.window_bytes_max)
        uplink = Uplink(namespace, queue_id, queue, window)
        self._by_namespace[namespace] = uplink
        self._by_queue[queue_id] = uplink

    def with_namespace(self, namespace: Hash) -> Uplink | None:
        """Return the uplink of a namespace."""
        return self._by_namespace.get(namespace)

    def with_queue(self, queue: QueueId) -> Uplink | None:
        """Return the uplink with a queue."""
        return self._by_queue.get(queue)

    def queues(self) -> list[UplinkQueue]:
        """Return all queues, those of uplinks that are no longer configured too."""
        return [*(one.queue for one in self._by_queue.values()), *self._left_over]

    def status(self) -> list[UplinkStatus]:
        """Return a picture of each uplink."""
        return [
            UplinkStatus(
                namespace=one.namespace,
                is_connected=one.is_connected,
                waiting_messages=one.queue.waiting_count,
                waiting_bytes=one.queue.waiting_bytes,
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
        uplink.is_connected = uplink.queue.is_open = True
        self._core.ready[uplink.queue_id] = None
        for subscription in self._subscriptions_of(uplink.namespace):
            subscription.open_attempts = 0
            uplink.to_open.append(subscription)
        self._open_more(uplink)

    def wake(self) -> None:
        """Go on where the disk was waited for."""
        for uplink in self._by_queue.values():
            self._core.ready[uplink.queue_id] = None
            drops, ledger = uplink.unsettled_drops, self._core.ledger
            for key in [key for key, batch in drops.items() if ledger.is_written(batch)]:
                del drops[key]

    def disconnected(self, event: UplinkDisconnected) -> None:
        """Take back what was not answered."""
        uplink = self._by_namespace.get(event.namespace)
        if uplink is not None and uplink.is_connected:
            self._lose(uplink)

    def _lose(self, uplink: Uplink) -> None:
        core = self._core
        uplink.is_connected = False
        uplink.window = Window(core.config.window_bytes_max)
        uplink.to_open.clear()
        uplink.opening.clear()
        core.timers.cancel(UplinkProbe(uplink.namespace))
        returned, dropped = uplink.queue.give_back()
        for entry in returned:
            core.ledger.unpin(entry.record)
        core.note_dropped(dropped)
        if dropped.entries:
            core.ledger.drop(uplink.queue_id, uplink.queue, dropped.entries)
            self.note_dropped(uplink, dropped.entries)
        for subscription in self._subscriptions_of(uplink.namespace):
            subscription.is_open_upstream = False
            core.timers.cancel(UplinkSubscriptionRetry(subscription.queue_id))

    # --- drops ------------------------------------------------------------------------------

    def note_dropped(self, uplink: Uplink, entries: Iterable[Entry]) -> None:
        """Have what follows a dropped message on its topic wait until the drop is on disk.

        After a crash it would be back, and arrive behind those that were sent meanwhile.
        """
        for entry in entries:
            uplink.unsettled_drops[entry.lane] = self._core.ledger.next_batch

    def _may_go(self, uplink: Uplink, key: LaneKey) -> bool:
        """Return whether nothing that was dropped of a key can come back.

        Where no more than acceptance is promised, a disk that fails holds up nothing.
        """
        is_settled = key not in uplink.unsettled_drops
        return is_settled or self._core.config.durability is Durability.ACCEPTED

    # --- frames -----------------------------------------------------------------------------

    def send(self, uplink: Uplink) -> None:
        """Order as many frames as the window allows."""
        if not uplink.is_connected:
            return
        frames = self._probes(uplink)
        while (delivery := self._next_frame(uplink)) is not None:
            frames.append(delivery)
        if frames:
            self._core.order(Transmit(uplink.namespace, frames))

    def _next_frame(self, uplink: Uplink) -> Delivery | None:
        """Put the next message in flight, unless nothing more may be now."""
        core, queue = self._core, uplink.queue
        if (
            core.ledger.unsettled_removals >= UNSETTLED_MAX  # they would all go again after a crash
            or queue.in_flight_count >= core.config.uplink_window
            or len(queue.held_up) > HELD_UP_MAX
        ):
            return None
        for lane in queue.lanes():
            while (entry := queue.head(lane)) is not None:
                if not (self._has_room(uplink, entry) and self._may_go(uplink, entry.lane)):
                    return None
                if core.ledger.message(entry.record) is not None:
                    self._read_ahead(uplink, lane)
                    return self._put_in_flight(uplink, queue.take(lane))
                if not core.ledger.is_corrupt(entry.record):
                    self._want(uplink, queue.ahead(lane, READ_COUNT_MAX))
                    break  # the other lane need not wait for that
                self._drop_corrupt(uplink, queue.skip(lane))
        return None

    def _has_room(self, uplink: Uplink, entry: Entry) -> bool:
        """Return whether the window takes a message; an empty one takes any."""
        under_way = uplink.queue.in_flight_bytes
        return not under_way or under_way + entry.size_bytes <= uplink.window.size_bytes

    def _read_ahead(self, uplink: Uplink, lane: Lane) -> None:
        """Ask for messages before their turn comes, so that it need not wait for the disk."""
        entry = uplink.queue.at(lane, READ_COUNT_MAX)
        if entry is not None and not self._core.ledger.is_held(entry.record):
            self._want(uplink, uplink.queue.ahead(lane, 2 * READ_COUNT_MAX))

    def _want(self, uplink: Uplink, entries: Sequence[Entry]) -> None:
        self._core.ledger.want(entries)
        self._core.stalled[uplink.queue_id] = None

    def _put_in_flight(self, uplink: Uplink, entry: Entry) -> Delivery:
        core = self._core
        message = core.ledger.message(entry.record)
        assert message is not None, "its caller looked"
        core.ledger.pin(entry.record)
        uplink.window.note_sent(entry.record, core.now)
        return made_delivery(entry.record, message.value.dequeued(uplink.queue.dropped_count))

    def _drop_corrupt(self, uplink: Uplink, entry: Entry) -> None:
        core = self._core
        core.ledger.drop(uplink.queue_id, uplink.queue, (entry,))
        core.counts.dropped[DropCause.CORRUPT] += 1
        core.counts.corrupt += 1

    def frames_accepted(self, events: Iterable[FrameAccepted]) -> None:
        """Let go of messages that designated routers have taken."""
        for namespace, accepted in groupby(events, key=lambda event: event.namespace):
            uplink = self._by_namespace.get(namespace)
            if uplink is not None:
                self._accepted(uplink, [event.place for event in accepted])

    def _accepted(self, uplink: Uplink, places: Sequence[Place]) -> None:
        core, queue = self._core, uplink.queue
        left: list[Entry] = []
        for place in places:
            under_way_bytes = queue.in_flight_bytes
            entry = queue.confirm(place)
            if entry is None:
                continue
            left.append(entry)
            uplink.window.note_answered(place, entry.size_bytes, under_way_bytes, core.now)
            if entry.lane in queue.held_up:
                self._go_on(uplink, entry.lane)
        core.counts.transmitted += len(left)
        if left:
            core.ledger.let_go([(uplink.queue_id, entry) for entry in left])
            core.ready[uplink.queue_id] = None

    def frame_refused(self, event: FrameRefused) -> None:
        """Drop a message, or hold it up and what follows it."""
        core = self._core
        uplink = self._by_namespace.get(event.namespace)
        if uplink is None or not uplink.queue.is_in_flight(event.place):
            return
        core.counts.peer_errors += 1
        uplink.window.note_refused(event.place)
        if not is_verdict(event.error):
            entry, held_up = uplink.queue.hold_up(event.place)
            core.ledger.unpin(entry.record)
            if held_up.waiting.head() == entry:  # the others were refused because of it
                # A full disk there says nothing about a message, and takes as long as it takes.
                held_up.is_by_disk = isinstance(event.error, QueueError)
                self._oldest_refused(uplink, entry, held_up)
        else:
            left = uplink.queue.confirm(event.place)
            assert left is not None, "it was looked for above"
            core.ledger.let_go([(uplink.queue_id, left)])
            uplink.queue.dropped_count += 1
            core.ledger.note_dropped(uplink.queue_id, uplink.queue)
            core.counts.dropped[DropCause.REFUSED] += 1
            if left.lane in uplink.queue.held_up:
                self._go_on(uplink, left.lane)
        core.ready[uplink.queue_id] = None

    def _oldest_refused(self, uplink: Uplink, entry: Entry, held_up: HeldUp) -> None:
        """Set when the oldest of a key is to be sent again; drop it if it was too often."""
        core = self._core
        held_up.attempts += 1
        delay = retry_delay_ns(held_up.attempts, f"{core.config.router_id} {entry.lane}")
        held_up.due = Instant(core.now + delay)
        if held_up.attempts >= FRAME_ATTEMPTS_MAX and not held_up.is_by_disk:
            held_up.attempts = 0
            dropped = uplink.queue.skip_probe(entry.lane)
            core.ledger.drop(uplink.queue_id, uplink.queue, (dropped,))
            self.note_dropped(uplink, (dropped,))
            core.counts.dropped[DropCause.REFUSED] += 1
        self._arm_probe(uplink)

    def _go_on(self, uplink: Uplink, key: LaneKey) -> None:
        """Let a key go on of which the designated router has judged a message."""
        held_up = uplink.queue.held_up[key]
        if held_up.due is not None:
            return  # it was sent before the one that was refused
        uplink.queue.release(key)
        if held_up.is_by_disk:  # it can write again: the others need not wait for their turns
            for other in uplink.queue.held_up.values():
                if other.is_by_disk and other.due is not None:
                    other.due = self._core.now
        self._arm_probe(uplink)

    def _probes(self, uplink: Uplink) -> list[Delivery]:
        """Put the oldest message of each key that is due in flight."""
        core, queue = self._core, uplink.queue
        probes: list[Delivery] = []
        if not queue.held_up:
            return probes
        probing = sum(one.due is None for one in queue.held_up.values())
        for key, held_up in list(queue.held_up.items()):
            if held_up.due is None or held_up.due > core.now or held_up.unanswered:
                continue
            if probing >= PROBES_MAX:
                break
            head = held_up.waiting.head()
            if head is None:
                queue.release(key)
            elif not self._may_go(uplink, key):
                continue  # the next write wakes it
            elif core.ledger.message(head.record) is not None:
                probes.append(self._put_in_flight(uplink, queue.take_probe(key)))
                probing += 1
            elif core.ledger.is_corrupt(head.record):
                self._drop_corrupt(uplink, queue.skip_probe(key))
                core.ready[uplink.queue_id] = None
            else:
                self._want(uplink, [head])
        self._arm_probe(uplink)
        return probes

    def _arm_probe(self, uplink: Uplink) -> None:
        """See that the next key is probed in time."""
        held_up = uplink.queue.held_up.values()
        # Those that are due already wait for answers, not for time.
        dues = [one.due for one in held_up if one.due is not None and one.due > self._core.now]
        key = UplinkProbe(uplink.namespace)
        if dues:
            self._core.timers.set(key, min(dues))
        else:
            self._core.timers.cancel(key)

    def probe_due(self, key: UplinkProbe) -> None:
        """Probe what is due."""
        self._core.ready[self._by_namespace[key.namespace].queue_id] = None

    def clock_stepped(self, by_ns: int) -> None:
        """Move what is due after a while."""
        for uplink in self._by_queue.values():
            uplink.window.shift(by_ns)
            for held_up in uplink.queue.held_up.values():
                if held_up.due is not None:
                    held_up.due = Instant(held_up.due + by_ns)

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
        delay = retry_delay_ns(
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
