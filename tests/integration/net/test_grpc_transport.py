"""Our own gRPC transport: what callers of any make may rely on, and what abusers get."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, cast

import grpc
import grpc.aio
import pytest

from tests.support import raw_http2 as raw
from tests.support.raw_http2 import RawConnection
from tests.support.waiting import until
from wavemq.limits import FRAME_BYTES_MAX, MIB
from wavemq.net import grpc_server
from wavemq.net.addresses import Address, bound_address, listen
from wavemq.net.grpc_server import GrpcServer, ServedCall
from wavemq.net.reactor import Reactor, running_reactor

SAY, COUNT, TALK = "/test.Door/Say", "/test.Door/Count", "/test.Door/Talk"
RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL = b"\x81\x7b", b"\x82\x08\xbf", b"\x82\x0b\x3f"
"""8, 12 and 13 as HPACK spells them (RFC 7541, appendix B)."""
Call = ServedCall[Any]


@dataclass
class Door:
    """A service with a method of each kind, and what it has seen."""

    address: Address = field(default_factory=lambda: Address("", 0))
    reactor: Reactor | None = None
    cancelled: int = 0
    seen: list[bytes] = field(default_factory=list)
    metadata: list[tuple[str, str]] = field(default_factory=list)
    written: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def say(self, request: bytes, call: Call) -> bytes:
        self.metadata = list(call.invocation_metadata())
        if request == b"wait":
            try:
                await self.gate.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        if request == b"fail":
            raise RuntimeError("private detail")
        if request == b"abort":
            await call.abort(grpc.StatusCode.FAILED_PRECONDITION, "nö: 100 %")
        return request

    async def count(self, request: bytes, call: Call) -> None:
        await call.send_initial_metadata((("x-kind", "count"),))
        content = os.urandom(200_000) if request == b"flood" else request
        for _ in range(1000 if request == b"flood" else 3):
            await call.write(content)
            self.written += 1

    async def talk(self, requests: AsyncIterator[bytes], call: Call) -> None:
        async for request in requests:
            self.seen.append(request)
            if request == b"stall":
                await self.gate.wait()
            await call.write(request)

    def handler(self) -> grpc.GenericRpcHandler:
        methods: dict[str, Any] = {
            "Say": grpc.unary_unary_rpc_method_handler(cast(Any, self.say)),
            "Count": grpc.unary_stream_rpc_method_handler(cast(Any, self.count)),
            "Talk": grpc.stream_stream_rpc_method_handler(cast(Any, self.talk)),
        }
        return grpc.method_handlers_generic_handler("test.Door", methods)

    async def raw(self, *, greet: bool = True) -> RawConnection:
        return await RawConnection.open(self.address.host, self.address.port, greet=greet)


@contextlib.asynccontextmanager
async def serving(connections_max: int = 100) -> AsyncIterator[Door]:
    door = Door()
    listening = listen(Address("127.0.0.1", 0))
    door.address = bound_address(listening)
    async with running_reactor() as reactor:
        door.reactor = reactor
        server = GrpcServer(reactor, door.handler(), [SAY, COUNT, TALK], is_compressing=True)
        listener = reactor.http2.listen(listening.detach(), server.number, connections_max)
        try:
            yield door
        finally:
            await reactor.stop_listening(listener)
            await server.stop()


@contextlib.asynccontextmanager
async def caller(door: Door) -> AsyncIterator[Any]:
    options = (
        ("grpc.max_receive_message_length", 2 * FRAME_BYTES_MAX),
        ("grpc.max_send_message_length", 2 * FRAME_BYTES_MAX),
    )
    async with grpc.aio.insecure_channel(str(door.address), options=options) as channel:
        yield channel


def say(channel: Any, content: bytes, **options: Any) -> Any:
    return channel.unary_unary(SAY)(content, timeout=20, **options)


# --- the good way --------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
async def test_messages_of_all_sizes_pass_and_come_back(compression: grpc.Compression) -> None:
    async with serving() as door, caller(door) as channel:
        for size in (0, 1, 1023, 65_536, 5 * MIB):
            content = bytes(range(256)) * (size // 256) + bytes(size % 256)
            assert await say(channel, content, compression=compression) == content


async def test_streams_give_headers_messages_and_an_end() -> None:
    async with serving() as door, caller(door) as channel:
        stream = channel.unary_stream(COUNT)(b"abc", metadata=(("x-a", "b"),), timeout=20)
        assert dict(await stream.initial_metadata())["x-kind"] == "count"
        assert [one async for one in stream] == [b"abc"] * 3
        assert await stream.code() is grpc.StatusCode.OK


async def test_requests_of_a_stream_are_served_as_they_come() -> None:
    async with serving() as door, caller(door) as channel:
        stream = channel.stream_stream(TALK)(timeout=20)
        for word in (b"one", b"two"):
            await stream.write(word)
            assert await stream.read() == word
        await stream.done_writing()
        assert await stream.read() is grpc.aio.EOF


async def test_custom_metadata_is_seen_and_that_of_the_transport_is_not() -> None:
    async with serving() as door, caller(door) as channel:
        await say(channel, b"x", metadata=(("wavemq-include-proof", "1"),))
        assert door.metadata == [("wavemq-include-proof", "1")]


async def test_aborts_and_defects_end_a_call_with_a_status() -> None:
    async with serving() as door, caller(door) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as aborted:
            await say(channel, b"abort")
        assert aborted.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert aborted.value.details() == "nö: 100 %"
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await say(channel, b"fail")
        assert failed.value.code() is grpc.StatusCode.UNKNOWN
        assert "private" not in str(failed.value.details())


async def test_unknown_methods_are_unimplemented() -> None:
    async with serving() as door, caller(door) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await channel.unary_unary("/test.Door/Other")(b"x", timeout=20)
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("gives_up", ["cancel", "deadline", "disconnect"])
async def test_method_is_cancelled_when_its_caller_gives_up(gives_up: str) -> None:
    async with serving() as door, caller(door) as channel:
        patience_s = 0.3 if gives_up == "deadline" else 20
        call = channel.unary_unary(SAY)(b"wait", timeout=patience_s)
        if gives_up == "cancel":
            await until("it is served", lambda: door.metadata is not None)
            await asyncio.sleep(0.05)
            call.cancel()
        if gives_up == "disconnect":
            await asyncio.sleep(0.1)
            await channel.close()
        with pytest.raises((grpc.aio.AioRpcError, asyncio.CancelledError)):
            await call
        await until("the method was cancelled", lambda: door.cancelled == 1)


async def test_calls_under_way_at_the_end_get_a_status_and_the_address_is_free() -> None:
    async with contextlib.AsyncExitStack() as stack:
        async with serving() as door:
            channel = await stack.enter_async_context(caller(door))
            call = channel.unary_unary(SAY)(b"wait", timeout=20)
            await until("it is served", lambda: bool(door.metadata) or door.reactor is not None)
            await asyncio.sleep(0.1)
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await call
        assert ended.value.code() is grpc.StatusCode.UNAVAILABLE
    listen(door.address).close()


# --- too much of it ------------------------------------------------------------------------------


async def test_stream_that_nobody_reads_is_written_no_further() -> None:
    async with serving() as door, caller(door) as channel, caller(door) as other:
        stream = channel.unary_stream(COUNT)(b"flood", timeout=30)
        await stream.initial_metadata()
        assert await say(other, b"x") == b"x"
        await asyncio.sleep(0.3)
        before = door.written
        await asyncio.sleep(0.2)
        assert door.written == before < 500
        stream.cancel()


async def test_caller_that_sends_faster_than_it_is_served_is_not_read() -> None:
    async with serving() as door, caller(door) as channel:
        stream = channel.stream_stream(TALK)(timeout=30)
        await stream.write(b"stall")
        sent = 0

        async def flood() -> None:
            nonlocal sent
            while True:
                await stream.write(bytes(200_000))
                sent += 1

        flooding = asyncio.ensure_future(flood())
        await asyncio.sleep(0.5)
        before = sent
        await asyncio.sleep(0.2)
        assert sent == before < 200
        assert await say(channel, b"x") == b"x"
        flooding.cancel()
        stream.cancel()


@pytest.mark.parametrize("size_bytes", [0, 10])
async def test_stream_of_many_small_messages_does_not_stall(size_bytes: int) -> None:
    async with serving() as door, caller(door) as channel:
        stream = channel.stream_stream(TALK)(timeout=60)
        content, count = bytes(size_bytes), 40_000  # counted with what each costs, several windows

        async def write() -> None:
            for _ in range(count):
                await stream.write(content)
            await stream.done_writing()

        writing = asyncio.ensure_future(write())
        assert sum([1 async for _ in stream]) == count == len(door.seen)
        await writing


async def test_connections_over_the_bound_are_closed_and_the_others_served() -> None:
    async with serving(connections_max=3) as door, caller(door) as channel:
        assert await say(channel, b"x") == b"x"
        held = [await door.raw() for _ in range(2)]
        one_more = await door.raw()
        assert await one_more.frames_until_closed() == []
        assert await say(channel, b"y") == b"y"
        for connection in held:
            await connection.close()


# --- malformed and hostile ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (raw.message(b"", size=2**32 - 1), (), RESOURCE_EXHAUSTED),
        (raw.message(b"", size=FRAME_BYTES_MAX + 1), (), RESOURCE_EXHAUSTED),
        (raw.message(b"abc", size=10), (), INTERNAL),
        (b"", (), INTERNAL),
        (raw.message(b"a") + raw.message(b"b"), (), INTERNAL),
        (raw.message(b"abc", flag=1), (), INTERNAL),
        (raw.message(b"abc", flag=7), (), INTERNAL),
        (raw.message(b"no gzip", flag=1), (("grpc-encoding", "gzip"),), INTERNAL),
        (raw.message(b"abc"), (("grpc-encoding", "snappy"),), UNIMPLEMENTED),
        (raw.message(b"abc"), (("grpc-timeout", "soon"),), INTERNAL),
    ],
    ids=[
        "4 GiB announced",
        "too large",
        "truncated",
        "empty",
        "two messages",
        "no encoding named",
        "unknown flag",
        "no gzip",
        "unknown encoding",
        "timeout",
    ],
)
async def test_malformed_call_gets_a_status(
    content: bytes, headers: tuple[tuple[str, str], ...], status: bytes
) -> None:
    async with serving() as door, caller(door) as channel:
        connection = await door.raw()
        await connection.call(1, SAY, content, *headers)
        answer = await connection.answer(1)
        assert status in answer, answer
        await connection.call(3, SAY, raw.message(b"good"))
        assert b"good" in await connection.answer(3)
        assert await say(channel, b"x") == b"x"
        await connection.close()


@pytest.mark.parametrize(
    "opening",
    [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", bytes(100)],
    ids=["HTTP/1.1", "TLS", "zeros"],
)
async def test_other_protocols_are_closed(opening: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grpc_server, "BEGIN_SECONDS_MAX", 0.3)
    async with serving() as door:
        connection = await door.raw(greet=False)
        await connection.send(opening)
        frames = await connection.frames_until_closed()
        assert all(one.kind in {raw.SETTINGS, raw.GO_AWAY} for one in frames)


@pytest.mark.parametrize("opening", [b"", raw.PREFACE[:10]], ids=["silent", "half a preface"])
async def test_connection_that_does_not_begin_is_closed(
    opening: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grpc_server, "BEGIN_SECONDS_MAX", 0.3)
    async with serving() as door, caller(door) as channel:
        connection = await door.raw(greet=False)
        await connection.send(opening)
        await connection.frames_until_closed()
        assert await say(channel, b"x") == b"x"


async def test_rapid_resets_end_their_connection_and_disturb_nobody() -> None:
    async with serving() as door, caller(door) as channel:
        connection = await door.raw()
        block = raw.call_headers(SAY)
        for batch in range(20):
            streams = range(1 + 200 * batch, 1 + 200 * (batch + 1), 2)
            await connection.send(
                b"".join(
                    raw.frame(raw.HEADERS, raw.END_HEADERS, stream, block)
                    + raw.frame(raw.RESET, 0, stream, struct.pack(">I", 8))
                    for stream in streams
                )
            )
        await connection.frames_until_closed()
        assert await say(channel, b"x") == b"x"


@pytest.mark.parametrize("kind", ["one huge", "many", "without end"])
async def test_oversized_headers_are_refused(kind: str) -> None:
    async with serving() as door, caller(door) as channel:
        connection = await door.raw()
        others = (
            [("x", "y" * 15_000)] if kind == "one huge" else [(f"x{n}", "y") for n in range(900)]
        )
        block = raw.call_headers(SAY, *others, ("z", "z" * 4000))
        first, rest = block[:16_000], block[16_000:]
        await connection.send(raw.frame(raw.HEADERS, 0, 1, first))
        if kind == "without end":
            for _ in range(2000):
                await connection.send(
                    raw.frame(raw.CONTINUATION, 0, 1, raw.header_block([("a", "b")]))
                )
        else:
            await connection.send(
                raw.frame(raw.CONTINUATION, raw.END_HEADERS, 1, rest)
                + raw.frame(raw.DATA, raw.END_STREAM, 1, raw.message(b"abc"))
            )
        assert b"abc" not in await connection.answer(1)
        assert await say(channel, b"x") == b"x"
        await connection.close()


async def test_floods_of_control_frames_disturb_nobody() -> None:
    async with serving() as door, caller(door) as channel:
        connection = await door.raw()
        flood = b"".join(
            raw.frame(raw.PING, 0, 0, bytes(8)) + raw.frame(raw.SETTINGS, 0, 0) for _ in range(2000)
        )
        sending = asyncio.ensure_future(connection.send(flood * 5))
        for _ in range(5):
            assert await say(channel, b"x") == b"x"
        sending.cancel()
        await connection.close()


async def test_half_arrived_requests_are_bounded() -> None:
    async with serving() as door, caller(door) as channel:
        connection = await door.raw()
        is_taken: list[bool] = []
        for stream in range(1, 13, 2):
            await connection.send(
                raw.frame(raw.HEADERS, raw.END_HEADERS, stream, raw.call_headers(SAY))
                + raw.frame(raw.DATA, 0, stream, raw.message(b"", size=FRAME_BYTES_MAX))
            )
            is_taken.append(await connection.send_data(stream, 14 * MIB))
        assert is_taken[:3] == [True] * 3
        assert False in is_taken
        refusals = [one for one in connection.seen if RESOURCE_EXHAUSTED in one.payload]
        assert refusals
        assert await say(channel, b"x") == b"x"
        await connection.close()


async def test_peer_that_reads_no_byte_holds_up_nobody() -> None:
    async with serving() as door, caller(door) as channel:
        with socket.create_connection((door.address.host, door.address.port)) as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.sendall(raw.PREFACE + raw.frame(raw.SETTINGS, 0, 0))
            window = raw.frame(raw.WINDOW, 0, 0, struct.pack(">I", 2**30))
            deaf.sendall(window)
            for stream in range(1, 41, 2):
                deaf.sendall(
                    raw.frame(raw.HEADERS, raw.END_HEADERS, stream, raw.call_headers(COUNT))
                    + raw.frame(raw.DATA, raw.END_STREAM, stream, raw.message(b"flood"))
                )
            await asyncio.sleep(0.3)
            assert await say(channel, b"x") == b"x"
            assert door.written < 500
