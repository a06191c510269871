"""Both ends of a link over real TLS sockets, with a gRPC echo server behind the listener."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, cast

import grpc
import grpc.aio
import pytest
from cryptography import x509

from tests.support.peering_door import peering_door
from tests.support.waiting import until
from wavemq.clock import Instant
from wavemq.errors import HandshakeError, ProofInvalidError, UnavailableError
from wavemq.limits import FRAME_BYTES_MAX, MIB, PROOF_BYTES_MAX
from wavemq.net.addresses import Address, bound_address
from wavemq.net.certificate import (
    ServerCertificate,
    certificate_signature,
    make_server_certificate,
)
from wavemq.net.grpc_server import ServedCall
from wavemq.net.link import DialledLink, LinkLimits, PeeringListener, dial_link
from wavemq.testing import spliced_link
from wavemq.testing.tls import client_context, server_context
from wavemq.wave.hashes import Hash
from wavemq.wire.handshake import RouterClaim

NOW = Instant(1_800_000_000 * 10**9)
NAMESPACE = Hash.of(b"namespace")
CLAIM = RouterClaim(router=Hash.of(b"router"), signature=b"s" * 80, proof=b"p" * 60_000)
ECHO = "/test.Echo/Say"
AnyLink = DialledLink | spliced_link.DialledLink
Dial = Callable[..., AbstractAsyncContextManager[AnyLink]]
STALL_SECONDS = 0.3


@pytest.fixture(scope="module")
def certificate() -> ServerCertificate:
    return make_server_certificate(NOW)


@dataclass(frozen=True, slots=True)
class Far:
    """A listener, the address it is found at, and who called the server behind it."""

    listener: PeeringListener
    address: Address
    callers: list[str]


@contextlib.asynccontextmanager
async def far_end(
    certificate: ServerCertificate,
    limits: LinkLimits | None = None,
    claim: RouterClaim = CLAIM,
) -> AsyncIterator[Far]:
    callers: list[str] = []

    async def say(request: bytes, call: ServedCall[Any]) -> bytes:
        callers.append(call.peer())
        return request

    handlers: dict[str, Any] = {"Say": grpc.unary_unary_rpc_method_handler(cast(Any, say))}
    async with peering_door(
        "test.Echo",
        handlers,
        certificate=certificate,
        claims={NAMESPACE: claim},
        limits=limits,
    ) as (listener, address):
        yield Far(listener, address, callers)


async def trust(claim: RouterClaim, signature: bytes) -> None:
    assert claim == CLAIM
    assert len(signature) == 256


async def say(link: AnyLink, content: bytes) -> bytes:
    if isinstance(link, DialledLink):
        await link.wait_begun()
        call = link.channel.unary_unary(ECHO, bytes, bytes)
        return bytes(await call(content, timeout=20))
    async with grpc.aio.insecure_channel(
        link.target,
        options=(
            *spliced_link.CHANNEL_OPTIONS,
            ("grpc.max_receive_message_length", FRAME_BYTES_MAX),
            ("grpc.max_send_message_length", FRAME_BYTES_MAX),
        ),
        compression=grpc.Compression.Gzip,
    ) as channel:
        return await echo(channel)(content, timeout=20)


def echo(channel: grpc.aio.Channel) -> grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]:
    return channel.unary_unary(ECHO)


@pytest.fixture(params=[dial_link, spliced_link.dial_link], ids=["kernel", "grpcio"])
def dial(request: pytest.FixtureRequest) -> Dial:
    """Dial with our own transport, then with that of other programs."""
    return cast(Dial, request.param)


async def dial_tls(
    address: Address, context: ssl.SSLContext | None = None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(
        address.host, address.port, ssl=context or client_context(), ssl_handshake_timeout=10
    )


async def rest_of(reader: asyncio.StreamReader) -> bytes:
    found = bytearray()
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(10):
            while chunk := await reader.read(65536):
                found += chunk
    return bytes(found)


# --- the good way ----------------------------------------------------------------------------


async def test_grpc_passes_over_tls_and_handshake(
    certificate: ServerCertificate, dial: Dial
) -> None:
    async with far_end(certificate) as far, dial(far.address, NAMESPACE, trust) as link:
        assert link.router == CLAIM.router
        assert await say(link, b"hello") == b"hello"
        assert far.listener.links_count == 1
        assert not link.is_lost


async def test_links_are_told_apart_behind_the_listener(
    certificate: ServerCertificate, dial: Dial
) -> None:
    async with (
        far_end(certificate) as far,
        dial(far.address, NAMESPACE, trust) as first,
        dial(far.address, NAMESPACE, trust) as second,
    ):
        await say(first, b"1")
        await say(second, b"2")
        assert len(set(far.callers)) == 2


async def test_large_messages_pass_both_ways_in_pieces(
    certificate: ServerCertificate, dial: Dial
) -> None:
    content = bytes(range(256)) * 4096 * 8  # 8 MiB, far over every buffer on the way
    async with far_end(certificate) as far, dial(far.address, NAMESPACE, trust) as link:
        assert await say(link, content) == content


async def test_claim_of_the_largest_proof_passes(
    certificate: ServerCertificate, dial: Dial
) -> None:
    claim = RouterClaim(CLAIM.router, CLAIM.signature, bytes(PROOF_BYTES_MAX))
    seen: list[int] = []

    async def check(given: RouterClaim, signature: bytes) -> None:
        del signature
        seen.append(len(given.proof))

    async with (
        far_end(certificate, claim=claim) as far,
        dial(far.address, NAMESPACE, check) as link,
    ):
        assert await say(link, b"x") == b"x"
    assert seen == [PROOF_BYTES_MAX]


async def test_certificate_is_what_the_wire_contract_says(certificate: ServerCertificate) -> None:
    async with far_end(certificate) as far:
        reader, writer = await dial_tls(far.address)
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        del reader
    parsed = x509.load_der_x509_certificate(shown)
    assert parsed.subject.rfc4514_string() == "CN=wavemq-dr"
    assert parsed.issuer == parsed.subject
    assert parsed.public_key().key_size == 2048  # type: ignore[union-attr]  # it is RSA
    assert certificate_signature(shown) == certificate.signature == parsed.signature


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_claim_is_sent_over_tls_of_both_versions(
    certificate: ServerCertificate, version: ssl.TLSVersion
) -> None:
    context = client_context()
    context.minimum_version = context.maximum_version = version
    async with far_end(certificate) as far:
        reader, writer = await dial_tls(far.address, context)
        writer.write(NAMESPACE.to_bytes())
        expected = CLAIM.to_bytes()
        assert await asyncio.wait_for(reader.readexactly(len(expected)), 10) == expected
        writer.close()


async def test_loss_is_noticed_at_both_ends(certificate: ServerCertificate, dial: Dial) -> None:
    async with far_end(certificate) as far:
        async with dial(far.address, NAMESPACE, trust) as link:
            await say(link, b"x")
        await link.wait_lost()
        assert link.is_lost
        await until("the listener forgets the link", lambda: far.listener.links_count == 0)
        dialled = dial(far.address, NAMESPACE, trust)
        link = await dialled.__aenter__()
        await say(link, b"x")
    await asyncio.wait_for(link.wait_lost(), 10)
    await dialled.__aexit__(None, None, None)


async def test_second_channel_on_one_link_is_refused(certificate: ServerCertificate) -> None:
    async with (
        far_end(certificate) as far,
        spliced_link.dial_link(far.address, NAMESPACE, trust) as link,
    ):
        channel = grpc.aio.insecure_channel(link.target, options=spliced_link.CHANNEL_OPTIONS)
        async with channel:
            assert await echo(channel)(b"first", timeout=10) == b"first"
            reader, writer = await asyncio.open_unix_connection(link.target.removeprefix("unix:"))
            assert await rest_of(reader) == b""
            writer.close()
            assert await echo(channel)(b"again", timeout=10) == b"again"


# --- what the listener refuses ---------------------------------------------------------------


@pytest.mark.parametrize("opening", [Hash.of(b"other").to_bytes(), b"\xff" * 34])
async def test_peer_for_another_namespace_is_closed_without_an_answer(
    certificate: ServerCertificate, opening: bytes
) -> None:
    async with far_end(certificate) as far:
        reader, writer = await dial_tls(far.address)
        writer.write(opening)
        assert await rest_of(reader) == b""
        writer.close()


@pytest.mark.parametrize(
    "opening", [b"", NAMESPACE.to_bytes()[:-1]], ids=["silent", "a byte short"]
)
async def test_peer_that_stalls_is_dropped_and_blocks_nobody(
    certificate: ServerCertificate, opening: bytes, dial: Dial
) -> None:
    async with far_end(certificate, LinkLimits(handshake_s=STALL_SECONDS)) as far:
        loop = asyncio.get_running_loop()
        started = loop.time()
        stalled = [await dial_tls(far.address) for _ in range(5)]
        for _, writer in stalled:
            writer.write(opening)
        async with dial(far.address, NAMESPACE, trust) as link:
            assert await say(link, b"passes") == b"passes"
        for reader, writer in stalled:
            assert await rest_of(reader) == b""
            writer.close()
        assert loop.time() - started < 5
        assert far.listener.handshakes_count == 0


async def test_peer_that_gets_the_claim_and_says_no_more_is_dropped(
    certificate: ServerCertificate,
) -> None:
    async with far_end(certificate, LinkLimits(handshake_s=STALL_SECONDS)) as far:
        reader, writer = await dial_tls(far.address)
        writer.write(NAMESPACE.to_bytes())
        assert await rest_of(reader) == CLAIM.to_bytes()
        writer.close()


async def test_peer_that_does_not_even_begin_tls_is_dropped(
    certificate: ServerCertificate,
) -> None:
    async with far_end(certificate, LinkLimits(handshake_s=STALL_SECONDS)) as far:
        reader, writer = await asyncio.open_connection(far.address.host, far.address.port)
        assert await rest_of(reader) == b""
        writer.close()
        assert far.listener.handshakes_count == 0


async def test_peer_that_speaks_no_tls_is_dropped(
    certificate: ServerCertificate, dial: Dial
) -> None:
    async with far_end(certificate) as far:
        reader, writer = await asyncio.open_connection(far.address.host, far.address.port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        await rest_of(reader)
        writer.close()
        async with dial(far.address, NAMESPACE, trust) as link:
            assert await say(link, b"x") == b"x"


async def test_newest_handshake_takes_the_place_of_the_oldest(
    certificate: ServerCertificate, dial: Dial
) -> None:
    async with far_end(certificate, LinkLimits(handshakes_max=3)) as far:
        stalled = [await dial_tls(far.address) for _ in range(3)]
        async with dial(far.address, NAMESPACE, trust) as link:
            assert await say(link, b"x") == b"x"
        reader, writer = stalled[0]
        assert await rest_of(reader) == b""
        for _, writer in stalled:
            writer.close()


async def test_links_over_their_bound_are_refused(certificate: ServerCertificate) -> None:
    async with (
        far_end(certificate, LinkLimits(links_max=1)) as far,
        spliced_link.dial_link(far.address, NAMESPACE, trust) as link,
        grpc.aio.insecure_channel(link.target, options=spliced_link.CHANNEL_OPTIONS) as channel,
    ):
        assert await echo(channel)(b"x", timeout=10) == b"x"
        with pytest.raises((UnavailableError, HandshakeError)):
            async with spliced_link.dial_link(far.address, NAMESPACE, trust):
                pass
        assert await echo(channel)(b"y", timeout=10) == b"y"


# --- what the dialling side refuses ------------------------------------------------------------


@contextlib.asynccontextmanager
async def false_router(certificate: ServerCertificate, answer: bytes) -> AsyncIterator[Address]:
    """A TLS server that sends `answer`, whatever it is asked, and waits."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.read(34)
            writer.write(answer)
            await writer.drain()
            await reader.read()
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=server_context(certificate))
    async with server:
        yield bound_address(server.sockets[0])


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (
            CLAIM.to_bytes()[:116] + struct.pack("<I", 11 * MIB),
            f"proof of {11 * MIB} bytes",
        ),
        (CLAIM.to_bytes()[:34] + b"\xff\xff", "signature of 65535 bytes"),
        (b"\xff" * 34 + CLAIM.to_bytes()[34:], "not a hash"),
    ],
    ids=["proof of 11 MiB", "long signature", "no hash"],
)
async def test_router_that_breaks_the_handshake_is_refused(
    certificate: ServerCertificate, answer: bytes, reason: str, dial: Dial
) -> None:
    async with false_router(certificate, answer) as address:
        with pytest.raises(HandshakeError, match=reason):
            async with dial(address, NAMESPACE, trust):
                pass


