"""The handshake at the peering door of a running designated router, over real TLS sockets."""

from __future__ import annotations

import asyncio
import ssl
import struct
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from cryptography import x509

import wavemq
from tests.support.tier import Tier, expect_silence, take, wait_uplinks
from wavemq.authz.verifier import ProofWorld, verify_proof
from wavemq.clock import SystemClock
from wavemq.testing import RouterProcess, RouterSettings
from wavemq.wave.entity import parse_entity
from wavemq.wave.hashes import WAVEMQ_PERMISSION_SET
from wavemq.wave.location import Location
from wavemq.wave.policy import RTreePolicy, Statement
from wavemq.wave.signature import verify

HASH_BYTES = 34
ANSWER_SECONDS_MAX = 15.0
STALL_SECONDS_MAX = 10.0


def careless_tls() -> ssl.SSLContext:
    """TLS that trusts any certificate, as the peering protocol does at this layer."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def dialled(tier: Tier, *, tls: ssl.SSLContext | None) -> AsyncIterator[Connection]:
    """Connect to the peering door; leave no socket behind."""
    host, _, port = tier.designated.peer.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), ssl=tls)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()


async def answer_to(tier: Tier, opening: bytes) -> bytes:
    """Send `opening` and return all that comes back until the router closes."""
    async with dialled(tier, tls=careless_tls()) as (reader, writer):
        writer.write(opening)
        await writer.drain()
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            return await read_to_end(reader)


async def read_to_end(reader: asyncio.StreamReader) -> bytes:
    found = bytearray()
    try:
        while part := await reader.read(65536):
            found += part
    except ConnectionError:
        pass  # closing without notice is how some refusals look from here
    return bytes(found)


async def test_router_proves_itself_to_whoever_names_its_namespace(tier: Tier) -> None:
    async with (
        dialled(tier, tls=careless_tls()) as (reader, writer),
        asyncio.timeout(ANSWER_SECONDS_MAX),
    ):
        writer.write(tier.namespace.to_bytes())
        entity = await reader.readexactly(HASH_BYTES)
        (signature_length,) = struct.unpack("<H", await reader.readexactly(2))
        signature = await reader.readexactly(signature_length)
        (proof_length,) = struct.unpack("<I", await reader.readexactly(4))
        proof = await reader.readexactly(proof_length)
        session = writer.get_extra_info("ssl_object")
        certificate = x509.load_der_x509_certificate(session.getpeercert(binary_form=True))
    assert entity == tier.world.hash_of("router").to_bytes()
    router = parse_entity(tier.world.path("router.pem").read_bytes())
    verify(router, signature, certificate.signature)
    required = RTreePolicy(
        tier.namespace,
        Location(tier.ground.cloud_storage.location["url"]),
        0,
        (Statement(WAVEMQ_PERMISSION_SET, ("route",), "*"),),
    )
    verdict = verify_proof(
        proof, ProofWorld(), now=SystemClock().now(), required=required, subject=router.hash
    )
    assert verdict.subject == router.hash


async def test_namespace_that_the_router_does_not_serve_is_closed_without_an_answer(
    tier: Tier,
) -> None:
    assert await answer_to(tier, tier.world.hash_of("stranger").to_bytes()) == b""


async def test_bytes_that_are_no_hash_are_closed_without_an_answer(tier: Tier) -> None:
    assert await answer_to(tier, b"\xff" * HASH_BYTES) == b""


async def test_peer_that_speaks_no_tls_is_closed(tier: Tier) -> None:
    async with dialled(tier, tls=None) as (reader, writer), asyncio.timeout(ANSWER_SECONDS_MAX):
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        await read_to_end(reader)


async def test_peer_that_stalls_is_dropped_in_time_and_blocks_nobody(tier: Tier) -> None:
    async with AsyncExitStack() as stack:
        tls = careless_tls()
        stalled = [await stack.enter_async_context(dialled(tier, tls=tls)) for _ in range(20)]
        started = time.monotonic()
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
