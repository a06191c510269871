"""Acknowledgements on their way when their stream ends."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from wavemq.net.acknowledging import TOGETHER_MAX, Acknowledgements


async def test_end_lets_what_is_being_sent_arrive_and_sends_what_waits() -> None:
    heard: list[int] = []
    is_sending, may_go_on = asyncio.Event(), asyncio.Event()

    async def send(indexes: Sequence[int]) -> None:
        is_sending.set()
        await may_go_on.wait()
        heard.extend(indexes)

    acknowledgements = Acknowledgements(send)
    running = asyncio.ensure_future(acknowledgements.run())
    for index in range(TOGETHER_MAX):
        acknowledgements.add(index)
    await is_sending.wait()
    acknowledgements.add(TOGETHER_MAX)
    acknowledgements.end()
    may_go_on.set()
    await asyncio.wait_for(running, 10)
    assert heard == list(range(TOGETHER_MAX + 1))
