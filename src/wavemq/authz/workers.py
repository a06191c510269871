"""Where pairing work and other long computations are done.

Owns one small pool of threads for each engine: the kernel releases the interpreter's lock, so two
threads keep two cores busy, and the event loop goes on. Refuses to know the work. Fault model:
the work may raise; the caller gets the exception.
"""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")

THREADS_MAX: Final = 4
"""Threads of one engine, even on a large machine: a router has other things to do."""


class Workers:
    """A pool of threads that is made when it is first needed."""

    __slots__ = ("_pool",)

    def __init__(self) -> None:
        threads = min(THREADS_MAX, max(2, os.cpu_count() or 1))
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="wavemq-authz")

    async def run(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what `work` returns, or raise what it raises."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, partial(work, *args, **kwargs))

    def close(self) -> None:
        """Let running work end and start no more."""
        self._pool.shutdown(wait=True, cancel_futures=True)
