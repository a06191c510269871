"""A TCP link that misbehaves when told to: slow, thin, cut, mute, half open.

Owns the way of the bytes between one listening port and one target, and the faults of each
direction, which may be changed while bytes are under way. Refuses to know what the bytes mean.
Fault model: the target may refuse, and either end may vanish; the other end learns of it unless a
fault says that news does not travel. It stands in for a kernel's network emulation, which needs
privileges and a module that many machines lack; it sees a stream, so that it cannot lose, repeat
or re-order packets of TCP: to programs that is delay, or a stall.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from asyncio.trsock import TransportSocket
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

from wavemq.errors import InvalidParameterError

CHUNK_BYTES: Final = 16 * 1024
HELD_BYTES_MAX: Final = 1024 * 1024
"""Bytes that one direction of one connection holds; then its sender is not read any more."""
THIN_HELD_SECONDS: Final = 0.5
"""A link with a set rate holds what it passes on in this time: a modem's buffer."""
PIECES_PER_SECOND: Final = 20
"""A link with a set rate passes bytes on in so many pieces each second."""
BACKLOG: Final = 64
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: closing sends a reset."""


@dataclass(frozen=True, slots=True)
class LaneFaults:
    """What is wrong with one direction of the link; by default nothing.

    Args:
        latency_s: seconds that each byte is under way.
        bytes_per_s: rate, shared by all connections; None for as fast as possible.
        is_silent: nothing passes, neither bytes nor the news that an end has closed. What was sent
            passes when this ends, as TCP sends again what was lost.
        chunk_bytes_max: once more than this arrives at a time, the connection passes nothing any
            more in this direction: what a path does whose large packets vanish. Ends likewise.
        close_delay_s: seconds until the other end learns that this one has closed.

    Raises:
        InvalidParameterError: a number is out of range.
    """

    latency_s: float = 0.0
    bytes_per_s: int | None = None
    is_silent: bool = False
    chunk_bytes_max: int | None = None
    close_delay_s: float = 0.0

    def __post_init__(self) -> None:
        for name in ("bytes_per_s", "chunk_bytes_max"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InvalidParameterError(f"{name} must be at least 1, not {value}")
        if self.latency_s < 0 or self.close_delay_s < 0:
            raise InvalidParameterError("delays must not be negative")

    @property
    def held_bytes_max(self) -> int:
        """How much of one connection is under way at most."""
        if self.bytes_per_s is None:
            return HELD_BYTES_MAX
        return max(1, int(self.bytes_per_s * (THIN_HELD_SECONDS + self.latency_s)))


HEALTHY: Final = LaneFaults()


class Lane:
    """One direction of the link, over all its connections."""

    def __init__(self) -> None:
        self._faults = HEALTHY
        self._changed = asyncio.Event()
        self._free_at = 0.0
        self.bytes_passed = 0
        """Bytes handed to the receiving ends so far."""

    @property
    def faults(self) -> LaneFaults:
        """What is wrong now."""
        return self._faults

    @faults.setter
    def faults(self, faults: LaneFaults) -> None:
        """Change it; holds at once, for what is under way too."""
        self._faults = faults
        self._free_at = 0.0
        self._changed.set()
        self._changed = asyncio.Event()

    def changed(self) -> Coroutine[None, None, object]:
        """Return what waits for the next change of faults, counted from this call."""
        return self._changed.wait()

    def wait_s(self, size_bytes: int, now_s: float) -> float:
        """Take this many bytes of the rate, and return after how long they have passed."""
        rate = self._faults.bytes_per_s
        if rate is None:
            return 0.0
        self._free_at = max(self._free_at, now_s) + size_bytes / rate
        return self._free_at - now_s


@dataclass(slots=True)
class _Piece:
    """Bytes under way and when they were sent; the last one, without bytes, is the end."""

    content: bytes
    sent_at: float


@dataclass(eq=False, slots=True)
class _Pump:
    """One direction of one connection: what was read and is not yet written."""

    lane: Lane
    source: asyncio.StreamReader
    sink: asyncio.StreamWriter
    held: deque[_Piece] = field(default_factory=deque)
    held_bytes: int = 0
    is_stuck: bool = False
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    freed: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Move bytes until the end has been passed on."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read())
            group.create_task(self._write())

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            content = await _read_or_end(self.source)
            limit = self.lane.faults.chunk_bytes_max
            if limit is not None and len(content) > limit:
                self.is_stuck = True
            self.held.append(_Piece(content, loop.time()))
            self.held_bytes += len(content)
            self.arrived.set()
            if not content:
                return
            while self.held_bytes >= self.lane.faults.held_bytes_max:
                await self._wait(self.freed)

    async def _write(self) -> None:
        while True:
            while not self.held:
                await self._wait(self.arrived)
            piece = self.held[0]
            await self._pass_time(piece)
            if not piece.content:
                with contextlib.suppress(OSError):  # it has gone meanwhile
                    self.sink.write_eof()
                return
            for content in self._cut(piece.content):
                await self._pace(len(content))
                await self._wait_open()
                with contextlib.suppress(OSError):  # the reader of this end will tell
                    self.sink.write(content)
                    await self.sink.drain()
                self.lane.bytes_passed += len(content)
                self.held_bytes -= len(content)
                self.freed.set()
            self.held.popleft()

    async def _pass_time(self, piece: _Piece) -> None:
        """Return when the link lets this piece arrive, by the faults of each moment."""
        loop = asyncio.get_running_loop()
        while True:
            await self._wait_open()
            faults = self.lane.faults
            delay_s = faults.latency_s + (0.0 if piece.content else faults.close_delay_s)
            left_s = piece.sent_at + delay_s - loop.time()
            if left_s <= 0:
                return
            await self._wait_change(left_s)

    async def _wait_open(self) -> None:
        """Return when bytes pass."""
        while True:
            if self.lane.faults.chunk_bytes_max is None:
                self.is_stuck = False
            if not (self.lane.faults.is_silent or self.is_stuck):
                return
            await self.lane.changed()

    async def _pace(self, size_bytes: int) -> None:
        wait_s = self.lane.wait_s(size_bytes, asyncio.get_running_loop().time())
        if wait_s > 0:
            await self._wait_change(wait_s)

    async def _wait_change(self, seconds_max: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds_max):
                await self.lane.changed()

    def _cut(self, content: bytes) -> list[bytes]:
        rate = self.lane.faults.bytes_per_s
        size = CHUNK_BYTES if rate is None else max(1, rate // PIECES_PER_SECOND)
        return [content[start : start + size] for start in range(0, len(content), size)]

    async def _wait(self, event: asyncio.Event) -> None:
        """Return when the other half set `event`, or faults changed; one half clears each."""
        event.clear()
        waiting = {asyncio.ensure_future(one) for one in (event.wait(), self.lane.changed())}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waiting:
                one.cancel()


class FaultProxy:
    """A link to `target`; programs connect to `address` instead.

    `async with FaultProxy(router.peer) as link: ...; link.up.faults = LaneFaults(is_silent=True)`.

    Args:
        target: `host:port` of the real server.
        socket_buffer_bytes: of the kernel's buffers of both ends; None for the kernel's own choice,
            which holds megabytes and so hides how thin a link is.

    Attributes:
        up: the direction from whoever connects to the target.
        down: the direction back.
        is_refusing: new connections are closed at once; those that exist go on.
    """

    def __init__(self, target: str, *, socket_buffer_bytes: int | None = None) -> None:
        self.target = target
        self.up = Lane()
        self.down = Lane()
        self.is_refusing = False
        self._socket_buffer_bytes = socket_buffer_bytes
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.Task[None], tuple[TransportSocket, ...]] = {}
        self._accepted_count = 0

    @property
    def address(self) -> str:
        """Where it listens."""
        assert self._server is not None, "the proxy has not been entered"
        host, port = self._server.sockets[0].getsockname()
        return f"{host}:{port}"

    @property
    def connection_count(self) -> int:
        """Connections that are open now."""
        return len(self._open)

    @property
    def accepted_count(self) -> int:
        """Connections that were taken so far."""
        return self._accepted_count

    async def __aenter__(self) -> Self:
        """Listen at a free port of this machine."""
        listening = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
        self._narrow(listening)
        self._server = await asyncio.start_server(self._serve, sock=listening, limit=CHUNK_BYTES)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close everything."""
        if self._server is not None:
            self._server.close()
        tasks = list(self._open)
        self.cut()
        if tasks:
            await asyncio.wait(tasks)

    def set_faults(self, faults: LaneFaults) -> None:
        """Put both directions into this state."""
        self.up.faults = faults
        self.down.faults = faults

    def heal(self) -> None:
        """Let the link work again; connections that were cut stay cut."""
        self.set_faults(HEALTHY)
        self.is_refusing = False

    def cut(self) -> None:
        """Close every connection: both ends learn of it at once."""
        for task in self._open:
            task.cancel()

    def reset(self) -> None:
        """Reset every connection: both ends learn of it at once, and lose what was under way."""
        for sockets in self._open.values():
            for one in sockets:
                with contextlib.suppress(OSError):  # it has gone already
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.cut()

    # --- one connection -----------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._accepted_count += 1
        if self.is_refusing:
            writer.close()
            return
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = (_socket_of(writer),)
        writer.transport.set_write_buffer_limits(0)
        try:
            await self._join(task, reader, writer)
        except asyncio.CancelledError:
            task.uncancel()  # by `cut`: asyncio reports a cancelled connection as a failure
        finally:
            await _close_at_once(writer)
            del self._open[task]

    async def _join(
        self,
        task: asyncio.Task[None],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        dialling = socket.socket()
        self._narrow(dialling)
        dialling.setblocking(False)
        host, _, port = self.target.rpartition(":")
        try:
            await asyncio.get_running_loop().sock_connect(dialling, (host, int(port)))
        except OSError:  # the target does not listen: the caller's connection ends
            dialling.close()
            return
        target_reader, target_writer = await asyncio.open_connection(
            sock=dialling, limit=CHUNK_BYTES
        )
        target_writer.transport.set_write_buffer_limits(0)
        self._open[task] = (*self._open[task], _socket_of(target_writer))
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_Pump(self.up, reader, target_writer).run())
                group.create_task(_Pump(self.down, target_reader, writer).run())
        finally:
            await _close_at_once(target_writer)

    def _narrow(self, one: socket.socket) -> None:
        if self._socket_buffer_bytes is not None:
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                one.setsockopt(socket.SOL_SOCKET, option, self._socket_buffer_bytes)


def _socket_of(writer: asyncio.StreamWriter) -> TransportSocket:
    """Return what asyncio shows of the socket: its options may be set."""
    found: TransportSocket = writer.get_extra_info("socket")
    return found


async def _close_at_once(writer: asyncio.StreamWriter) -> None:
    """Close without waiting for what the other end has not read."""
    writer.transport.abort()
    with contextlib.suppress(OSError):  # how it ended does not matter any more
        await writer.wait_closed()


async def _read_or_end(source: asyncio.StreamReader) -> bytes:
    """Return some bytes; none at the end, however it came."""
    try:
        return await source.read(CHUNK_BYTES)
    except OSError:  # a reset is an end as well
        return b""
