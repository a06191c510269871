"""The one place that reads the wall clock; everything else is told what time it is.

Owns the type `Instant` (nanoseconds since 1970-01-01 UTC) and its conversions. Refuses to know
time zones. A clock that steps is the caller's problem: an `Instant` is a value, not a promise.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import NewType, Protocol

Instant = NewType("Instant", int)
"""Nanoseconds since the Unix epoch, UTC."""

NANOSECONDS_PER_SECOND = 1_000_000_000
NANOSECONDS_PER_MILLISECOND = 1_000_000
NANOSECONDS_PER_MICROSECOND = 1_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """Tells the time; injected so that tests and simulations decide what time it is."""

    def now(self) -> Instant:
        """Return the present instant."""
        ...


class SystemClock:
    """The machine's wall clock."""

    __slots__ = ()

    def now(self) -> Instant:
        """Return the present instant of the machine."""
        return Instant(time.time_ns())


class FixedClock:
    """A clock that stands still until it is set; for tests and vectors.

    Args:
        instant: the time it tells, in nanoseconds since the epoch.
    """

    __slots__ = ("instant",)

    def __init__(self, instant: Instant) -> None:
        self.instant = instant

    def now(self) -> Instant:
        """Return the instant that was set."""
        return self.instant


def instant_from_seconds(seconds: float) -> Instant:
    """Return the instant `seconds` after the epoch."""
    return Instant(round(seconds * NANOSECONDS_PER_SECOND))


def instant_from_milliseconds(milliseconds: int) -> Instant:
    """Return the instant `milliseconds` after the epoch (the unit of the agent API)."""
    return Instant(milliseconds * NANOSECONDS_PER_MILLISECOND)


def milliseconds_from_instant(instant: Instant) -> int:
    """Return whole milliseconds since the epoch, rounded down."""
    return instant // NANOSECONDS_PER_MILLISECOND


def instant_from_datetime(moment: datetime) -> Instant:
    """Return the instant of an aware datetime, exact to the microsecond."""
    return Instant((moment - _EPOCH) // timedelta(microseconds=1) * 1000)


def datetime_from_instant(instant: Instant) -> datetime:
    """Return the UTC datetime of an instant, microseconds rounded down."""
    return _EPOCH + timedelta(microseconds=instant // 1000)
