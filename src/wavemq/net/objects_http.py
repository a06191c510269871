"""Client of one object storage server: `http_v1` of wave.md 8.2.

Owns requests, limits and the check of every answer. Refuses to know locations and what objects
mean. Fault model: the server may be away, slow, drip bytes, answer without end, lie or be hostile:
each operation ends within `OPERATION_SECONDS_MAX`, reads a bounded answer, follows no redirect and
believes no content that does not hash to what was asked for. All such failures are `StorageError`
and name the server; only 404 means "not found".
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import ipaddress
import json
from collections.abc import Mapping
from typing import Final, NoReturn
from urllib.parse import urlsplit

import httpx

from wavemq.errors import (
    InvalidMultihashError,
    InvalidParameterError,
    ObjectError,
    RequestError,
    StorageError,
    UnsupportedHashSchemeError,
)
from wavemq.limits import KIB, OBJECT_BYTES_MAX
from wavemq.net.objects_config import HttpStorage
from wavemq.wave.hashes import Hash

OPERATION_SECONDS_MAX: Final = 5.0
"""From sending a request to the last byte of its answer (wave.md 8.1)."""
OPERATIONS_MAX: Final = 16
"""Requests under way at one server; more wait for their turn, which does not count as time."""
ENVELOPE_BYTES_MAX: Final = 256 * KIB
"""An answer without its object: JSON syntax and the proofs of a proving server."""
ANSWER_BYTES_MAX: Final = OBJECT_BYTES_MAX * 4 // 3 + ENVELOPE_BYTES_MAX
STRUCTURES_MAX: Final = 10_000
"""Brackets and commas of an answer: parsing many small values costs thirty times their bytes."""
TOKEN_CHARACTERS_MAX: Final = 1024
REASON_CHARACTERS_MAX: Final = 200
"""How much of a server's error text is repeated in ours."""
_HEADERS: Final = {"Accept-Encoding": "identity", "User-Agent": "wavemq"}


