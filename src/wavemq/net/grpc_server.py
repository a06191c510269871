"""Serving gRPC over the reactor: methods with one request or many, and their calls.

Owns what a call under way is told and asks, and how it ends. Refuses to know any service. Fault
model: callers of any make and age; one may vanish at any moment, its method is then cancelled; a
method that fails ends its call with an error, and the log says why.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from types import MappingProxyType
from typing import Any, Final, Generic, TypeVar

import grpc
import structlog
from google.protobuf.message import DecodeError
from google.protobuf.message import Message as ProtobufMessage

from wavemq._kernel import Http2
from wavemq.limits import FRAME_BYTES_MAX, KIB, MIB
from wavemq.net.reactor import Arrival, CallEvents, Metadata, MethodEvents, Reactor

STREAMS_MAX: Final = 16_384
"""Calls under way on one connection: clients hold one for each subscription."""
CONNECTIONS_MAX: Final = 10_000
"""Of one door that accepts them itself."""
BEGIN_SECONDS_MAX: Final = 10.0
"""From the start of a connection to its first bytes of HTTP/2."""
IDLE_SECONDS_MAX: Final = 600.0
"""Without calls for that long, a connection is ended; clients make a new one when they need it."""
STOP_SECONDS_MAX: Final = 0.5
"""Calls under way at the end get this long."""
LINGER_SECONDS_MAX: Final = 0.2
"""What was answered at the end may leave within this time."""
AHEAD_MAX: Final = 256
"""Messages that a call sends before they have left for the network."""
AHEAD_BYTES_MAX: Final = MIB
"""Of them; a single message may exceed it."""
CONSUMED_BYTES_TOLD: Final = 64 * KIB
"""The network is told what was taken of a call's messages in such pieces: it bears 1 MiB."""
_STOP_LOOK_SECONDS: Final = 0.005

_Handler = Any
"""A `grpc.RpcMethodHandler` with the functions of `grpc.aio`, which its own types do not know."""
RequestT = TypeVar("RequestT", bound=ProtobufMessage)
ResponseT = TypeVar("ResponseT", bound=ProtobufMessage)

_log = structlog.get_logger("wavemq.net.door")


