"""Requests that arrive one by one, handed on together.

Owns the gathering of submissions of one turn of the event loop, and the bounds on those that have
no answer yet, for all and for each connection. Refuses to know what they are. Fault model: whoever
sent a request may be gone when its answer comes; the request is still carried out. One connection
cannot take the room of all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Generic, TypeVar

from wavemq.errors import QueueError, WaveMQError
from wavemq.limits import MIB
from wavemq.net.transport import Answer, Submission

UNANSWERED_MAX: Final = 16_384
UNANSWERED_BYTES_MAX: Final = 128 * MIB
CONNECTION_UNANSWERED_MAX: Final = 4_096
CONNECTION_UNANSWERED_BYTES_MAX: Final = 48 * MIB

RequestT = TypeVar("RequestT")


@dataclass(frozen=True, slots=True)
class BatcherLimits:
    """Bounds of requests without an answer: of all, and of one connection."""

    unanswered_max: int = UNANSWERED_MAX
    unanswered_bytes_max: int = UNANSWERED_BYTES_MAX
    connection_unanswered_max: int = CONNECTION_UNANSWERED_MAX
    connection_unanswered_bytes_max: int = CONNECTION_UNANSWERED_BYTES_MAX


@dataclass(slots=True)
class _Unanswered:
    count: int = 0
    size_bytes: int = 0


class Batcher(Generic[RequestT]):
    """Collects requests that arrive together, then hands them on as one batch.

    Args:
        take: gets each batch; answers every submission once.
        limits: bounds.
    """

    def __init__(
        self,
        take: Callable[[Sequence[Submission[RequestT]]], None],
        *,
        limits: BatcherLimits | None = None,
    ) -> None:
        self._take = take
        self._limits = limits or BatcherLimits()
        self._gathered: list[Submission[RequestT]] = []
        self._is_scheduled = False
        self._all = _Unanswered()
        self._connections: dict[str, _Unanswered] = {}

    @property
    def unanswered_count(self) -> int:
        """Requests that have no answer yet."""
        return self._all.count

    async def submit(self, request: RequestT, size_bytes: int, connection: str) -> None:
        """Hand a request on with those of this turn of the event loop, and wait for its answer.

        Raises:
            QueueError: too much is waiting for an answer; nothing was done.
            WaveMQError: the answer.
        """
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[WaveMQError | None] = loop.create_future()
        self.put(request, size_bytes, connection, partial(_settle, answered))
        self.flush_soon()
        error = await answered
        if error is not None:
            raise error

    def put(self, request: RequestT, size_bytes: int, connection: str, answer: Answer) -> None:
        """Hand a request on with others: call `flush` or `flush_soon`.

        Args:
            request: what to hand on.
            size_bytes: what it holds in memory, about.
            connection: where it came from.
            answer: told the outcome.

        Raises:
            QueueError: too much is waiting for an answer; nothing was done.
        """
        own = self._connections.get(connection)
        if own is None:
            own = _Unanswered()
        every, limits = self._all, self._limits
        if (
            every.count >= limits.unanswered_max
            or every.size_bytes + size_bytes > limits.unanswered_bytes_max
            or own.count >= limits.connection_unanswered_max
            or own.size_bytes + size_bytes > limits.connection_unanswered_bytes_max
        ):
            raise QueueError("too many messages wait for their answer; publish more slowly")
        self._connections[connection] = own
        every.count += 1
        every.size_bytes += size_bytes
        own.count += 1
        own.size_bytes += size_bytes
        settle = partial(self._answer, answer, size_bytes, connection, own)
        self._gathered.append(Submission(request, settle, connection))

    def flush_soon(self) -> None:
        """Hand on what was gathered when the event loop turns."""
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._flush_scheduled)

    def _flush_scheduled(self) -> None:
        self._is_scheduled = False
        self.flush()

    def flush(self) -> None:
        """Hand on what was gathered."""
        gathered, self._gathered = self._gathered, []
        if gathered:
            self._take(gathered)

    def _answer(
        self,
        answer: Answer,
        size_bytes: int,
        connection: str,
        own: _Unanswered,
        error: WaveMQError | None,
    ) -> None:
        every = self._all
        every.count -= 1
        every.size_bytes -= size_bytes
        own.count -= 1
        own.size_bytes -= size_bytes
        if own.count == 0:
            del self._connections[connection]
        answer(error)


def _settle(answered: asyncio.Future[WaveMQError | None], error: WaveMQError | None) -> None:
    if not answered.done():  # cancelled: the caller has gone
        answered.set_result(error)
