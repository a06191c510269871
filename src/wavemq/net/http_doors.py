"""What HTTP doors share: bodies within bounds, and a server that leaves signals alone.

Owns the bounds of one body and of all bodies together, and running a web application. Refuses to
know paths and contents. Fault model: clients may be slow, many or hostile; each body has a time and
a size, all of them together a size, and what breaks a bound gets a status that says so.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request

BODY_SECONDS_MAX: Final = 30.0
"""From the first to the last byte of a request body."""
STOP_SECONDS_MAX: Final = 2
"""Answers under way at the end get this long."""


class Bodies:
    """Reads the bodies of one application's requests.

    Args:
        body_bytes_max: of one request.
        bytes_max: of all requests that are being read or answered.
    """

    def __init__(self, *, body_bytes_max: int, bytes_max: int) -> None:
        self._body_bytes_max = body_bytes_max
        self._bytes_max = bytes_max
        self._bytes = 0

    @asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[bytes]:
        """Yield a request's body; its bytes count against the bound of all until the end.

        Raises:
            HTTPException: the body is too large (413), too slow (408), or there are too many (503).
        """
        body = bytearray()
        try:
            try:
                async with asyncio.timeout(BODY_SECONDS_MAX):
                    async for chunk in request.stream():
                        self._take(len(body), len(chunk))
                        body += chunk
            except TimeoutError as error:
                text = f"the request took over {BODY_SECONDS_MAX:g} s"
                raise HTTPException(408, text) from error
            yield bytes(body)
        finally:
            self._bytes -= len(body)

    def _take(self, so_far: int, more: int) -> None:
        if so_far + more > self._body_bytes_max:
            raise HTTPException(413, f"a request has at most {self._body_bytes_max} bytes")
        if self._bytes + more > self._bytes_max:
            raise HTTPException(503, "too many requests at once; try again")
        self._bytes += more


class HttpServer(uvicorn.Server):
    """uvicorn, told when to stop by us: its own handlers would end the process by the signal.

    Args:
        application: answers.
        connections_max: at one time; more get 503.
    """

    def __init__(self, application: Starlette, *, connections_max: int) -> None:
        super().__init__(
            uvicorn.Config(
                application,
                access_log=False,
                lifespan="off",
                log_config=None,
                limit_concurrency=connections_max,
                timeout_graceful_shutdown=STOP_SECONDS_MAX,
                server_header=False,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to whoever runs the server."""
        yield

    def stop(self) -> None:
        """Answer what is under way, then return from `serve`."""
        self.should_exit = True
