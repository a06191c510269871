"""Publishing over a stream: the secret once, then messages without waiting for each answer.

Owns what was handed over and not answered, and the stream that carries it. Refuses to know messages
and to dial. Fault model: the router may not know streams (it is then asked by single calls), refuse
a message (told), or go away: a message that was written is then unconfirmed, one that was not is
known not to have been sent. Nothing is ever sent twice.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import grpc
import grpc.aio

from wavemq.client.connection import RouterConnection
from wavemq.client.failures import PublishUnconfirmedError
from wavemq.errors import UnavailableError, WaveMQError, error_from_wire
from wavemq.limits import KIB, MIB
from wavemq.wire import mqpb_pb2 as mqpb
from wavemq.wire.convert import raise_wire_error

EXTENSIONS_KEY: Final = "wavemq-extensions"
PUBLISH_STREAM: Final = "publish-stream"
"""What a router that knows streams says in the headers of its response."""
WINDOW_FRAMES: Final = 1024
WINDOW_BYTES: Final = 4 * MIB
"""Messages without an answer; a single one may exceed it."""
REQUEST_FRAMES_MAX: Final = 128
REQUEST_BYTES_MAX: Final = 256 * KIB
"""Of messages that are written together; a single one may exceed it."""

FrameCall = grpc.aio.StreamStreamCall[mqpb.PublishFrames, mqpb.PublishAnswers]


class StreamUnknownError(Exception):
    """The router does not know streams of messages; never leaves the SDK."""


@dataclass(slots=True, eq=False)
class _Sent:
    """A message without an answer."""

    frame: mqpb.PublishFrame
    size_bytes: int
    answered: asyncio.Future[WaveMQError | None]
    is_written: bool = False


class PublishStream:
    """One stream, for one entity and one namespace; made by `open_publish_stream`."""

    def __init__(self, call: FrameCall, address: str) -> None:
        self._call = call
        self._address = address
        self._sequence = 0
        self._unanswered: dict[int, _Sent] = {}
        self._unanswered_bytes = 0
        self._unwritten: list[_Sent] = []
        self._is_any = asyncio.Event()
        self._is_less = asyncio.Event()
        self._turn = asyncio.Lock()
        self._tasks = (
            asyncio.ensure_future(self._write()),
            asyncio.ensure_future(self._read()),
        )
        self.is_lost = False

    async def publish(self, frame: mqpb.PublishFrame, limit_s: float) -> None:
        """Send a message, and wait for its answer.

        Raises:
            WaveMQError: the router refused it.
            PublishUnconfirmedError: it was written, and not answered.
            UnavailableError: it was not written.
        """
        sent = _Sent(frame, frame.ByteSize(), asyncio.get_running_loop().create_future())
        try:
            async with asyncio.timeout(limit_s):
                # Those who came first go first: messages keep the order of their calls.
                if self._turn.locked() or self._is_full(sent):
                    async with self._turn:
                        await self._wait_room(sent)
                error = await self._answer_to(sent)
        except TimeoutError as error:
            if sent.is_written:
                raise _unconfirmed(sent, f"no answer within {limit_s:g} s") from error
            raise UnavailableError(
                f"the router at {self._address} did not take the message within {limit_s:g} s; "
                "nothing was sent"
            ) from error
        finally:
            if sent in self._unwritten:  # whoever asked has given up, in time
                self._unwritten.remove(sent)
                self._settle(frame.sequence, None)
        if error is not None:
            raise error

    def _is_full(self, sent: _Sent) -> bool:
        unanswered = self._unanswered
        return len(unanswered) >= WINDOW_FRAMES or (
            bool(unanswered) and self._unanswered_bytes + sent.size_bytes > WINDOW_BYTES
        )

    async def _wait_room(self, sent: _Sent) -> None:
        while self._is_full(sent) and not self.is_lost:
            self._is_less.clear()
            await self._is_less.wait()

    async def _answer_to(self, sent: _Sent) -> WaveMQError | None:
        if self.is_lost:
            raise UnavailableError(f"the router at {self._address} went away; nothing was sent")
        self._sequence += 1
        sent.frame.sequence = self._sequence
        self._unanswered[self._sequence] = sent
        self._unanswered_bytes += sent.size_bytes
        self._unwritten.append(sent)
        self._is_any.set()
        return await sent.answered

    def close(self) -> None:
        """Let go of the stream; whoever waits is told."""
        for task in self._tasks:
            task.cancel()
        self._call.cancel()
        self._lose("the connection was closed")

    async def _write(self) -> None:
        while True:
            await self._is_any.wait()
            request = mqpb.PublishFrames()
            size_bytes, count = 0, 0
            for sent in self._unwritten[:REQUEST_FRAMES_MAX]:
                if count and size_bytes + sent.size_bytes > REQUEST_BYTES_MAX:
                    break
                sent.is_written = True
                request.frames.append(sent.frame)
                size_bytes += sent.size_bytes
                count += 1
            del self._unwritten[:count]
            if not self._unwritten:
                self._is_any.clear()
            if count == 0:
                continue
            try:
                await self._call.write(request)
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                return  # who reads is told how it ended

    async def _read(self) -> None:
        reason = "the router ended the stream"
        try:
            while True:
                answers = await self._call.read()
                if not isinstance(answers, mqpb.PublishAnswers):
                    break
                raise_wire_error(answers.error)
                for sequence in answers.accepted:
                    self._settle(sequence, None)
                for one in answers.refused:
                    self._settle(one.sequence, error_from_wire(one.error.code, one.error.message))
        except grpc.aio.AioRpcError as failure:
            reason = f"{failure.code().name.lower()}: {failure.details()}"
        except WaveMQError as error:
            reason = error.reason
        self._lose(reason)

    def _settle(self, sequence: int, error: WaveMQError | None) -> None:
        sent = self._unanswered.pop(sequence, None)
        if sent is None:
            return
        self._unanswered_bytes -= sent.size_bytes
        self._is_less.set()
        if not sent.answered.done():
            sent.answered.set_result(error)

    def _lose(self, reason: str) -> None:
        """Tell all who wait what is known of their messages."""
        self.is_lost = True
        self._is_less.set()
        for sequence, sent in list(self._unanswered.items()):
            error: WaveMQError
            if sent.is_written:
                error = _unconfirmed(sent, reason)
            else:
                error = UnavailableError(f"the router at {self._address} went away ({reason})")
            self._settle(sequence, error)


def _unconfirmed(sent: _Sent, reason: str) -> PublishUnconfirmedError:
    return PublishUnconfirmedError(
        f"the message on {sent.frame.uri!r} was sent and not answered; the router may or may not "
        f"have taken it ({reason})"
    )


async def open_publish_stream(
    connection: RouterConnection, perspective: mqpb.Perspective, namespace: bytes
) -> PublishStream:
    """Open a stream.

    Raises:
        StreamUnknownError: the router knows none.
        UnavailableError: the router went away.
    """
    call = connection.publish_stream()
    opening = mqpb.PublishParams(perspective=perspective, namespace=namespace)
    try:
        # How a call ended that cannot be written to is asked for next.
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await call.write(mqpb.PublishFrames(opening=opening))
        headers = dict(await call.initial_metadata() or ())
        if PUBLISH_STREAM in str(headers.get(EXTENSIONS_KEY, "")):
            return PublishStream(call, connection.address)
        code = await call.code()
        details = str(await call.details())
    except grpc.aio.AioRpcError as failure:
        call.cancel()
        code, details = failure.code(), str(failure.details())
    except BaseException:
        call.cancel()
        raise
    if code is grpc.StatusCode.UNIMPLEMENTED:
        raise StreamUnknownError
    raise UnavailableError(
        f"the router at {connection.address} went away ({code.name.lower()}: {details}); "
        "nothing was sent"
    )


class PublishStreams:
    """The streams of one bus, one for each namespace, opened when they are needed.

    Args:
        open_stream: opens one for a namespace.
    """

    def __init__(self, open_stream: Callable[[bytes], asyncio.Future[PublishStream]]) -> None:
        self._open = open_stream
        self._streams: dict[bytes, asyncio.Future[PublishStream]] = {}

    async def stream(self, namespace: bytes) -> PublishStream:
        """Return the stream of a namespace, opened anew if it was lost; raises as opening does."""
        opening = self._streams.get(namespace)
        if opening is None or _is_over(opening):
            opening = self._streams[namespace] = self._open(namespace)
        return await asyncio.shield(opening)

    def close(self) -> None:
        """Let go of all."""
        for opening in self._streams.values():
            if not opening.done():
                opening.cancel()
            elif not opening.cancelled() and opening.exception() is None:
                opening.result().close()
        self._streams.clear()


def _is_over(opening: asyncio.Future[PublishStream]) -> bool:
    if not opening.done():
        return False
    return opening.cancelled() or opening.exception() is not None or opening.result().is_lost
