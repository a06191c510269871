"""A link that misbehaves when told to, shown with an echoing server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest

from tests.support.waiting import WAIT_SECONDS_MAX, until
from wavemq.errors import InvalidParameterError
from wavemq.testing.fault_proxy import HEALTHY, FaultProxy, LaneFaults

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]
SILENT = LaneFaults(is_silent=True)
A_MOMENT_SECONDS = 0.1


class Echo:
    """A server that returns what it gets, and knows how its connections ended."""

    def __init__(self) -> None:
        self.address = ""
        self.received = 0
        self.ended = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while content := await reader.read(1 << 16):
                self.received += len(content)
                writer.write(content)
                await writer.drain()
        except OSError:
            pass  # a reset
        finally:
            self.ended += 1
            writer.close()


@contextlib.asynccontextmanager
async def echoing() -> AsyncIterator[tuple[Echo, FaultProxy]]:
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    echo.address = f"{host}:{port}"
    try:
        async with FaultProxy(echo.address) as link:
            yield echo, link
    finally:
        server.close()


@contextlib.asynccontextmanager
async def connected(link: FaultProxy) -> AsyncIterator[Ends]:
    host, _, port = link.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def asked(ends: Ends, content: bytes) -> bytes:
    reader, writer = ends
    writer.write(content)
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        return await reader.readexactly(len(content))


async def is_quiet(reader: asyncio.StreamReader) -> bool:
    try:
        async with asyncio.timeout(A_MOMENT_SECONDS):
            await reader.read(1)
    except TimeoutError:
        return True
    return False


async def test_healthy_link_passes_everything_unchanged_and_the_end_too() -> None:
    content = bytes(range(256)) * 4096
    async with echoing() as (_, link), connected(link) as ends:
        assert await asked(ends, content) == content
        assert (link.up.bytes_passed, link.down.bytes_passed) == (len(content), len(content))
        ends[1].write_eof()
        assert await ends[0].read() == b""
        await until("the connection has ended", lambda: link.connection_count == 0)


async def test_latency_delays_both_ways_without_thinning_the_link() -> None:
    loop = asyncio.get_running_loop()
    async with echoing() as (_, link), connected(link) as ends:
        link.set_faults(LaneFaults(latency_s=0.1))
        started = loop.time()
        await asked(ends, b"x" * 200_000)
        assert 0.2 <= loop.time() - started < 5.0


async def test_thin_link_takes_its_time_and_a_new_rate_holds_at_once() -> None:
    loop = asyncio.get_running_loop()
    async with echoing() as (echo, link), connected(link) as ends:
        link.up.faults = LaneFaults(bytes_per_s=20_000)
        started = loop.time()
        assert len(await asked(ends, b"x" * 10_000)) == 10_000
        assert loop.time() - started >= 0.45
        ends[1].write(b"y" * 10_000_000)
        await until("some has passed", lambda: echo.received > 12_000)
        assert echo.received < 1_000_000
        link.heal()
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            await ends[0].readexactly(10_000_000)


async def test_silent_direction_holds_bytes_until_it_heals() -> None:
    async with echoing() as (echo, link), connected(link) as ends:
        await asked(ends, b"before")
        link.down.faults = SILENT
        ends[1].write(b"during")
        await until("it got up", lambda: echo.received == len(b"beforeduring"))
        assert await is_quiet(ends[0])
        link.heal()
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            assert await ends[0].readexactly(6) == b"during"


async def test_half_open_link_hides_that_an_end_has_closed() -> None:
    async with echoing() as (echo, link):
        async with connected(link) as ends:
            await asked(ends, b"x")
            link.set_faults(SILENT)
        await asyncio.sleep(A_MOMENT_SECONDS)
        assert echo.ended == 0
        link.heal()
        await until("the server learned it", lambda: echo.ended == 1)


async def test_large_packets_vanish_while_small_ones_pass() -> None:
    async with echoing() as (echo, link), connected(link) as ends, connected(link) as other:
        link.up.faults = LaneFaults(chunk_bytes_max=1_000)
        assert await asked(ends, b"x" * 1_000) == b"x" * 1_000
        ends[1].write(b"x" * 1_001)
        await asyncio.sleep(A_MOMENT_SECONDS)
        ends[1].write(b"small, but behind a hole in the stream")
        await asyncio.sleep(A_MOMENT_SECONDS)
        assert echo.received == 1_000
        assert await asked(other, b"another connection") == b"another connection"
        link.up.faults = HEALTHY
        await until("what was lost was sent again", lambda: echo.received == 2_057)


async def test_cut_ends_connections_and_new_ones_may_come() -> None:
    async with echoing() as (echo, link):
        async with connected(link) as ends:
            await asked(ends, b"x")
            link.cut()
            assert await ends[0].read() == b""
            await until("the server learned it", lambda: echo.ended == 1)
        async with connected(link) as ends:
            assert await asked(ends, b"y") == b"y"
        assert link.accepted_count == 2


async def test_reset_is_told_apart_from_an_end() -> None:
    async with echoing() as (echo, link), connected(link) as ends:
        await asked(ends, b"x")
        link.reset()
        with pytest.raises(ConnectionResetError):
            await ends[0].read()
        await until("the server learned it", lambda: echo.ended == 1)


async def test_slow_close_delays_the_news() -> None:
    async with echoing() as (echo, link):
        link.up.faults = LaneFaults(close_delay_s=2 * A_MOMENT_SECONDS)
        async with connected(link) as ends:
            await asked(ends, b"x")
        await asyncio.sleep(A_MOMENT_SECONDS)
        assert echo.ended == 0
        await until("the server learned it", lambda: echo.ended == 1)


async def test_refusing_link_closes_newcomers_only() -> None:
    async with echoing() as (_, link), connected(link) as old:
        await asked(old, b"x")
        link.is_refusing = True
        async with connected(link) as new:
            with contextlib.suppress(ConnectionResetError):
                assert await new[0].read() == b""
        assert await asked(old, b"y") == b"y"


async def test_caller_learns_that_the_target_does_not_listen() -> None:
    async with FaultProxy("127.0.0.1:1") as link, connected(link) as ends:
        with contextlib.suppress(ConnectionResetError):
            assert await ends[0].read() == b""


async def test_slow_receiver_bounds_what_the_link_holds() -> None:
    content = b"x" * 50_000_000
    async with echoing() as (echo, link), connected(link) as ends:
        link.up.faults = SILENT
        ends[1].write(content)
        await asyncio.sleep(A_MOMENT_SECONDS)
        assert echo.received == 0
        assert ends[1].transport.get_write_buffer_size() > 0
        link.cut()


@pytest.mark.parametrize(
    "make",
    [
        lambda: LaneFaults(bytes_per_s=0),
        lambda: LaneFaults(chunk_bytes_max=0),
        lambda: LaneFaults(latency_s=-1),
        lambda: LaneFaults(close_delay_s=-1),
    ],
)
def test_impossible_faults_are_refused(make: Callable[[], LaneFaults]) -> None:
    with pytest.raises(InvalidParameterError):
        make()
