"""The agent over HTTP: JSON bodies on the gateway's paths (wave.md 14.2).

Owns the paths, the JSON rules of the original's gateway, and the limits. Refuses to know what the
calls do. Fault model: anything may be sent, slowly, or by a page in a browser of this machine: the
original answers any origin, and so does this one, since whoever calls must bring a secret anyway.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from google.protobuf import json_format
from google.protobuf.message import Message
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from wavemq.agent.calls import UNARY, Call
from wavemq.agent.description import describe
from wavemq.limits import MIB
from wavemq.net.addresses import Address, bound_address, listen
from wavemq.net.http_doors import Bodies, HttpServer

if TYPE_CHECKING:
    from wavemq.agent.service import AgentService

BODY_BYTES_MAX: Final = 8 * MIB
"""One request: a message of 4 MiB in base64, and its JSON."""
BODIES_BYTES_MAX: Final = 64 * MIB
"""All requests that are being read or answered; beyond it new ones get 503."""
CONNECTIONS_MAX: Final = 256
DEPTH_MAX: Final = 32
"""Nesting of a request's JSON; no request needs more than six."""
INVALID_ARGUMENT: Final = 3
"""gRPC's status of a request that cannot be read."""
DESCRIPTION_PATH: Final = "/v1/description"
_ALLOWED_HEADERS: Final = "Content-Type,Accept"
_ALLOWED_METHODS: Final = "GET,HEAD,POST,PUT,DELETE"

Answer = Callable[[Request], Awaitable[Response]]


class HttpGateway:
    """The web application.

    Args:
        service: answers.
    """

    def __init__(self, service: AgentService) -> None:
        self._service = service
        self._bodies = Bodies(body_bytes_max=BODY_BYTES_MAX, bytes_max=BODIES_BYTES_MAX)
        routes = [
            Route(call.path, self._endpoint(call), methods=["POST", "OPTIONS"]) for call in UNARY
        ]
        routes.append(Route(DESCRIPTION_PATH, _description, methods=["GET"]))
        self.application = Starlette(
            routes=routes,
            exception_handlers={HTTPException: _refuse, ClientDisconnect: _answer_nobody},
        )

    def _endpoint(self, call: Call[Message, Message]) -> Answer:
        method = getattr(self._service, call.attribute)

        async def answer(request: Request) -> Response:
            if request.method == "OPTIONS":
                return _preflight(request)
            async with self._bodies.read(request) as body:
                try:
                    params = _parse(call.request, body)
                except (json_format.ParseError, UnicodeDecodeError, RecursionError) as error:
                    return _with_origin(request, _unreadable(error))
                response = await method(params)
            return _with_origin(request, JSONResponse(to_json(response)))

        return answer


def to_json(message: Message) -> dict[str, Any]:
    """Return a message as the original's gateway shows it: its own names, no defaults."""
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def _parse(kind: type[Message], body: bytes) -> Message:
    """Return the request of a JSON body; an empty one is a request without fields.

    Raises:
        ParseError: it is no JSON of that request.
    """
    text = body.decode().strip() or "{}"
    if not text.startswith("{"):
        raise json_format.ParseError("no JSON object")  # the parser takes a list for an empty one
    return json_format.Parse(
        text,
        kind(),
        ignore_unknown_fields=True,
        max_recursion_depth=DEPTH_MAX,
    )


def _unreadable(error: Exception) -> Response:
    # What the parser says may hold a piece of the request, and requests hold secrets.
    what = "the request is not JSON of this call"
    if isinstance(error, json_format.ParseError):
        field = _field_of(str(error))
        what = f"{what}{field}"
    return JSONResponse({"error": what, "message": what, "code": INVALID_ARGUMENT}, 400)


def _field_of(text: str) -> str:
    """Return which field a parser's complaint is about, without the value."""
    _, found, rest = text.partition("Failed to parse ")
    name = rest.split(" field")[0] if found else ""
    return f": see the field {name}" if name.isidentifier() else ""


async def _description(request: Request) -> Response:
    return _with_origin(request, JSONResponse(describe()))


def _with_origin(request: Request, response: Response) -> Response:
    origin = request.headers.get("origin")
    if origin is not None:
        response.headers["Access-Control-Allow-Origin"] = origin
    return response


def _preflight(request: Request) -> Response:
    """Answer what a browser asks before it calls."""
    if "access-control-request-method" not in request.headers:
        raise HTTPException(405)
    response = Response()
    response.headers["Access-Control-Allow-Headers"] = _ALLOWED_HEADERS
    response.headers["Access-Control-Allow-Methods"] = _ALLOWED_METHODS
    return _with_origin(request, response)


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    texts = {404: "Not Found", 405: "Method Not Allowed"}
    text = texts.get(error.status_code, error.detail)
    return _with_origin(request, PlainTextResponse(text + "\n", error.status_code))


async def _answer_nobody(request: Request, error: Exception) -> Response:
    """End a request whose sender has gone; nobody reads this answer."""
    del request, error
    return PlainTextResponse("", 400)


@asynccontextmanager
async def serve_http(service: AgentService, address: Address) -> AsyncIterator[Address]:
    """Serve the gateway until the end of the context.

    Args:
        service: answers.
        address: where to listen; port 0 takes any free one.

    Yields:
        the address with its real port.

    Raises:
        ConfigError: the address cannot be listened at.
    """
    listening: socket.socket = listen(address)
    server = HttpServer(HttpGateway(service).application, connections_max=CONNECTIONS_MAX)
    with contextlib.closing(listening):
        async with asyncio.TaskGroup() as group:
            group.create_task(server.serve(sockets=[listening]))
            try:
                yield bound_address(listening)
            finally:
                server.stop()
