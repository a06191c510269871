"""The bound on every cache of authority, and work that is done once for all who ask."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

import pytest

from wavemq.authz.bounded import BoundedCache
from wavemq.authz.single_flight import SingleFlight


@pytest.mark.parametrize("count", [1, 9, 10, 11, 1000])
def test_cache_never_exceeds_its_bound(count: int) -> None:
    cache: BoundedCache[int, int] = BoundedCache(10)
    for key in range(count):
        cache.put(key, key)
    assert len(cache) == min(count, 10)
    assert cache.statistics().evictions == max(0, count - 10)


def test_cache_forgets_what_was_used_least_recently() -> None:
    cache: BoundedCache[str, int] = BoundedCache(2)
    cache.put("a", 1)
    cache.put("b", 2)
    assert cache.get("a") == 1
    cache.put("c", 3)
    assert cache.get("b") is None
    assert cache.get("a") == 1


def test_removing_an_unknown_key_is_harmless() -> None:
    cache: BoundedCache[str, int] = BoundedCache(2)
    cache.remove("a")
    assert len(cache) == 0


async def test_work_runs_once_for_everybody_who_waits() -> None:
    flights: SingleFlight[str, int] = SingleFlight()
    gate = asyncio.Event()
    runs = 0

    async def work() -> int:
        nonlocal runs
        runs += 1
        await gate.wait()
        return 7

    async with asyncio.TaskGroup() as group:
        waiters = [group.create_task(flights.run("k", work)) for _ in range(5)]
        await asyncio.sleep(0)
        gate.set()
    assert [waiter.result() for waiter in waiters] == [7] * 5
    assert runs == 1
    assert len(flights) == 0


async def test_impatient_waiter_does_not_spoil_the_work_for_others() -> None:
    flights: SingleFlight[str, int] = SingleFlight()
    gate = asyncio.Event()

    async def work() -> int:
        await gate.wait()
        return 7

    async with asyncio.TaskGroup() as group:
        patient = group.create_task(flights.run("k", work))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await flights.run("k", work)
        gate.set()
    assert patient.result() == 7


async def test_failure_reaches_every_waiter_and_is_not_remembered() -> None:
    flights: SingleFlight[str, int] = SingleFlight()
    outcomes: list[int | Exception] = [OSError("away"), 7]

    async def work() -> int:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    both = await asyncio.gather(
        flights.run("k", work), flights.run("k", work), return_exceptions=True
    )
    assert [type(one) for one in both] == [OSError, OSError]
    assert await flights.run("k", work) == 7


async def test_closing_cancels_what_runs() -> None:
    flights: SingleFlight[str, None] = SingleFlight()

    async def work() -> None:
        await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        waiter = group.create_task(_cancelled(flights, work))
        await asyncio.sleep(0)
        await flights.aclose()
    assert waiter.result()


async def _cancelled(
    flights: SingleFlight[str, None], work: Callable[[], Coroutine[None, None, None]]
) -> bool:
    try:
        await flights.run("k", work)
    except asyncio.CancelledError:
        return True
    return False
