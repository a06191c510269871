"""What a driver needs of the machine beside its event loop: disk threads, an alarm, the network.

Owns how work gets to a thread and its result back into the event loop, with as little ceremony as
possible: it happens at every write. Refuses to know the work. Fault model: work may raise, which is
told like a result; when the loop is closed nobody is told any more.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Thread
from typing import Any, Protocol

if sys.platform == "linux":
    from wavemq._kernel import Alarm as KernelAlarm


@dataclass(frozen=True, slots=True)
class Failed:
    """Work that raised."""

    error: Exception


class Worker(Protocol):
    """Does one piece of work after the other, beside the event loop."""

    def run(self, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        """Have work done, then `done` called in the event loop with its result, or `Failed`."""
        ...

    async def aclose(self) -> None:
        """Return when all work is done."""
        ...


class Alarm(Protocol):
    """Calls back once at a time."""

    def set(self, delay_s: float) -> None:
        """Ring after so many seconds, and not for what was set before."""
        ...

    def close(self) -> None:
        """Ring no more."""
        ...


class Machine(Protocol):
    """Makes workers and alarms for the running event loop."""

    def worker(self, name: str) -> Worker:
        """Return a worker."""
        ...

    def alarm(self, ring: Callable[[], None]) -> Alarm:
        """Return an alarm that is not set."""
        ...


class Outgoing(Protocol):
    """What goes to the network."""

    def hold(self) -> None:
        """Gather it until `release`."""
        ...

    def release(self) -> None:
        """Let go what was gathered."""
        ...


class SentByItself:
    """What needs nobody to let it go."""

    def hold(self) -> None:
        """Hold nothing."""

    def release(self) -> None:
        """Do nothing."""


class OwnMachine:
    """The machine that this runs on."""

    def worker(self, name: str) -> Worker:
        """Return a thread of its own."""
        return _WorkThread(name)

    def alarm(self, ring: Callable[[], None]) -> Alarm:
        """Return an alarm as fine as the system has one."""
        return FinestAlarm(ring)


class LoopAlarm:
    """An alarm made of the event loop's timers.

    Args:
        ring: called back.
    """

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def set(self, delay_s: float) -> None:
        """Ring after so many seconds, and not for what was set before."""
        self.close()
        self._timer = self._loop.call_later(delay_s, self._ring)

    def close(self) -> None:
        """Ring no more."""
        if self._timer is not None:
            self._timer.cancel()


if sys.platform != "linux":
    FinestAlarm = LoopAlarm
else:

    class FinestAlarm:
        """An alarm of the operating system's: the loop's timers wait whole milliseconds.

        Args:
            ring: called back.
        """

        def __init__(self, ring: Callable[[], None]) -> None:
            self._ring = ring
            self._loop = asyncio.get_running_loop()
            self._alarm = KernelAlarm()
            self._loop.add_reader(self._alarm.fileno(), self._take)

        def set(self, delay_s: float) -> None:
            """Ring after so many seconds, and not for what was set before."""
            self._alarm.set(delay_s)

        def close(self) -> None:
            """Ring no more."""
            self._loop.remove_reader(self._alarm.fileno())

        def _take(self) -> None:
            if self._alarm.take():  # else it was set anew when it had just rung
                self._ring()


_Order = tuple[Callable[[], Any], Callable[[Any], None]]


class _WorkThread:
    """A thread that does work in order, from the first on.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._orders: SimpleQueue[_Order | None] = SimpleQueue()
        # A process that ends without `aclose` ends in the middle of its work, as by a crash.
        self._thread = Thread(target=self._work, name=name, daemon=True)
        self._is_started = False

    def run(self, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        """Have work done, then `done` called in the event loop with its result, or `Failed`."""
        if not self._is_started:
            self._is_started = True
            self._thread.start()
        self._orders.put((work, done))

    async def aclose(self) -> None:
        """Return when all work is done."""
        if not self._is_started:
            return
        self._orders.put(None)
        await self._loop.run_in_executor(None, self._thread.join)

    def _work(self) -> None:
        while (order := self._orders.get()) is not None:
            work, done = order
            try:
                result = work()
            except Exception as error:  # noqa: BLE001 - told to whoever ordered it
                result = Failed(error)
            try:
                self._loop.call_soon_threadsafe(done, result)
            except RuntimeError:  # the loop is closed
                return
