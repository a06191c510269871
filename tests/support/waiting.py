"""Waiting for what a test expects, with a bound."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

WAIT_SECONDS_MAX = 15.0
_STEP_SECONDS = 0.01


async def until(what: str, is_so: Callable[[], bool]) -> None:
    """Return once `is_so` answers true; fail, naming `what`, when it never does."""

    async def ask() -> bool:
        return is_so()

    await until_answered(what, ask)


async def until_answered(what: str, is_so: Callable[[], Awaitable[bool]]) -> None:
    """As `until`, where asking takes time."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + WAIT_SECONDS_MAX
    while loop.time() < deadline:
        if await is_so():
            return
        await asyncio.sleep(_STEP_SECONDS)
    raise AssertionError(f"not within {WAIT_SECONDS_MAX:g} s: {what}")
