"""Peering links: TCP, TLS, the handshake, then HTTP/2 (wavemq.md 3).

Owns both ends of a link: `PeeringListener` accepts, `dial_link` dials. TLS and HTTP/2 are the
kernel's, what is said between them is decided here (docs/adr/0010-transport.md). Refuses to know
messages. Fault model: whoever reaches the listener may be hostile, slow or gone: each handshake has
one deadline from accept to the first byte of HTTP/2, all work per connection is small, and when too
many handshakes or links are open, those who have most lose one for those who have fewer. Nobody
waits for anybody else.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog

from wavemq._kernel import ServerTls
from wavemq.errors import HandshakeError, UnavailableError, WaveMQError
from wavemq.limits import HANDSHAKE_SECONDS_MAX, HANDSHAKE_SILENCE_SECONDS_MAX
from wavemq.net.addresses import Address
from wavemq.net.certificate import ServerCertificate, certificate_signature
from wavemq.net.fair_shares import FairShares, source_of
from wavemq.net.grpc_channel import Channel
from wavemq.net.link_end import LinkEnd, watch_for_black_holes
from wavemq.net.reactor import Reactor, running_reactor
from wavemq.wave.hashes import Hash
from wavemq.wire.handshake import ClientHandshake, RouterClaim, ServerHandshake

STALL_SECONDS_MAX: Final = 60.0
"""A peer that takes no byte for that long while bytes wait for it is gone."""
HANDSHAKES_MAX: Final = 256
"""Handshakes under way at once; one more drops the oldest of the source that has most."""
LINKS_MAX: Final = 4096
"""Established links; one more takes the place of one whose source has more, or is refused."""
LINK_IDLE_SECONDS_MAX: Final = 1800.0
"""Without calls for that long, a link is ended. A site that needs it dials again."""
DIAL_SECONDS_MAX: Final = 30.0
"""From the first packet to the checked claim (wavemq.md 3)."""
HAPPY_EYEBALLS_SECONDS: Final = 0.25
"""Between attempts at the addresses of one name (RFC 8305)."""
_PAUSE_SECONDS: Final = 0.1
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

_log = structlog.get_logger("wavemq.net.link")

CheckClaim = Callable[[RouterClaim, bytes], Awaitable[None]]
"""Raises unless the claim holds; also given the signature field of the TLS certificate."""


@dataclass(frozen=True, slots=True)
class LinkLimits:
    """Bounds of links; shortened by tests.

    Attributes:
        handshake_s: seconds from accept to the first byte of HTTP/2.
        silence_s: seconds of them in which a peer that is to speak may be silent.
        stall_s: seconds that bytes may wait for a peer that does not take them.
        handshakes_max: handshakes under way at once.
        links_max: established links.
    """

    handshake_s: float = HANDSHAKE_SECONDS_MAX
    silence_s: float = HANDSHAKE_SILENCE_SECONDS_MAX
    stall_s: float = STALL_SECONDS_MAX
    handshakes_max: int = HANDSHAKES_MAX
    links_max: int = LINKS_MAX


class PeeringListener:
    """Accepts peers and hands each to the service behind it.

    Args:
        listening: bound and listening; closed by its owner.
        reactor: of this event loop.
        service: number of what serves links.
        certificate: shown to every peer.
        claims: what to answer, per namespace that this router may route.
        limits: bounds.
    """

    def __init__(
        self,
        listening: socket.socket,
        reactor: Reactor,
        service: int,
        *,
        certificate: ServerCertificate,
        claims: Mapping[Hash, RouterClaim],
        limits: LinkLimits | None = None,
    ) -> None:
        listening.setblocking(False)
        self._listening = listening
        self._tls = ServerTls(certificate.content, certificate.key)
        self._answers = {namespace: claim.to_bytes() for namespace, claim in claims.items()}
        self._reactor = reactor
        self._service = service
        self._limits = limits or LinkLimits()
        self._handshakes = FairShares(self._limits.handshakes_max)
        self._links = FairShares(self._limits.links_max)
        self._serving: dict[int, asyncio.Task[None]] = {}
        self._next_number = 0

    @property
    def links_count(self) -> int:
        """Established links."""
        return len(self._links)

    @property
    def handshakes_count(self) -> int:
        """Handshakes under way."""
        return len(self._handshakes)

    async def serve(self) -> None:
        """Accept until cancelled; cancelling ends every link."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            while True:
                try:
                    connection, address = await loop.sock_accept(self._listening)
                except OSError as error:
                    if error.errno not in _EXHAUSTED:
                        raise
                    _log.warning("peer_accept_failed", reason=error.strerror)
                    await asyncio.sleep(_PAUSE_SECONDS)
                    continue
                source = source_of(address)
                if self._links.is_full and self._links.giving_way_to(source) is None:
                    _log.warning("peer_refused", reason="too many links", peer=_text(address))
                    connection.close()
                    continue
                self._make_room_for_handshake()
                number = self._next_number
                self._next_number += 1
                self._handshakes.add(number, source)
                serving = self._serve_peer(number, connection, _text(address), source)
                task = self._serving[number] = group.create_task(serving)
                # Also when it is cancelled before its first step.
                task.add_done_callback(partial(self._forget, number, connection))

    def _make_room_for_handshake(self) -> None:
        """Drop handshakes of who has most: a crowd that stalls must not keep others out."""
        while self._handshakes.is_full:
            oldest = self._handshakes.oldest_of_largest()
            _log.warning("peer_handshake_failed", link=oldest, reason="too many handshakes")
            self._end(oldest)

    def _make_room_for_link(self, source: str) -> None:
        """Drop links of who has most, for one of who has fewer.

        Raises:
            UnavailableError: the source of the new link has its share.
        """
        while self._links.is_full:
            oldest = self._links.giving_way_to(source)
            if oldest is None:
                raise UnavailableError("too many links")
            _log.warning("peer_dropped", link=oldest, reason="too many links from one address")
            self._end(oldest)

    def _end(self, number: int) -> None:
        self._handshakes.discard(number)
        self._links.discard(number)
        self._serving[number].cancel()

    def _forget(self, number: int, connection: socket.socket, task: asyncio.Task[None]) -> None:
        del task, self._serving[number]
        self._handshakes.discard(number)
        self._links.discard(number)
        connection.close()

    async def _serve_peer(
        self, number: int, connection: socket.socket, peer: str, source: str
    ) -> None:
        end: LinkEnd | None = None
        try:
            async with asyncio.timeout(self._limits.handshake_s):
                end = self._accept(connection)
                namespace = await self._shake(end)
            self._handshakes.discard(number)
            self._make_room_for_link(source)
            self._links.add(number, source)
            _log.info("peer_linked", peer=peer, namespace=namespace.to_text(), link=number)
            await asyncio.wait({end.closed})
            _log.info("peer_gone", peer=peer, link=number, reason=end.reason)
        except (TimeoutError, WaveMQError, OSError) as error:
            _log.warning("peer_handshake_failed", peer=peer, link=number, reason=_reason(error))
        finally:
            if end is not None:
                end.abort()

    def _accept(self, connection: socket.socket) -> LinkEnd:
        watch_for_black_holes(connection)
        number = self._reactor.http2.accept(
            connection.detach(),
            self._service,
            self._tls,
            self._limits.handshake_s,
            self._limits.stall_s,
        )
        return LinkEnd(self._reactor, number)

    async def _shake(self, end: LinkEnd) -> Hash:
        """Do our part of the handshake; return when the first byte of HTTP/2 is here."""
        handshake = ServerHandshake()
        namespace: Hash | None = None
        async with asyncio.timeout(self._limits.silence_s):
            await end.wait_secured()
            while namespace is None:
                namespace = handshake.receive(await _some(end, "before it named a namespace"))
        # What follows our claim may be late: on a thin link the claim alone takes long.
        answer = self._answers.get(namespace)
        if answer is None:
            raise HandshakeError(f"this router does not route {namespace.to_text()}")
        end.send(answer)
        end.begin(handshake.surplus or await _some(end, "after it got our claim"))
        return namespace


