"""A site router's end of a link, for a gRPC library of another make (wavemq.md 3).

Owns TLS and handshake with Python's own `ssl`, and the passing on of HTTP/2 to `grpcio`, which
opens its own sockets and has no place for bytes before HTTP/2: the link ends at a Unix socket in a
private folder and the bytes are spliced. So tests meet our designated routers as other programs do.
Refuses to know messages. Fault model: as that of a test's peer.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from wavemq.errors import UnavailableError, WaveMQError
from wavemq.net.addresses import Address
from wavemq.net.certificate import certificate_signature
from wavemq.net.link import DIAL_SECONDS_MAX, CheckClaim, LinkLimits
from wavemq.testing.splice import LINGER_SECONDS_MAX, SpliceEnd, join
from wavemq.testing.tls import client_context
from wavemq.wave.hashes import Hash
from wavemq.wire.handshake import ClientHandshake, RouterClaim

CHANNEL_OPTIONS: Final = (("grpc.default_authority", "designated"),)
"""The path of a Unix socket is not an authority that every HTTP/2 server takes."""
_FOLDER_PATH_BYTES_MAX: Final = 90
"""Unix socket addresses have 108 bytes; folder and name must fit."""


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


def _reason(error: Exception) -> str:
    if isinstance(error, WaveMQError):
        return error.reason
    if isinstance(error, TimeoutError):
        return "the peer took too long"
    return str(error) or type(error).__name__
