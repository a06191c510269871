"""Periods of validity, and what they say at an instant (wave.md 3.5)."""

from __future__ import annotations

from dataclasses import dataclass

from wavemq.clock import Instant
from wavemq.wave import der


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
        """Whether the period has not begun."""
        return self.not_before > now

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
