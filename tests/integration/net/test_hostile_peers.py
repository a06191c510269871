"""Abuse of the peering door: memory and time are bounded, and honest peers are served meanwhile.

Hostile peers pass TLS and the handshake, as anybody can, and then break every rule of HTTP/2; or
they do not even get so far. They come from an address of their own, the honest one from another.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import os
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, cast

import grpc
import pytest

from tests.support import raw_http2 as raw
from tests.support.hostile_peer import (
    HOSTILE_SOURCE,
    dial_tls,
    raw_peer,
    resident_bytes,
    shake,
)
from tests.support.peering_door import peering_door
from tests.support.raw_http2 import RawConnection
from tests.support.waiting import until
from wavemq.clock import Instant
from wavemq.limits import FRAME_BYTES_MAX, MIB
from wavemq.net.addresses import Address
from wavemq.net.certificate import ServerCertificate, make_server_certificate
from wavemq.net.grpc_server import ServedCall
from wavemq.net.link import DialledLink, LinkLimits, PeeringListener, dial_link
from wavemq.wave.hashes import Hash
from wavemq.wire.handshake import RouterClaim

NOW = Instant(1_800_000_000 * 10**9)
NAMESPACE = Hash.of(b"namespace")
CLAIM = RouterClaim(router=Hash.of(b"router"), signature=b"s" * 80, proof=b"p" * 1000)
CLAIM_BYTES = len(CLAIM.to_bytes())
SAY, FLOOD, HEAR = "/test.Door/Say", "/test.Door/Flood", "/test.Door/Hear"
PATIENCE_SECONDS = 3.0
"""An honest call is answered within this time, whatever goes on beside it."""
GROWTH_BYTES_MAX = 160 * MIB
"""What one hostile connection may add to this process, its own side of the attack included."""
ENHANCE_YOUR_CALM = struct.pack(">I", 11)


@pytest.fixture(scope="module")
def certificate() -> ServerCertificate:
    return make_server_certificate(NOW)


@dataclass
class Far:
    """A peering door with a small service behind it."""

    address: Address
    listener: PeeringListener
    written: int = 0
    heard: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def say(self, request: bytes, call: ServedCall[Any]) -> bytes:
        del call
        return request

    async def flood(self, request: bytes, call: ServedCall[Any]) -> None:
        del request
        content = os.urandom(200_000)
        for _ in range(1000):
            await call.write(content)
            self.written += 1

    async def hear(self, requests: AsyncIterator[bytes], call: ServedCall[Any]) -> None:
        del call
        async for _ in requests:
            self.heard += 1
            await self.gate.wait()

    async def hostile(self, source: str = HOSTILE_SOURCE) -> RawConnection:
        return await raw_peer(self.address, NAMESPACE.to_bytes(), CLAIM_BYTES, source)


@contextlib.asynccontextmanager
async def far_end(
    certificate: ServerCertificate, limits: LinkLimits | None = None, idle_s: float = 600.0
) -> AsyncIterator[Far]:
    far = Far(cast(Any, None), cast(Any, None))
    methods: dict[str, Any] = {
        "Say": grpc.unary_unary_rpc_method_handler(cast(Any, far.say)),
        "Flood": grpc.unary_stream_rpc_method_handler(cast(Any, far.flood)),
        "Hear": grpc.stream_stream_rpc_method_handler(cast(Any, far.hear)),
    }
    async with peering_door(
        "test.Door",
        methods,
        certificate=certificate,
        claims={NAMESPACE: CLAIM},
        limits=limits,
        idle_s=idle_s,
    ) as (far.listener, far.address):
        yield far


async def trust(claim: RouterClaim, signature: bytes) -> None:
    del claim, signature


async def say(link: DialledLink, content: bytes = b"honest") -> None:
    await link.wait_begun()
    call = link.channel.unary_unary(SAY, bytes, bytes)
    assert await call(content, timeout=PATIENCE_SECONDS) == content


@contextlib.asynccontextmanager
async def undisturbed(far: Far) -> AsyncIterator[None]:
    """Have an honest peer served in time during the block, and memory stay bounded."""
    async with dial_link(far.address, NAMESPACE, trust) as link:
        await say(link)
        before = resident_bytes()
        is_over = asyncio.Event()

        async def go_on() -> None:
            while not is_over.is_set():
                await say(link)
                await asyncio.sleep(0.02)  # a call now and then, not a flood of its own

        async with asyncio.TaskGroup() as group:
            group.create_task(go_on())
            yield
            is_over.set()
        assert resident_bytes() - before < GROWTH_BYTES_MAX
    async with dial_link(far.address, NAMESPACE, trust) as link:
        await say(link)


# --- peers that passed the handshake -------------------------------------------------------------


async def rapid_resets(hostile: RawConnection) -> None:
    block = raw.call_headers(SAY)
    for batch in range(50):
        await hostile.send(
            b"".join(
                raw.frame(raw.HEADERS, raw.END_HEADERS, stream, block)
                + raw.frame(raw.RESET, 0, stream, struct.pack(">I", 8))
                for stream in range(1 + 200 * batch, 1 + 200 * (batch + 1), 2)
            )
        )
    await hostile.frames_until_closed()


async def endless_continuations(hostile: RawConnection) -> None:
    await hostile.send(raw.frame(raw.HEADERS, 0, 1, raw.call_headers(SAY)))
    piece = raw.frame(raw.CONTINUATION, 0, 1, raw.header_block([("a", "b" * 1000)]))
    for _ in range(2000):
        await hostile.send(piece)
    await hostile.frames_until_closed()


async def header_flood(hostile: RawConnection) -> None:
    """Open calls with 15 kB of headers each and never send their requests."""
    block = raw.call_headers(SAY, *[(f"x{number}", "y" * 900) for number in range(15)])
    for stream in range(1, 10_001, 2):
        await hostile.send(raw.frame(raw.HEADERS, raw.END_HEADERS, stream, block))


async def oversized_headers(hostile: RawConnection) -> None:
    block = raw.call_headers(SAY, *[(f"x{number}", "y" * 900) for number in range(40)])
    for stream in range(1, 401, 2):
        await hostile.send(
            raw.frame(raw.HEADERS, 0, stream, block[:16_000])
            + raw.frame(raw.CONTINUATION, 0, stream, block[16_000:32_000])
            + raw.frame(raw.CONTINUATION, raw.END_HEADERS, stream, block[32_000:])
        )


async def control_flood(hostile: RawConnection) -> None:
    flood = b"".join(
        raw.frame(raw.PING, 0, 0, bytes(8))
        + raw.frame(raw.SETTINGS, 0, 0)
        + raw.frame(0xFA, 0, 0)
        + raw.frame(2, 0, 1, struct.pack(">IB", 0, 16))
        for _ in range(2000)
    )
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(2):
            for _ in range(50):
                await hostile.send(flood)


async def empty_data_flood(hostile: RawConnection) -> None:
    await hostile.send(raw.frame(raw.HEADERS, raw.END_HEADERS, 1, raw.call_headers(HEAR)))
    flood = raw.frame(raw.DATA, 0, 1) * 5000
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(2):
            for _ in range(50):
                await hostile.send(flood)


async def empty_messages(hostile: RawConnection) -> None:
    """Send messages that cost the sender 5 bytes to a call that does not read."""
    await hostile.send(raw.frame(raw.HEADERS, raw.END_HEADERS, 1, raw.call_headers(HEAR)))
    flood = raw.frame(raw.DATA, 0, 1, raw.message(b"") * 3000)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(2):
            for _ in range(60):
                await hostile.send(flood)


async def half_arrived(hostile: RawConnection) -> None:
    taken = []
    for stream in range(1, 13, 2):
        await hostile.send(
            raw.frame(raw.HEADERS, raw.END_HEADERS, stream, raw.call_headers(SAY))
            + raw.frame(raw.DATA, 0, stream, raw.message(b"", size=FRAME_BYTES_MAX))
        )
        taken.append(await hostile.send_data(stream, 14 * MIB))
    assert taken.count(True) == 3
    assert False in taken


async def lying_lengths(hostile: RawConnection) -> None:
    for stream in range(1, 401, 2):
        await hostile.call(stream, SAY, raw.message(b"abc", size=2**32 - 1))


async def gzip_bombs_that_never_end(hostile: RawConnection) -> None:
    """Send 14 kB each that inflate to 14 MB, and never the end of the request."""
    bomb = raw.message(gzip.compress(bytes(14 * MIB)), flag=1)
    assert len(bomb) < 16_000
    for stream in range(1, 401, 2):
        block = raw.call_headers(SAY, ("grpc-encoding", "gzip"))
        await hostile.send(
            raw.frame(raw.HEADERS, raw.END_HEADERS, stream, block)
            + raw.frame(raw.DATA, 0, stream, bomb)
        )


async def never_read(hostile: RawConnection) -> None:
    """Open every window, ask for floods of answers, and take no byte of them."""
    await hostile.send(
        raw.frame(raw.SETTINGS, 0, 0, raw.INITIAL_WINDOW + struct.pack(">I", 2**31 - 1))
        + raw.frame(raw.WINDOW, 0, 0, struct.pack(">I", 2**30))
    )
    for stream in range(1, 401, 2):
        await hostile.call(stream, FLOOD, raw.message(b"go"))
    await asyncio.sleep(1)  # what is written in this time is what is measured


async def closed_windows(hostile: RawConnection) -> None:
    """Ask for answers for which the windows are never opened."""
    await hostile.send(raw.frame(raw.SETTINGS, 0, 0, raw.INITIAL_WINDOW + bytes(4)))
    for stream in range(1, 10_001, 2):
        await hostile.call(stream, SAY, raw.message(bytes(1000)))


ABUSES: list[Callable[[RawConnection], Awaitable[None]]] = [
    rapid_resets,
    endless_continuations,
    header_flood,
    oversized_headers,
    control_flood,
    empty_data_flood,
    empty_messages,
    half_arrived,
    lying_lengths,
    gzip_bombs_that_never_end,
    never_read,
    closed_windows,
]


@pytest.mark.parametrize("abuse", ABUSES, ids=lambda one: one.__name__)
async def test_abuse_of_http2_is_bounded_and_disturbs_no_peer(
    certificate: ServerCertificate, abuse: Callable[[RawConnection], Awaitable[None]]
) -> None:
    async with far_end(certificate) as far:
        hostile = await far.hostile()
        async with undisturbed(far), asyncio.timeout(60):
            await abuse(hostile)
        await hostile.close()


async def test_who_holds_most_loses_when_all_room_for_requests_is_used(
    certificate: ServerCertificate,
) -> None:
    async with far_end(certificate) as far, dial_link(far.address, NAMESPACE, trust) as link:
        await say(link)
        crowd = [await far.hostile() for _ in range(6)]

        async def fill(hostile: RawConnection) -> None:
            for stream in range(1, 7, 2):
                await hostile.send(
                    raw.frame(raw.HEADERS, raw.END_HEADERS, stream, raw.call_headers(SAY))
                    + raw.frame(raw.DATA, 0, stream, raw.message(b"", size=FRAME_BYTES_MAX))
                )
                if not await hostile.send_data(stream, 14 * MIB):
                    return

        async with asyncio.timeout(60):
            await asyncio.gather(*(fill(one) for one in crowd))
        # A request that takes many frames needs room while it is half arrived.
        call = link.channel.unary_unary(SAY, bytes, bytes)
        content = os.urandom(5 * MIB)
        assert await call(content, timeout=20) == content
        assert far.listener.links_count < 1 + len(crowd)
        for one in crowd:
            await one.close()


# --- peers that do not get so far ----------------------------------------------------------------


async def test_newcomer_takes_the_place_of_a_link_of_who_has_most(
    certificate: ServerCertificate,
) -> None:
    async with far_end(certificate, LinkLimits(links_max=8)) as far:
        crowd = [await far.hostile() for _ in range(8)]
        async with (
            dial_link(far.address, NAMESPACE, trust) as first,
            dial_link(far.address, NAMESPACE, trust) as second,
        ):
            await say(first)
            await say(second)
            assert far.listener.links_count == 8
            # One more of the crowd gets nothing.
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError, OSError)):
                await shake(far.address, NAMESPACE.to_bytes(), CLAIM_BYTES)
            await say(first)
            await say(second)
        for one in crowd:
            await one.close()


async def test_crowd_of_half_open_handshakes_does_not_push_out_those_of_others(
    certificate: ServerCertificate,
) -> None:
    async with far_end(certificate, LinkLimits(handshakes_max=8)) as far:
        reader, writer = await dial_tls(far.address, "127.0.0.1")
        crowd = [
            await asyncio.open_connection(
                far.address.host, far.address.port, local_addr=(HOSTILE_SOURCE, 0)
            )
            for _ in range(200)
        ]
        await until("the crowd is here", lambda: far.listener.handshakes_count == 8)
        writer.write(NAMESPACE.to_bytes())
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await reader.readexactly(CLAIM_BYTES) == CLAIM.to_bytes()
        for _, one in (*crowd, (reader, writer)):
            one.close()


async def test_link_without_calls_is_ended_and_one_with_calls_is_not(
    certificate: ServerCertificate,
) -> None:
    async with far_end(certificate, idle_s=0.5) as far:
        idle, busy = await far.hostile(), await far.hostile()
        await busy.send(raw.frame(raw.HEADERS, raw.END_HEADERS, 1, raw.call_headers(HEAR)))
        await idle.frames_until_closed()
        assert any(one.kind == raw.GO_AWAY for one in idle.seen)
        await until("the idle one is forgotten", lambda: far.listener.links_count == 1)
        await busy.close()


async def test_thousand_idle_connections_of_every_kind_disturb_nobody(
    certificate: ServerCertificate,
) -> None:
    async with far_end(certificate) as far:
        async with undisturbed(far):
            silent = [
                await asyncio.open_connection(
                    far.address.host, far.address.port, local_addr=(HOSTILE_SOURCE, 0)
                )
                for _ in range(1000)
            ]
            begun = [await far.hostile() for _ in range(100)]
        for _, writer in silent:
            writer.close()
        for one in begun:
            await one.close()


@pytest.mark.parametrize("stage", ["TLS", "preamble", "HTTP/2"])
async def test_peer_that_sends_byte_by_byte_is_dropped_in_time_at_every_stage(
    certificate: ServerCertificate, stage: str
) -> None:
    limits = LinkLimits(handshake_s=1.0)
    async with far_end(certificate, limits) as far, undisturbed(far):
        if stage == "TLS":
            reader, writer = await asyncio.open_connection(
                far.address.host, far.address.port, local_addr=(HOSTILE_SOURCE, 0)
            )
            content = b"\x16\x03\x01\x02\x00" + bytes(512)
        elif stage == "preamble":
            reader, writer = await dial_tls(far.address)
            content = NAMESPACE.to_bytes()
        else:
            reader, writer = await shake(far.address, NAMESPACE.to_bytes(), CLAIM_BYTES)
            await asyncio.sleep(0)
            content = b""

        async def drip() -> None:
            with contextlib.suppress(ConnectionError):
                for byte in content:
                    writer.write(bytes((byte,)))
                    await writer.drain()
                    await asyncio.sleep(0.1)

        dripping = asyncio.ensure_future(drip())
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(1.0 + PATIENCE_SECONDS):
                await reader.read()
        dripping.cancel()
        writer.close()


@pytest.mark.parametrize(
    "opening",
    [b"GET / HTTP/1.1\r\n\r\n", raw.PREFACE, bytes(1000), os.urandom(1000)],
    ids=["HTTP/1.1", "plain HTTP/2", "zeros", "noise"],
)
@pytest.mark.parametrize("is_inside_tls", [False, True], ids=["without TLS", "inside TLS"])
async def test_other_protocols_are_closed(
    certificate: ServerCertificate,
    opening: bytes,
    is_inside_tls: bool,
) -> None:
    async with far_end(certificate, LinkLimits(handshake_s=1.0)) as far, undisturbed(far):
        if is_inside_tls:
            reader, writer = await dial_tls(far.address)
        else:
            reader, writer = await asyncio.open_connection(
                far.address.host, far.address.port, local_addr=(HOSTILE_SOURCE, 0)
            )
        writer.write(opening)
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(1.0 + PATIENCE_SECONDS):
                await reader.read()
        writer.close()
