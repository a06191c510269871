"""Messages up one established uplink: which calls carry them, and how long an answer may take.

Owns the stream to a router of ours, and the single calls to any other. Refuses to know what is sent
in which order (`frame_sending`) and what else the session does. Fault model: the other end may know
no stream (single calls), refuse a message (told), or not answer (the session ends).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

import grpc
import grpc.aio
import structlog

from wavemq.errors import InvalidParameterError
from wavemq.net.consuming import EXTENSIONS, EXTENSIONS_KEY
from wavemq.net.frame_sending import FrameSending, Report, SingleFrames, StreamedFrames
from wavemq.net.grpc_channel import Call, CallingChannel
from wavemq.routing.effects import Delivery
from wavemq.wire import mqpb_pb2 as mqpb
from wavemq.wire.convert import raise_wire_error

SERVICE: Final = "mqpb.WAVEMQPeering"
ANSWER_SECONDS_MAX: Final = 30.0
"""A publish without an answer for that long, and what is under way takes on a thin link, means that
the other end is gone. That of the network itself is noticed by TCP."""
THIN_LINK_BYTES_PER_SECOND: Final = 1024
"""A link that is slower than that is none."""

FrameStream = Call[bytes, mqpb.PublishAnswers]

_log = structlog.get_logger("wavemq.net.uplink")


class SessionEndedError(Exception):
    """The session is over; never leaves `net`."""


class UplinkPublishing:
    """Sends messages for one session.

    Args:
        channel: to the designated router.
        group: of the session.
        report: told the answer to each message.
        wait_ready: returns when messages may be written.
        answer_s: seconds for an answer, beside those that what is under way takes.
    """

    def __init__(
        self,
        channel: CallingChannel,
        group: asyncio.TaskGroup,
        *,
        report: Report,
        wait_ready: Callable[[], Awaitable[None]],
        answer_s: float = ANSWER_SECONDS_MAX,
    ) -> None:
        self._group = group
        self._report = report
        self._wait_ready = wait_ready
        self._answer_s = answer_s
        self._under_way_bytes = 0
        self._unsent: list[Delivery] = []
        self._frames: FrameSending | None = None  # until it is known what the other end knows
        self._publish = channel.unary_unary(
            f"/{SERVICE}/PeerPublish",
            request_serializer=mqpb.PeerPublishParams.SerializeToString,
            response_deserializer=mqpb.PeerPublishResponse.FromString,
        )
        self._publish_stream = channel.stream_stream(
            f"/{SERVICE}/PeerPublishStream",
            request_serializer=bytes,
            response_deserializer=mqpb.PublishAnswers.FromString,
        )

    def transmit(self, frames: Sequence[Delivery]) -> None:
        """Send messages, in order per topic; each answer is reported."""
        if self._frames is None:
            self._unsent += frames
        else:
            self._frames.put(frames)

    async def run(self) -> None:
        """Find out which call the other end knows, and send by it until the session ends.

        Raises:
            SessionEndedError: the other end does not answer, or refuses the call.
        """
        stream = self._publish_stream(metadata=((EXTENSIONS_KEY, EXTENSIONS),))
        try:
            try:
                async with asyncio.timeout(self._answer_s):
                    is_known = await _is_known(stream)
            except TimeoutError as error:
                raise SessionEndedError("no answer to the opening of a stream") from error
            if is_known:
                frames = StreamedFrames(self._report)
                self._begin_frames(frames)
                await self._exchange_frames(stream, frames)
            else:
                self._begin_frames(SingleFrames(self._group, self._publish_wire, self._report))
        finally:
            stream.cancel()

    def _begin_frames(self, frames: FrameSending) -> None:
        self._frames = frames
        unsent, self._unsent = self._unsent, []
        frames.put(unsent)

    async def _exchange_frames(self, stream: FrameStream, frames: StreamedFrames) -> None:
        """Send frames and take answers until the stream ends, and the session with it."""
        sending = self._group.create_task(until_broken(partial(self._send_frames, stream, frames)))
        watching = self._group.create_task(self._watch_silence(frames))
        try:
            while True:
                response = await stream.read()
                if not isinstance(response, mqpb.PublishAnswers):
                    raise SessionEndedError("the stream of messages has ended")
                frames.answered(response)
        except grpc.aio.AioRpcError as failure:
            raise SessionEndedError(f"a publish failed: {describe(failure)}") from failure
        finally:
            sending.cancel()
            watching.cancel()

    async def _send_frames(self, stream: FrameStream, frames: StreamedFrames) -> None:
        while True:
            request = await frames.next_request()
            await self._wait_ready()
            await stream.write(request)

    async def _watch_silence(self, frames: StreamedFrames) -> None:
        """End the session when what is under way is not answered for too long."""
        while True:
            await frames.wait_under_way()
            answers, size_bytes = frames.answer_count, frames.under_way_bytes
            await asyncio.sleep(self._answer_s + size_bytes / THIN_LINK_BYTES_PER_SECOND)
            is_silent = frames.is_anything_under_way and frames.answer_count == answers
            if is_silent and frames.under_way_bytes <= size_bytes:
                raise SessionEndedError("no answer to what was published")

    async def _publish_wire(self, wire: mqpb.Message) -> None:
        await self._wait_ready()
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
            raise SessionEndedError(f"a publish failed: {describe(failure)}") from failure
        finally:
            self._under_way_bytes -= size_bytes
        raise_wire_error(response.error)


async def _is_known(stream: FrameStream) -> bool:
    """Return whether the other end serves the call."""
    try:
        headers = dict(await stream.initial_metadata() or ())
        if EXTENSIONS_KEY in headers:
            return True
        code = await stream.code()
    except grpc.aio.AioRpcError as failure:
        code = failure.code()
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return False
    raise SessionEndedError(f"the stream of messages was refused: {code.name}")


async def until_broken(work: Callable[[], Awaitable[None]]) -> None:
    """Write to a stream; that it broke, its reader is told, with the reason."""
    try:
        await work()
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError) as error:
        _log.debug("stream_broke", reason=repr(error))


def describe(failure: grpc.aio.AioRpcError) -> str:
    """Return the code and the text of a failed call."""
    return f"{failure.code().name}: {failure.details()}"
