"""An object storage server: the protocol of wave.md 8.2 over a `Shelf`.

Owns the web application, its limits, and running it. Refuses to know what objects mean: it
stores bytes under the hash that it computes itself and appends to queues for anyone, as the
original does; clients check everything. Fault model: clients may be slow, many or hostile (bounded
time, bounded bytes for one body and for all together); the disk may fail (500 with one sentence).
An answer is sent after the write is on disk.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import json
import signal
import socket
from collections.abc import AsyncIterator, Callable
from importlib.metadata import version
from pathlib import Path
from typing import Final

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route

from wavemq.errors import (
    ConfigError,
    InvalidMultihashError,
    InvalidParameterError,
    ObjectError,
    StorageFaultError,
)
from wavemq.limits import KIB, MIB, OBJECT_BYTES_MAX
from wavemq.net.http_doors import Bodies, HttpServer
from wavemq.net.objects_shelf import Shelf, token_position
from wavemq.wave.hashes import Hash

DEFAULT_PREFIX: Final = "/v1"
BODY_BYTES_MAX: Final = OBJECT_BYTES_MAX * 4 // 3 + 64 * KIB
"""One request: an object in base64 and its JSON."""
BODIES_BYTES_MAX: Final = 128 * MIB
"""All requests together; beyond it new ones get 503."""
STRUCTURES_MAX: Final = 1000
"""Brackets and commas of a request: parsing many small values costs thirty times their bytes."""
CONNECTIONS_MAX: Final = 512
BACKLOG: Final = 128
KECCAK_OID: Final = "1.3.6.1.4.1.51157.9.2"
_PROOF_FIELDS: Final = {
    "v1smr": None,
    "v1mapinclusion": None,
    "v1promise": None,
    "v1slr": None,
    "v1loginclusion": None,
    "v1logconsistency": None,
}
"""What a proving server would fill in; the original sends them as null."""

_log = structlog.get_logger("wavemq.net.object_server")


class ObjectServer:
    """The web application over one shelf.

    Args:
        shelf: where everything is kept; closed by its owner.
        prefix: path under which the API is found; part of the URL that locations name.
    """

    def __init__(self, shelf: Shelf, *, prefix: str = DEFAULT_PREFIX) -> None:
        self._shelf = shelf
        self._bodies = Bodies(body_bytes_max=BODY_BYTES_MAX, bytes_max=BODIES_BYTES_MAX)
        routes = [
            Route("/obj", self._put, methods=["POST"]),
            Route("/obj/{hash}", self._get, methods=["GET"]),
            Route("/queue/{hash}", self._enqueue, methods=["POST"]),
            Route("/queue/{hash}", self._iterate, methods=["GET"]),
            Route("/info", self._describe, methods=["GET"]),
        ]
        self.application = Starlette(
            routes=[Mount(prefix.rstrip("/"), routes=routes)],
            exception_handlers={
                StorageFaultError: _answer_fault,
                ClientDisconnect: _answer_nobody,
            },
        )

    async def _put(self, request: Request) -> Response:
        async with self._fields(request) as fields:
            content = _base64_field(fields, "der")
            try:
                stored = await self._shelf.put(content)
            except InvalidParameterError as error:
                raise HTTPException(413 if content else 400, error.reason) from error
        return JSONResponse({"hash": _base64(stored.to_bytes()), "v1promise": None}, 201)

    async def _get(self, request: Request) -> Response:
        content = await self._shelf.get(_hash_in_path(request))
        if content is None:
            return JSONResponse({}, 404)
        return JSONResponse({"der": _base64(content), **_PROOF_FIELDS})

    async def _enqueue(self, request: Request) -> Response:
        queue = _hash_in_path(request)
        async with self._fields(request) as fields:
            entry = _keccak(_base64_field(fields, "entryHash"))
            await self._shelf.enqueue(queue, entry)
        return JSONResponse({}, 201)

    async def _iterate(self, request: Request) -> Response:
        position = token_position(request.query_params.get("token", ""))
        if position is None:
            raise HTTPException(400, "bad token")
        entry = await self._shelf.entry(_hash_in_path(request), position)
        if entry is None:
            return JSONResponse({}, 404)
        return JSONResponse(
            {
                "hash": _base64(entry.to_bytes()),
                "nextToken": str(position + 1),
                **_PROOF_FIELDS,
            }
        )

    async def _describe(self, request: Request) -> Response:
        del request
        return JSONResponse({"hashScheme": KECCAK_OID, "version": f"WAVEMQ {version('wavemq')}"})

    @contextlib.asynccontextmanager
    async def _fields(self, request: Request) -> AsyncIterator[dict[str, object]]:
        """Read a JSON request; its bytes count against the bound of all until it is answered."""
        async with self._bodies.read(request) as body:
            yield _json_fields(body)


def _json_fields(body: bytes) -> dict[str, object]:
    """Return the fields of a JSON object by lower-case name, as Go's decoder matches them."""
    if sum(body.count(mark) for mark in (b"[", b"{", b",")) > STRUCTURES_MAX:
        raise HTTPException(400, "the request is not JSON of this protocol")
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, "the request is not JSON") from error
    if not isinstance(value, dict):
        raise HTTPException(400, "the request is not a JSON object")
    return {str(name).lower(): field for name, field in value.items()}


