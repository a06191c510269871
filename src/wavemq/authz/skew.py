"""Saying that a clock is wrong, now and then.

Owns the warning about validities that begin in the future and were put up with (by at most
`limits.CLOCK_SKEW_TOLERATED_S`). Refuses to decide anything. Fault model: every message may be a
reason to warn, so a warning is given once a minute at most.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from wavemq.clock import NANOSECONDS_PER_MILLISECOND, NANOSECONDS_PER_SECOND

if TYPE_CHECKING:
    from wavemq.clock import Instant

_log = structlog.get_logger(__name__)

WARNING_SECONDS_MIN: Final = 60
"""Between two warnings of one process."""


class SkewWarnings:
    """Warns about clocks that differ."""

    __slots__ = ("_warned", "count")

    def __init__(self) -> None:
        self._warned: Instant | None = None
        self.count = 0

    def note(self, begins: Instant, *, now: Instant) -> None:
        """Take note of something that is used at `now` and begins at `begins`."""
        if begins <= now:
            return
        self.count += 1
        earliest = WARNING_SECONDS_MIN * NANOSECONDS_PER_SECOND
        if self._warned is not None and 0 <= now - self._warned < earliest:
            return
        self._warned = now
        _log.warning(
            "clock_skew_tolerated",
            ahead_ms=(begins - now) // NANOSECONDS_PER_MILLISECOND,
            reason="an object in use begins in the future: this clock or its maker's is wrong",
        )
