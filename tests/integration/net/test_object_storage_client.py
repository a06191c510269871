"""The storage client against servers that are away, slow, broken, lying or hostile."""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from wavemq.errors import StorageError, UnsupportedHashSchemeError
from wavemq.net.objects import HttpStorage
from wavemq.net.objects_http import ANSWER_BYTES_MAX, HttpObjects
from wavemq.wave.hashes import Hash
from wavemq.wave.location import Location

CONTENT = b"the object that was asked for"
HASH = Hash.of(CONTENT)
QUEUE = Hash.of(b"queue")

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def client_of(talk: Talk, *, seconds_max: float = 5.0) -> AsyncIterator[HttpObjects]:
    """Yield a client of a server that reads one request head per connection, then talks."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            requests.append(head)
            await talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    requests: list[bytes] = []
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    storage = HttpStorage("default", Location(f"http://127.0.0.1:{port}/v1"))
    client = HttpObjects(storage, operation_seconds_max=seconds_max)
    try:
        yield client
    finally:
        await client.aclose()
        server.close()


def answer(status: int, body: Any, **headers: str) -> Talk:
    """Talk of a server that always gives the same answer."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(content)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]

    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write("\r\n".join([*lines, "", ""]).encode() + content)
        await writer.drain()

    return talk


def b64(content: bytes) -> str:
    return b64encode(content).decode()


async def test_good_answer_is_believed() -> None:
    async with client_of(answer(200, {"der": b64(CONTENT), "v1smr": None})) as client:
        assert await client.get(HASH) == CONTENT


async def test_field_names_match_without_regard_to_case() -> None:
    async with client_of(answer(200, {"DER": b64(CONTENT)})) as client:
        assert await client.get(HASH) == CONTENT
    async with client_of(answer(200, {"Hash": b64(HASH.to_bytes()), "NEXTTOKEN": "x"})) as client:
        assert await client.iterate(QUEUE, "") == (HASH, "x")


async def test_queue_answer_may_be_201() -> None:
    async with client_of(answer(201, {"hash": b64(HASH.to_bytes()), "nextToken": "7"})) as client:
        assert await client.iterate(QUEUE, "6") == (HASH, "7")


async def test_tokens_are_opaque_and_travel_unharmed() -> None:
    token, seen = "a&b=c/é %", []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answer(200, {"hash": b64(HASH.to_bytes()), "nextToken": token})(reader, writer)

    async with client_of(talk) as client:
        _, next_token = await client.iterate(QUEUE, "") or (None, "")
        seen.append(next_token)
        assert await client.iterate(QUEUE, "other " + token) == (HASH, token)
    assert seen == [token]


async def test_only_404_means_not_found() -> None:
    async with client_of(answer(404, {})) as client:
        assert await client.get(HASH) is None
        assert await client.iterate(QUEUE, "") is None


async def test_404_to_a_write_is_a_failure() -> None:
    async with client_of(answer(404, {})) as client:
        with pytest.raises(StorageError):
            await client.put(CONTENT)
        with pytest.raises(StorageError):
            await client.enqueue(QUEUE, HASH)


async def test_substituted_content_is_refused() -> None:
    async with client_of(answer(200, {"der": b64(b"another object")})) as client:
        with pytest.raises(StorageError, match="sent other content"):
            await client.get(HASH)


async def test_put_that_names_another_hash_is_refused() -> None:
    async with client_of(answer(201, {"hash": b64(QUEUE.to_bytes())})) as client:
        with pytest.raises(StorageError, match="under another hash"):
            await client.put(CONTENT)


async def test_existing_object_of_a_proving_server_counts_as_put() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        gets.append(1)
        first = len(gets) == 1
        reply = answer(500, b"Already exists") if first else answer(200, {"der": b64(CONTENT)})
        await reply(reader, writer)

    gets: list[int] = []
    async with client_of(talk) as client:
        assert await client.put(CONTENT) == HASH


async def test_queue_that_never_moves_on_is_refused() -> None:
    async with client_of(answer(200, {"hash": b64(HASH.to_bytes()), "nextToken": "5"})) as client:
        with pytest.raises(StorageError, match="no end"):
            await client.iterate(QUEUE, "5")


