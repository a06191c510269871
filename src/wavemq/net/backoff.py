"""How long to wait before trying again.

Owns one rule: exponential with jitter between a floor and a ceiling (wavemq.md 7), and a first
delay that spreads those who lost the same thing at the same moment. Refuses to
wait itself. Fault model: none; randomness is given, so that a test decides it.
"""

from __future__ import annotations

from random import Random
from typing import Final

FLOOR_SECONDS: Final = 0.5
CEILING_SECONDS: Final = 30.0
FIRST_SECONDS_MAX: Final = 5.0
"""Five hundred sites that lose their router together return over so long, not in one second."""
_DOUBLINGS_MAX: Final = 16


class Backoff:
    """Delays that grow with each attempt that failed.

    Args:
        random: for the jitter, so that a thousand sites do not return at the same moment.
        floor_s: the least delay.
        ceiling_s: the longest.
    """

    def __init__(
        self,
        random: Random,
        *,
        floor_s: float = FLOOR_SECONDS,
        ceiling_s: float = CEILING_SECONDS,
    ) -> None:
        self._random = random
        self._floor_s = floor_s
        self._ceiling_s = ceiling_s
        self._attempts = 0

    def next_delay(self) -> float:
        """Return the seconds to wait before the next attempt."""
        top = min(self._ceiling_s, self._floor_s * 2 ** min(self._attempts, _DOUBLINGS_MAX))
        top = max(top, min(FIRST_SECONDS_MAX, self._ceiling_s))
        self._attempts += 1
        return self._random.uniform(self._floor_s, top)

    def reset(self) -> None:
        """Begin anew after a success."""
        self._attempts = 0
