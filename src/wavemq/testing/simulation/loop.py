"""An event loop whose time passes only when nothing is left to do at the moment.

Owns virtual time. Refuses threads, sockets and the machine's clock: work for an executor runs in
the loop's own thread after a delay that the seed draws. Fault model: a program in which everybody
waits for somebody else is stuck, and says so instead of hanging.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from random import Random
from typing import Any, Final, TypeVar, TypeVarTuple

EXECUTOR_SECONDS_MAX: Final = 0.02

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class SimulationStuckError(Exception):
    """Nothing is due, ever, and somebody still waits."""


class _VirtualSelector(selectors.DefaultSelector):
    """Sleeps by moving the time of its loop."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Let `timeout` pass at once."""
        if timeout is None:
            raise SimulationStuckError("everybody waits, and nothing is due")
        self.now_s += max(timeout, 0.0)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs a program as fast as it can, and the same way each time.

    Args:
        dice: draws how long work for an executor takes.
    """

    def __init__(self, dice: Random) -> None:
        self._virtual = _VirtualSelector()
        self._dice = dice
        self.executor_seconds_max = EXECUTOR_SECONDS_MAX
        super().__init__(self._virtual)

    def time(self) -> float:
        """Return virtual seconds since the loop was made."""
        return self._virtual.now_s

    def run_in_executor(
        self,
        executor: Executor | None,
        func: Callable[[*Ts], T],
        *args: *Ts,
    ) -> asyncio.Future[T]:
        """Run `func` in this thread after a while; it does not run once the future is cancelled."""
        del executor
        done: asyncio.Future[T] = self.create_future()
        delay_s = self._dice.uniform(0.0, self.executor_seconds_max)
        self.call_later(delay_s, _run, done, func, args)
        return done


async def first_of(*works: asyncio.Future[Any]) -> None:
    """Wait until one of several is done."""
    await asyncio.wait(set(works), return_when=asyncio.FIRST_COMPLETED)


def _run(done: asyncio.Future[Any], func: Callable[..., Any], args: tuple[Any, ...]) -> None:
    if done.cancelled():
        return
    try:
        result = func(*args)
    except Exception as error:  # noqa: BLE001 - handed on to whoever awaits it
        done.set_exception(error)
    else:
        done.set_result(result)