def _hash_in_path(request: Request) -> Hash:
    try:
        return _only_keccak(Hash.from_text(request.path_params["hash"]))
    except (ObjectError, InvalidMultihashError, InvalidParameterError) as error:
        raise HTTPException(400, "bad hash") from error


def _keccak(multihash: bytes) -> Hash:
    try:
        return _only_keccak(Hash.from_bytes(multihash))
    except (ObjectError, InvalidMultihashError, InvalidParameterError) as error:
        raise HTTPException(400, "bad hash") from error


def _only_keccak(value: Hash) -> Hash:
    if not value.is_keccak:
        raise InvalidMultihashError("only Keccak hashes are stored here")
    return value


def _base64_field(fields: dict[str, object], name: str) -> bytes:
    value = fields.get(name.lower())
    if not isinstance(value, str):
        raise HTTPException(400, f"the field {name} is missing")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise HTTPException(400, f"the field {name} is not base64") from error


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


async def _answer_fault(request: Request, error: Exception) -> Response:
    """Tell the operator what failed, and the client that nothing was promised."""
    assert isinstance(error, StorageFaultError)
    _log.error("object_storage_failed", path=request.url.path, reason=error.reason)
    return PlainTextResponse("the storage failed; nothing was stored", 500)


async def _answer_nobody(request: Request, error: Exception) -> Response:
    """End a request whose sender has gone; nobody reads this answer."""
    del request, error
    return PlainTextResponse("", 400)


async def serve_objects(
    directory: Path,
    listen: tuple[str, int],
    *,
    prefix: str = DEFAULT_PREFIX,
    on_ready: Callable[[str], None],
) -> None:
    """Serve a directory until SIGTERM or SIGINT; then answer what is under way and return.

    Args:
        directory: of the shelf; made if missing.
        listen: host and port; port 0 takes any free one.
        prefix: path of the API.
        on_ready: told the address as `host:port` when requests are answered.

    Raises:
        ConfigError: the address cannot be listened at.
        StorageFaultError: the directory cannot be used.
    """
    shelf = Shelf(directory)
    try:
        with _bound_socket(listen) as listening:
            host, port = listening.getsockname()[:2]
            application = ObjectServer(shelf, prefix=prefix).application
            server = HttpServer(application, connections_max=CONNECTIONS_MAX)
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, server.stop)
            try:
                # The socket listens already: a connection made from now on is answered.
                listening.listen(BACKLOG)
                on_ready(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
                await server.serve(sockets=[listening])
            finally:
                for number in (signal.SIGTERM, signal.SIGINT):
                    loop.remove_signal_handler(number)
    finally:
        await shelf.aclose()


def _bound_socket(listen: tuple[str, int]) -> socket.socket:
    host, port = listen
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigError(f"cannot listen at {host}:{port}: {error.strerror}") from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except OSError as error:
        listening.close()
        raise ConfigError(f"cannot listen at {host}:{port}: {error.strerror}") from error
    return listening
