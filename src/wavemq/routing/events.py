"""What can happen to a router's core.

Owns the events and their ids. Each says what happened; the driver reports it once, in the order in
which it happened. Fault model: ids may be stale, since a consumer, link or request can end while a
report is on its way: the core ignores what it does not know. Messages and requests have passed
admission, which their type says; nothing else about them is believed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NewType

from wavemq.errors import WaveMQError
from wavemq.messages.message import Message, QueryRequest, SubscriptionRequest
from wavemq.messages.verified import Verified
from wavemq.quickly import quickly
from wavemq.routing.records import DownlinkPosition, Place, QueueId, RecordId
from wavemq.wave.hashes import Hash

RequestId = NewType("RequestId", int)
"""A request at a door; chosen by the driver, unique among those not answered yet."""
ConsumerId = NewType("ConsumerId", int)
"""A stream of deliveries; chosen by the driver, never used again."""
BatchId = NewType("BatchId", int)
"""A `WriteJournal`; chosen by the core."""

# --- requests: each is answered by exactly one effect with the same request id ----------------


@dataclass(frozen=True, slots=True)
class MessagePublished:
    """A local client's message was formed; answered by `Reply`."""

    request: RequestId
    message: Verified[Message]


made_message_published: Final = quickly(MessagePublished)


@dataclass(frozen=True, slots=True)
class PeerMessagePublished:
    """A site router sent a message up; answered by `Reply`."""

    request: RequestId
    message: Verified[Message]


made_peer_message_published: Final = quickly(PeerMessagePublished)


@dataclass(frozen=True, slots=True)
class SubscriptionRequested:
    """A local client wants a subscription; answered by `AcceptSubscription` or `Reply`."""

    request: RequestId
    subscription: Verified[SubscriptionRequest]


@dataclass(frozen=True, slots=True)
class PeerSubscriptionRequested:
    """A site router wants a subscription; answered by `AcceptSubscription` or `Reply`.

    Attributes:
        request: see `RequestId`.
        subscription: `router_id` says for which router.
        link: names the connection; only the one that subscribed last may unsubscribe.
    """

    request: RequestId
    subscription: Verified[SubscriptionRequest]
    link: str


@dataclass(frozen=True, slots=True)
class PeerUnsubscribeRequested:
    """A site router gives a subscription up; answered by `Reply`.

    It is neither signed nor does it say for which router: the link decides.
    """

    request: RequestId
    source: Hash
    identifier: str
    link: str


@dataclass(frozen=True, slots=True)
class QueryRequested:
    """A local client queries; answered by `ReadRetained`, `ForwardQuery` or `Reply`."""

    request: RequestId
    query: Verified[QueryRequest]


@dataclass(frozen=True, slots=True)
class PeerQueryRequested:
    """A site router queries; answered by `ReadRetained` or `Reply`."""

    request: RequestId
    query: Verified[QueryRequest]


# --- authority ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SubscriptionWithdrawn:
    """The proof of a subscription does not hold any more, and there is no other.

    Attributes:
        queue: as in `StandingSubscription`.
        proof: that was looked at; if the subscription has another by now, nothing happens.
        reason: why, for its reader.
    """

    queue: QueueId
    proof: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class SubscriptionReproved:
    """The proof of a subscription does not hold any more, but another gives the same.

    Attributes:
        queue: as in `StandingSubscription`.
        proof: that was looked at; if the subscription has another by now, nothing happens.
        subscription: the same with the other proof.
    """

    queue: QueueId
    proof: bytes
    subscription: Verified[SubscriptionRequest]


# --- consumers ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ConsumerAttached:
    """A stream of deliveries began; it takes over from an older one of the same queue.

    Attributes:
        consumer: see `ConsumerId`.
        queue: as in `AcceptSubscription`.
        credit: messages that may be in flight to it, at least 1.
    """

    consumer: ConsumerId
    queue: QueueId
    credit: int


@dataclass(frozen=True, slots=True)
class DeliveryConfirmed:
    """Deliveries up to and with `place` were written to the stream; they leave the queue."""

    consumer: ConsumerId
    place: Place


@dataclass(frozen=True, slots=True)
class DeliveriesAcknowledged:
    """Some deliveries, in any order, are done with; they leave the queue."""

    consumer: ConsumerId
    places: Sequence[Place]


@dataclass(frozen=True, slots=True)
class DeliveriesReturned:
    """Some deliveries are to be made again, to whoever reads then, `delay_s` seconds from now."""

    consumer: ConsumerId
    places: Sequence[Place]
    delay_s: float


