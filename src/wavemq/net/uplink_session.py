"""One established uplink: messages up, subscriptions and queries down (wavemq.md 2, 5).

Owns the calls over one gRPC channel, and which of them the other end knows: an original router gets
messages of one topic one after the other, so that they stay in order whatever it does in parallel.
Refuses to know dialling and queues: what is not reported as taken when the session ends is sent
again by whoever keeps the queue, and so is what could not be judged just now. Fault model: the
other end may refuse (told), not answer (the session ends) or vanish (the session ends).
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
from google.protobuf.message import DecodeError

from wavemq.errors import (
    RemoteProtocolError,
    UpstreamError,
    WaveMQError,
)
from wavemq.messages.message import Message, QueryRequest, SubscriptionRequest
from wavemq.net.acknowledging import Acknowledgements
from wavemq.net.consuming import EXTENSIONS, EXTENSIONS_KEY, JOURNAL_KEY
from wavemq.net.downlink_credit import CREDIT_FIRST, DownlinkCredit
from wavemq.net.grpc_channel import Call, CallingChannel
from wavemq.net.proof_memory import ReceivedProofs
from wavemq.net.transport import DownlinkMessage, Submission, UplinkPort
from wavemq.net.uplink_publishing import (
    ANSWER_SECONDS_MAX,
    SERVICE,
    SessionEndedError,
    UplinkPublishing,
    describe,
    until_broken,
)
from wavemq.routing.effects import Delivery
from wavemq.routing.records import DownlinkPosition, QueueId
from wavemq.wave.hashes import Hash
from wavemq.wire import mqpb_pb2 as mqpb
from wavemq.wire.convert import (
    message_from_wire,
    proof_from_wire,
    proof_reference_from_wire,
    query_to_wire,
    raise_wire_error,
    subscription_to_wire,
)
from wavemq.wire.cutting import CutMessage, ReceivedDelivery, deliveries_from_wire

QUERY_SECONDS_MAX: Final = 30.0
CONFIRM_SECONDS_MAX: Final = 0.5
"""How long messages wait for the subscriptions that were opened before them; the original's
designated routers never confirm."""
RECEIVED_MAX: Final = 1024
"""Messages received and not taken by the router yet; then the streams are not read."""
QUERY_BATCH_MAX: Final = 64
_log = structlog.get_logger("wavemq.net.uplink")


ConsumeStream = Call[mqpb.PeerConsumeRequest, bytes]


_Arrived = tuple[DownlinkPosition | None, CutMessage | mqpb.Message]
"""Where a message stood, if the other end tells, and the message."""


class _UnknownCallError(Exception):
    """The other end does not know a call of our own; never leaves this module."""


class UplinkSession:
    """The calls over one channel; made when a link is established, gone when it is lost.

    Args:
        channel: to the designated router.
        namespace: that it routes.
        port: of our router.
        is_lost: whether the link under the channel is lost: its calls may end before that is told.
        answer_s: seconds for the answer to a publish, beside those that what is under way takes.
    """

    def __init__(
        self,
        channel: CallingChannel,
        namespace: Hash,
        port: UplinkPort,
        *,
        is_lost: Callable[[], bool] = lambda: False,
        answer_s: float = ANSWER_SECONDS_MAX,
    ) -> None:
        self._is_lost = is_lost
        self._namespace = namespace
        self._port = port
        self._answer_s = answer_s
        self._group = asyncio.TaskGroup()
        self._publishing = UplinkPublishing(
            channel,
            self._group,
            report=partial(port.transmitted, namespace),
            wait_ready=self._wait_confirmed,
            answer_s=answer_s,
        )
        self._confirming: set[asyncio.Future[None]] = set()
        self._following: dict[QueueId, asyncio.Task[None]] = {}
        self._unanswered = 0
        self._has_room = asyncio.Event()
        self._subscribe = channel.unary_stream(
            f"/{SERVICE}/PeerSubscribe",
            request_serializer=mqpb.PeerSubscribeParams.SerializeToString,
            response_deserializer=mqpb.SubscriptionMessage.FromString,
        )
        self._consume = channel.stream_stream(
            f"/{SERVICE}/PeerConsume",
            request_serializer=mqpb.PeerConsumeRequest.SerializeToString,
            response_deserializer=bytes,
        )
        self._is_consume_known = True
        self._unsubscribe = channel.unary_unary(
            f"/{SERVICE}/PeerUnsubscribe",
            request_serializer=mqpb.PeerUnsubscribeParams.SerializeToString,
            response_deserializer=mqpb.PeerUnsubscribeResponse.FromString,
        )
        self._query = channel.unary_stream(
            f"/{SERVICE}/PeerQueryRequest",
            request_serializer=mqpb.PeerQueryParams.SerializeToString,
            response_deserializer=mqpb.QueryMessage.FromString,
        )

    async def run(self, wait_lost: Awaitable[None], on_ready: Callable[[], None]) -> None:
        """Hold the session until the link is lost or the other end stops answering.

        Args:
            wait_lost: ends when the link does.
            on_ready: told when messages may be transmitted.
        """
        try:
            async with self._group:
                self._group.create_task(self._publishing.run())
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
        self._publishing.transmit(frames)

    async def _wait_confirmed(self) -> None:
        """Wait for the subscriptions that were opened before."""
        if self._confirming:
            await asyncio.wait(set(self._confirming))

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
            raise SessionEndedError(f"an unsubscribe failed: {describe(failure)}") from failure

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
            if self._is_lost():
                raise SessionEndedError("the connection was lost") from failure
            error = UpstreamError(f"the subscription's stream broke: {describe(failure)}")
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
                await self._receive(queue, ((None, response.message),), proofs, _ignore)
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
            partial(_acknowledge, stream, DownlinkCredit(asyncio.get_running_loop().time()))
        )
        acknowledging: asyncio.Task[None] | None = None
        proofs = ReceivedProofs()
        try:
            journal = await self._begin_consuming(stream, request)
            _settle(confirmed)
            acknowledging = self._group.create_task(until_broken(acknowledgements.run))
            while True:
                response = await stream.read()
                if not isinstance(response, bytes):
                    break
                received = [
                    (DownlinkPosition(journal, index), content)
                    for index, content in _deliveries(response)
                ]
                await self._receive(queue, received, proofs, acknowledgements.add)
                # What is on disk by now is acknowledged before more is taken.
                await asyncio.sleep(0)
        finally:
            if acknowledging is not None:
                acknowledging.cancel()
            stream.cancel()

    async def _begin_consuming(self, stream: ConsumeStream, request: SubscriptionRequest) -> str:
        """Subscribe, and return the name of the other end's numbering."""
        first = mqpb.PeerConsumeRequest(
            subscribe=subscription_to_wire(request), credit=CREDIT_FIRST
        )
        try:
            await until_broken(partial(stream.write, first))
            headers = dict(await stream.initial_metadata() or ())
            journal = headers.get(JOURNAL_KEY)
            if journal is not None:
                return str(journal)
            refusal = await stream.read()
        except grpc.aio.AioRpcError as failure:
            if failure.code() is grpc.StatusCode.UNIMPLEMENTED:
                raise _UnknownCallError from failure
            raise
        if isinstance(refusal, bytes):
            _deliveries(refusal)
        elif await stream.code() is grpc.StatusCode.UNIMPLEMENTED:
            raise _UnknownCallError
        raise UpstreamError("the designated router ended the stream at once")

    async def _receive(
        self,
        queue: QueueId,
        received: Sequence[_Arrived],
        proofs: ReceivedProofs,
        acknowledge: Callable[[int], None],
    ) -> None:
        """Hand messages on together, as far as there is room for them."""
        submissions: list[Submission[DownlinkMessage]] = []
        connection = self._namespace.to_text()
        for position, content in received:
            index = 0 if position is None else position.index
            if self._unanswered + len(submissions) >= RECEIVED_MAX:
                self._hand_on(queue, submissions)
                submissions = []
                await self._wait_room()
            try:
                message = _restored(content, proofs)
            except RemoteProtocolError:
                self._hand_on(queue, submissions)  # what came before is good
                raise
            except WaveMQError as error:
                # One malformed message says nothing about the next, and will not be better next
                # time.
                self._port.peer_failed(self._namespace, error)
                acknowledge(index)
                continue
            take_note = partial(self._take_note, acknowledge, index)
            submissions.append(
                Submission(DownlinkMessage(message, position), take_note, connection)
            )
        self._hand_on(queue, submissions)

    def _hand_on(self, queue: QueueId, submissions: Sequence[Submission[DownlinkMessage]]) -> None:
        if submissions:
            self._unanswered += len(submissions)
            self._port.received(queue, submissions)

    async def _wait_room(self) -> None:
        while self._unanswered >= RECEIVED_MAX:
            self._has_room.clear()
            await self._has_room.wait()

    def _take_note(
        self, acknowledge: Callable[[int], None], index: int, error: WaveMQError | None
    ) -> None:
        del error  # who refused it has counted it
        self._unanswered -= 1
        self._has_room.set()
        acknowledge(index)

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
            raise UpstreamError(f"could not query: {describe(failure)}") from failure
        finally:
            stream.cancel()
        if batch:
            yield batch


