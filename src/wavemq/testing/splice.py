"""Two connections joined byte for byte, as one.

Owns the passing on of bytes, of back-pressure and of the end. Refuses to know what the bytes
mean. Fault model: either side may stop reading (the other is then not read either, and after
`stall_s` the link is cut), close, break, or vanish.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Final, cast

from wavemq.limits import KIB

HELD_BYTES_MAX: Final = 64 * KIB
"""Bytes collected from a side that is not joined yet; then it is not read until they are taken."""
STALL_SECONDS_MAX: Final = 60.0
"""A peer that takes no byte for that long while bytes wait for it is gone."""
LINGER_SECONDS_MAX: Final = 5.0
"""What is still buffered when the other side ended may leave within this time."""
KEEPALIVE_IDLE_SECONDS: Final = 20
KEEPALIVE_INTERVAL_SECONDS: Final = 10
KEEPALIVE_PROBES_MAX: Final = 3
UNACKNOWLEDGED_MILLISECONDS_MAX: Final = 30_000


class SpliceEnd(asyncio.Protocol):
    """One of the two connections; first read with `receive`, then joined to the other.

    Args:
        stall_s: seconds that bytes may wait for this side before it is cut; None for a side
            inside this process.
    """

    def __init__(self, *, stall_s: float | None = None) -> None:
        self._stall_s = stall_s
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._partner: SpliceEnd | None = None
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._has_ended = False
        self._is_choked = False
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.closed: asyncio.Future[None] = self._loop.create_future()

    @property
    def transport(self) -> asyncio.Transport:
        """The connection; only once it is made."""
        assert self._transport is not None  # asyncio calls connection_made first
        return self._transport

    async def receive(self) -> bytes:
        """Return what has arrived, at least one byte; b"" at the end. Only before `join`."""
        while not self._held and not self._has_ended:
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._take_held()

    def unreceive(self, surplus: bytes) -> None:
        """Give bytes back, as if they arrived next."""
        if surplus:
            self._held.insert(0, surplus)
            self._held_bytes += len(surplus)

    def send(self, content: bytes) -> None:
        """Write to this side."""
        self.transport.write(content)

    def finish(self) -> None:
        """Close once everything that was written has left, or after `LINGER_SECONDS_MAX`."""
        if self._transport is None or self.closed.done():
            return
        self._cancel_timer()
        self._transport.close()
        self._timer = self._loop.call_later(LINGER_SECONDS_MAX, self.abort)

    def abort(self) -> None:
        """Close at once; what was not sent yet is lost."""
        if self._transport is not None and not self.closed.done():
            self._transport.abort()

    # --- asyncio.Protocol -------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport; its kind follows from how these connections are made."""
        self._transport = cast("asyncio.Transport", transport)  # TCP, TLS or Unix: all streams
        if self._stall_s is not None:
            _watch_for_black_holes(self._transport.get_extra_info("socket"))

    def data_received(self, data: bytes) -> None:
        """Pass bytes on, or hold them until they are asked for."""
        if self._partner is not None:
            self._partner.send(data)
            return
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes >= HELD_BYTES_MAX:
            self.transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        """Let asyncio close this side; TLS knows no half-open connection (RFC 8446 6.1)."""
        self._has_ended = True
        self._wake()

    def pause_writing(self) -> None:
        """Stop reading the other side: this one does not keep up."""
        self._is_choked = True
        if self._partner is not None:
            self._partner.transport.pause_reading()
        if self._stall_s is not None and self._timer is None:
            self._timer = self._loop.call_later(self._stall_s, self.abort)

    def resume_writing(self) -> None:
        """Read the other side again."""
        self._is_choked = False
        self._cancel_timer()
        if self._partner is not None and not self._partner.closed.done():
            self._partner.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the other side too, after what it still has to send."""
        del exc  # the log of the link says how it ended; the kind of break changes nothing
        self._has_ended = True
        self._cancel_timer()
        if not self.closed.done():
            self.closed.set_result(None)
        self._wake()
        if self._partner is not None:
            self._partner.finish()

    # --- private ----------------------------------------------------------------------------

    def _join(self, partner: SpliceEnd) -> None:
        self._partner = partner
        held = self._take_held()
        if held:
            partner.send(held)
        if self._is_choked:
            partner.transport.pause_reading()
        if self.closed.done():
            partner.finish()

    def _take_held(self) -> bytes:
        held = b"".join(self._held)
        self._held.clear()
        if self._held_bytes >= HELD_BYTES_MAX and not self.closed.done():
            self.transport.resume_reading()
        self._held_bytes = 0
        return held

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def join(left: SpliceEnd, right: SpliceEnd) -> None:
    """Pass everything from each side to the other from now on, what was held first."""
    left._join(right)  # noqa: SLF001 - two of one class, joined by their module
    right._join(left)  # noqa: SLF001


def _watch_for_black_holes(connection: socket.socket | None) -> None:
    """Have the kernel notice a peer that vanished without a word.

    HTTP/2 pings would too, but the original's server ends connections that ping more often than
    every 5 minutes.
    """
    if connection is None or connection.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for name, value in (
        ("TCP_KEEPIDLE", KEEPALIVE_IDLE_SECONDS),
        ("TCP_KEEPINTVL", KEEPALIVE_INTERVAL_SECONDS),
        ("TCP_KEEPCNT", KEEPALIVE_PROBES_MAX),
        ("TCP_USER_TIMEOUT", UNACKNOWLEDGED_MILLISECONDS_MAX),
    ):
        option = getattr(socket, name, None)  # Linux has all of them; others lack some
        if option is not None:
            connection.setsockopt(socket.IPPROTO_TCP, option, value)
