"""How many deliveries of one subscription may be under way: more while they come quickly.

Owns the credit of one stream. Refuses to know the stream and clocks: it is told the present. Fault
model: a link may be a thousand times thinner than the last one, or become so; what is under way
then stands before answers and live messages, so that the credit begins small, and becomes small
again.
"""

from __future__ import annotations

from typing import Final

CREDIT_FIRST: Final = 256
"""Deliveries before the first is acknowledged."""
CREDIT_MOST: Final = 1024
"""The same on a link that carries as many within four seconds; the other end allows no more."""
QUICK_SECONDS: Final = 1.0
"""For `CREDIT_FIRST` deliveries."""


class DownlinkCredit:
    """The credit of one stream.

    Args:
        now_s: the present.
    """

    def __init__(self, now_s: float) -> None:
        self.credit = CREDIT_FIRST
        self._count = 0
        self._since_s = now_s

    def note(self, count: int, now_s: float) -> int:
        """Take note of acknowledged deliveries; return the new credit, 0 if it stays."""
        self._count += count
        if self._count < CREDIT_FIRST:
            return 0
        is_quick = (now_s - self._since_s) * CREDIT_FIRST <= QUICK_SECONDS * self._count
        self._count, self._since_s = 0, now_s
        credit = CREDIT_MOST if is_quick else CREDIT_FIRST
        if credit == self.credit:
            return 0
        self.credit = credit
        return credit
