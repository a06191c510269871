"""Peering links: TCP, TLS, the handshake, then HTTP/2 handed over to gRPC (wavemq.md 3).

Owns both ends of a link: `PeeringListener` accepts, `dial_link` dials. gRPC opens its own sockets
and has no place for bytes before HTTP/2, so each link ends at a Unix socket in a private folder
and the bytes are spliced (docs/adr/0003-peering-link.md). Refuses to know messages. Fault model:
whoever reaches the listener may be hostile, slow or gone: each handshake has one deadline from
accept to the first byte of HTTP/2, all work per connection is small, and when too many handshakes
are open the oldest is dropped for the newest. Nobody waits for anybody else.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from wavemq.errors import HandshakeError, UnavailableError, WaveMQError
from wavemq.limits import HANDSHAKE_SECONDS_MAX
from wavemq.net.addresses import Address
from wavemq.net.certificate import ServerCertificate, certificate_signature, client_context
from wavemq.net.splice import LINGER_SECONDS_MAX, STALL_SECONDS_MAX, SpliceEnd, join
from wavemq.wave.hashes import Hash
from wavemq.wire.handshake import ClientHandshake, RouterClaim, ServerHandshake

HANDSHAKES_MAX: Final = 256
"""Handshakes under way at once; one more drops the oldest."""
LINKS_MAX: Final = 4096
"""Established links; one more is refused."""
DIAL_SECONDS_MAX: Final = 30.0
"""From the first packet to the checked claim (wavemq.md 3)."""
_PAUSE_SECONDS: Final = 0.1
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_FOLDER_PATH_BYTES_MAX: Final = 90
"""Unix socket addresses have 108 bytes; folder and name must fit."""

_log = structlog.get_logger("wavemq.net.link")

CheckClaim = Callable[[RouterClaim, bytes], Awaitable[None]]
"""Raises unless the claim holds; also given the signature field of the TLS certificate."""


@dataclass(frozen=True, slots=True)
class LinkLimits:
    """Bounds of links; shortened by tests.

    Attributes:
        handshake_s: seconds from accept to the first byte of HTTP/2.
        stall_s: seconds that bytes may wait for a peer that does not take them.
        handshakes_max: handshakes under way at once.
        links_max: established links.
    """

    handshake_s: float = HANDSHAKE_SECONDS_MAX
    stall_s: float = STALL_SECONDS_MAX
    handshakes_max: int = HANDSHAKES_MAX
    links_max: int = LINKS_MAX


def private_folder() -> Path:
    """Make a folder for Unix sockets that only this user can enter (mode 0700)."""
    folder = tempfile.mkdtemp(prefix="wavemq-")
    if len(os.fsencode(folder)) > _FOLDER_PATH_BYTES_MAX:
        os.rmdir(folder)
        folder = tempfile.mkdtemp(prefix="wavemq-", dir="/tmp")
    return Path(folder)


def remove_folder(folder: Path) -> None:
    """Remove a private folder and the sockets in it."""
    shutil.rmtree(folder, ignore_errors=True)


class PeeringListener:
    """Accepts peers and splices each to the gRPC server behind it.

    Each link reaches the gRPC server from a socket path of its own, so that `context.peer()` there
    tells links apart.

    Args:
        listening: bound and listening; closed by its owner.
        certificate: shown to every peer.
        claims: what to answer, per namespace that this router may route.
        backend: path of the gRPC server's Unix socket; links get names beside it.
        limits: bounds.
    """

    def __init__(
        self,
        listening: socket.socket,
        *,
        certificate: ServerCertificate,
        claims: Mapping[Hash, RouterClaim],
        backend: Path,
        limits: LinkLimits | None = None,
    ) -> None:
        listening.setblocking(False)
        self._listening = listening
        self._certificate = certificate
        self._answers = {namespace: claim.to_bytes() for namespace, claim in claims.items()}
        self._backend = backend
        self._limits = limits or LinkLimits()
        self._handshakes: dict[int, asyncio.Task[None]] = {}
        self._links: set[int] = set()
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
                if len(self._links) >= self._limits.links_max:
                    _log.warning("peer_refused", reason="too many links", peer=_text(address))
                    connection.close()
                    continue
                self._make_room()
                number = self._next_number
                self._next_number += 1
                task = group.create_task(self._serve_peer(number, connection, _text(address)))
                self._handshakes[number] = task
                # Also when it is cancelled before its first step.
                task.add_done_callback(partial(self._forget, number, connection))

    def _make_room(self) -> None:
        """Drop the oldest handshakes: a crowd that stalls must not keep others out."""
        while len(self._handshakes) >= self._limits.handshakes_max:
            oldest = next(iter(self._handshakes))
            _log.warning("peer_handshake_failed", link=oldest, reason="too many handshakes")
            self._handshakes.pop(oldest).cancel()

    def _forget(self, number: int, connection: socket.socket, task: asyncio.Task[None]) -> None:
        del task
        self._handshakes.pop(number, None)
        self._links.discard(number)
        connection.close()

    async def _serve_peer(self, number: int, connection: socket.socket, peer: str) -> None:
        outward = SpliceEnd(stall_s=self._limits.stall_s)
        try:
            namespace = await self._shake(outward, connection)
            del self._handshakes[number]
            self._links.add(number)
            _log.info("peer_linked", peer=peer, namespace=namespace.to_text(), link=number)
            await self._splice(number, outward)
            _log.info("peer_gone", peer=peer, link=number)
        except (TimeoutError, WaveMQError, OSError) as error:
            _log.warning("peer_handshake_failed", peer=peer, link=number, reason=_reason(error))
        finally:
            outward.abort()

    async def _shake(self, end: SpliceEnd, connection: socket.socket) -> Hash:
        """Do TLS and our part of the handshake; return when the first byte of HTTP/2 is here."""
        async with asyncio.timeout(self._limits.handshake_s):
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: end,
                connection,
                ssl=self._certificate.context,
                ssl_handshake_timeout=self._limits.handshake_s,
                ssl_shutdown_timeout=LINGER_SECONDS_MAX,
            )
            handshake = ServerHandshake()
            namespace: Hash | None = None
            while namespace is None:
                namespace = handshake.receive(await _some(end, "before it named a namespace"))
            answer = self._answers.get(namespace)
            if answer is None:
                raise HandshakeError(f"this router does not route {namespace.to_text()}")
            end.send(answer)
            end.unreceive(handshake.surplus or await _some(end, "after it got our claim"))
        return namespace

    async def _splice(self, number: int, outward: SpliceEnd) -> None:
        inward = SpliceEnd()
        name = self._backend.with_name(f"link-{number}")
        inside = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            inside.setblocking(False)
            inside.bind(os.fspath(name))
            loop = asyncio.get_running_loop()
            await loop.sock_connect(inside, os.fspath(self._backend))
            await loop.create_unix_connection(lambda: inward, sock=inside)
            join(outward, inward)
            await asyncio.wait({outward.closed, inward.closed})
        except OSError as error:
            _log.error("peer_splice_failed", link=number, reason=_reason(error))
        finally:
            inward.abort()
            inside.close()
            name.unlink(missing_ok=True)


class DialledLink:
    """An established link toward a designated router, as seen by its owner.

    Attributes:
        target: for a gRPC channel; takes exactly one connection.
        router: hash of the router's entity, checked.
    """

    def __init__(self, target: str, router: Hash, outward: SpliceEnd) -> None:
        self.target = target
        self.router = router
        self._outward = outward

    @property
    def is_lost(self) -> bool:
        """Whether the connection has ended."""
        return self._outward.closed.done()

    async def wait_lost(self) -> None:
        """Return when the connection has ended."""
        await asyncio.wait({self._outward.closed})


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
    outward = SpliceEnd(stall_s=limits.stall_s)
    try:
        try:
            async with asyncio.timeout(dial_s):
                claim = await _claim(outward, address, namespace, limits)
                shown = outward.transport.get_extra_info("ssl_object")
                await check(claim, certificate_signature(shown.getpeercert(binary_form=True)))
        except TimeoutError as error:
            raise UnavailableError(f"no handshake with {address} within the time limit") from error
        except OSError as error:
            raise UnavailableError(f"{address} cannot be reached: {_reason(error)}") from error
        async with AsyncExitStack() as stack:
            target = await _offer(outward, stack)
            yield DialledLink(target, claim.router, outward)
    finally:
        outward.abort()


async def _claim(
    end: SpliceEnd, address: Address, namespace: Hash, limits: LinkLimits
) -> RouterClaim:
    await asyncio.get_running_loop().create_connection(
        lambda: end,
        address.host,
        address.port,
        ssl=client_context(),
        server_hostname=address.host,
        ssl_handshake_timeout=limits.handshake_s,
        ssl_shutdown_timeout=LINGER_SECONDS_MAX,
        happy_eyeballs_delay=0.25,
    )
    handshake = ClientHandshake(namespace)
    end.send(handshake.opening)
    async with asyncio.timeout(limits.handshake_s):
        claim: RouterClaim | None = None
        while claim is None:
            chunk = await end.receive()
            if not chunk:
                raise handshake.receive_end()
            claim = handshake.receive(chunk)
    end.unreceive(handshake.surplus)
    return claim


async def _offer(outward: SpliceEnd, stack: AsyncExitStack) -> str:
    """Listen for one gRPC channel at a private path and join it to the link."""
    folder = private_folder()
    stack.callback(remove_folder, folder)
    ends: list[SpliceEnd] = []

    def accept() -> SpliceEnd:
        inward = _InwardEnd(outward, is_first=not ends)
        ends.append(inward)
        return inward

    path = folder / "uplink.sock"
    server = await asyncio.get_running_loop().create_unix_server(accept, path)

    def close() -> None:
        server.close()
        for end in ends:
            end.abort()

    stack.callback(close)
    return f"unix:{path}"


class _InwardEnd(SpliceEnd):
    """The channel's side of a dialled link; a second connection would have no handshake."""

    def __init__(self, outward: SpliceEnd, *, is_first: bool) -> None:
        super().__init__()
        self._outward = outward
        self._is_first = is_first

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Join the first connection to the link, refuse others."""
        super().connection_made(transport)
        if self._is_first:
            join(self._outward, self)
        else:
            self.abort()


async def _some(end: SpliceEnd, when: str) -> bytes:
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
