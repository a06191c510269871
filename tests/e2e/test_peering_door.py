"""The handshake at the peering door of a running designated router, over real TLS sockets."""

from __future__ import annotations

import asyncio
import ssl
import struct
import time

import wavemq
from tests.support.tier import Tier, expect_silence, take, wait_uplinks
from wavemq.testing import RouterProcess, RouterSettings

HASH_BYTES = 34
ANSWER_SECONDS_MAX = 15.0
STALL_SECONDS_MAX = 10.0


def careless_tls() -> ssl.SSLContext:
    """TLS that trusts any certificate, as the peering protocol does at this layer."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def dial(tier: Tier) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = tier.designated.peer.rpartition(":")
    return await asyncio.open_connection(host, int(port), ssl=careless_tls())


async def answer_to(tier: Tier, opening: bytes) -> bytes:
    """Send `opening` and return all that comes back until the router closes."""
    reader, writer = await dial(tier)
    try:
        writer.write(opening)
        await writer.drain()
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            return await read_to_end(reader)
    finally:
        writer.close()


async def read_to_end(reader: asyncio.StreamReader) -> bytes:
    found = bytearray()
    try:
        while part := await reader.read(65536):
            found += part
    except ConnectionError:
        pass  # closing without notice is how some refusals look from here
    return bytes(found)


async def test_router_proves_itself_to_whoever_names_its_namespace(tier: Tier) -> None:
    reader, writer = await dial(tier)
    try:
        writer.write(tier.namespace.to_bytes())
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            entity = await reader.readexactly(HASH_BYTES)
            (signature_length,) = struct.unpack("<H", await reader.readexactly(2))
            await reader.readexactly(signature_length)
            (proof_length,) = struct.unpack("<I", await reader.readexactly(4))
            proof = await reader.readexactly(proof_length)
    finally:
        writer.close()
    assert entity == tier.world.hash_of("router").to_bytes()
    tier.world.path("seen.der").write_bytes(proof)
    assert 0 < signature_length < 1024
    assert proof_length > 100


async def test_namespace_that_the_router_does_not_serve_is_closed_without_an_answer(
    tier: Tier,
) -> None:
    assert await answer_to(tier, tier.world.hash_of("stranger").to_bytes()) == b""


async def test_bytes_that_are_no_hash_are_closed_without_an_answer(tier: Tier) -> None:
    assert await answer_to(tier, b"\xff" * HASH_BYTES) == b""


async def test_peer_that_speaks_no_tls_is_closed(tier: Tier) -> None:
    host, _, port = tier.designated.peer.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            await read_to_end(reader)
    finally:
        writer.close()


async def test_peer_that_stalls_is_dropped_in_time_and_blocks_nobody(tier: Tier) -> None:
    stalled = [await dial(tier) for _ in range(20)]
    started = time.monotonic()
    try:
        for _, writer in stalled:
            writer.write(tier.namespace.to_bytes()[:-1])
        async with (
            tier.at_designated("observer") as cloud,
            cloud.subscribe("stall/*") as far,
            tier.at_site("service") as site,
        ):
            await wait_uplinks(site, 1)
            await site.publish("stall/a", b"passes")
            assert [one.payload for one in await take(far, 1)] == [b"passes"]
        passed_s = time.monotonic() - started
        async with asyncio.timeout(STALL_SECONDS_MAX + ANSWER_SECONDS_MAX):
            for reader, _ in stalled:
                assert await read_to_end(reader) == b""
        dropped_s = time.monotonic() - started
    finally:
        for _, writer in stalled:
            writer.close()
    assert passed_s < STALL_SECONDS_MAX
    assert dropped_s < STALL_SECONDS_MAX + 3


async def test_site_holds_no_uplink_for_a_namespace_that_its_router_cannot_prove(
    tier: Tier,
) -> None:
    tier.ground.site_world.grant(
        "wavemq:publish,subscribe@stranger.pem/own/*", attester="stranger", subject="auditor"
    )
    directory = tier.site.settings.directory.parent / "misled"
    settings = RouterSettings(
        directory=directory,
        storage=tier.site.settings.storage,
        uplinks={
            tier.world.hash_of("stranger").to_text(): tier.designated.peer,
        },
    )
    with RouterProcess(settings, name="misled") as misled:
        async with (
            wavemq.connect(
                misled.local,
                entity=tier.world.path("auditor.pem"),
                namespace=tier.world.hash_of("stranger"),
            ) as bus,
            bus.subscribe("own/*") as own,
        ):
            await bus.publish("own/a", b"mine")
            assert [one.payload for one in await take(own, 1)] == [b"mine"]
            await expect_silence(own)
            status = await bus.status()
            assert (status.uplinks_configured, status.uplinks_connected) == (1, 0)
