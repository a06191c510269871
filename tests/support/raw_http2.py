"""HTTP/2 frames made by hand, to say over a socket what no library would."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterable
from dataclasses import dataclass

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, PING, GO_AWAY, WINDOW, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1
INITIAL_WINDOW = b"\x00\x04"


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame."""
    return (
        struct.pack(">I", len(payload))[1:]
        + bytes((kind, flags))
        + struct.pack(">I", stream)
        + payload
    )


def header_block(headers: Iterable[tuple[str, str]]) -> bytes:
    """Headers as literals without indexing (RFC 7541, 6.2.2)."""
    block = b""
    for name, value in headers:
        block += b"\x00" + _text(name) + _text(value)
    return block


def _text(text: str) -> bytes:
    content = text.encode()
    size = len(content)
    if size < 127:
        return bytes((size,)) + content
    rest, prefix = size - 127, b"\x7f"
    while rest >= 128:
        prefix += bytes((rest % 128 + 128,))
        rest //= 128
    return prefix + bytes((rest,)) + content


def call_headers(path: str, *others: tuple[str, str]) -> bytes:
    """The headers of a call."""
    return header_block(
        [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", "router"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            *others,
        ]
    )


def message(content: bytes, *, flag: int = 0, size: int | None = None) -> bytes:
    """A message of gRPC, or one that lies about its size."""
    return bytes((flag,)) + struct.pack(">I", len(content) if size is None else size) + content


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame as it came."""

    kind: int
    flags: int
    stream: int
    payload: bytes


class RawConnection:
    """A connection over which anything may be said."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._window = 65_535
        self._stream_window_first = 65_535
        self._stream_windows: dict[int, int] = {}
        self.seen: list[Frame] = []

    @classmethod
    async def open(cls, host: str, port: int, *, greet: bool = True) -> RawConnection:
        """Connect, and begin HTTP/2 unless told otherwise."""
        connection = cls(*await asyncio.open_connection(host, port))
        if greet:
            await connection.send(PREFACE + frame(SETTINGS, 0, 0))
            while (one := await connection.read()) is not None and one.kind != SETTINGS:
                pass
        return connection

    async def send(self, content: bytes) -> None:
        """Send bytes; a connection that was closed meanwhile shows when reading."""
        try:
            self._writer.write(content)
            await self._writer.drain()
        except ConnectionError:
            return

    async def call(self, stream: int, path: str, content: bytes, *others: tuple[str, str]) -> None:
        """Send a whole call with any content."""
        await self.send(
            frame(HEADERS, END_HEADERS, stream, call_headers(path, *others))
            + frame(DATA, END_STREAM, stream, content)
        )

    async def send_data(self, stream: int, size_bytes: int) -> bool:
        """Send zeros as fast as the windows allow; False: the other end took no more of them."""
        piece = 16_000
        while size_bytes > 0:
            while min(self._window, self._windows(stream)) < piece:
                one = await self.read()
                if one is None or (one.kind == RESET and one.stream == stream):
                    return False
                if one.kind == HEADERS and one.stream == stream:
                    return False
            await self.send(frame(DATA, 0, stream, bytes(piece)))
            self._window -= piece
            self._stream_windows[stream] = self._windows(stream) - piece
            size_bytes -= piece
        return True

    def _windows(self, stream: int) -> int:
        return self._stream_windows.get(stream, self._stream_window_first)

    async def frames_until_closed(self) -> list[Frame]:
        """Read up to the end of the connection, and close it."""
        frames: list[Frame] = []
        while (one := await self.read()) is not None:
            frames.append(one)
        self._writer.close()
        return frames

    async def read(self) -> Frame | None:
        """Read a frame; None at the end."""
        try:
            async with asyncio.timeout(10):
                head = await self._reader.readexactly(9)
                payload = await self._reader.readexactly(int.from_bytes(head[:3], "big"))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        one = Frame(head[3], head[4], int.from_bytes(head[5:9], "big"), payload)
        self.seen.append(one)
        if one.kind == WINDOW:
            more = int.from_bytes(payload, "big")
            if one.stream:
                self._stream_windows[one.stream] = self._windows(one.stream) + more
            else:
                self._window += more
        if one.kind == SETTINGS and not one.flags & ACK:
            for at in range(0, len(payload), 6):
                if payload[at : at + 2] == INITIAL_WINDOW:
                    self._stream_window_first = int.from_bytes(payload[at + 2 : at + 6], "big")
            await self.send(frame(SETTINGS, ACK, 0))
        return one

    async def answer(self, stream: int) -> bytes:
        """Read the header blocks and the data of one call up to its end; b"" if it was reset."""
        found = b""
        while (one := await self.read()) is not None:
            if one.stream == stream and one.kind in {DATA, HEADERS}:
                found += one.payload
                if one.flags & END_STREAM:
                    return found
            if one.stream == stream and one.kind == RESET:
                return b""
        return found

    async def close(self) -> None:
        """Let go of the connection."""
        self._writer.close()
