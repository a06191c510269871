"""How long to wait before something is tried again.

Owns one rule: delays double up to a bound, and are spread without dice, by the name of what is
tried. Refuses to know what that is. Fault model: none.
"""

from __future__ import annotations

import zlib
from typing import Final

from wavemq.clock import NANOSECONDS_PER_SECOND

RETRY_SECONDS_MIN: Final = 0.5
RETRY_SECONDS_MAX: Final = 30.0
_DOUBLINGS_MAX: Final = 16


def retry_delay_ns(attempt: int, name: str) -> int:
    """Return nanoseconds to wait after so many attempts, spread over half of the longest.

    Args:
        attempt: 1 after the first.
        name: of what is tried again; others wait otherwise.
    """
    exponent = min(attempt - 1, _DOUBLINGS_MAX)
    longest_s = min(RETRY_SECONDS_MIN * float(2**exponent), RETRY_SECONDS_MAX)
    share = zlib.crc32(f"{name} {attempt}".encode()) / 0xFFFF_FFFF
    return round(longest_s * (0.5 + 0.5 * share) * NANOSECONDS_PER_SECOND)