class DialledLink:
    """An established link toward a designated router, as seen by its owner.

    Attributes:
        channel: for calls.
        router: hash of the router's entity, checked.
    """

    def __init__(self, channel: Channel, router: Hash, end: LinkEnd) -> None:
        self.channel = channel
        self.router = router
        self._end = end

    @property
    def is_lost(self) -> bool:
        """Whether the connection has ended."""
        return self._end.closed.done()

    async def wait_begun(self) -> None:
        """Return when the other end has shown that it speaks HTTP/2.

        Raises:
            OSError: the connection has ended.
        """
        await self._end.wait_begun()

    async def wait_lost(self) -> None:
        """Return when the connection has ended."""
        await asyncio.wait({self._end.closed})


@asynccontextmanager
async def dial_link(
    address: Address,
    namespace: Hash,
    check: CheckClaim,
    *,
    limits: LinkLimits | None = None,
    dial_s: float = DIAL_SECONDS_MAX,
) -> AsyncIterator[DialledLink]:
    """Dial a designated router and hold the link for the duration of the block.

    Args:
        address: of its peering door.
        namespace: what it must be able to route.
        check: of its claim; raises to refuse.
        limits: bounds.
        dial_s: seconds for the whole way to a checked claim.

    Raises:
        UnavailableError: it cannot be reached, or not in time.
        HandshakeError: it does not keep to the handshake.
        WaveMQError: what `check` raised.
    """
    limits = limits or LinkLimits()
    async with running_reactor() as reactor:
        end: LinkEnd | None = None
        try:
            try:
                async with asyncio.timeout(dial_s):
                    end = await _dial(reactor, address, limits)
                    claim, surplus, certificate = await _claim(end, namespace, limits)
                    await check(claim, certificate_signature(certificate))
            except TimeoutError as error:
                raise UnavailableError(
                    f"no handshake with {address} within the time limit"
                ) from error
            except OSError as error:
                raise UnavailableError(f"{address} cannot be reached: {_reason(error)}") from error
            end.begin(surplus)
            channel = Channel(reactor, end.number, authority=str(address))
            yield DialledLink(channel, claim.router, end)
        finally:
            if end is not None:
                end.abort()


