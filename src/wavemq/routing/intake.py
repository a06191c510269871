"""Messages and queries on their way in.

Owns which queues a message goes to (wavemq.md 8), what is retained, and who answers a query
(wavemq.md 10). Refuses to know readers and the order of writes. Fault model: clients and peers may
send anything that they are allowed to, as often as they like: a site repeats what was not answered
when its link broke, and a peer that was told to keep out may not: it is answered, not believed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from wavemq.clock import NANOSECONDS_PER_SECOND, Instant
from wavemq.errors import (
    DesignatedRouterLinkDownError,
    InvalidParameterError,
    QueueError,
)
from wavemq.messages.message import Message
from wavemq.messages.topic import Topic
from wavemq.messages.verified import Verified, with_arrival
from wavemq.routing.core import DISK_FAILS, NO_DESIGNATED_ROUTER, Core, DropCause
from wavemq.routing.draft import PublishWaiter, made_publish_waiter
from wavemq.routing.effects import ForwardQuery, ReadRetained
from wavemq.routing.events import (
    DownlinkReceived,
    DownlinkUnverifiable,
    MessagePublished,
    PeerMessagePublished,
    PeerQueryRequested,
    QueryRequested,
    RequestId,
)
from wavemq.routing.identities import (
    lane_key,
    message_identity,
    origin_scope,
    queue_scope,
)
from wavemq.routing.queue import NOTHING_DROPPED
from wavemq.routing.records import DownlinkPosition, Entry, LaneKey, QueueId, Scope
from wavemq.routing.subscriptions import Subscription
from wavemq.routing.uplinks import Uplink, Uplinks
from wavemq.wave.hashes import Hash

STEP_SECONDS_MAX: Final = 1.0
"""How far timestamps may run ahead of the clock to stay apart; beyond, the clock was set."""
_AHEAD_MAX: Final = round(STEP_SECONDS_MAX * NANOSECONDS_PER_SECOND)


@dataclass(frozen=True, slots=True)
class _Way:
    """Where messages of one namespace, topic and origin go.

    Attributes:
        namespace: of the messages.
        topic: of the messages.
        origin_router: that formed them.
        is_designated: whether this router is the designated one of the namespace.
        upward: the uplink that they go to as well.
        queues: that they go to.
        lane: in which they stay in order.
        entries: the messages so far, of each queue.
    """

    namespace: Hash
    topic: Topic
    origin_router: str
    is_designated: bool
    upward: Uplink | None
    queues: tuple[QueueId, ...]
    lane: LaneKey
    entries: Sequence[list[Entry]]


class _Ways:
    """Where the messages of one call of the core go, gathered for each queue.

    Nothing but their intake may happen between the first and the last of them.

    Attributes:
        readers: subscriptions, with the messages for their queues.
        upward: uplinks, as well.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._ways: dict[tuple[Hash, Topic, str], _Way] = {}
        self._latest: _Way | None = None
        self.readers: dict[QueueId, tuple[Subscription, list[Entry]]] = {}
        self.upward: dict[QueueId, tuple[Uplink, list[Entry]]] = {}

    def of(self, message: Message) -> _Way | None:
        """Return where a message goes, if another went the same way before."""
        latest = self._latest
        if (
            latest is not None  # whoever publishes much has the same objects for all of it
            and latest.topic is message.topic
            and latest.namespace is message.namespace
            and latest.origin_router is message.origin_router
        ):
            return latest
        found = self._ways.get((message.namespace, message.topic, message.origin_router))
        if found is not None:
            self._latest = found
        return found

    def add(self, message: Message, upward: Uplink | None) -> _Way:
        """Return where a message goes: to the subscriptions that match, and maybe up."""
        core = self._core
        readers = [
            one
            for one in core.subscriptions.matching(message.namespace, message.topic)
            if one.is_local or one.request.router_id != message.origin_router
        ]
        entries = [self.readers.setdefault(one.queue_id, (one, []))[1] for one in readers]
        queues = tuple([one.queue_id for one in readers])
        if upward is not None:
            entries.append(self.upward.setdefault(upward.queue_id, (upward, []))[1])
            queues = (*queues, upward.queue_id)
        way = self._latest = self._ways[message.namespace, message.topic, message.origin_router] = (
            _Way(
                message.namespace,
                message.topic,
                message.origin_router,
                message.namespace in core.config.designated,
                upward,
                queues,
                lane_key(message.origin_router, message.topic.text),
                entries,
            )
        )
        return way