class AbortError(Exception):
    """Ends a call with a status; never leaves `net`."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self.code = code
        self.details = details


class ServedCall(CallEvents, Generic[ResponseT]):
    """A call of ours under way, as its method sees it.

    Attributes:
        connection: names the connection that it came over.
        metadata: of the caller.
    """

    def __init__(
        self, reactor: Reactor, arrival: Arrival, encode: Callable[[ResponseT | bytes], bytes]
    ) -> None:
        self.connection = arrival.connection
        self.metadata = arrival.metadata
        self.number = arrival.call
        self._reactor = reactor
        self._encode = encode
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None]
        self._arrived: list[bytes] = []
        self._is_finished = False
        self._waiter: asyncio.Future[None] | None = None
        self._consumed_bytes = 0
        self._written_count = 0
        self._unwritten_bytes = 0
        # Of each message that has not left: its size, and what is told when it has.
        self._unwritten: deque[tuple[int, Callable[[int], None] | None]] = deque()
        self._writers: list[tuple[int, asyncio.Future[None]]] = []
        self._is_over = False

    def peer(self) -> str:
        """Return what names the connection that the call came over."""
        return self.connection

    def invocation_metadata(self) -> Metadata:
        """Return the caller's metadata."""
        return self.metadata

    async def send_initial_metadata(self, metadata: Metadata) -> None:
        """Send the headers, before any message."""
        self._reactor.http2.headers(self.number, list(metadata))

    async def abort(self, code: grpc.StatusCode, details: str) -> None:
        """End the call with a status."""
        raise AbortError(code, details)

    async def write(self, response: ResponseT | bytes) -> None:
        """Send a message, and wait until it has left for the network.

        Raises:
            asyncio.CancelledError: the caller has gone.
        """
        self._write([self._encode(response)])
        await self._wait_written(0)

    async def write_ahead(self, response: bytes) -> None:
        """Send an encoded message, where much has not left for the network after a wait for room.

        Raises:
            asyncio.CancelledError: the caller has gone.
        """
        await self._wait_room()
        self._write([response])

    def write_last(self, response: ResponseT | bytes) -> None:
        """Send the last message, without waiting; a caller who does not take it loses it."""
        if not self._is_over:
            self._write([self._encode(response)])

    async def write_all(
        self, responses: Sequence[bytes], note_written: Callable[[int], None]
    ) -> None:
        """Send encoded messages together as `write_ahead` does, and tell how many have left.

        Those that have left are told of also when the caller goes away meanwhile.
        """
        await self._wait_room()
        self._write(list(responses), note_written)

    @property
    def has_room(self) -> bool:
        """Whether something can be sent without waiting; the caller is there."""
        return not self._is_over and (
            self._unwritten_bytes <= AHEAD_BYTES_MAX and len(self._unwritten) <= AHEAD_MAX
        )

    def write_now(
        self, responses: Sequence[bytes], note_written: Callable[[int], None] | None = None
    ) -> None:
        """Send encoded messages while there is room, and tell how many have left."""
        self._write(list(responses), note_written)

    def _write(self, messages: list[bytes], note: Callable[[int], None] | None = None) -> None:
        if self._is_over:
            raise asyncio.CancelledError
        self._reactor.http2.write(self.number, messages)
        sizes = [len(one) for one in messages]
        self._unwritten += [(size, note) for size in sizes]
        self._unwritten_bytes += sum(sizes)

    async def _wait_room(self) -> None:
        while not (self.has_room or self._is_over):
            await self._wait_written(len(self._unwritten) - 1)

    async def _wait_written(self, count_max: int) -> None:
        """Wait until at most so many messages have not left."""
        written: asyncio.Future[None] = self._loop.create_future()
        enough = self._written_count + len(self._unwritten) - count_max
        self._writers.append((enough, written))
        await written

    async def requests(self, decode: Callable[[bytes], RequestT]) -> AsyncIterator[RequestT]:
        """Yield the caller's messages; each makes room for further ones when it is taken."""
        while True:
            while not self._arrived:
                if self._is_finished:
                    return
                self._waiter = self._loop.create_future()
                await self._waiter
            arrived, self._arrived = self._arrived, []
            arrived.reverse()
            while arrived:
                # Nothing here holds on to a request: it may have a secret in it.
                yield _decoded(decode, self._consumed(arrived.pop()))

    def _consumed(self, content: bytes) -> bytes:
        """Take note that a message was taken, and return it."""
        self._consumed_bytes += len(content) + Http2.MESSAGE_BYTES
        if self._consumed_bytes >= CONSUMED_BYTES_TOLD:
            self._reactor.http2.consumed(self.number, self._consumed_bytes)
            self._consumed_bytes = 0
        return content

    def run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Have the method serve the call."""
        self._reactor.add_call(self.number, self)
        self._task = self._loop.create_task(self._serve(work))
        # Also when it is cancelled before its first step.
        self._task.add_done_callback(lambda _: work.close())
        return self._task

    async def _serve(self, work: Awaitable[None]) -> None:
        code, details = grpc.StatusCode.OK, ""
        try:
            await work
        except AbortError as error:
            code, details = error.code, error.details
        except asyncio.CancelledError:
            code, details = grpc.StatusCode.UNAVAILABLE, "the router stops"
            raise
        except Exception:  # noqa: BLE001 - the door's last resort; logged whole, told in one sentence
            _log.exception("call_failed")
            code, details = grpc.StatusCode.UNKNOWN, "the router failed; its log says why"
        finally:
            self._reactor.remove_call(self.number)
            if not self._is_over:
                self._reactor.http2.finish(self.number, int(code.value[0]), details)

    def cancel(self) -> None:
        """End the call, which gets a status that says so."""
        self._task.cancel()

    # --- what the reactor tells -------------------------------------------------------------

    def message(self, content: bytes) -> None:
        """Keep a message until the method asks for it."""
        self._arrived.append(content)
        self._wake()

    def finished(self) -> None:
        """Take note that the caller has sent all."""
        self._is_finished = True
        self._wake()

    def written(self, count: int) -> None:
        """Tell who wrote them."""
        self._written_count += count
        gone = [self._unwritten.popleft() for _ in range(count)]
        self._unwritten_bytes -= sum(size_bytes for size_bytes, _ in gone)
        for note, told in groupby(note for _, note in gone):
            if note is not None:
                note(len(list(told)))
        while self._writers and self._writers[0][0] <= self._written_count:
            _, written = self._writers.pop(0)
            if not written.done():
                written.set_result(None)

    def headers(self, metadata: Metadata) -> None:
        """Take nothing: a served call gets no answer."""

    def ended(self, code: int, text: str) -> None:
        """Cancel the method: the caller has gone."""
        del code, text
        self._is_over = True
        self.cancel()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _decoded(decode: Callable[[bytes], RequestT], content: bytes) -> RequestT:
    try:
        return decode(content)
    except DecodeError as error:
        raise AbortError(grpc.StatusCode.INTERNAL, "the request is no protobuf message") from error


@dataclass(frozen=True, slots=True)
class _Details(grpc.HandlerCallDetails):
    """What a generic handler is asked with."""

    method: str
    invocation_metadata: tuple[tuple[str, str | bytes], ...] = ()


class GrpcServer:
    """Serves the methods of one service.

    Args:
        reactor: of this event loop.
        handler: knows the methods.
        paths: of those that there may be.
        batched: takes calls to a method in batches and answers them itself, by path.
        announced: hears over which connections calls begin to arrive, by path.
        is_compressing: whether answers may be compressed.
        idle_s: without calls for that long, a connection is ended.

    Attributes:
        number: under which the kernel serves it.
    """

    def __init__(
        self,
        reactor: Reactor,
        handler: grpc.GenericRpcHandler,
        paths: Sequence[str],
        *,
        batched: Mapping[str, Callable[[Sequence[Arrival]], None]] = MappingProxyType({}),
        announced: Mapping[str, Callable[[str], None]] = MappingProxyType({}),
        is_compressing: bool = False,
        idle_s: float = IDLE_SECONDS_MAX,
    ) -> None:
        self._reactor = reactor
        self._calls: dict[asyncio.Task[None], None] = {}
        self._numbers: list[int] = []
        methods: list[tuple[int, str, bool, bool]] = []
        for path in paths:
            take = batched.get(path)
            is_streaming = False
            if take is None:
                found = handler.service(_Details(path))
                if found is None:
                    continue
                take = partial(self._begin, found)
                is_streaming = found.request_streaming
            number = reactor.add_method(_Method(take, announced.get(path)))
            self._numbers.append(number)
            methods.append((number, path, is_streaming, path in announced))
        self.number = reactor.http2.serve(
            methods, FRAME_BYTES_MAX, STREAMS_MAX, is_compressing, BEGIN_SECONDS_MAX, idle_s
        )

    def _begin(self, handler: _Handler, arrivals: Sequence[Arrival]) -> None:
        encode = handler.response_serializer or bytes
        for arrival in arrivals:
            call: ServedCall[Any] = ServedCall(self._reactor, arrival, encode)
            task = call.run(_serve(call, handler, arrival.message))
            self._calls[task] = None
            task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._calls.pop(task, None)

    async def stop(self, is_busy: Callable[[], bool] = lambda: False) -> None:
        """Take no calls any more; those under way get `STOP_SECONDS_MAX`.

        Args:
            is_busy: whether calls that came in batches are under way.
        """
        self._reactor.http2.leave_all(self.number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS_MAX):
                while self._calls or is_busy():  # noqa: ASYNC110 - once in a process's life
                    await asyncio.sleep(_STOP_LOOK_SECONDS)
        for task in list(self._calls):
            task.cancel()
        if self._calls:
            await asyncio.wait(set(self._calls))
        await self._reactor.end_service(self.number, LINGER_SECONDS_MAX)
        for number in self._numbers:
            self._reactor.remove_method(number)


@dataclass(frozen=True, slots=True)
class _Method(MethodEvents):
    take: Callable[[Sequence[Arrival]], None]
    announce: Callable[[str], None] | None

    def arriving(self, connection: str) -> None:
        if self.announce is not None:
            self.announce(connection)

    def called(self, arrivals: Sequence[Arrival]) -> None:
        self.take(arrivals)


async def _serve(call: ServedCall[Any], handler: _Handler, message: bytes | None) -> None:
    """Have the right kind of method serve a call."""
    decode = handler.request_deserializer or bytes
    if handler.stream_stream is not None:
        await handler.stream_stream(call.requests(decode), call)
        return
    request = _decoded(decode, message or b"")
    if handler.unary_stream is None:
        call.write_last(await handler.unary_unary(request, call))
        return
    answering = handler.unary_stream(request, call)
    del message, request  # it may have a secret in it, and the answer may take for days
    await answering