class HttpObjects:
    """Objects and queues at one server. Awaited from one event loop.

    Args:
        storage: the server.
        operation_seconds_max: bound of one operation, tests shorten it.
    """

    def __init__(
        self, storage: HttpStorage, *, operation_seconds_max: float = OPERATION_SECONDS_MAX
    ) -> None:
        self._url = storage.location.url.rstrip("/")
        self._name = f"storage {storage.name!r} at {storage.location.url}"
        self._seconds_max = operation_seconds_max
        self._turn = asyncio.Semaphore(OPERATIONS_MAX)
        # Like the original's HTTP library, honour proxy settings except towards this machine.
        self._client = httpx.AsyncClient(
            headers=_HEADERS,
            timeout=operation_seconds_max,
            follow_redirects=False,
            limits=httpx.Limits(max_connections=OPERATIONS_MAX),
            trust_env=not _is_loopback(self._url),
        )

    async def get(self, object_hash: Hash) -> bytes | None:
        """Return the object with that hash, checked; None when the server has none.

        Raises:
            UnsupportedHashSchemeError: the hash is not Keccak; servers know no other.
            StorageError: no usable answer.
        """
        if not object_hash.is_keccak:
            raise UnsupportedHashSchemeError("storage servers find objects by Keccak hash only")
        status, body = await self._request(
            "GET",
            f"/obj/{object_hash.to_text()}",
            "get an object",
            query={"trusted": "0"},
            answer_bytes_max=ANSWER_BYTES_MAX,
        )
        if status == httpx.codes.NOT_FOUND:
            return None
        if status != httpx.codes.OK:
            self._refuse_status(status, body, "get an object")
        content = self._bytes(self._fields(body), "der")
        if Hash.of(content) != object_hash:
            self._fail(f"sent other content than that of {object_hash.to_text()}")
        return content

    async def put(self, content: bytes) -> Hash:
        """Store an object; the server's answer must name the hash that we compute.

        Raises:
            InvalidParameterError: it is empty or larger than `OBJECT_BYTES_MAX`.
            StorageError: it is not known whether the object was stored.
        """
        if not 0 < len(content) <= OBJECT_BYTES_MAX:
            raise InvalidParameterError(
                f"an object has 1 to {OBJECT_BYTES_MAX} bytes, this one has {len(content)}"
            )
        expected = Hash.of(content)
        status, body = await self._request(
            "POST", "/obj", "put an object", content={"der": _base64(content)}
        )
        # Proving servers answer so when the object was there before (wave.md 8.6).
        is_old = status == httpx.codes.INTERNAL_SERVER_ERROR and b"lready exists" in body
        if is_old and await self.get(expected) is not None:
            return expected
        if status != httpx.codes.CREATED:
            self._refuse_status(status, body, "put an object")
        if self._hash(self._fields(body), "hash") != expected:
            self._fail(f"stored {expected.to_text()} under another hash")
        return expected

    async def enqueue(self, queue: Hash, entry: Hash) -> None:
        """Append an entry to a queue.

        Raises:
            StorageError: it is not known whether the entry was appended.
        """
        status, body = await self._request(
            "POST",
            f"/queue/{queue.to_text()}",
            "append to a queue",
            content={"entryHash": _base64(entry.to_bytes())},
        )
        if status != httpx.codes.CREATED:
            self._refuse_status(status, body, "append to a queue")

    async def iterate(self, queue: Hash, token: str) -> tuple[Hash, str] | None:
        """Return the entry at an opaque token and the next token; None at the end.

        Raises:
            StorageError: no usable answer.
        """
        status, body = await self._request(
            "GET",
            f"/queue/{queue.to_text()}",
            "read a queue",
            query={"token": token, "trusted": "0"},
        )
        if status == httpx.codes.NOT_FOUND:
            return None
        if status not in {httpx.codes.OK, httpx.codes.CREATED}:
            self._refuse_status(status, body, "read a queue")
        fields = self._fields(body)
        return self._hash(fields, "hash"), self._token(fields, token)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _request(
        self,
        method: str,
        path: str,
        purpose: str,
        *,
        query: Mapping[str, str] | None = None,
        content: Mapping[str, str] | None = None,
        answer_bytes_max: int = ENVELOPE_BYTES_MAX,
    ) -> tuple[int, bytes]:
        """Return status and bounded body of one exchange, or raise `StorageError`."""
        body = None if content is None else json.dumps(content, separators=(",", ":")).encode()
        async with self._turn:
            try:
                async with (
                    asyncio.timeout(self._seconds_max),
                    self._client.stream(
                        method, self._url + path, params=query, content=body
                    ) as response,
                ):
                    return response.status_code, await self._read(response, answer_bytes_max)
            except (TimeoutError, httpx.TimeoutException) as error:
                raise StorageError(
                    f"{self._name} did not {purpose} within {self._seconds_max:g} s"
                ) from error
            except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
                raise StorageError(
                    f"{self._name} could not be reached to {purpose}: {_sentence(error)}"
                ) from error

    async def _read(self, response: httpx.Response, bytes_max: int) -> bytes:
        encoding = response.headers.get("content-encoding", "identity").lower()
        if encoding != "identity":
            # We ask for none; decompressing would let a small answer become a huge one.
            self._fail(f"sent an answer with the encoding {_printable(encoding)!r}")
        body = bytearray()
        async for chunk in response.aiter_raw():
            if len(body) + len(chunk) > bytes_max:
                self._fail(f"sent an answer of more than {bytes_max} bytes")
            body += chunk
        return bytes(body)

    def _fields(self, body: bytes) -> dict[str, object]:
        """Return the fields of a JSON object by lower-case name, as Go's decoder matches them."""
        if sum(body.count(mark) for mark in (b"[", b"{", b",")) > STRUCTURES_MAX:
            self._fail("sent an answer that is not JSON of this protocol")
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            self._fail("sent an answer that is not JSON")
        if not isinstance(value, dict):
            self._fail("sent an answer that is not a JSON object")
        return {str(name).lower(): field for name, field in value.items()}

    def _bytes(self, fields: Mapping[str, object], name: str) -> bytes:
        value = fields.get(name)
        if not isinstance(value, str):
            self._fail(f"sent an answer without the field {name!r}")
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            self._fail(f"sent an answer whose field {name!r} is not base64")

    def _hash(self, fields: Mapping[str, object], name: str) -> Hash:
        try:
            return Hash.from_bytes(self._bytes(fields, name))
        except (ObjectError, RequestError, InvalidMultihashError):
            self._fail(f"sent an answer whose field {name!r} is not a hash")

    def _token(self, fields: Mapping[str, object], current: str) -> str:
        token = fields.get("nexttoken")
        if not isinstance(token, str) or not 0 < len(token) <= TOKEN_CHARACTERS_MAX:
            self._fail("sent a queue entry without a usable next token")
        if not token.isprintable():  # lone surrogates, which JSON allows, fit into no URL
            self._fail("sent a queue entry whose next token is not printable")
        if token == current:
            self._fail("sent a queue entry whose next token is its own: the queue has no end")
        return token

    def _refuse_status(self, status: int, body: bytes, purpose: str) -> NoReturn:
        text = _printable(body[: 4 * REASON_CHARACTERS_MAX].decode(errors="replace"))
        reason = f": {text[:REASON_CHARACTERS_MAX]}" if text.strip() else ""
        self._fail(f"did not {purpose}: it answered {status}{reason}")

    def _fail(self, what: str) -> NoReturn:
        raise StorageError(f"{self._name} {what}")


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _printable(text: str) -> str:
    """Return one line that cannot harm a terminal or a log."""
    return "".join(character if character.isprintable() else " " for character in text).strip()


def _sentence(error: Exception) -> str:
    return _printable(str(error))[:REASON_CHARACTERS_MAX] or type(error).__name__
