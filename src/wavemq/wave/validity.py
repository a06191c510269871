"""Periods of validity, and what they say at an instant (wave.md 3.5).

Owns the two questions, the tolerance for clocks that differ, and the sentence about it. Refuses to
know what is valid. Fault model: the clock of whoever made the object, or ours, may be wrong: by up
to a minute that is borne and said, by more it is said.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from wavemq.clock import NANOSECONDS_PER_SECOND, Instant, datetime_from_instant
from wavemq.limits import CLOCK_SKEW_TOLERATED_S
from wavemq.wave import der

_TOLERATED_NS: Final = CLOCK_SKEW_TOLERATED_S * NANOSECONDS_PER_SECOND
_UNITS: Final = ((86_400, "d"), (3600, "h"), (60, "min"))


@dataclass(frozen=True, slots=True)
class Validity:
    """From when to when something is valid, both ends included.

    Args:
        not_before: first instant.
        not_after: last instant.
    """

    not_before: Instant
    not_after: Instant

    def is_expired(self, now: Instant) -> bool:
        """Whether the period is over."""
        return now > self.not_after

    def is_pending(self, now: Instant) -> bool:
        """Whether the period has not begun, nor begins within the tolerated difference of clocks.

        There is no such tolerance at the end: what has expired must not be of use for longer.
        """
        return self.not_before > now + _TOLERATED_NS

    def clock_note(self, now: Instant) -> str:
        """Return what to tell a person about a beginning in the future; mostly empty."""
        if self.not_before <= now:
            return ""
        ahead = _span(self.not_before - now)
        if not self.is_pending(now):
            return f"begins in {ahead}; a clock is wrong"
        begins = datetime_from_instant(self.not_before).strftime("%Y-%m-%d %H:%M:%S UTC")
        return f"begins {begins}, in {ahead}; if that is not meant, a clock is wrong"

    def to_der(self) -> bytes:
        """Return the element, in whole seconds."""
        return der.sequence(der.moment(self.not_before), der.moment(self.not_after))

    @classmethod
    def read(cls, reader: der.Reader) -> Validity:
        """Read the element."""
        inner = reader.sequence()
        validity = cls(inner.moment(), inner.moment())
        inner.finish()
        return validity


def _span(duration: int) -> str:
    """Return nanoseconds in words, rounded up to a whole number of a fitting unit."""
    seconds = -(-duration // NANOSECONDS_PER_SECOND)
    for size, unit in _UNITS:
        if seconds >= 2 * size:
            return f"{-(-seconds // size)} {unit}"
    return f"{seconds} s"
