"""Synchronizations that callers start and watch (wave.md 14.4).

Owns the running synchronization of each perspective, its numbers, and how each storage did. Refuses
to know how synchronizing is done. Fault model: storage may be away; a synchronization ends all the
same, and says so; a perspective that never synchronized is idle, and an idle one is complete.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

import structlog

from wavemq.agent.desk import Desk
from wavemq.authz.bounded import BoundedCache
from wavemq.authz.discovery import SyncProgress
from wavemq.authz.perspective import Perspective
from wavemq.errors import WaveMQError
from wavemq.wave.hashes import Hash
from wavemq.wire import wave_pb2 as pb

STATUS_SECONDS: Final = 0.5
"""Between two states that a watcher is told."""
PERSPECTIVES_MAX: Final = 1024
"""Perspectives whose numbers are remembered."""

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Numbers:
    """Queues of one perspective, over all synchronizations since the agent's start."""

    requested: int = 0
    completed: int = 0
    running_requested: int = 0
    running_completed: int = 0
    failures: tuple[str, ...] = ()
    rounds_wanted: int = 0
    rounds_ended: int = 0
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    @property
    def is_running(self) -> bool:
        return self.task is not None and not self.task.done()


class Synchronizing:
    """Runs synchronizations in the background.

    Args:
        desk: the agent's tools.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._known: BoundedCache[Hash, _Numbers] = BoundedCache(PERSPECTIVES_MAX)
        self._tasks: set[asyncio.Task[None]] = set()

    async def aclose(self) -> None:
        """Cancel what is running."""
        running = list(self._tasks)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def resync(
        self, request: pb.ResyncPerspectiveGraphParams
    ) -> pb.ResyncPerspectiveGraphResponse:
        """Begin a synchronization and return at once.

        While one is running another follows it: queues that it has read already may have grown
        since. All who ask meanwhile share that one.
        """
        perspective = await self._desk.perspective(
            request.perspective, is_given=request.HasField("perspective")
        )
        numbers = self._numbers(perspective)
        if numbers.is_running:
            numbers.rounds_wanted = numbers.rounds_ended + 2
        else:
            numbers.rounds_wanted = numbers.rounds_ended + 1
            # Owned here, not by the caller, who goes away at once.
            task = asyncio.get_running_loop().create_task(self._run(perspective, numbers))
            numbers.task = task
            self._tasks.add(task)
            task.add_done_callback(self._settle)
        return pb.ResyncPerspectiveGraphResponse()

    async def status(self, request: pb.SyncParams) -> pb.SyncResponse:
        """Return the numbers as they are."""
        perspective = await self._desk.perspective(
            request.perspective, is_given=request.HasField("perspective")
        )
        return self._state(self._numbers(perspective))

    async def wait(self, request: pb.SyncParams) -> AsyncIterator[pb.SyncResponse]:
        """Return the numbers at once, twice a second, and when nothing is running any more."""
        perspective = await self._desk.perspective(
            request.perspective, is_given=request.HasField("perspective")
        )
        numbers = self._numbers(perspective)
        wanted = numbers.rounds_wanted  # others may ask for more meanwhile; those are not ours
        while True:
            # Asked before the numbers are taken: the last ones told are those of the end.
            is_over = not numbers.is_running or numbers.rounds_ended >= wanted
            yield self._state(numbers)
            if is_over or numbers.task is None:
                return
            await asyncio.wait((numbers.task,), timeout=STATUS_SECONDS)

    def _settle(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        failure = None if task.cancelled() else task.exception()
        if failure is not None:
            _log.error("synchronization_broke", exc_info=failure)

    def _numbers(self, perspective: Perspective) -> _Numbers:
        numbers = self._known.get(perspective.hash)
        if numbers is None:
            numbers = _Numbers()
            self._known.put(perspective.hash, numbers)
        return numbers

    async def _run(self, perspective: Perspective, numbers: _Numbers) -> None:
        while numbers.rounds_ended < numbers.rounds_wanted:
            await self._round(perspective, numbers)

    async def _round(self, perspective: Perspective, numbers: _Numbers) -> None:
        def show(progress: SyncProgress) -> None:
            numbers.running_requested = progress.requested
            numbers.running_completed = min(progress.completed, progress.requested)

        numbers.running_requested, numbers.running_completed = 1, 0
        try:
            report = await self._desk.engine.resync(
                perspective, now=self._desk.now(), progress=show
            )
            numbers.failures = report.failures
            # A queue whose storage did not answer has been tried: what is over is complete.
            numbers.requested += max(1, report.requested)
        except WaveMQError as error:
            _log.warning(
                "synchronization_failed", perspective=perspective.hash.to_text(), reason=str(error)
            )
        finally:
            numbers.rounds_ended += 1
            numbers.completed = numbers.requested
            numbers.running_requested = numbers.running_completed = 0

    def _state(self, numbers: _Numbers) -> pb.SyncResponse:
        failures = numbers.failures
        states = {}
        for location in self._desk.storages.locations:
            told = [one for one in failures if one.startswith(f"{location.url}: ")]
            name = self._desk.storages.name_of(location) or location.url
            states[name] = pb.StorageDriverStatus(operational=not told, info={"url": location.url})
            if told:
                states[name].info["error"] = "; ".join(told)
        return pb.SyncResponse(
            storageStatus=states,
            totalSyncRequests=numbers.requested + numbers.running_requested,
            completedSyncs=numbers.completed + numbers.running_completed,
        )
