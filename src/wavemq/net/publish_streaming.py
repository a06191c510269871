"""Serving `PublishStream`: many messages of a program under way, and its perspective only once.

Owns what comes in over such a call. Refuses to know what becomes of messages. Fault model: a
program may send anything; a frame that breaks a rule is refused by itself, a stream without an
opening ends with an error. One that sends faster than its messages are taken is not read.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial

import grpc
import structlog
from google.protobuf.message import DecodeError

from wavemq._kernel import PublishCutter, cut_frames
from wavemq.errors import InternalError, InvalidParameterError, WaveMQError
from wavemq.limits import MESSAGE_BYTES_MAX, PAYLOAD_OBJECTS_MAX
from wavemq.net.answering import Answering
from wavemq.net.batcher import Batcher
from wavemq.net.grpc_door import FIRST_REQUEST_SECONDS_MAX
from wavemq.net.grpc_server import AbortError
from wavemq.net.pending_subscriptions import PendingSubscriptions
from wavemq.net.transport import Answer
from wavemq.wire import mqpb_pb2 as mqpb
from wavemq.wire.calls import PublishCall, PublishCut, made_publish_cut, publish_call_from_wire

Whole = Callable[[], PublishCall]
Parts = tuple[str, tuple[tuple[str, bytes], ...], int, bool]
"""A plain frame: topic, contents, their size, whether it is persisted."""

_log = structlog.get_logger("wavemq.net.door")


class PublishStreaming:
    """One call.

    Args:
        batcher: hands requests on to it.
        answering: of this call.
        subscribing: holds back what was sent after a subscription that is not effective yet.
        connection: names that over which it came.
    """

    def __init__(
        self,
        batcher: Batcher[PublishCall | PublishCut],
        answering: Answering,
        subscribing: PendingSubscriptions,
        connection: str,
    ) -> None:
        self._batcher = batcher
        self._answering = answering
        self._subscribing = subscribing
        self._connection = connection
        self._opening: bytes | None = None
        self._caller = b""
        self._namespace = b""

    async def serve(self, requests: AsyncIterator[bytes]) -> None:
        """Take frames, and answer them, until the program has sent all it had to send, or is gone.

        What was taken stays taken.

        Raises:
            InvalidParameterError: the first request does not open the stream, or a later one does.
        """
        with self._answering.running():
            try:
                async with asyncio.timeout(FIRST_REQUEST_SECONDS_MAX) as patience:
                    async for request in requests:
                        patience.reschedule(None)
                        if self._subscribing.is_anything_awaited(self._connection):
                            await self._subscribing.wait_effective(self._connection)
                        await self._take_request(request)
            except TimeoutError as error:
                raise InvalidParameterError("the opening of the stream did not come") from error
            await self._answering.wait_answered()

    async def _take_request(self, request: bytes) -> None:
        cut = cut_frames(request)
        if cut is None:
            raise AbortError(grpc.StatusCode.INTERNAL, "the request is no protobuf message")
        opening, frames = cut
        if (opening is None) is (self._opening is None):
            raise InvalidParameterError("the first request of a stream opens it, and no other")
        if opening is not None:
            self._opening = opening
            # Where it is not plain, each frame is looked at whole.
            self._caller, self._namespace = PublishCutter().cut_opening(opening) or (b"", b"")
        for sequence, begin, end, parts in frames:
            if not self._answering.has_room:
                self._batcher.flush()
                await self._answering.wait_room()
            settle = self._answering.take(sequence, end - begin)
            self._take(partial(self._whole, request, begin, end), parts, end - begin, settle)
        self._batcher.flush()

    def _take(self, whole: Whole, parts: Parts | None, size_bytes: int, settle: Answer) -> None:
        try:
            call = self._call(whole, parts)
            self._batcher.put(call, size_bytes, self._connection, settle)
        except WaveMQError as error:
            settle(error)
        except Exception:  # noqa: BLE001 - the door's last resort; logged whole, told in one sentence
            _log.exception("door_failed", method="PublishStream")
            settle(InternalError("the router failed; its log says why"))

    def _call(self, whole: Whole, parts: Parts | None) -> PublishCall | PublishCut:
        if parts is None or not self._caller:
            return whole()
        topic, payload, size_bytes, is_persisted = parts
        if size_bytes > MESSAGE_BYTES_MAX or len(payload) > PAYLOAD_OBJECTS_MAX:
            return whole()
        return made_publish_cut(self._caller, self._namespace, topic, payload, is_persisted, whole)

    def _whole(self, request: bytes, begin: int, end: int) -> PublishCall:
        """Return a frame with what the stream was opened with: one behind the other, they are one.

        Raises:
            RequestError, ObjectError: a part is missing, malformed or over its limit.
        """
        params = mqpb.PublishParams()
        try:
            params.MergeFromString((self._opening or b"") + request[begin:end])
        except DecodeError as error:
            raise InvalidParameterError("the frame is no protobuf message") from error
        return publish_call_from_wire(params, caller_name=self._caller)