async def _dial(reactor: Reactor, address: Address, limits: LinkLimits) -> LinkEnd:
    """Connect, to whichever address of a name answers first, and hand over to the kernel."""
    transport, _ = await asyncio.get_running_loop().create_connection(
        asyncio.Protocol, address.host, address.port, happy_eyeballs_delay=HAPPY_EYEBALLS_SECONDS
    )
    try:
        # The other end says nothing before our first bytes, so that none can be lost here.
        connection = socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
    finally:
        transport.abort()
    watch_for_black_holes(connection)
    number = reactor.http2.dial(
        connection.detach(), address.host, limits.handshake_s, limits.handshake_s, limits.stall_s
    )
    return LinkEnd(reactor, number)


async def _claim(
    end: LinkEnd, namespace: Hash, limits: LinkLimits
) -> tuple[RouterClaim, bytes, bytes]:
    """Return what the other end claims, what followed it, and the certificate it showed."""
    certificate = await end.wait_secured()
    handshake = ClientHandshake(namespace)
    end.send(handshake.opening)
    async with asyncio.timeout(limits.handshake_s):
        claim: RouterClaim | None = None
        while claim is None:
            async with asyncio.timeout(limits.silence_s):
                chunk = await end.receive()
            if not chunk:
                raise handshake.receive_end()
            claim = handshake.receive(chunk)
    return claim, handshake.surplus, certificate


async def _some(end: LinkEnd, when: str) -> bytes:
    chunk = await end.receive()
    if not chunk:
        raise HandshakeError(f"the peer closed the connection {when}")
    return chunk


def _reason(error: Exception) -> str:
    if isinstance(error, WaveMQError):
        return error.reason
    if isinstance(error, TimeoutError):
        return "the peer took too long"
    return str(error) or type(error).__name__


def _text(address: object) -> str:
    if isinstance(address, tuple):
        return str(Address(str(address[0]), int(address[1])))
    return str(address)
