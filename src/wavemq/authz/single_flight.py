"""Doing a piece of work once for everybody who asks for it at the same time.

Owns the tasks that do such work, so that one caller's cancellation or deadline does not spoil the
answer for the others. Refuses to know what the work is and remembers no answers. Fault model: the
work may fail or take as long as it likes; every waiter sees the same error, and a waiter that
gives up leaves the work running until it ends or `aclose` cancels it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

K = TypeVar("K")
V = TypeVar("V")


class SingleFlight(Generic[K, V]):
    """At most one task for each key at a time."""

    __slots__ = ("_running",)

    def __init__(self) -> None:
        self._running: dict[K, asyncio.Task[V]] = {}

    def __len__(self) -> int:
        return len(self._running)

    def is_running(self, key: K) -> bool:
        """Whether somebody waits for `key` now."""
        return key in self._running

    async def run(self, key: K, work: Callable[[], Coroutine[None, None, V]]) -> V:
        """Return the result of the work for `key`, begun now unless it is already running."""
        task = self._running.get(key)
        if task is None:
            # Owned here, not by the caller: see aclose and _ended.
            task = asyncio.get_running_loop().create_task(work())
            self._running[key] = task
            task.add_done_callback(lambda ended: self._ended(key, ended))
        return await asyncio.shield(task)

    async def aclose(self) -> None:
        """Cancel what is running and wait for its end."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _ended(self, key: K, task: asyncio.Task[V]) -> None:
        self._running.pop(key, None)
        if not task.cancelled():
            task.exception()  # every waiter has it; if none is left, nobody needs it
