"""The page on which the metrics stand.

Owns one small HTTP server. Refuses to know what is measured. Fault model: the port may be taken,
which an operator is told and nobody else suffers from; readers may be slow or many.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from wavemq.router.metrics import CONTENT_TYPE

CONNECTIONS_MAX: Final = 64
STOP_SECONDS_MAX: Final = 1


class _Listener(uvicorn.Server):
    """uvicorn without handlers of signals: the process has its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


class MetricsServer:
    """Serves `GET /metrics` and `GET /status`.

    Args:
        listening: bound and listening; closed by its owner.
        read: makes the text of the metrics, at each request.
        read_status: makes the JSON of the status, at each request.
    """

    def __init__(
        self,
        listening: socket.socket,
        read: Callable[[], bytes],
        read_status: Callable[[], bytes],
    ) -> None:
        self._listening = listening
        self._read = read
        self._read_status = read_status
        application = Starlette(
            routes=[
                Route("/metrics", self._answer, methods=["GET"]),
                Route("/status", self._answer_status, methods=["GET"]),
            ]
        )
        self._server = _Listener(
            uvicorn.Config(
                application,
                access_log=False,
                lifespan="off",
                log_config=None,
                limit_concurrency=CONNECTIONS_MAX,
                timeout_graceful_shutdown=STOP_SECONDS_MAX,
                server_header=False,
            )
        )

    async def serve(self) -> None:
        """Answer until `stop`."""
        await self._server.serve(sockets=[self._listening])

    def stop(self) -> None:
        """Have `serve` return soon."""
        self._server.should_exit = True

    async def _answer(self, request: Request) -> Response:
        del request
        return Response(self._read(), media_type=CONTENT_TYPE)

    async def _answer_status(self, request: Request) -> Response:
        del request
        return Response(self._read_status(), media_type="application/json")