async def _acknowledge(
    stream: ConsumeStream, credit: DownlinkCredit, indexes: Sequence[int]
) -> None:
    """Acknowledge deliveries, and ask for more or fewer at a time if they come so."""
    changed = credit.note(len(indexes), asyncio.get_running_loop().time())
    await stream.write(mqpb.PeerConsumeRequest(acknowledged=indexes, credit=changed))


def _deliveries(response: bytes) -> Sequence[ReceivedDelivery]:
    """Return the deliveries of a response.

    Raises:
        RemoteProtocolError: it is none.
        WaveMQError: the error in it.
    """
    try:
        return deliveries_from_wire(response)
    except DecodeError as error:
        raise RemoteProtocolError("the response is no protobuf message") from error


def _restored(content: CutMessage | mqpb.Message, proofs: ReceivedProofs) -> Message:
    """Return a message with its proof.

    Raises:
        RemoteProtocolError: its proof is not known.
        RequestError, ObjectError: a field is missing, malformed or over its limit.
    """
    if isinstance(content, CutMessage):
        return content.message(proofs.restore(content.proof, content.reference))
    # The proof comes first: later messages may refer to it even if this one is refused.
    proof = proofs.restore(proof_from_wire(content.proofDER), proof_reference_from_wire(content))
    return replace(message_from_wire(content), proof=proof)


def _ignore(_: int) -> None:
    """Acknowledge nothing, to a peer that does not ask for it."""


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def _fail(reason: str) -> None:
    raise SessionEndedError(reason)
