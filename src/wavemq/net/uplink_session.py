"""One established uplink: messages up, subscriptions and queries down (wavemq.md 2, 5).

Owns the calls over one gRPC channel, and what may be under way at once. Messages of one topic go
one after the other, so that the other end gets them in order whatever it does in parallel; topics
go side by side. Refuses to know dialling and queues: what is not reported as taken when the session
ends is sent again by whoever keeps the queue, and so is what could not be judged just now. Fault
model: the other end may refuse (told), not answer (the session ends) or vanish (the session ends).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

import grpc
import grpc.aio
import structlog

from wavemq.errors import (
    InvalidParameterError,
    ProofNotCachedError,
    RemoteProtocolError,
    UnavailableError,
    UpstreamError,
    WaveMQError,
)
from wavemq.limits import FRAME_BYTES_MAX
from wavemq.messages.message import Message, QueryRequest, SubscriptionRequest
from wavemq.net.acknowledging import Acknowledgements
from wavemq.net.consuming import EXTENSIONS, EXTENSIONS_KEY, JOURNAL_KEY
from wavemq.net.lanes import Lanes
from wavemq.net.proof_memory import ReceivedProofs
from wavemq.net.transport import DownlinkMessage, Submission, UplinkPort
from wavemq.routing.effects import Delivery
from wavemq.routing.records import DownlinkPosition, QueueId
from wavemq.wave.hashes import Hash
from wavemq.wire import mqpb_pb2 as mqpb
from wavemq.wire.convert import (
    message_from_wire,
    message_to_wire,
    proof_from_wire,
    proof_reference_from_wire,
    query_to_wire,
    raise_wire_error,
    subscription_to_wire,
)
from wavemq.wire.proof_reference import proof_reference

SERVICE: Final = "mqpb.WAVEMQPeering"
ANSWER_SECONDS_MAX: Final = 30.0
"""A publish without an answer for that long, and what is under way takes on a thin link, means that
the other end is gone. That of the network itself is noticed by TCP."""
THIN_LINK_BYTES_PER_SECOND: Final = 1024
"""A link that is slower than that is none."""
QUERY_SECONDS_MAX: Final = 30.0
CONFIRM_SECONDS_MAX: Final = 0.5
"""How long messages wait for the subscriptions that were opened before them; the original's
designated routers never confirm."""
RECEIVED_MAX: Final = 1024
"""Messages received and not taken by the router yet; then the streams are not read."""
CONSUME_CREDIT: Final = 256
"""Messages of one subscription that the other end sends before the first is acknowledged."""
QUERY_BATCH_MAX: Final = 64
PING_MILLISECONDS: Final = 320_000
"""The original's server ends links that ping more often than every 5 minutes."""

CHANNEL_OPTIONS: Final[tuple[tuple[str, int], ...]] = (
    ("grpc.max_receive_message_length", FRAME_BYTES_MAX),
    ("grpc.max_send_message_length", FRAME_BYTES_MAX),
    ("grpc.enable_http_proxy", 0),
    ("grpc.service_config_disable_resolution", 1),
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.keepalive_time_ms", PING_MILLISECONDS),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
)

_log = structlog.get_logger("wavemq.net.uplink")


ConsumeStream = grpc.aio.StreamStreamCall[mqpb.PeerConsumeRequest, mqpb.ConsumeResponse]


class _UnknownCallError(Exception):
    """The other end does not know a call of our own; never leaves this module."""


class SessionEndedError(Exception):
    """The session is over; never leaves `net`."""


