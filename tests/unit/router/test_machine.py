"""Threads and alarms of a driver: the machine's own and the simulated ones keep one contract."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from random import Random

import pytest

from wavemq.router.machine import Failed, LoopAlarm, Machine, OwnMachine
from wavemq.testing.simulation.loop import VirtualLoop
from wavemq.testing.simulation.machine import SimulatedMachine

Scenario = Callable[[Machine], Awaitable[None]]


class LoopMachine(OwnMachine):
    """What a system without fine alarms gets."""

    def alarm(self, ring: Callable[[], None]) -> LoopAlarm:
        return LoopAlarm(ring)


@pytest.fixture(params=["own", "loop", "simulated"])
def run(request: pytest.FixtureRequest) -> Callable[[Scenario], None]:
    def run_on(scenario: Scenario) -> None:
        if request.param == "simulated":
            loop = VirtualLoop(Random(1))
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(_awaited(scenario, SimulatedMachine()))
        else:
            asyncio.run(
                _awaited(scenario, OwnMachine() if request.param == "own" else LoopMachine())
            )

    return run_on


async def _awaited(scenario: Scenario, machine: Machine) -> None:
    async with asyncio.timeout(10):
        await scenario(machine)


def test_results_come_back_into_the_event_loop(run: Callable[[Scenario], None]) -> None:
    async def scenario(machine: Machine) -> None:
        worker = machine.worker("a")
        told: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        worker.run(lambda: 6 * 7, told.set_result)
        assert not told.done(), "not before the event loop turns"
        assert await told == 42
        await worker.aclose()

    run(scenario)


def test_work_that_raises_is_told_and_the_next_is_done(run: Callable[[Scenario], None]) -> None:
    async def scenario(machine: Machine) -> None:
        worker = machine.worker("a")
        for work, expected in ((lambda: 1 // 0, ZeroDivisionError), (lambda: 1, None)):
            told: asyncio.Future[object] = asyncio.get_running_loop().create_future()
            worker.run(work, told.set_result)
            outcome = await told
            if expected is None:
                assert outcome == 1
            else:
                assert isinstance(outcome, Failed)
                assert isinstance(outcome.error, expected)
        await worker.aclose()

    run(scenario)


def test_alarm_rings_once_and_not_early(run: Callable[[Scenario], None]) -> None:
    async def scenario(machine: Machine) -> None:
        loop, rings = asyncio.get_running_loop(), list[float]()
        alarm = machine.alarm(lambda: rings.append(loop.time()))
        began = loop.time()
        alarm.set(0.03)
        await asyncio.sleep(0.2)
        assert len(rings) == 1
        assert rings[0] - began >= 0.0299
        alarm.close()

    run(scenario)


def test_alarm_that_is_set_anew_does_not_ring_for_what_was_before(
    run: Callable[[Scenario], None],
) -> None:
    async def scenario(machine: Machine) -> None:
        loop, rings = asyncio.get_running_loop(), list[float]()
        alarm = machine.alarm(lambda: rings.append(loop.time()))
        began = loop.time()
        alarm.set(0.01)
        alarm.set(0.1)
        await asyncio.sleep(0.3)
        assert len(rings) == 1
        assert rings[0] - began >= 0.099
        alarm.set(0.0)
        await asyncio.sleep(0.05)
        assert len(rings) == 2, "at once, and not never"
        alarm.set(0.05)
        alarm.close()
        await asyncio.sleep(0.2)
        assert len(rings) == 2

    run(scenario)


async def test_work_is_done_in_order_and_finished_before_the_end() -> None:
    worker, done = OwnMachine().worker("a"), list[int]()
    for number in range(100):
        worker.run(partial(done.append, number), lambda _: None)
    await worker.aclose()
    assert done == list(range(100))
