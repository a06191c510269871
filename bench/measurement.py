"""What a benchmark reports: one figure, its unit, and the bound it should keep."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measurement:
    """One figure of one run on this machine.

    Args:
        name: what was measured, in words.
        value: the figure, in `unit`.
        unit: `ms`, `us`, `/s` or another plain unit.
        bound: the target: at most this for times, at least this for rates (`/s`).
        note: how it was measured, where that is not obvious.
    """

    name: str
    value: float
    unit: str
    bound: float | None = None
    note: str = ""

    @property
    def is_within_bound(self) -> bool:
        """Whether the figure keeps its bound; true where there is none."""
        if self.bound is None:
            return True
        return self.value >= self.bound if self.unit.endswith("/s") else self.value <= self.bound


def median_milliseconds(
    operation: Callable[[], object], *, rounds: int = 30, warmup: int = 3
) -> float:
    """Return the median wall time of `operation` in milliseconds over `rounds` calls."""
    for _ in range(warmup):
        operation()
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        operation()
        times.append((time.perf_counter() - started) * 1e3)
    return statistics.median(times)
