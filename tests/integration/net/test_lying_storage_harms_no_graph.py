"""A storage server that lies beside an honest one: it is named, and the grants are found."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.storage_server import http_table, storage_server
from wavemq.authz import queue_reading
from wavemq.authz.engine import Engine, EngineConfig
from wavemq.clock import Instant, instant_from_seconds
from wavemq.limits import MIB
from wavemq.net.objects import LocationRouter
from wavemq.wave.attestation_create import create_attestation
from wavemq.wave.hashes import WAVEMQ_PERMISSION_SET, Hash
from wavemq.wave.keyring import EntitySecret
from wavemq.wave.policy import RTreePolicy, Statement

NOW = instant_from_seconds(1_800_000_000)
END = Instant(NOW + 30 * 86_400 * 10**9)
STATEMENT = Statement(WAVEMQ_PERMISSION_SET, ("publish",), "a/b")
MEMORY_MAX = 100 * MIB

Lie = Callable[[str, asyncio.StreamWriter], Awaitable[None]]


async def say(writer: asyncio.StreamWriter, status: str, body: object, *headers: str) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(content)}", *headers, "", ""]
    writer.write("\r\n".join(lines).encode() + content)
    await writer.drain()


def entry(number: int, following: str) -> dict[str, str]:
    name = Hash.of(number.to_bytes(8, "big"))
    return {"hash": b64encode(name.to_bytes()).decode(), "nextToken": following}


def token_of(target: str) -> int:
    text = target.partition("token=")[2].partition("&")[0]
    return int(text or 0)


async def endless_queue(target: str, writer: asyncio.StreamWriter) -> None:
    if "/queue/" in target:
        await say(writer, "200 OK", entry(token_of(target), str(token_of(target) + 1)))
    else:
        await say(writer, "404 Not Found", {})


async def slow_queue(target: str, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(4.0)
    await endless_queue(target, writer)


async def long_tokens(target: str, writer: asyncio.StreamWriter) -> None:
    if "/queue/" in target:
        following = str(token_of(target) + 1).rjust(1000, "0")
        await say(writer, "200 OK", entry(token_of(target), following))
    else:
        await say(writer, "404 Not Found", {})


async def cycle_of_tokens(target: str, writer: asyncio.StreamWriter) -> None:
    if "/queue/" in target:
        await say(writer, "200 OK", entry(token_of(target), str((token_of(target) + 1) % 3)))
    else:
        await say(writer, "404 Not Found", {})


async def wrong_bytes(target: str, writer: asyncio.StreamWriter) -> None:
    if "/queue/" in target and token_of(target) < 5:
        await say(writer, "200 OK", entry(token_of(target), str(token_of(target) + 1)))
    elif "/queue/" in target:
        await say(writer, "404 Not Found", {})
    else:
        await say(writer, "200 OK", {"der": b64encode(b"something else").decode()})


async def huge_object(target: str, writer: asyncio.StreamWriter) -> None:
    if "/queue/" in target and token_of(target) < 2:
        await say(writer, "200 OK", entry(token_of(target), str(token_of(target) + 1)))
        return
    if "/queue/" in target:
        await say(writer, "404 Not Found", {})
        return
    writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {2**30}\r\n\r\n".encode() + b'{"der":"')
    for _ in range(1024):
        writer.write(b"A" * MIB)
        await writer.drain()


async def slow_drip(_target: str, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    for _ in range(100_000):
        writer.write(b"{")
        await writer.drain()
        await asyncio.sleep(0.05)


async def server_error(_: str, writer: asyncio.StreamWriter) -> None:
    await say(writer, "500 Internal Server Error", b"out of order")


async def redirect(_: str, writer: asyncio.StreamWriter) -> None:
    await say(writer, "302 Found", b"", "Location: http://127.0.0.1:1/v1/elsewhere")


async def many_small_values(_: str, writer: asyncio.StreamWriter) -> None:
    await say(writer, "200 OK", b'{"hash":[' + b"[]," * 6 * MIB + b"[]]}")


async def no_json(_: str, writer: asyncio.StreamWriter) -> None:
    await say(writer, "200 OK", b"<html>welcome</html>")


LIES: dict[str, Lie] = {
    "endless queue": endless_queue,
    "endless and slow queue": slow_queue,
    "endless queue of long tokens": long_tokens,
    "cycle of tokens": cycle_of_tokens,
    "wrong bytes": wrong_bytes,
    "object of a gigabyte": huge_object,
    "slow drip": slow_drip,
    "errors": server_error,
    "redirect elsewhere": redirect,
    "many small values": many_small_values,
    "no JSON": no_json,
}


@asynccontextmanager
async def liar(lie: Lie) -> AsyncIterator[str]:
    """Serve a lie; yield the URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await lie(head.split()[1].decode(), writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        server.close()


@pytest.mark.parametrize("kind", LIES)
async def test_grants_are_found_beside_a_lying_server_that_is_named(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_reading, "QUEUE_SECONDS_MAX", 3.0)  # ten, outside of tests
    with storage_server(tmp_path / "objects") as honest:
        async with liar(LIES[kind]) as url:
            tables = {"default": http_table(honest), "evil": {"provider": "http_v1", "url": url}}
            async with LocationRouter.from_tables(tables) as storages:
                await check(storages, url, tmp_path)


async def check(storages: LocationRouter, url: str, directory: Path) -> None:
    """Synchronize against both servers and prove with what was found."""
    home = storages.default_location
    namespace, reader = (
        EntitySecret.create(not_before=NOW, not_after=END, revocation_location=home)
        for _ in range(2)
    )
    for secret in (namespace, reader):
        await storages.put(home, secret.entity.wire)
    policy = RTreePolicy(namespace.entity.hash, home, 0, (STATEMENT,))
    created = create_attestation(
        namespace, home, reader.entity, home, policy, not_before=NOW, not_after=END
    )
    grant = await storages.put(home, created.attestation.wire)
    await storages.enqueue(home, reader.entity.hash, grant)
    config = EngineConfig(home, storages.locations, default_to_unrevoked=True)
    async with Engine(storages, directory / "state", config) as engine:
        perspective = await engine.perspective(reader)
        tracemalloc.start()
        try:
            async with asyncio.timeout(60):
                report = await engine.resync(perspective, now=NOW)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < MEMORY_MAX
        assert not report.is_complete
        assert any(url in failure for failure in report.failures)
        assert not any(home.url in failure for failure in report.failures)
        built = await engine.prove(
            perspective, namespace=namespace.entity.hash, statements=(STATEMENT,), now=NOW
        )
        assert built.attestations == (grant,)