async def test_redirect_is_not_followed() -> None:
    elsewhere: list[bytes] = []

    async def other(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        elsewhere.append(b"visited")
        writer.close()

    server = await asyncio.start_server(other, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with server, client_of(answer(302, b"", Location=url)) as client:
        with pytest.raises(StorageError, match="answered 302"):
            await client.get(HASH)
    assert elsewhere == []


BAD_ANSWERS: dict[str, tuple[int, Any]] = {
    "not json": (200, b"<html>"),
    "empty": (200, b""),
    "list": (200, []),
    "deeply nested": (200, b"[" * 200_000),
    "no field": (200, {}),
    "null field": (200, {"der": None}),
    "number": (200, {"der": 5}),
    "not base64": (200, {"der": "*"}),
    "base64 without padding": (200, {"der": "QQ"}),
    "url-safe base64": (200, {"der": "-_-_"}),
    "server error": (500, b"disk full\x1b[31m" + b"x" * 5000),
    "forbidden": (403, b""),
    "no content": (204, b""),
}


@pytest.mark.parametrize("case", BAD_ANSWERS)
async def test_bad_answer_is_an_error_that_names_the_server(case: str) -> None:
    async with client_of(answer(*BAD_ANSWERS[case])) as client:
        with pytest.raises(StorageError) as refused:
            await client.get(HASH)
    assert refused.value.reason.startswith("storage 'default' at http://127.0.0.1:")
    assert len(refused.value.reason) < 500
    assert refused.value.reason.isprintable()


@pytest.mark.parametrize(
    "body",
    [
        {"nextToken": "1"},
        {"hash": b64(b"short"), "nextToken": "1"},
        {"hash": b64(HASH.to_bytes())},
        {"hash": b64(HASH.to_bytes()), "nextToken": ""},
        {"hash": b64(HASH.to_bytes()), "nextToken": 1},
        {"hash": b64(HASH.to_bytes()), "nextToken": "1" * 1025},
    ],
)
async def test_bad_queue_answer_is_an_error(body: dict[str, Any]) -> None:
    async with client_of(answer(200, body)) as client:
        with pytest.raises(StorageError):
            await client.iterate(QUEUE, "")


async def test_unsolicited_compression_is_refused() -> None:
    async with client_of(answer(200, b"\x1f\x8b", Content_Encoding="gzip")) as client:
        with pytest.raises(StorageError, match="encoding"):
            await client.get(HASH)


async def test_endless_answer_is_cut_at_the_bound() -> None:
    sent_bytes = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent_bytes
        del reader
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1 << 30))
        chunk = bytes(1 << 20)
        for _ in range(1 << 10):
            writer.write(chunk)
            await writer.drain()
            sent_bytes += len(chunk)

    async with client_of(talk) as client:
        with pytest.raises(StorageError, match=f"more than {ANSWER_BYTES_MAX} bytes"):
            await client.get(HASH)
    assert sent_bytes < 3 * ANSWER_BYTES_MAX


async def test_dripping_answer_ends_at_the_deadline() -> None:
    """Each byte comes well within any read timeout; only a bound of the whole ends it."""

    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with client_of(talk, seconds_max=0.2) as client:
        with pytest.raises(StorageError, match=r"did not get an object within 0\.2 s"):
            await client.get(HASH)


async def test_silent_server_ends_at_the_deadline() -> None:
    async def talk(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with client_of(talk, seconds_max=0.1) as client:
        with pytest.raises(StorageError, match="within"):
            await client.enqueue(QUEUE, HASH)


async def test_broken_connection_is_an_error() -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")

    async with client_of(talk) as client:
        with pytest.raises(StorageError, match="could not be reached"):
            await client.get(HASH)


async def test_server_that_speaks_no_http_is_an_error() -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")

    async with client_of(talk) as client:
        with pytest.raises(StorageError, match="could not be reached"):
            await client.get(HASH)


async def test_server_that_is_away_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    url = f"http://127.0.0.1:{port}/v1"
    client = HttpObjects(HttpStorage("default", Location(url)))
    with pytest.raises(StorageError, match=f"storage 'default' at {url} could not be reached"):
        await client.put(CONTENT)
    await client.aclose()


async def test_hash_of_another_scheme_is_never_asked_for() -> None:
    other = Hash.from_bytes(b"\x16\x20" + secrets.token_bytes(32))
    async with client_of(answer(404, {})) as client:
        with pytest.raises(UnsupportedHashSchemeError):
            await client.get(other)


async def test_cancelled_operation_leaves_the_client_usable() -> None:
    is_first = True

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal is_first
        if is_first:
            is_first = False
            started.set()
            await reader.read()
        else:
            await answer(200, {"der": b64(CONTENT)})(reader, writer)

    started = asyncio.Event()
    async with client_of(talk) as client:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(client.get(HASH))
            await started.wait()
            task.cancel()
        assert await client.get(HASH) == CONTENT
