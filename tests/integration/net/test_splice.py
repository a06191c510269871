"""Two joined ends over real sockets: bytes, back-pressure, and every way to end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from tests.support.waiting import until
from wavemq.limits import MIB
from wavemq.testing.splice import HELD_BYTES_MAX, SpliceEnd, join

STALL_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Spliced:
    """Two ends, not joined yet, and the program's socket at the far side of each."""

    left: SpliceEnd
    right: SpliceEnd
    left_peer: socket.socket
    right_peer: socket.socket


@contextlib.asynccontextmanager
async def spliced(*, stall_s: float | None = None) -> AsyncIterator[Spliced]:
    loop = asyncio.get_running_loop()
    ends: list[SpliceEnd] = []
    peers: list[socket.socket] = []
    for limit in (stall_s, None):
        inside, outside = socket.socketpair()
        outside.setblocking(False)
        end = SpliceEnd(stall_s=limit)
        await loop.create_connection(lambda end=end: end, sock=inside)  # type: ignore[misc]
        ends.append(end)
        peers.append(outside)
    try:
        yield Spliced(ends[0], ends[1], peers[0], peers[1])
    finally:
        for end, peer in zip(ends, peers, strict=True):
            end.abort()
            await end.closed
            peer.close()


async def receive(peer: socket.socket, count: int) -> bytes:
    loop = asyncio.get_running_loop()
    found = bytearray()
    async with asyncio.timeout(10):
        while len(found) < count:
            chunk = await loop.sock_recv(peer, count - len(found))
            if not chunk:
                break
            found += chunk
    return bytes(found)


async def fill(peer: socket.socket) -> int:
    """Write until nothing is taken for a while; return how much was taken."""
    taken = 0
    quiet_steps = 0
    while taken < 64 * MIB and quiet_steps < 20:
        try:
            taken += peer.send(bytes(65536))
            quiet_steps = 0
        except BlockingIOError:
            quiet_steps += 1
            await asyncio.sleep(0.01)
    return taken


async def test_bytes_pass_both_ways() -> None:
    async with spliced() as both:
        join(both.left, both.right)
        both.left_peer.send(b"to the right")
        both.right_peer.send(b"to the left")
        assert await receive(both.right_peer, 12) == b"to the right"
        assert await receive(both.left_peer, 11) == b"to the left"


async def test_bytes_received_before_the_join_come_first() -> None:
    async with spliced() as both:
        both.left_peer.send(b"hello world")
        assert await both.left.receive() == b"hello world"
        both.left.unreceive(b"world")
        join(both.left, both.right)
        both.left_peer.send(b"!")
        assert await receive(both.right_peer, 6) == b"world!"


async def test_side_that_is_not_joined_is_read_up_to_its_bound() -> None:
    async with spliced() as both:
        taken = await fill(both.left_peer)
        assert taken < 2 * MIB  # the sockets' own buffers and one bound
        assert len(await both.left.receive()) >= HELD_BYTES_MAX
        await until("it is read again", lambda: both.left.transport.is_reading())


async def test_side_that_does_not_read_holds_the_other_back() -> None:
    async with spliced() as both:
        join(both.left, both.right)
        taken = await fill(both.left_peer)
        assert taken < 4 * MIB
        assert len(await receive(both.right_peer, taken)) == taken
        both.left_peer.send(b"x")
        assert await receive(both.right_peer, 1) == b"x"


async def test_side_that_does_not_read_for_too_long_is_cut_with_the_other() -> None:
    async with spliced(stall_s=STALL_SECONDS) as both:
        join(both.left, both.right)
        await fill(both.right_peer)
        async with asyncio.timeout(10):
            await asyncio.wait({both.left.closed, both.right.closed})
        assert both.left.closed.done()


async def test_side_that_reads_late_is_not_cut() -> None:
    async with spliced(stall_s=30) as both:
        join(both.left, both.right)
        taken = await fill(both.right_peer)
        assert len(await receive(both.left_peer, taken)) == taken
        assert not both.left.closed.done()


async def test_side_choked_before_the_join_holds_the_other_back() -> None:
    async with spliced() as both:
        both.right.send(bytes(8 * MIB))
        join(both.left, both.right)
        assert not both.left.transport.is_reading()
        assert len(await receive(both.right_peer, 8 * MIB)) == 8 * MIB
        await until("it is read again", lambda: both.left.transport.is_reading())


async def test_end_of_one_side_ends_the_other_after_all_bytes_have_left() -> None:
    async with spliced() as both:
        join(both.left, both.right)
        content = bytes(MIB)
        loop = asyncio.get_running_loop()
        sending = asyncio.ensure_future(loop.sock_sendall(both.left_peer, content))
        received = await receive(both.right_peer, len(content) // 2)
        await sending
        both.left_peer.close()
        received += await receive(both.right_peer, len(content))
        assert received == content
        await asyncio.wait({both.left.closed, both.right.closed})
        assert await receive(both.right_peer, 1) == b""


@pytest.mark.parametrize("is_held", [False, True])
async def test_side_that_ended_before_the_join_ends_the_other(is_held: bool) -> None:
    async with spliced() as both:
        if is_held:
            both.left_peer.send(b"last words")
        both.left_peer.close()
        await asyncio.wait({both.left.closed})
        join(both.left, both.right)
        if is_held:
            assert await receive(both.right_peer, 10) == b"last words"
        assert await receive(both.right_peer, 1) == b""


async def test_waiting_for_bytes_ends_with_the_connection() -> None:
    async with spliced() as both:
        waiting = asyncio.ensure_future(both.left.receive())
        await asyncio.sleep(0)
        both.left_peer.close()
        assert await asyncio.wait_for(waiting, 10) == b""