@dataclass(frozen=True, slots=True)
class CreditChanged:
    """More or fewer messages, at least 1, may be in flight to a consumer from now on."""

    consumer: ConsumerId
    credit: int


@dataclass(frozen=True, slots=True)
class ConsumerDetached:
    """A stream ended; what it did not confirm goes back to the head of the queue."""

    consumer: ConsumerId


# --- uplinks ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class UplinkConnected:
    """The link to the designated router of a namespace is up, its router verified."""

    namespace: Hash


@dataclass(frozen=True, slots=True)
class UplinkDisconnected:
    """The link is down; its streams are gone, and no answer to its frames will be reported."""

    namespace: Hash


@dataclass(frozen=True, slots=True)
class FrameAccepted:
    """The designated router answered a frame; it leaves the queue. Any order will do."""

    namespace: Hash
    place: Place


@dataclass(frozen=True, slots=True)
class FrameRefused:
    """The designated router answered a frame with an error, but for `ProofNotCachedError`.

    An `UnavailableError` or `RemoteProtocolError` is tried again later; anything else is final, and
    the message is dropped.
    """

    namespace: Hash
    place: Place
    error: WaveMQError


@dataclass(frozen=True, slots=True)
class UplinkSubscriptionOpened:
    """A stream that `OpenUplinkSubscription` asked for is open, or the peer does not tell.

    Attributes:
        queue: as in the effect.
    """

    queue: QueueId


@dataclass(frozen=True, slots=True)
class UplinkSubscriptionEnded:
    """A stream that `OpenUplinkSubscription` opened has ended while the link is up.

    Attributes:
        queue: as in the effect.
        error: what the designated router said; None: nothing.
    """

    queue: QueueId
    error: WaveMQError | None


@dataclass(frozen=True, slots=True)
class DownlinkReceived:
    """The designated router sent a message on the stream of a subscription; it was verified.

    Attributes:
        queue: of the subscription.
        message: what was sent; reported in the order of the stream.
        position: by which a repetition is recognised; None: the peer does not tell.
    """

    queue: QueueId
    message: Verified[Message]
    position: DownlinkPosition | None = None


@dataclass(frozen=True, slots=True)
class DownlinkUnverifiable:
    """A message on the stream of a subscription could not be checked for too long; it is dropped.

    Attributes as in `DownlinkReceived`; it counts as one that was received.
    """

    queue: QueueId
    position: DownlinkPosition | None


# --- disk and time ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class JournalWritten:
    """The changes of a `WriteJournal` are durable."""

    batch: BatchId


@dataclass(frozen=True, slots=True)
class JournalFailed:
    """The changes of a `WriteJournal` could not be written; none of them is durable."""

    batch: BatchId
    error: WaveMQError


@dataclass(frozen=True, slots=True)
class RecordsRead:
    """A `ReadRecords` was performed.

    Attributes:
        messages: by record; None: it is corrupt and was set aside.
    """

    messages: Sequence[tuple[RecordId, Verified[Message] | None]]


@dataclass(frozen=True, slots=True)
class RecordsUnread:
    """A `ReadRecords` failed for now; the core asks again later."""

    records: Sequence[RecordId]
    error: WaveMQError


@dataclass(frozen=True, slots=True)
class ClockStepped:
    """The clock that tells `now` was set; what is due after a while is still due after that.

    Reported before anything else that happens after the step.
    """

    by_ns: int


@dataclass(frozen=True, slots=True)
class TimerFired:
    """The instant of `Router.next_deadline` has come."""


Event = (
    MessagePublished
    | PeerMessagePublished
    | SubscriptionRequested
    | PeerSubscriptionRequested
    | PeerUnsubscribeRequested
    | QueryRequested
    | PeerQueryRequested
    | SubscriptionWithdrawn
    | SubscriptionReproved
    | ConsumerAttached
    | DeliveryConfirmed
    | DeliveriesAcknowledged
    | DeliveriesReturned
    | CreditChanged
    | ConsumerDetached
    | UplinkConnected
    | UplinkDisconnected
    | FrameAccepted
    | FrameRefused
    | UplinkSubscriptionOpened
    | UplinkSubscriptionEnded
    | DownlinkReceived
    | DownlinkUnverifiable
    | JournalWritten
    | JournalFailed
    | RecordsRead
    | RecordsUnread
    | ClockStepped
    | TimerFired
)