class Intake:
    """Routes what comes in.

    Args:
        core: shared state.
        uplinks: where messages formed here go too.
    """

    def __init__(self, core: Core, uplinks: Uplinks) -> None:
        self._core = core
        self._uplinks = uplinks
        self._stamped = Instant(0)

    # --- messages ---------------------------------------------------------------------------

    def published(self, events: Sequence[MessagePublished]) -> None:
        """Route messages formed here: to subscriptions, and up."""
        core = self._core
        ways = _Ways(core)
        for event in events:
            if core.is_disk_failing:
                core.refuse(event.request, QueueError(DISK_FAILS))
                continue
            value = event.message.value
            way = ways.of(value) or ways.add(value, self._uplinks.with_namespace(value.namespace))
            if way.upward is None and not way.is_designated:
                core.refuse(event.request, InvalidParameterError(NO_DESIGNATED_ROUTER))
                continue
            core.counts.published += 1
            self._route(event.request, event.message, way, None)
        self._append(ways)

    def peer_published(self, events: Sequence[PeerMessagePublished]) -> None:
        """Route messages of a site: to subscriptions, but not up."""
        core = self._core
        ways = _Ways(core)
        for event in events:
            message = event.message.value
            way = ways.of(message) or ways.add(message, None)
            if not way.is_designated:
                core.refuse(
                    event.request,
                    InvalidParameterError("this router is not designated for the namespace"),
                )
                continue
            if core.is_disk_failing:
                core.refuse(event.request, QueueError(DISK_FAILS))
                continue
            identity = message_identity(message)
            seen = None if identity is None else (origin_scope(message.origin_router), identity)
            if seen is not None and core.repeats.knows(*seen):
                # Repeated after its link broke before our answer: taken already, or about to be.
                core.counts.duplicates += 1
                core.reply_when_durable(PublishWaiter(event.request))
                continue
            core.counts.upstream += 1
            if seen is not None:
                core.remember(*seen)
            self._route(event.request, event.message, way, seen)
        self._append(ways)

    def _route(
        self,
        request: RequestId,
        message: Verified[Message],
        way: _Way,
        seen: tuple[Scope, int] | None,
    ) -> None:
        """Note a message for every queue that it is for; answer when that is durable."""
        core, ledger = self._core, self._core.ledger
        message = with_arrival(message, self._stamp())
        is_retained = message.value.is_persisted and way.is_designated
        if is_retained:
            core.counts.persisted += 1
            ledger.retain(message.value.namespace, message.value.topic, message)
        if not way.queues:
            waiter = PublishWaiter(request, seen=seen)
            if is_retained:
                core.reply_when_durable(waiter)
            else:
                # Nobody was promised it, so nothing is lost if it is not recognised after a crash.
                core.reply_done(waiter)
            return
        entry = ledger.keep(message, way.lane, references=len(way.queues))
        for entries in way.entries:
            entries.append(entry)
        core.reply_when_durable(made_publish_waiter(request, way.queues, entry.record, seen))

    def _append(self, ways: _Ways) -> None:
        """Put what was noted into the queues."""
        core = self._core
        for reader, entries in ways.readers.values():
            if entries:
                self._append_to(reader, entries)
        for upward, entries in ways.upward.values():
            if not entries:
                continue
            dropped = core.ledger.append(upward.queue_id, upward.queue, entries)
            core.note_dropped(dropped)
            self._uplinks.note_dropped(upward, dropped.entries)
            core.counts.enqueued += len(entries)
            core.ready[upward.queue_id] = None

    def downlink_received(self, event: DownlinkReceived) -> None:
        """Put a message that the designated router sent for a subscription into its queue."""
        core, message = self._core, event.message.value
        reader = core.subscriptions.with_queue(event.queue)
        if reader is None or not reader.is_local:
            return  # it ended while the message was on its way
        if self._is_repeated(reader, message, event.position):
            core.counts.duplicates += 1
            return
        if message.origin_router == core.config.router_id:
            core.counts.duplicates += 1  # formed here, so the queue has had it
            return
        is_asked_for = (
            message.namespace == reader.request.namespace
            and reader.request.topic_filter.matches(message.topic)
        )
        if not is_asked_for:
            core.counts.peer_errors += 1
            return
        core.counts.downstream += 1
        lane = lane_key(message.origin_router, message.topic.text)
        arrived = with_arrival(event.message, self._stamp())
        self._append_to(reader, [core.ledger.keep(arrived, lane, references=1)])

    def downlink_unverifiable(self, event: DownlinkUnverifiable) -> None:
        """Drop a message that could not be checked."""
        reader = self._core.subscriptions.with_queue(event.queue)
        if reader is None or not reader.is_local:
            return
        self._core.counts.dropped[DropCause.UNVERIFIABLE] += 1
        if event.position is not None:
            self._follow(reader, event.position)

    def _follow(self, reader: Subscription, position: DownlinkPosition) -> bool:
        """Move a subscription's position on; return False if it was there already."""
        known = reader.position
        if (
            known is not None
            and known.journal == position.journal
            and known.index >= position.index
        ):
            return False
        reader.position = position
        self._core.ledger.follow(reader.queue_id, position)
        return True

    def _is_repeated(
        self, reader: Subscription, message: Message, position: DownlinkPosition | None
    ) -> bool:
        """Return whether a designated router sent a message before; remember that it has now."""
        if position is not None:
            return not self._follow(reader, position)
        identity = message_identity(message)
        if identity is None:
            return False
        scope = queue_scope(reader.queue_id)
        if self._core.repeats.knows(scope, identity):
            return True
        self._core.remember(scope, identity)
        return False

    def _append_to(self, reader: Subscription, entries: list[Entry]) -> None:
        core, queue_id = self._core, reader.queue_id
        was_empty = reader.queue.is_empty
        if was_empty and reader.consumer is not None:
            reader.drained = core.now  # it has drained all until now
        dropped = core.ledger.append(queue_id, reader.queue, entries)
        if dropped is not NOTHING_DROPPED:
            core.note_dropped(dropped)
        core.counts.enqueued += len(entries)
        core.ready[queue_id] = None
        if was_empty:  # else a further message changes nothing about when it may end
            core.watch_expiry(reader)

    def _stamp(self) -> Instant:
        """Return the present, told apart from every other stamp: repeats are known by it."""
        now, last = self._core.now, self._stamped
        self._stamped = Instant(last + 1) if now <= last < now + _AHEAD_MAX else now
        return self._stamped

    # --- queries ----------------------------------------------------------------------------

    def query_requested(self, event: QueryRequested) -> None:
        """Answer a local client's query from here, or pass it to the designated router."""
        core, query = self._core, event.query.value
        uplink = self._uplinks.with_namespace(query.namespace)
        if query.namespace in core.config.designated:
            core.counts.queries += 1
            core.order(ReadRetained(event.request, query.namespace, query.topic_filter))
        elif uplink is None:
            core.refuse(event.request, InvalidParameterError(NO_DESIGNATED_ROUTER))
        elif not uplink.is_connected:
            core.refuse(
                event.request,
                DesignatedRouterLinkDownError("there is no link to the designated router now"),
            )
        else:
            core.order(ForwardQuery(event.request, query))

    def peer_query_requested(self, event: PeerQueryRequested) -> None:
        """Answer a site's query."""
        core, query = self._core, event.query.value
        if query.namespace in core.config.designated:
            core.counts.queries += 1
            core.order(ReadRetained(event.request, query.namespace, query.topic_filter))
        else:
            core.refuse(
                event.request,
                InvalidParameterError("this router is not designated for the namespace"),
            )
