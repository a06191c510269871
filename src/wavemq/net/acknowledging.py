"""Acknowledgements of one stream, sent together.

Owns what was acknowledged and not sent yet. Refuses to know the stream. Fault model: the stream may
break; what was not sent then is delivered again, and recognised. No more waits than the credit of
the stream allows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

WAIT_SECONDS: Final = 0.01
"""How long the first waits for company."""
TOGETHER_MAX: Final = 64
"""So many wait no longer."""


class Acknowledgements:
    """Gathers indexes, and sends them.

    Args:
        send: sends some; errors end `run`.
    """

    def __init__(self, send: Callable[[Sequence[int]], Awaitable[None]]) -> None:
        self._send = send
        self._waiting: list[int] = []
        self._is_any = asyncio.Event()
        self._are_many = asyncio.Event()
        self._is_ended = False

    def add(self, index: int) -> None:
        """Acknowledge a delivery soon."""
        self._waiting.append(index)
        self._is_any.set()
        if len(self._waiting) >= TOGETHER_MAX:
            self._are_many.set()

    def end(self) -> None:
        """Have `run` send what waits, and return."""
        self._is_ended = True
        self._is_any.set()
        self._are_many.set()

    async def run(self) -> None:
        """Send what is acknowledged, until the end."""
        while not self._is_ended:
            await self._is_any.wait()
            try:
                async with asyncio.timeout(WAIT_SECONDS):
                    await self._are_many.wait()
            except TimeoutError:
                pass  # the first has waited long enough
            await self.flush()
        await self.flush()

    async def flush(self) -> None:
        """Send what waits."""
        waiting, self._waiting = self._waiting, []
        self._is_any.clear()
        self._are_many.clear()
        if waiting:
            await self._send(waiting)
