"""Calls over one connection that we dialled, as `grpc.aio` offers them.

Owns the near ends of calls: their messages, headers and ends. Refuses to know any service. Fault
model: the other end may refuse, fail or vanish, which ends a call with a status; one that sends
more than is read is not read.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, Generic, Protocol, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from wavemq._kernel import Http2
from wavemq.limits import FRAME_BYTES_MAX
from wavemq.net.reactor import CallEvents, Metadata, Reactor

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")
Encode = Callable[[Any], bytes]
Decode = Callable[[bytes], Any]

_CODES: Final = {int(code.value[0]): code for code in grpc.StatusCode}


class Call(CallEvents, Generic[RequestT, ResponseT]):
    """A call under way.

    Args:
        reactor: that holds the connection.
        number: of the call there.
        encode: of requests.
        decode: of responses.
    """

    def __init__(self, reactor: Reactor, number: int, encode: Encode, decode: Decode) -> None:
        self._reactor = reactor
        self._number = number
        self._encode = encode
        self._decode = decode
        self._loop = asyncio.get_running_loop()
        self._headers: Metadata | None = None
        self._responses: deque[bytes] = deque()
        self._end: tuple[grpc.StatusCode, str] | None = None
        self._changed: set[asyncio.Future[None]] = set()
        self._writes: deque[tuple[int, asyncio.Future[None]]] = deque()
        reactor.add_call(number, self)

    async def write(self, request: RequestT) -> None:
        """Send a message, and wait until it has left for the network.

        Raises:
            InvalidStateError: the call has ended; who reads it is told how.
        """
        if self._end is not None:
            raise asyncio.InvalidStateError("the call has ended")
        written: asyncio.Future[None] = self._loop.create_future()
        self._writes.append((1, written))
        self._reactor.http2.write(self._number, [self._encode(request)])
        await written

    def send(self, request: RequestT) -> None:
        """Send the only message, without waiting."""
        self._reactor.http2.write(self._number, [self._encode(request)])
        self._reactor.http2.half_close(self._number)

    async def initial_metadata(self) -> Metadata:
        """Return the headers; none if the call has ended without."""
        while self._headers is None and self._end is None:
            await self._wait_change()
        return self._headers or ()

    async def read(self) -> Any:  # noqa: ANN401 - a message or `grpc.aio.EOF`, as there
        """Return the next response, or `grpc.aio.EOF`.

        Raises:
            AioRpcError: the call has failed.
        """
        while not self._responses:
            if self._end is not None:
                return self._conclude(self._end)
            await self._wait_change()
        content = self._responses.popleft()
        self._reactor.http2.consumed(self._number, len(content) + Http2.MESSAGE_BYTES)
        try:
            return self._decode(content)
        except DecodeError:
            self.cancel()
            details = "the response is no protobuf message"
            return self._conclude((grpc.StatusCode.INTERNAL, details))

    async def code(self) -> grpc.StatusCode:
        """Return how the call ended."""
        while self._end is None:
            await self._wait_change()
        return self._end[0]

    def cancel(self) -> bool:
        """Let go of the call, and have the other end told."""
        if self._end is not None:
            return False
        self._reactor.remove_call(self._number)
        self._reactor.http2.cancel(self._number)
        self.ended(int(grpc.StatusCode.CANCELLED.value[0]), "cancelled here")
        return True

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._all()

    async def _all(self) -> AsyncIterator[Any]:
        while (response := await self.read()) is not grpc.aio.EOF:
            yield response

    @staticmethod
    def _conclude(end: tuple[grpc.StatusCode, str]) -> object:
        code, details = end
        if code is grpc.StatusCode.OK:
            return grpc.aio.EOF
        nothing = grpc.aio.Metadata()
        raise grpc.aio.AioRpcError(code, nothing, nothing, details)

    async def _wait_change(self) -> None:
        changed: asyncio.Future[None] = self._loop.create_future()
        self._changed.add(changed)
        try:
            await changed
        finally:
            self._changed.discard(changed)

    def _note_change(self) -> None:
        for changed in self._changed:
            if not changed.done():
                changed.set_result(None)

    # --- what the reactor tells -------------------------------------------------------------

    def message(self, content: bytes) -> None:
        """Keep a response until it is read."""
        self._responses.append(content)
        self._note_change()

    def finished(self) -> None:
        """Take nothing: the end comes with a status."""

    def written(self, count: int) -> None:
        """Tell who wrote them."""
        for _ in range(min(count, len(self._writes))):
            _, written = self._writes.popleft()
            if not written.done():
                written.set_result(None)

    def headers(self, metadata: Metadata) -> None:
        """Take the headers."""
        self._headers = metadata
        self._note_change()

    def ended(self, code: int, text: str) -> None:
        """Take the end; nobody waits any more."""
        self._end = (_CODES.get(code, grpc.StatusCode.UNKNOWN), text)
        for _, written in self._writes:
            if not written.done():
                written.set_exception(asyncio.InvalidStateError("the call has ended"))
        self._writes.clear()
        self._note_change()


class CallingChannel(Protocol):
    """What makes calls of the three kinds that routers use."""

    def unary_unary(
        self, path: str, request_serializer: Encode, response_deserializer: Decode
    ) -> Callable[..., Awaitable[Any]]:
        """Return a call with one request and one response."""
        ...

    def unary_stream(
        self, path: str, request_serializer: Encode, response_deserializer: Decode
    ) -> Callable[..., Any]:
        """Return a call with one request and many responses."""
        ...

    def stream_stream(
        self, path: str, request_serializer: Encode, response_deserializer: Decode
    ) -> Callable[..., Any]:
        """Return a call with many of both."""
        ...


class Channel(CallingChannel):
    """Makes calls over one connection.

    Args:
        reactor: that holds it.
        connection: its number there.
        authority: whom the calls are for, as HTTP/2 says it.
    """

    def __init__(self, reactor: Reactor, connection: int, *, authority: str) -> None:
        self._reactor = reactor
        self._connection = connection
        self._authority = authority

    def unary_unary(
        self, path: str, request_serializer: Encode, response_deserializer: Decode
    ) -> Callable[..., Awaitable[Any]]:
        """Return a call with one request and one response."""

        async def call(request: Any, timeout: float | None = None) -> Any:  # noqa: ANN401, ASYNC109 - theirs
            one = self._call(path, (), timeout, request_serializer, response_deserializer)
            try:
                one.send(request)
                response = await one.read()
                if response is grpc.aio.EOF:
                    one.ended(int(grpc.StatusCode.INTERNAL.value[0]), "there is no answer")
                    await one.read()
                return response
            finally:
                one.cancel()

        return call

    def unary_stream(
        self, path: str, request_serializer: Encode, response_deserializer: Decode
    ) -> Callable[..., Any]:
        """Return a call with one request and many responses."""

        def call(request: Any, timeout: float | None = None) -> Call[Any, Any]:  # noqa: ANN401 - theirs
            one = self._call(path, (), timeout, request_serializer, response_deserializer)
            one.send(request)
            return one

        return call

    def stream_stream(
        self, path: str, request_serializer: Encode, response_deserializer: Decode
    ) -> Callable[..., Any]:
        """Return a call with many of both."""

        def call(metadata: Metadata = ()) -> Call[Any, Any]:
            return self._call(path, metadata, None, request_serializer, response_deserializer)

        return call

    def _call(
        self,
        path: str,
        metadata: Metadata,
        timeout_s: float | None,
        encode: Encode,
        decode: Decode,
    ) -> Call[Any, Any]:
        number = self._reactor.http2.call(
            self._connection, self._authority, path, list(metadata), timeout_s, FRAME_BYTES_MAX
        )
        return Call(self._reactor, number, encode, decode)
