"""Work asked for piece by piece is done together, in order, and fails piece by piece."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from wavemq.authz.coalescing import BATCH_MAX, Coalescing
from wavemq.authz.workers import Workers
from wavemq.errors import InternalError, InvalidParameterError, WaveMQError


class Doubling:
    """Doubles numbers when it is let; remembers its batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.is_let = threading.Event()
        self.is_let.set()
        self._has_begun = threading.Event()

    async def wait_begun(self) -> None:
        assert await asyncio.to_thread(self._has_begun.wait, 30)

    def __call__(self, pieces: Sequence[int]) -> Sequence[int | WaveMQError]:
        self.batches.append(list(pieces))
        self._has_begun.set()
        assert self.is_let.wait(30)
        if 1000 in pieces:
            raise InternalError("broken")
        return [2 * one if one >= 0 else InvalidParameterError(f"{one}") for one in pieces]


@asynccontextmanager
async def coalescing(work: Doubling) -> AsyncIterator[Coalescing[int, int]]:
    workers = Workers()
    gathered: Coalescing[int, int] = Coalescing(workers, work)
    try:
        yield gathered
    finally:
        work.is_let.set()
        await gathered.aclose()
        workers.close()


async def test_what_one_turn_asks_for_is_one_batch_in_order() -> None:
    work = Doubling()
    async with coalescing(work) as gathered:
        assert await asyncio.gather(*map(gathered.run, range(5))) == [0, 2, 4, 6, 8]
    assert work.batches == [[0, 1, 2, 3, 4]]


async def test_what_is_asked_for_meanwhile_is_the_next_batch_and_batches_are_bounded() -> None:
    work = Doubling()
    work.is_let.clear()
    async with coalescing(work) as gathered:
        first = asyncio.ensure_future(gathered.run(0))
        await work.wait_begun()
        others = [asyncio.ensure_future(gathered.run(one)) for one in range(1, BATCH_MAX + 2)]
        await asyncio.sleep(0)
        work.is_let.set()
        assert await first == 0
        assert await asyncio.gather(*others) == [2 * one for one in range(1, BATCH_MAX + 2)]
    assert [len(batch) for batch in work.batches] == [1, BATCH_MAX, 1]
    assert [one for batch in work.batches for one in batch] == list(range(BATCH_MAX + 2))


async def test_nobody_queues_behind_all_of_another() -> None:
    work = Doubling()
    work.is_let.clear()
    async with coalescing(work) as gathered:
        waiting = [asyncio.ensure_future(gathered.run(0))]
        await work.wait_begun()
        many = range(1, 3 * BATCH_MAX)
        waiting += [asyncio.ensure_future(gathered.run(one, party="busy")) for one in many]
        waiting += [asyncio.ensure_future(gathered.run(one, party="late")) for one in (500, 501)]
        await asyncio.sleep(0)
        work.is_let.set()
        await asyncio.gather(*waiting)
    assert work.batches[1][:5] == [1, 500, 2, 501, 3]
    assert [one for batch in work.batches[1:] for one in batch if one < 500] == list(many)


async def test_a_piece_fails_by_itself() -> None:
    async with coalescing(Doubling()) as gathered:
        good, bad, also_good = await asyncio.gather(
            *map(gathered.run, (1, -1, 2)), return_exceptions=True
        )
    assert (good, also_good) == (2, 4)
    assert isinstance(bad, InvalidParameterError)


async def test_work_that_raises_fails_its_batch_and_not_the_next() -> None:
    async with coalescing(Doubling()) as gathered:
        failed = await asyncio.gather(*map(gathered.run, (1, 1000)), return_exceptions=True)
        assert all(isinstance(one, InternalError) for one in failed)
        assert await gathered.run(3) == 6


async def test_who_gives_up_is_left_out_and_holds_up_nobody() -> None:
    work = Doubling()
    work.is_let.clear()
    async with coalescing(work) as gathered:
        under_way = asyncio.ensure_future(gathered.run(1))
        await work.wait_begun()
        waiting = asyncio.ensure_future(gathered.run(2))
        other = asyncio.ensure_future(gathered.run(3))
        await asyncio.sleep(0)
        under_way.cancel()
        waiting.cancel()
        await asyncio.sleep(0)
        work.is_let.set()
        assert await other == 6
        assert under_way.cancelled()
    assert work.batches == [[1], [3]]


async def test_closing_ends_the_wait_of_all() -> None:
    work = Doubling()
    work.is_let.clear()
    async with coalescing(work) as gathered:
        waiting = [asyncio.ensure_future(gathered.run(1))]
        await work.wait_begun()
        waiting.append(asyncio.ensure_future(gathered.run(2)))
        await asyncio.sleep(0)
        closing = asyncio.ensure_future(gathered.aclose())
        await asyncio.sleep(0)
        work.is_let.set()
        await closing
        for one in waiting:
            with pytest.raises(asyncio.CancelledError):
                await one


async def test_the_loop_goes_on_while_a_batch_is_done() -> None:
    work = Doubling()
    work.is_let.clear()
    async with coalescing(work) as gathered:
        batch = asyncio.ensure_future(gathered.run(1))
        await work.wait_begun()
        for _ in range(100):  # would hang here if the batch were done on the loop
            await asyncio.sleep(0)
        assert not batch.done()
        work.is_let.set()
        assert await batch == 2