class UplinkSession:
    """The calls over one channel; made when a link is established, gone when it is lost.

    Args:
        channel: to the designated router.
        namespace: that it routes.
        port: of our router.
        answer_s: seconds for the answer to a publish, beside those that what is under way takes.
    """

    def __init__(
        self,
        channel: grpc.aio.Channel,
        namespace: Hash,
        port: UplinkPort,
        *,
        answer_s: float = ANSWER_SECONDS_MAX,
    ) -> None:
        self._namespace = namespace
        self._port = port
        self._answer_s = answer_s
        self._under_way_bytes = 0
        self._group = asyncio.TaskGroup()
        self._lanes: Lanes[str, Delivery] = Lanes(self._group, self._transmit)
        self._confirming: set[asyncio.Future[None]] = set()
        self._following: dict[QueueId, asyncio.Task[None]] = {}
        self._room = asyncio.Semaphore(RECEIVED_MAX)
        self._publish: grpc.aio.UnaryUnaryMultiCallable[
            mqpb.PeerPublishParams, mqpb.PeerPublishResponse
        ] = channel.unary_unary(
            f"/{SERVICE}/PeerPublish",
            request_serializer=mqpb.PeerPublishParams.SerializeToString,
            response_deserializer=mqpb.PeerPublishResponse.FromString,
        )
        self._subscribe: grpc.aio.UnaryStreamMultiCallable[
            mqpb.PeerSubscribeParams, mqpb.SubscriptionMessage
        ] = channel.unary_stream(
            f"/{SERVICE}/PeerSubscribe",
            request_serializer=mqpb.PeerSubscribeParams.SerializeToString,
            response_deserializer=mqpb.SubscriptionMessage.FromString,
        )
        self._consume: grpc.aio.StreamStreamMultiCallable[
            mqpb.PeerConsumeRequest, mqpb.ConsumeResponse
        ] = channel.stream_stream(
            f"/{SERVICE}/PeerConsume",
            request_serializer=mqpb.PeerConsumeRequest.SerializeToString,
            response_deserializer=mqpb.ConsumeResponse.FromString,
        )
        self._is_consume_known = True
        self._unsubscribe: grpc.aio.UnaryUnaryMultiCallable[
            mqpb.PeerUnsubscribeParams, mqpb.PeerUnsubscribeResponse
        ] = channel.unary_unary(
            f"/{SERVICE}/PeerUnsubscribe",
            request_serializer=mqpb.PeerUnsubscribeParams.SerializeToString,
            response_deserializer=mqpb.PeerUnsubscribeResponse.FromString,
        )
        self._query: grpc.aio.UnaryStreamMultiCallable[mqpb.PeerQueryParams, mqpb.QueryMessage] = (
            channel.unary_stream(
                f"/{SERVICE}/PeerQueryRequest",
                request_serializer=mqpb.PeerQueryParams.SerializeToString,
                response_deserializer=mqpb.QueryMessage.FromString,
            )
        )

    async def run(self, wait_lost: Awaitable[None], on_ready: Callable[[], None]) -> None:
        """Hold the session until the link is lost or the other end stops answering.

        Args:
            wait_lost: ends when the link does.
            on_ready: told when messages may be transmitted.
        """
        try:
            async with self._group:
                on_ready()
                await wait_lost
                raise SessionEndedError("the connection was lost")
        except* SessionEndedError as ended:
            reasons = {str(one) for one in ended.exceptions}
            _log.info("uplink_ended", namespace=self._namespace.to_text(), reasons=sorted(reasons))

    def end(self, reason: str) -> None:
        """End the session; what is under way counts as not sent."""
        self._group.create_task(_fail(reason))

    # --- messages up ------------------------------------------------------------------------

    def transmit(self, frames: Sequence[Delivery]) -> None:
        """Send messages, in order per topic; each answer is reported to the port."""
        for frame in frames:
            self._lanes.put(frame.message.topic.text, frame)

    async def _transmit(self, frame: Delivery) -> None:
        if self._confirming:
            await asyncio.wait(set(self._confirming))
        try:
            await self._publish_once(frame.message)
        except (UnavailableError, RemoteProtocolError) as error:
            # It will be sent again, and what follows must not overtake it.
            for refused in (frame, *self._lanes.drain(frame.message.topic.text)):
                self._port.transmitted(self._namespace, refused.place, error)
        except WaveMQError as error:
            self._port.transmitted(self._namespace, frame.place, error)
        else:
            self._port.transmitted(self._namespace, frame.place, None)

    async def _publish_once(self, message: Message) -> None:
        """Offer the proof by reference, then in full if the other end does not know it."""
        try:
            await self._publish_wire(
                message_to_wire(message, proof_reference=proof_reference(message.proof))
            )
        except ProofNotCachedError:
            await self._publish_wire(message_to_wire(message, proof=message.proof))

    async def _publish_wire(self, wire: mqpb.Message) -> None:
        size_bytes = wire.ByteSize()
        self._under_way_bytes += size_bytes
        patience_s = self._answer_s + self._under_way_bytes / THIN_LINK_BYTES_PER_SECOND
        try:
            response = await self._publish(mqpb.PeerPublishParams(msg=wire), timeout=patience_s)
        except grpc.aio.AioRpcError as failure:
            if failure.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
                # The original's servers take 4 MiB, proof included; this will not change.
                raise InvalidParameterError(
                    f"the designated router refused the message: {failure.details()}"
                ) from failure
            raise SessionEndedError(f"a publish failed: {_text(failure)}") from failure
        finally:
            self._under_way_bytes -= size_bytes
        raise_wire_error(response.error)

    # --- subscriptions ----------------------------------------------------------------------

    def open_subscription(self, queue: QueueId, request: SubscriptionRequest) -> None:
        """Follow a subscription; messages that are transmitted later wait for it a moment."""
        previous = self._following.pop(queue, None)
        if previous is not None:
            previous.cancel()
        loop = asyncio.get_running_loop()
        confirmed: asyncio.Future[None] = loop.create_future()
        self._confirming.add(confirmed)
        confirmed.add_done_callback(self._confirming.discard)
        confirmed.add_done_callback(lambda _: self._port.subscription_opened(queue))
        loop.call_later(CONFIRM_SECONDS_MAX, _settle, confirmed)
        self._following[queue] = self._group.create_task(self._follow(queue, request, confirmed))

    def close_subscription(self, queue: QueueId, request: SubscriptionRequest) -> None:
        """Stop following a subscription and have the other end forget it."""
        following = self._following.pop(queue, None)
        self._group.create_task(self._end_subscription(following, request))

    async def _end_subscription(
        self, following: asyncio.Task[None] | None, request: SubscriptionRequest
    ) -> None:
        if following is not None:
            following.cancel()
            await asyncio.wait({following})
        params = mqpb.PeerUnsubscribeParams(
            sourceEntity=request.source.to_bytes(), id=request.identifier
        )
        try:
            raise_wire_error((await self._unsubscribe(params, timeout=self._answer_s)).error)
        except WaveMQError as error:
            # Its queue there ends by expiry too; nobody waits for it here.
            _log.info("peer_unsubscribe_failed", reason=error.reason)
        except grpc.aio.AioRpcError as failure:
            raise SessionEndedError(f"an unsubscribe failed: {_text(failure)}") from failure

    async def _follow(
        self, queue: QueueId, request: SubscriptionRequest, confirmed: asyncio.Future[None]
    ) -> None:
        """Read a stream to its end, and say how it ended."""
        error: WaveMQError | None = None
        try:
            if self._is_consume_known:
                try:
                    await self._follow_acknowledging(queue, request, confirmed)
                except _UnknownCallError:
                    self._is_consume_known = False
            if not self._is_consume_known:
                await self._follow_plainly(queue, request, confirmed)
        except WaveMQError as refusal:
            error = refusal
        except grpc.aio.AioRpcError as failure:
            error = UpstreamError(f"the subscription's stream broke: {_text(failure)}")
        finally:
            _settle(confirmed)
        del self._following[queue]
        self._port.subscription_ended(queue, error)

    async def _follow_plainly(
        self, queue: QueueId, request: SubscriptionRequest, confirmed: asyncio.Future[None]
    ) -> None:
        """Follow as the original does: what was written to the stream has left the queue there."""
        stream = self._subscribe(subscription_to_wire(request))
        proofs = ReceivedProofs()
        try:
            await stream.initial_metadata()
            _settle(confirmed)
            while True:
                response = await stream.read()
                if not isinstance(response, mqpb.SubscriptionMessage):
                    break
                raise_wire_error(response.error)
                await self._receive(queue, response.message, proofs, None, _ignore)
        finally:
            stream.cancel()

    async def _follow_acknowledging(
        self, queue: QueueId, request: SubscriptionRequest, confirmed: asyncio.Future[None]
    ) -> None:
        """Follow, and acknowledge what is durable here.

        Raises:
            _UnknownCallError: the other end knows no such call.
        """
        stream = self._consume(metadata=((EXTENSIONS_KEY, EXTENSIONS),))
        acknowledgements = Acknowledgements(
            lambda indexes: stream.write(mqpb.PeerConsumeRequest(acknowledged=indexes))
        )
        acknowledging: asyncio.Task[None] | None = None
        proofs = ReceivedProofs()
        try:
            journal = await self._begin_consuming(stream, request)
            _settle(confirmed)
            acknowledging = self._group.create_task(_until_broken(acknowledgements.run()))
            while True:
                response = await stream.read()
                if not isinstance(response, mqpb.ConsumeResponse):
                    break
                raise_wire_error(response.error)
                for delivery in response.deliveries:
                    position = DownlinkPosition(journal, delivery.index)
                    acknowledge = partial(acknowledgements.add, delivery.index)
                    await self._receive(queue, delivery.message, proofs, position, acknowledge)
        finally:
            if acknowledging is not None:
                acknowledging.cancel()
            stream.cancel()

    async def _begin_consuming(self, stream: ConsumeStream, request: SubscriptionRequest) -> str:
        """Subscribe, and return the name of the other end's numbering."""
        first = mqpb.PeerConsumeRequest(
            subscribe=subscription_to_wire(request), credit=CONSUME_CREDIT
        )
        try:
            await _until_broken(stream.write(first))
            headers = dict(await stream.initial_metadata() or ())
            journal = headers.get(JOURNAL_KEY)
            if journal is not None:
                return str(journal)
            refusal = await stream.read()
        except grpc.aio.AioRpcError as failure:
            if failure.code() is grpc.StatusCode.UNIMPLEMENTED:
                raise _UnknownCallError from failure
            raise
        if isinstance(refusal, mqpb.ConsumeResponse):
            raise_wire_error(refusal.error)
        elif await stream.code() is grpc.StatusCode.UNIMPLEMENTED:
            raise _UnknownCallError
        raise UpstreamError("the designated router ended the stream at once")

    async def _receive(
        self,
        queue: QueueId,
        wire: mqpb.Message,
        proofs: ReceivedProofs,
        position: DownlinkPosition | None,
        acknowledge: Callable[[], None],
    ) -> None:
        try:
            message = _restored(wire, proofs)
        except RemoteProtocolError:
            raise
        except WaveMQError as error:
            # One malformed message says nothing about the next, and will not be better next time.
            self._port.peer_failed(self._namespace, error)
            acknowledge()
            return
        await self._room.acquire()
        submission = Submission(
            DownlinkMessage(message, position),
            partial(self._take_note, acknowledge),
            self._namespace.to_text(),
        )
        self._port.received(queue, (submission,))

    def _take_note(self, acknowledge: Callable[[], None], error: WaveMQError | None) -> None:
        del error  # who refused it has counted it
        self._room.release()
        acknowledge()

    # --- queries ----------------------------------------------------------------------------

    async def query(self, request: QueryRequest) -> AsyncIterator[Sequence[Message]]:
        """Return what the designated router retains, in batches, not checked yet.

        Raises:
            UpstreamError: it refuses or fails; the reason says what it said.
        """
        stream = self._query(query_to_wire(request), timeout=QUERY_SECONDS_MAX)
        proofs = ReceivedProofs()
        batch: list[Message] = []
        try:
            async for response in stream:
                raise_wire_error(response.error)
                batch.append(_restored(response.message, proofs))
                if len(batch) >= QUERY_BATCH_MAX:
                    yield batch
                    batch = []
        except WaveMQError as error:
            raise UpstreamError(f"could not query: {error}") from error
        except grpc.aio.AioRpcError as failure:
            raise UpstreamError(f"could not query: {_text(failure)}") from failure
        finally:
            stream.cancel()
        if batch:
            yield batch


def _restored(wire: mqpb.Message, proofs: ReceivedProofs) -> Message:
    # The proof comes first: later messages may refer to it even if this one is refused.
    proof = proofs.restore(proof_from_wire(wire.proofDER), proof_reference_from_wire(wire))
    return replace(message_from_wire(wire), proof=proof)


def _ignore() -> None:
    """Acknowledge nothing, to a peer that does not ask for it."""


async def _until_broken(work: Awaitable[None]) -> None:
    """Write to a stream; that it broke, its reader is told, with the reason."""
    try:
        await work
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError) as error:
        _log.debug("stream_broke", reason=repr(error))


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _text(failure: grpc.aio.AioRpcError) -> str:
    return f"{failure.code().name}: {failure.details()}"


async def _fail(reason: str) -> None:
    raise SessionEndedError(reason)
