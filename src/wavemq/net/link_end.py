"""One end of a peering link before HTTP/2: bytes in order, then the hand-over to the kernel.

Owns what a handshake needs of a connection. Refuses to know the handshake. Fault model: the other
end may send nothing, too much, or vanish; bytes are read only when they are asked for.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any, Final, TypeVar

from wavemq.net.reactor import ConnectionEvents, Reactor

KEEPALIVE_IDLE_SECONDS: Final = 20
KEEPALIVE_INTERVAL_SECONDS: Final = 10
KEEPALIVE_PROBES_MAX: Final = 3
UNACKNOWLEDGED_MILLISECONDS_MAX: Final = 30_000

ResultT = TypeVar("ResultT")


class LinkEnd(ConnectionEvents):
    """One connection.

    Args:
        reactor: that holds it.
        number: of the connection there.

    Attributes:
        number: as given.
        reason: how the connection ended.
        closed: done when the connection has ended.
    """

    def __init__(self, reactor: Reactor, number: int) -> None:
        self._reactor = reactor
        self._loop = asyncio.get_running_loop()
        self.number = number
        self.reason = ""
        self.closed: asyncio.Future[None] = self._loop.create_future()
        self._secured: asyncio.Future[bytes] = self._loop.create_future()
        self._begun: asyncio.Future[None] = self._loop.create_future()
        self._received: asyncio.Future[bytes] | None = None
        reactor.add_connection(number, self)

    async def wait_secured(self) -> bytes:
        """Return the certificate that the other end showed, DER; empty if none.

        Raises:
            OSError: the connection has ended; the text says how.
        """
        return await self._unless_closed(self._secured)

    async def receive(self) -> bytes:
        """Return the bytes that come next, at least one; b"" at the end."""
        received = self._received = self._loop.create_future()
        self._reactor.http2.read_preamble(self.number)
        try:
            return await self._unless_closed(received)
        except OSError:
            return b""

    def send(self, content: bytes) -> None:
        """Send bytes."""
        self._reactor.http2.send_preamble(self.number, content)

    def begin(self, surplus: bytes) -> None:
        """Have HTTP/2 begin, with bytes that were received too far."""
        self._reactor.http2.begin(self.number, surplus)

    async def wait_begun(self) -> None:
        """Return when the other end has shown that it speaks HTTP/2; errors as `wait_secured`."""
        await self._unless_closed(self._begun)

    def abort(self) -> None:
        """End the connection at once."""
        self._reactor.http2.kill(self.number)

    async def _unless_closed(self, result: asyncio.Future[ResultT]) -> ResultT:
        either: set[asyncio.Future[Any]] = {result, self.closed}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not result.done():
            raise OSError(self.reason)
        return result.result()

    # --- what the reactor tells -------------------------------------------------------------

    def secured(self, certificate: bytes) -> None:
        """Take note that TLS stands."""
        self._secured.set_result(certificate)

    def received(self, content: bytes) -> None:
        """Hand bytes to who waits for them."""
        if self._received is not None and not self._received.done():
            self._received.set_result(content)

    def begun(self) -> None:
        """Take note that HTTP/2 has begun."""
        self._begun.set_result(None)

    def disconnected(self, reason: str) -> None:
        """Take note of the end."""
        self.reason = reason or "the connection has ended"
        self.closed.set_result(None)


def watch_for_black_holes(connection: socket.socket) -> None:
    """Have the operating system notice a peer that vanished without a word, or takes no bytes.

    HTTP/2 pings would too, but the original's server ends connections that ping more often than
    every 5 minutes.
    """
    notice_vanished(connection)
    _set(connection, ("TCP_USER_TIMEOUT", UNACKNOWLEDGED_MILLISECONDS_MAX))


def notice_vanished(connection: socket.socket) -> None:
    """Have the operating system notice a peer that is not there any more.

    A listening socket hands this down to what it accepts.
    """
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    _set(
        connection,
        ("TCP_KEEPIDLE", KEEPALIVE_IDLE_SECONDS),
        ("TCP_KEEPINTVL", KEEPALIVE_INTERVAL_SECONDS),
        ("TCP_KEEPCNT", KEEPALIVE_PROBES_MAX),
    )


def _set(connection: socket.socket, *options: tuple[str, int]) -> None:
    for name, value in options:
        option = getattr(socket, name, None)  # Linux has all of them; others lack some
        if option is not None:
            connection.setsockopt(socket.IPPROTO_TCP, option, value)
