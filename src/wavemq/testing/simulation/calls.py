"""gRPC between simulated routers: the real ends of every call, and a wire between them.

Owns calls over one link, as far as sessions and services use them: requests and responses are
serialized, pass a wire each way in order, and calls end as theirs do. Refuses to know what is
called. Fault model: what is on the wire when the link is cut never arrives, and neither end is told
until it notices; a method that the far end does not serve is `UNIMPLEMENTED`.
"""

# ruff: noqa: ANN401 - messages are of any type here, as in `grpc.aio`
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final, Generic, TypeVar, cast

import grpc
import grpc.aio

from wavemq.errors import WaveMQError

UNREAD_MAX: Final = 8
"""Messages of one call that are written and not read; then writing waits."""
MOMENT_SECONDS: Final = 1e-9

Metadata = Sequence[tuple[str, str]]
Decode = Callable[[bytes], Any]
Encode = Callable[[Any], bytes]
ItemT = TypeVar("ItemT")


@dataclass(slots=True)
class Conditions:
    """What all links suffer now.

    Attributes:
        dice: draws delays.
        delay_s: of a packet, at most.
        bytes_per_second: that a link carries each way; None: any number.
    """

    dice: Random
    delay_s: float = 0.02
    bytes_per_second: float | None = None


class Wire:
    """One direction of a link: carries things in order, for a while each, until it is cut.

    Args:
        conditions: of the network.
    """

    def __init__(self, conditions: Conditions) -> None:
        self._conditions = conditions
        self._busy_until = 0.0
        self._last_arrival = 0.0
        self.is_cut = False

    def carry(self, size_bytes: int, arrive: Callable[[], None]) -> None:
        """Have `arrive` called when so many bytes have passed, unless the link is cut by then."""
        loop, conditions = asyncio.get_running_loop(), self._conditions
        self._busy_until = max(self._busy_until, loop.time())
        if conditions.bytes_per_second is not None:
            self._busy_until += size_bytes / conditions.bytes_per_second
        delay_s = conditions.dice.uniform(0.0, conditions.delay_s)
        # Later than the one before: what is due at the same instant comes in any order.
        self._last_arrival = max(self._last_arrival + MOMENT_SECONDS, self._busy_until + delay_s)
        loop.call_at(self._last_arrival, self._arrive, arrive)

    def _arrive(self, arrive: Callable[[], None]) -> None:
        if not self.is_cut:
            arrive()


