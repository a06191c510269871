"""The machine under a simulated router: its threads and alarms, in virtual time.

Owns nothing that lives. Refuses to know the work. Fault model: work takes a while, that the seed
draws, and happens at its end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from wavemq.router.machine import Alarm, Failed, LoopAlarm, Worker


class SimulatedMachine:
    """Stands where `OwnMachine` does."""

    def worker(self, name: str) -> Worker:
        """Return what works in the thread of the event loop."""
        del name
        return _SimulatedWorker()

    def alarm(self, ring: Callable[[], None]) -> Alarm:
        """Return an alarm in virtual time."""
        return LoopAlarm(ring)


class _SimulatedWorker:
    def run(self, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        """Do it after a while."""
        working = asyncio.get_running_loop().run_in_executor(None, _contained, work)
        working.add_done_callback(lambda one: done(one.result()))

    async def aclose(self) -> None:
        """Do nothing: there is no thread."""


def _contained(work: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever the work returns
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - told to whoever ordered it
        return Failed(error)
