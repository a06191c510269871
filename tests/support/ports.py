"""Ports for tests of the doors: they record what arrives and answer as told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace

from wavemq.errors import NoSuchSubscriptionError, UnsubscribedError, WaveMQError
from wavemq.messages.message import Message, PayloadObject, QueryRequest, SubscriptionRequest
from wavemq.messages.topic import Topic
from wavemq.net.transport import (
    Answer,
    AtOnce,
    ConnectionStatus,
    Consumption,
    Deliveries,
    LinkId,
    PeerFrame,
    PeerFrames,
    Submission,
)
from wavemq.routing.effects import Delivery
from wavemq.routing.records import Place
from wavemq.wave.hashes import Hash
from wavemq.wave.location import Location
from wavemq.wire.calls import PublishCall, PublishCut, QueryCall, SubscribeCall

NAMESPACE = Hash.of(b"namespace")
SOURCE = Hash.of(b"source")


def message(number: int = 0, *, topic: str = "a/b", proof: bytes = b"proof" * 100) -> Message:
    return Message(
        source=SOURCE,
        source_location=Location("http://storage.example/v1"),
        namespace=NAMESPACE,
        topic=Topic(topic),
        payload=(PayloadObject("text", str(number).encode()),),
        origin_router="origin",
        jedi_timestamp=None,
        proof=proof,
        signature=b"signature",
        encryption_partition=(),
        timestamps=(),
        drops=(3,),
        is_persisted=False,
    )


def number_of(message: Message) -> int:
    return int(message.payload[0].content)


@dataclass(eq=False)
class ScriptedDeliveries(Deliveries):
    """Hands over what is put in; None ends it."""

    queue: asyncio.Queue[Sequence[Message] | WaveMQError] = field(default_factory=asyncio.Queue)
    taken: int = 0
    written: int = 0
    is_closed: bool = False

    async def take(self, at_once: AtOnce[Message] | None = None) -> Sequence[Message]:
        del at_once  # it may be asked, and is not
        self.taken += 1
        found = await self.queue.get()
        if isinstance(found, WaveMQError):
            raise found
        return found

    def note_written(self, count: int) -> None:
        self.written += count

    async def aclose(self) -> None:
        self.is_closed = True


@dataclass(eq=False)
class ScriptedConsumption(Consumption):
    """The same for a reader that acknowledges; indexes count from 1."""

    deliveries: ScriptedDeliveries
    credit: int
    journal: str = "scripted"
    acknowledged: list[int] = field(default_factory=list)
    returned: list[tuple[int, float]] = field(default_factory=list)
    last: int = 0

    async def take(self, at_once: AtOnce[Delivery] | None = None) -> Sequence[Delivery]:
        del at_once
        batch = await self.deliveries.take()
        first, self.last = self.last + 1, self.last + len(batch)
        return [Delivery(Place(index), message) for index, message in enumerate(batch, first)]

    def acknowledge(self, places: Sequence[Place]) -> None:
        self.acknowledged += places

    def give_back(self, places: Sequence[Place], delay_s: float) -> None:
        self.returned += [(place, delay_s) for place in places]

    def set_credit(self, credit: int) -> None:
        self.credit = credit

    async def aclose(self) -> None:
        await self.deliveries.aclose()


@dataclass(eq=False)
class ScriptedPort:
    """Both a local and a peer port.

    Attributes:
        refusal: answers everything with this error.
        holds: submissions are kept until `release`.
    """

    refusal: WaveMQError | None = None
    holds: bool = False
    failure: Exception | None = None
    subscribe_gate: asyncio.Event | None = None
    published: list[PublishCall | Message] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    held: list[Callable[[], None]] = field(default_factory=list)
    subscribed: list[tuple[SubscribeCall | SubscriptionRequest, LinkId | None]] = field(
        default_factory=list
    )
    deliveries: list[ScriptedDeliveries] = field(default_factory=list)
    consumptions: list[ScriptedConsumption] = field(default_factory=list)
    owners: dict[tuple[Hash, str], LinkId] = field(default_factory=dict)
    queried: list[QueryCall | QueryRequest] = field(default_factory=list)
    retained: list[Sequence[Message]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    def publish(
        self,
        submissions: Sequence[Submission[PublishCall | PublishCut]] | Sequence[Submission[Message]],
    ) -> None:
        if self.failure is not None:
            raise self.failure
        self.batches.append(len(submissions))
        for submission in submissions:
            request = submission.request
            try:
                call = request.whole() if isinstance(request, PublishCut) else request
            except WaveMQError as error:
                submission.answer(error)
                continue
            self.log.append("publish")
            self.published.append(call)
            if self.holds:
                self.held.append(lambda one=submission: one.answer(self.refusal))  # type: ignore[misc]
            else:
                submission.answer(self.refusal)

    def release(self) -> None:
        held, self.held = self.held, []
        for answer in held:
            answer()

    async def subscribe(
        self, request: SubscribeCall | SubscriptionRequest, link: LinkId | None = None
    ) -> Deliveries:
        if self.subscribe_gate is not None:
            await self.subscribe_gate.wait()
        if self.failure is not None:
            raise self.failure
        if self.refusal is not None:
            raise self.refusal
        self.log.append("subscribe")
        self.subscribed.append((request, link))
        deliveries = ScriptedDeliveries()
        self.deliveries.append(deliveries)
        if link is not None and isinstance(request, SubscriptionRequest):
            self.owners[request.source, request.identifier] = link
        return deliveries

    async def _consume(
        self, request: SubscribeCall | SubscriptionRequest, link: LinkId | None, credit: int
    ) -> Consumption:
        await self.subscribe(request, link)
        self.consumptions.append(ScriptedConsumption(self.deliveries[-1], credit))
        return self.consumptions[-1]

    async def unsubscribe(self, source: Hash, identifier: str, link: LinkId) -> None:
        if self.owners.get((source, identifier)) != link:
            raise NoSuchSubscriptionError("no such subscription")
        for (request, _), deliveries in zip(self.subscribed, self.deliveries, strict=True):
            if request.identifier == identifier:
                deliveries.queue.put_nowait(UnsubscribedError("ended"))

    async def query(self, request: QueryCall | QueryRequest) -> AsyncIterator[Sequence[Message]]:
        self.queried.append(request)
        if self.refusal is not None:
            raise self.refusal
        for batch in self.retained:
            yield batch

    def connection_status(self) -> ConnectionStatus:
        return ConnectionStatus(uplinks_configured=3, uplinks_connected=2)


def with_topic(one: Message, topic: str) -> Message:
    return replace(one, topic=Topic(topic))


class ScriptedLocalPort(ScriptedPort):
    """What the door for programs is given."""

    async def consume(self, call: SubscribeCall, credit: int) -> Consumption:
        return await self._consume(call, None, credit)


class ScriptedPeerPort(ScriptedPort):
    """What the door for site routers is given."""

    async def consume(self, request: SubscriptionRequest, link: LinkId, credit: int) -> Consumption:
        return await self._consume(request, link, credit)

    def publish_stream(self) -> PeerFrames:
        return ScriptedFrames(self)


@dataclass(eq=False)
class ScriptedFrames(PeerFrames):
    """The messages of one stream, answered as those of single calls are."""

    port: ScriptedPeerPort
    resumed: list[Message] = field(default_factory=list)

    def put(self, frames: Sequence[PeerFrame]) -> None:
        self.resumed += [one.message for one in frames if one.resumes]
        self.port.publish([Submission(one.message, one.answer, "stream") for one in frames])

    def hold_back(self, message: Message, error: WaveMQError, answer: Answer) -> None:
        answer(error)