class _Pipe(Generic[ItemT]):
    """The messages of one call in one direction."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._arrived: asyncio.Queue[ItemT] = asyncio.Queue()
        self._unread_count = 0
        self._read = asyncio.Event()

    @property
    def has_room(self) -> bool:
        """Whether a writer need not wait for the reader."""
        return self._unread_count < UNREAD_MAX

    async def write(self, item: ItemT, size_bytes: int) -> None:
        while not self.has_room:
            self._read.clear()
            await self._read.wait()
        self.put(item, size_bytes)

    def put(self, item: ItemT, size_bytes: int) -> None:
        """Write without waiting for the reader."""
        self._unread_count += 1
        self._wire.carry(size_bytes, lambda: self._arrived.put_nowait(item))

    async def read(self) -> ItemT:
        item = await self._arrived.get()
        self._unread_count -= 1
        self._read.set()
        return item


@dataclass(frozen=True, slots=True)
class _End:
    """The end of a call, as its server says it."""

    code: grpc.StatusCode
    details: str = ""


class _Server:
    """The far end of one call; stands where a servicer context does."""

    def __init__(self, call: SimulatedCall, peer: str) -> None:
        self._call = call
        self._peer = peer

    def peer(self) -> str:
        """Return what names the link."""
        return self._peer

    async def send_initial_metadata(self, metadata: Metadata) -> None:
        """Send the headers."""
        self._call.down.put(dict(metadata), 16)

    async def write(self, response: Any) -> None:
        """Send a response."""
        await self.write_ahead(self._call.encode_response(response))

    async def write_ahead(self, response: bytes) -> None:
        """Send an encoded response, and wait while too many of them are not read."""
        await self._call.down.write(response, len(response))

    @property
    def has_room(self) -> bool:
        """Whether something can be sent without waiting."""
        return self._call.down.has_room

    def write_now(
        self, responses: Sequence[bytes], note_written: Callable[[int], None] | None = None
    ) -> None:
        """Send encoded responses while there is room; they are only ever acknowledged here."""
        assert note_written is None
        for response in responses:
            self._call.down.put(response, len(response))

    def write_last(self, response: Any) -> None:
        """Send a response without waiting; the call ends with it."""
        encoded = self._call.encode_response(response)
        self._call.down.put(encoded, len(encoded))

    async def requests(self) -> AsyncIterator[Any]:
        """Yield what the client sends."""
        while True:
            yield self._call.decode_request(await self._call.up.read())


class SimulatedCall:
    """A call, at its near end; stands where the calls of `grpc.aio` do.

    Args:
        link: that it passes.
        method: its path.
        encode: of requests.
        decode: of responses.
    """

    def __init__(self, link: SimulatedLink, method: str, encode: Encode, decode: Decode) -> None:
        self._link = link
        self._encode = encode
        self._decode = decode
        self.up: _Pipe[bytes] = _Pipe(link.up)
        self.down: _Pipe[bytes | dict[str, str] | _End] = _Pipe(link.down)
        self._headers: dict[str, str] | None = None
        self._early: list[bytes] = []
        self._end: _End | None = None
        self._serving: asyncio.Task[None] | None = None
        handler = link.find_method(method)
        self.decode_request = cast(Decode, handler.request_deserializer if handler else bytes)
        self.encode_response = cast(Encode, handler.response_serializer if handler else bytes)
        link.up.carry(32, lambda: self._begin(handler))

    # --- the near end -----------------------------------------------------------------------

    async def write(self, request: Any) -> None:
        """Send a request."""
        encoded = self._encode(request)
        await self.up.write(encoded, len(encoded))

    async def initial_metadata(self) -> dict[str, str]:
        """Return the headers; none if the call has ended without."""
        while self._headers is None and self._end is None:
            await self._receive()
        return self._headers or {}

    async def read(self) -> Any:
        """Return the next response, or `EOF`.

        Raises:
            AioRpcError: the call has failed.
        """
        while not self._early and self._end is None:
            await self._receive()
        if self._early:
            return self._decode(self._early.pop(0))
        assert self._end is not None
        if self._end.code is grpc.StatusCode.OK:
            return grpc.aio.EOF
        raise failure(self._end.code, self._end.details)

    async def code(self) -> grpc.StatusCode:
        """Return how the call ended."""
        while self._end is None:
            await self._receive()
        return self._end.code

    def cancel(self) -> bool:
        """Let go of the call, and have the other end told."""
        self._link.up.carry(8, self._cancel_serving)
        return True

    async def _receive(self) -> None:
        item = await self.down.read()
        if isinstance(item, _End):
            self._end = item
        elif isinstance(item, dict):
            self._headers = item
        else:
            self._early.append(item)

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._responses()

    async def _responses(self) -> AsyncIterator[Any]:
        while (response := await self.read()) is not grpc.aio.EOF:
            yield response

    # --- the far end ------------------------------------------------------------------------

    def _begin(self, handler: grpc.RpcMethodHandler[Any, Any] | None) -> None:
        if handler is None:
            self.down.put(_End(grpc.StatusCode.UNIMPLEMENTED, "Method not found!"), 16)
            return
        self._serving = self._link.serve(self._serve(handler))

    async def _serve(self, handler: grpc.RpcMethodHandler[Any, Any]) -> None:
        context = _Server(self, self._link.name)
        if handler.stream_stream is not None:
            await cast(Any, handler.stream_stream)(context.requests(), context)
        else:
            request = self.decode_request(await self.up.read())
            if handler.unary_stream is not None:
                await cast(Any, handler.unary_stream)(request, context)
            else:
                await context.write(await cast(Any, handler.unary_unary)(request, context))
        self.down.put(_End(grpc.StatusCode.OK), 8)

    def _cancel_serving(self) -> None:
        if self._serving is not None:
            self._serving.cancel()


class SimulatedLink:
    """A link with the calls over it; stands where a channel of `grpc.aio` does.

    Args:
        name: of the link.
        service: of the far end.
        conditions: of the network.
        hidden: methods that the far end does not serve.
    """

    def __init__(
        self,
        name: str,
        service: grpc.GenericRpcHandler,
        conditions: Conditions,
        *,
        hidden: frozenset[str],
    ) -> None:
        self.name = name
        self.up = Wire(conditions)
        self.down = Wire(conditions)
        self._service = service
        self._hidden = hidden
        self._serving: set[asyncio.Task[None]] = set()

    def cut(self) -> None:
        """Lose what is on the wire from now on."""
        self.up.is_cut = self.down.is_cut = True

    def end_serving(self) -> None:
        """Let the far end notice that the link is gone."""
        for task in self._serving:
            task.cancel()

    def serve(self, work: Awaitable[None]) -> asyncio.Task[None]:
        """Run the far end of a call."""
        task = asyncio.ensure_future(_contained(work))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        return task

    def find_method(self, path: str) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Return what serves a method, if anything does."""
        if path.rpartition("/")[2] in self._hidden:
            return None
        return self._service.service(cast(grpc.HandlerCallDetails, _Details(path)))

    # --- what a channel offers --------------------------------------------------------------

    def unary_unary(
        self, path: str, request_serializer: Encode, response_deserializer: Decode
    ) -> Callable[..., Awaitable[Any]]:
        """Return a call with one request and one response."""

        async def call(request: Any, timeout: float | None = None) -> Any:  # noqa: ASYNC109 - theirs
            try:
                async with asyncio.timeout(timeout):
                    one = SimulatedCall(self, path, request_serializer, response_deserializer)
                    await one.write(request)
                    return await one.read()
            except TimeoutError as error:
                raise failure(grpc.StatusCode.DEADLINE_EXCEEDED, "no answer") from error

        return call

    def unary_stream(
        self, path: str, request_serializer: Encode, response_deserializer: Decode
    ) -> Callable[..., SimulatedCall]:
        """Return a call with one request and many responses."""

        def call(request: Any, timeout: float | None = None) -> SimulatedCall:
            del timeout
            one = SimulatedCall(self, path, request_serializer, response_deserializer)
            encoded = request_serializer(request)
            one.up.put(encoded, len(encoded))
            return one

        return call

    def stream_stream(
        self, path: str, request_serializer: Encode, response_deserializer: Decode
    ) -> Callable[..., SimulatedCall]:
        """Return a call with many of both."""

        def call(metadata: Metadata = ()) -> SimulatedCall:
            del metadata
            return SimulatedCall(self, path, request_serializer, response_deserializer)

        return call


@dataclass(frozen=True, slots=True)
class _Details:
    method: str
    invocation_metadata: Metadata = ()


def failure(code: grpc.StatusCode, details: str) -> grpc.aio.AioRpcError:
    """Return the error of a call."""
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details)


async def _contained(work: Awaitable[None]) -> None:
    try:
        await work
    except WaveMQError as error:  # the real server would log it and answer UNKNOWN
        raise AssertionError("a door let an error through") from error
