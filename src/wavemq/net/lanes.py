"""Work in order for each key, side by side for different keys.

Owns the lanes and their tasks. Refuses to know the work. Fault model: work that raises ends the
task group; what is expected to fail is dealt with inside the work. The bound on what waits is kept
by whoever puts work in.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

KeyT = TypeVar("KeyT", bound=Hashable)
WorkT = TypeVar("WorkT")


class Lanes(Generic[KeyT, WorkT]):
    """One queue and, while it is not empty, one task per key.

    Args:
        group: owns the tasks.
        work: done with each piece; the next of the same key begins when it is done.
    """

    def __init__(self, group: asyncio.TaskGroup, work: Callable[[WorkT], Awaitable[None]]) -> None:
        self._group = group
        self._work = work
        self._lanes: dict[KeyT, deque[WorkT]] = {}

    @property
    def is_idle(self) -> bool:
        """Whether no work of any key is waiting or under way."""
        return not self._lanes

    def is_busy(self, key: KeyT) -> bool:
        """Whether work of this key is waiting or under way."""
        return key in self._lanes

    def put(self, key: KeyT, piece: WorkT) -> None:
        """Have a piece of work done after all earlier ones of its key."""
        lane = self._lanes.get(key)
        if lane is not None:
            lane.append(piece)
            return
        lane = self._lanes[key] = deque((piece,))
        self._group.create_task(self._run(key, lane))

    def drain(self, key: KeyT) -> list[WorkT]:
        """Return what waits behind the piece under way, and forget it. Only from the work."""
        lane = self._lanes[key]
        under_way, *waiting = lane
        lane.clear()
        lane.append(under_way)
        return waiting

    async def _run(self, key: KeyT, lane: deque[WorkT]) -> None:
        while lane:
            await self._work(lane[0])
            lane.popleft()
        del self._lanes[key]