async def test_router_that_stalls_is_given_up(certificate: ServerCertificate, dial: Dial) -> None:
    async with false_router(certificate, CLAIM.to_bytes()[:-1]) as address:
        with pytest.raises(UnavailableError, match="time limit"):
            async with dial(
                address, NAMESPACE, trust, limits=LinkLimits(handshake_s=STALL_SECONDS)
            ):
                pass


async def test_check_that_takes_too_long_is_given_up(
    certificate: ServerCertificate, dial: Dial
) -> None:
    async def check(claim: RouterClaim, signature: bytes) -> None:
        del claim, signature
        await asyncio.Event().wait()

    async with false_router(certificate, CLAIM.to_bytes()) as address:
        with pytest.raises(UnavailableError, match="time limit"):
            async with dial(address, NAMESPACE, check, dial_s=STALL_SECONDS):
                pass


async def test_claim_that_does_not_hold_ends_the_link(
    certificate: ServerCertificate, dial: Dial
) -> None:
    async def check(claim: RouterClaim, signature: bytes) -> None:
        del claim, signature
        raise ProofInvalidError("forged")

    async with far_end(certificate) as far:
        with pytest.raises(ProofInvalidError, match="forged"):
            async with dial(far.address, NAMESPACE, check):
                pass
        assert far.callers == []


async def test_router_that_does_not_serve_the_namespace_is_told_by_its_closing(
    certificate: ServerCertificate, dial: Dial
) -> None:
    async with far_end(certificate) as far:
        with pytest.raises(HandshakeError, match="does not route this namespace"):
            async with dial(far.address, Hash.of(b"other"), trust):
                pass


async def test_address_where_nobody_listens_is_unavailable(dial: Dial) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(UnavailableError, match="cannot be reached"):
            async with dial(bound_address(taken), NAMESPACE, trust):
                pass
