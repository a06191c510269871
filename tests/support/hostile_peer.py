"""Peers that pass TLS and the handshake of the peering door and then say what they like."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from tests.support import raw_http2 as raw
from tests.support.raw_http2 import RawConnection
from wavemq.net.addresses import Address
from wavemq.testing.tls import client_context

HOSTILE_SOURCE: Final = "127.0.0.9"
"""Where hostile connections come from, unless told otherwise; honest ones come from 127.0.0.1."""


async def dial_tls(
    address: Address, source: str = HOSTILE_SOURCE
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect from an address of this machine and begin TLS."""
    return await asyncio.open_connection(
        address.host,
        address.port,
        ssl=client_context(),
        local_addr=(source, 0),
        ssl_handshake_timeout=30,
    )


async def shake(
    address: Address, opening: bytes, claim_bytes: int, source: str = HOSTILE_SOURCE
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect, name a namespace, and read what the router claims."""
    reader, writer = await dial_tls(address, source)
    writer.write(opening)
    async with asyncio.timeout(30):
        await reader.readexactly(claim_bytes)
    return reader, writer


async def raw_peer(
    address: Address, opening: bytes, claim_bytes: int, source: str = HOSTILE_SOURCE
) -> RawConnection:
    """Return a link over which HTTP/2 has begun, and anything may be said."""
    connection = RawConnection(*await shake(address, opening, claim_bytes, source))
    await connection.send(raw.PREFACE + raw.frame(raw.SETTINGS, 0, 0))
    while (one := await connection.read()) is not None and one.kind != raw.SETTINGS:
        pass
    return connection


def resident_bytes(process: int | str = "self") -> int:
    """Return what a process has in memory."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("the process has no memory")
