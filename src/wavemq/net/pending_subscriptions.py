"""Subscriptions that were asked for and are not effective yet.

Owns the promise of wavemq.md 7: a publish that a client sends after a subscription is routed after
it, also when the client does not wait in between. Refuses to know what is asked for. Fault model:
a call may begin to arrive and never end arriving, or take for ever; nobody waits longer than the
bounds below. Held back is only what came over the same connection.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

ARRIVAL_SECONDS_MAX: Final = 0.05
"""From the beginning of a call to its whole request."""
FIRST_CALL_SECONDS: Final = 0.01
"""Held back is also the first publish of a new connection: what clients ask for while they connect
is sent in no certain order."""
CONNECTIONS_REMEMBERED_MAX: Final = 4096
PATIENCE_SECONDS: Final = 0.7
"""How long a publish waits for subscriptions that its connection asked for before it."""


@dataclass(slots=True)
class _Gate:
    """Where the callers of one connection wait in line; a lock of asyncio is fair."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    callers_count: int = 0


class PendingSubscriptions:
    """Lets publishes wait for the subscriptions before them."""

    def __init__(self) -> None:
        self._gates: dict[str, _Gate] = {}
        self._known: OrderedDict[str, None] = OrderedDict()
        self._arriving: dict[str, deque[asyncio.Future[None]]] = {}
        self._subscribing: dict[str, set[asyncio.Future[None]]] = {}

    def note_arriving(self, connection: str) -> None:
        """Take note that a subscription begins to arrive."""
        loop = asyncio.get_running_loop()
        arrived: asyncio.Future[None] = loop.create_future()
        self._arriving.setdefault(connection, deque()).append(arrived)
        loop.call_later(ARRIVAL_SECONDS_MAX, self._give_up, connection, arrived)

    @contextmanager
    def announced(self, connection: str) -> Iterator[None]:
        """Hold back what the same connection publishes during the block."""
        effective: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        own = self._subscribing.setdefault(connection, set())
        own.add(effective)
        if connection in self._arriving:
            self._give_up(connection, self._arriving[connection][0])
        try:
            yield
        finally:
            _settle(effective)
            own.discard(effective)
            if not own:
                self._subscribing.pop(connection, None)

    def is_anything_awaited(self, connection: str) -> bool:
        """Whether what this connection publishes now has to wait."""
        return (
            connection in self._gates
            or connection not in self._known
            or connection in self._arriving
            or connection in self._subscribing
        )

    async def wait_effective(self, connection: str) -> None:
        """Return when what this connection asked for before is effective, or after a while.

        Callers of one connection return in the order in which they came.
        """
        if not self.is_anything_awaited(connection):
            return
        gate = self._gates.setdefault(connection, _Gate())
        gate.callers_count += 1
        try:
            async with gate.turn:
                await self._wait(connection)
        finally:
            gate.callers_count -= 1
            if gate.callers_count == 0:
                del self._gates[connection]

    async def _wait(self, connection: str) -> None:
        if connection not in self._known:
            self._known[connection] = None
            if len(self._known) > CONNECTIONS_REMEMBERED_MAX:
                self._known.popitem(last=False)
            await asyncio.sleep(FIRST_CALL_SECONDS)
        if connection in self._arriving:
            await asyncio.wait(set(self._arriving[connection]))
        own = self._subscribing.get(connection)
        if own:
            await asyncio.wait(set(own), timeout=PATIENCE_SECONDS)

    def _give_up(self, connection: str, arrived: asyncio.Future[None]) -> None:
        if not arrived.done():
            arrived.set_result(None)
            arriving = self._arriving[connection]
            arriving.remove(arrived)
            if not arriving:
                del self._arriving[connection]


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
