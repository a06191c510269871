"""Messages and queries on their way in.

Owns which queues a message goes to (wavemq.md 8), what is retained, and who answers a query
(wavemq.md 10). Refuses to know readers and the order of writes. Fault model: clients and peers may
send anything that they are allowed to, as often as they like: a site repeats what was not answered
when its link broke, and a peer that was told to keep out may not: it is answered, not believed.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from wavemq.errors import (
    DesignatedRouterLinkDownError,
    InvalidParameterError,
    QueueError,
)
from wavemq.messages.message import Message
from wavemq.messages.verified import Verified, with_arrival
from wavemq.routing.core import DISK_FAILS, NO_DESIGNATED_ROUTER, Core
from wavemq.routing.draft import PublishWaiter
from wavemq.routing.effects import ForwardQuery, ReadRetained
from wavemq.routing.events import (
    DownlinkReceived,
    MessagePublished,
    PeerMessagePublished,
    PeerQueryRequested,
    QueryRequested,
    RequestId,
)
from wavemq.routing.queue import MessageQueue
from wavemq.routing.records import Place, QueueId, RecordId
from wavemq.routing.subscriptions import Subscription
from wavemq.routing.uplinks import Uplinks

FINGERPRINTS_MAX: Final = 16_384
"""Messages of peers that are recognised when they come again, about 4 MiB."""


class Intake:
    """Routes what comes in.

    Args:
        core: shared state.
        uplinks: where messages formed here go too.
    """

    def __init__(self, core: Core, uplinks: Uplinks) -> None:
        self._core = core
        self._uplinks = uplinks
        self._fingerprints: OrderedDict[bytes, None] = OrderedDict()

    # --- messages ---------------------------------------------------------------------------

    def published(self, event: MessagePublished) -> None:
        """Route a message formed here: to subscriptions, and up."""
        core, namespace = self._core, event.message.value.namespace
        if core.is_disk_failing:
            core.refuse(event.request, QueueError(DISK_FAILS))
            return
        uplink = self._uplinks.with_namespace(namespace)
        if uplink is None and namespace not in core.config.designated:
            core.refuse(event.request, InvalidParameterError(NO_DESIGNATED_ROUTER))
            return
        core.counts.published += 1
        upward = None if uplink is None else (uplink.queue_id, uplink.queue)
        self._route(event.request, event.message, upward, b"")

    def peer_published(self, event: PeerMessagePublished) -> None:
        """Route a message of a site: to subscriptions, but not up."""
        core, message = self._core, event.message.value
        if message.namespace not in core.config.designated:
            core.refuse(
                event.request,
                InvalidParameterError("this router is not designated for the namespace"),
            )
            return
        if core.is_disk_failing:
            core.refuse(event.request, QueueError(DISK_FAILS))
            return
        fingerprint = _fingerprint(message)
        if fingerprint in self._fingerprints:
            # Repeated after its link broke before our answer: it is taken already, or about to be.
            core.counts.duplicates += 1
            core.reply_when_durable(PublishWaiter(event.request, (), b""))
            return
        core.counts.upstream += 1
        if fingerprint:
            self._fingerprints[fingerprint] = None
            if len(self._fingerprints) > FINGERPRINTS_MAX:
                self._fingerprints.popitem(last=False)
        self._route(event.request, event.message, None, fingerprint)

    def forget(self, fingerprint: bytes) -> None:
        """Take a message again if it is repeated: its publisher was told that it failed."""
        self._fingerprints.pop(fingerprint, None)

    def _route(
        self,
        request: RequestId,
        message: Verified[Message],
        upward: tuple[QueueId, MessageQueue] | None,
        fingerprint: bytes,
    ) -> None:
        """Put a message into every queue that it is for; answer when that is durable."""
        core, ledger = self._core, self._core.ledger
        message = with_arrival(message, core.now)
        value = message.value
        readers = [
            one
            for one in core.subscriptions.matching(value.namespace, value.topic)
            if one.is_local or one.request.router_id != value.origin_router
        ]
        is_retained = value.is_persisted and value.namespace in core.config.designated
        if is_retained:
            core.counts.persisted += 1
            ledger.retain(value.namespace, value.topic, message)
        if not readers and upward is None:
            waiter = PublishWaiter(request, (), fingerprint)
            if is_retained:
                core.reply_when_durable(waiter)
            else:
                core.reply_done(waiter)
            return
        record, size_bytes = ledger.keep(message)
        places = [(one.queue_id, self._append(one, record, size_bytes)) for one in readers]
        if upward is not None:
            queue_id, queue = upward
            place, dropped_count = ledger.append(queue_id, queue, record, size_bytes)
            core.counts.enqueued += 1
            core.counts.dropped += dropped_count
            core.ready[queue_id] = None
            places.append((queue_id, place))
        ledger.settle(record)
        core.reply_when_durable(PublishWaiter(request, tuple(places), fingerprint))

    def downlink_received(self, event: DownlinkReceived) -> None:
        """Put a message that the designated router sent for a subscription into its queue."""
        core, message = self._core, event.message.value
        reader = core.subscriptions.with_queue(event.queue)
        if reader is None or not reader.is_local:
            return  # it ended while the message was on its way
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
        record, size_bytes = core.ledger.keep(with_arrival(event.message, core.now))
        self._append(reader, record, size_bytes)
        core.ledger.settle(record)

    def _append(self, reader: Subscription, record: RecordId, size_bytes: int) -> Place:
        core = self._core
        if reader.consumer is not None and len(reader.queue) == 0:
            reader.drained = core.now  # it has drained all until now
        place, dropped_count = core.ledger.append(reader.queue_id, reader.queue, record, size_bytes)
        core.counts.enqueued += 1
        core.counts.dropped += dropped_count
        core.ready[reader.queue_id] = None
        core.watch_expiry(reader)
        return place

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


def _fingerprint(message: Message) -> bytes:
    """Return what tells a message from another of the same content; empty if nothing does.

    Its first timestamp is given once, where it was formed, and repeated with it. The signature
    binds the rest. A forger can only make his own messages look alike.
    """
    if not message.timestamps:
        return b""
    formed = message.timestamps[0] & 0xFFFF_FFFF_FFFF_FFFF
    return message.signature + formed.to_bytes(8, "big")
