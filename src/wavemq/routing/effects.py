"""What a router's core orders.

Owns the effects. The driver performs them in the order in which they were returned, which for
`WriteJournal` and `ReadRecords` means handing them to their thread in that order. Obligations of
the driver stand on each effect. Fault model: performing may fail; the driver then reports the event
that the effect names, and never drops an effect in silence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from wavemq.errors import WaveMQError
from wavemq.messages.message import Message, QueryRequest, SubscriptionRequest
from wavemq.messages.topic import TopicFilter
from wavemq.quickly import quickly
from wavemq.routing.events import BatchId, ConsumerId, RequestId
from wavemq.routing.records import JournalChanges, Place, QueueId, RecordId
from wavemq.wave.hashes import Hash

# --- disk ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WriteJournal:
    """Write changes and make them durable; then report `JournalWritten` or `JournalFailed`.

    The core orders the next write only after that report, and gathers changes meanwhile: this is
    the group commit. `Reply` and `AcceptSubscription` that promise these changes are returned by
    the core only after `JournalWritten`: perform them at once.
    """

    batch: BatchId
    changes: JournalChanges


@dataclass(frozen=True, slots=True)
class ReadRecords:
    """Read messages back; then report `RecordsRead` or `RecordsUnread`.

    All of them were reported as written before, and are there until a later `WriteJournal`.
    """

    records: Sequence[RecordId]


# --- answers ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer a request: done with all that it promises if `error` is None."""

    request: RequestId
    error: WaveMQError | None


made_reply: Final = quickly(Reply)


@dataclass(frozen=True, slots=True)
class AcceptSubscription:
    """Answer a request for a subscription: it is effective, its queue is durable.

    Attributes:
        request: the request.
        queue: report `ConsumerAttached` with it when the reader's stream is ready.
    """

    request: RequestId
    queue: QueueId


@dataclass(frozen=True, slots=True)
class ReadRetained:
    """Answer a query with the retained messages of a namespace that match a filter."""

    request: RequestId
    namespace: Hash
    topic_filter: TopicFilter


@dataclass(frozen=True, slots=True)
class ForwardQuery:
    """Answer a query with what the designated router of its namespace answers.

    A failure there becomes `UpstreamError("could not query: ...")` (wavemq.md 10).
    """

    request: RequestId
    query: QueryRequest


# --- consumers ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message for a consumer, and its place in the queue, to be confirmed.

    Attributes:
        place: in the queue.
        message: to be sent.
        attempt: 1 if it was not delivered before, as far as this process knows.
    """

    place: Place
    message: Message
    attempt: int = 1


made_delivery: Final = quickly(Delivery)


@dataclass(frozen=True, slots=True)
class Deliver:
    """Send messages to a consumer, in order; report `DeliveryConfirmed` as they are written.

    A consumer that acknowledges reports `DeliveriesAcknowledged` and `DeliveriesReturned` instead.
    Never more than the consumer's credit is in flight. A message that turns out not to be for its
    reader (its decryption fails) is confirmed like one that was written.
    """

    consumer: ConsumerId
    deliveries: Sequence[Delivery]


@dataclass(frozen=True, slots=True)
class EndConsumer:
    """Close a consumer's stream with an error; report nothing more about it."""

    consumer: ConsumerId
    error: WaveMQError


# --- uplinks ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Transmit:
    """Send messages to the designated router, in order, after all that were sent before.

    Report `FrameAccepted` or `FrameRefused` for each, or `UplinkDisconnected` for all. When the
    answer is `ProofNotCachedError`, send it again with the full proof before reporting. They may be
    sent before the changes of the same call are durable.
    """

    namespace: Hash
    frames: Sequence[Delivery]


@dataclass(frozen=True, slots=True)
class OpenUplinkSubscription:
    """Open a PeerSubscribe stream over the uplink of the request's namespace.

    It replaces a stream of the same queue. Report `UplinkSubscriptionOpened` once it is open or the
    peer is known not to tell, `DownlinkReceived` for every message that passes admission, and
    `UplinkSubscriptionEnded` when it ends while the link is up.
    """

    queue: QueueId
    request: SubscriptionRequest


@dataclass(frozen=True, slots=True)
class CloseUplinkSubscription:
    """Close that stream, and send PeerUnsubscribe; report nothing more about it."""

    queue: QueueId
    request: SubscriptionRequest


Order = (
    WriteJournal
    | ReadRecords
    | AcceptSubscription
    | ReadRetained
    | ForwardQuery
    | Deliver
    | EndConsumer
    | Transmit
    | OpenUplinkSubscription
    | CloseUplinkSubscription
)
Effect = Reply | Order
