"""The seam between transports and the router: batches in, batches out.

Owns the Protocols over which doors and uplinks speak with whoever routes. Refuses to know gRPC,
sockets, protobuf, and how anything is decided. Fault model: a transport may lose its peer at any
moment; it then closes what it opened. Answers to submissions come in any order, each exactly once,
also when the submitter no longer waits for it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, NewType, Protocol, TypeVar

from wavemq.errors import WaveMQError
from wavemq.messages.message import Message, QueryRequest, SubscriptionRequest
from wavemq.routing.effects import Delivery
from wavemq.routing.records import DownlinkPosition, Place, QueueId
from wavemq.wave.hashes import Hash
from wavemq.wire.calls import PublishCall, PublishCut, QueryCall, SubscribeCall
from wavemq.wire.handshake import RouterClaim

LinkId = NewType("LinkId", str)
"""One accepted peering link; never used again after the link has ended."""

RequestT = TypeVar("RequestT")
T = TypeVar("T")

Answer = Callable[[WaveMQError | None], None]
"""Told the outcome: None when the request is done, with all that this promises."""


class Submission(NamedTuple, Generic[RequestT]):
    """A request, whom to tell its outcome, and the connection that it came over."""

    request: RequestT
    answer: Answer
    connection: str


@dataclass(frozen=True, slots=True)
class ConnectionStatus:
    """Uplinks that should exist, and those that do (wavemq.md 11)."""

    uplinks_configured: int
    uplinks_connected: int


AtOnce = Callable[[Sequence[T]], bool]
"""Offered a batch, it takes all and says so, or nothing; it neither waits nor raises."""


class Deliveries(Protocol):
    """Messages for one reader.

    Each message is done with when `note_written` was called for it, in order; closing gives the
    others back to the queue.
    """

    async def take(self, at_once: AtOnce[Message] | None = None) -> Sequence[Message]:
        """Return the next messages, never none, that `at_once` did not take.

        Args:
            at_once: offered messages in the event that brings them, which saves the reader a turn
                of the event loop.

        Raises:
            UnsubscribedError: the queue has ended; nothing more will come.
            WaveMQError: the subscription has failed.
        """
        ...

    def note_written(self, count: int) -> None:
        """Take note that the next so many messages were written to the reader's stream."""
        ...

    async def aclose(self) -> None:
        """Stop reading; the queue stays until it expires."""
        ...


class Consumption(Protocol):
    """Messages for one reader that says of each when it is done with it.

    Attributes:
        journal: names the numbering of places, by which messages are acknowledged: under one name
            a place never stands for another message, and later messages of the queue have higher
            ones.
    """

    journal: str

    async def take(self, at_once: AtOnce[Delivery] | None = None) -> Sequence[Delivery]:
        """Return the next messages, never none, as far as the credit allows.

        Args:
            at_once: as that of `Deliveries`.

        Raises:
            UnsubscribedError: the queue has ended; nothing more will come.
            WaveMQError: the subscription has failed.
        """
        ...

    def acknowledge(self, places: Sequence[Place]) -> None:
        """Take note that messages are done with; what is not in flight is ignored."""
        ...

    def give_back(self, places: Sequence[Place], delay_s: float) -> None:
        """Have messages delivered again after a while; what is not in flight is ignored."""
        ...

    def set_credit(self, credit: int) -> None:
        """Let so many messages, at least 1, be in flight from now on."""
        ...

    async def aclose(self) -> None:
        """Stop reading; what was not acknowledged goes back to the queue, which stays."""
        ...


class DownlinkMessage(NamedTuple):
    """A message that a designated router sent, and where it stood in its queue, if it tells."""

    message: Message
    position: DownlinkPosition | None


class LocalPort(Protocol):
    """What the door for programs needs from the router."""

    def publish(self, submissions: Sequence[Submission[PublishCall | PublishCut]]) -> None:
        """Take messages; each is answered when it is durable in every queue that holds it."""
        ...

    async def subscribe(self, call: SubscribeCall) -> Deliveries:
        """Open or resume a subscription; effective when this returns.

        Raises:
            WaveMQError: it is refused; nothing was opened.
        """
        ...

    async def consume(self, call: SubscribeCall, credit: int) -> Consumption:
        """Open or resume a subscription for a reader that acknowledges; errors as `subscribe`."""
        ...

    def query(self, call: QueryCall) -> AsyncIterator[Sequence[Message]]:
        """Return batches of retained messages; raises `WaveMQError` when refused or failed."""
        ...

    def connection_status(self) -> ConnectionStatus:
        """Return the state of the uplinks, without waiting."""
        ...


class PeerFrame(NamedTuple):
    """One message of a stream of a site router.

    Attributes:
        message: with its proof.
        resumes: whether nothing before it is unanswered.
        answer: told the outcome.
    """

    message: Message
    resumes: bool
    answer: Answer


class PeerFrames(Protocol):
    """Messages of one stream of a site router, with many under way.

    When one is refused for now, those behind it of the same origin, namespace and topic are refused
    too, until one that `resumes`. Each is answered once, also after the stream has ended.
    """

    def put(self, frames: Sequence[PeerFrame]) -> None:
        """Take messages with their proofs, as `PeerPort.publish` does.

        Where this raises, none of them was taken, and none is answered.
        """
        ...

    def hold_back(self, message: Message, error: WaveMQError, answer: Answer) -> None:
        """Refuse a message for now."""
        ...


class PeerPort(Protocol):
    """What the door for site routers needs from the router."""

    def publish(self, submissions: Sequence[Submission[Message]]) -> None:
        """Take messages with their proofs; each is checked, then as `LocalPort.publish`."""
        ...

    def publish_stream(self) -> PeerFrames:
        """Return what takes the messages of one stream."""
        ...

    async def subscribe(self, request: SubscriptionRequest, link: LinkId) -> Deliveries:
        """Check and open a subscription of a site; errors as `LocalPort.subscribe`."""
        ...

    async def consume(self, request: SubscriptionRequest, link: LinkId, credit: int) -> Consumption:
        """Check and open a subscription of a site that acknowledges; errors as `subscribe`."""
        ...

    async def unsubscribe(self, source: Hash, identifier: str, link: LinkId) -> None:
        """End a subscription that was last opened over this link.

        Raises:
            NoSuchSubscriptionError: there is none, or another link opened it.
        """
        ...

    def query(self, request: QueryRequest) -> AsyncIterator[Sequence[Message]]:
        """Check and answer a query; errors as `LocalPort.query`."""
        ...


class UplinkPort(Protocol):
    """What an uplink needs from the router."""

    async def check_router(
        self, namespace: Hash, claim: RouterClaim, certificate_signature: bytes
    ) -> None:
        """Return if the router at the other end may route the namespace; else raise."""
        ...

    def uplink_connected(self, namespace: Hash) -> None:
        """Take note that messages can be transmitted; none of before is under way any more."""
        ...

    def uplink_lost(self, namespace: Hash) -> None:
        """Take note that nothing is under way any more, whether it arrived or not."""
        ...

    def transmitted(self, namespace: Hash, place: Place, error: WaveMQError | None) -> None:
        """Take note of the answer to a message.

        After an error that may pass, the messages of the same topic that were to follow are
        reported with it, unsent, so that a later attempt keeps their order.
        """
        ...

    def received(self, queue: QueueId, submissions: Sequence[Submission[DownlinkMessage]]) -> None:
        """Take messages of a subscription, in order.

        Each is answered when it is durable here, or refused for good: it may then be acknowledged,
        and another may come in its place.
        """
        ...

    def subscription_opened(self, queue: QueueId) -> None:
        """Take note that a stream is open, or that the peer does not tell; another may follow.

        Once for each stream, unless it ended before that.
        """
        ...

    def subscription_ended(self, queue: QueueId, error: WaveMQError | None) -> None:
        """Take note that a stream ended while the link is up."""
        ...

    def peer_failed(self, namespace: Hash, error: WaveMQError) -> None:
        """Take note of a failure that the uplink deals with itself, such as a dial in vain."""
        ...
