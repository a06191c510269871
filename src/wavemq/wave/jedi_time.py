"""Time as JEDI sees it: six quantities from the year to the hour, and prefixes of them.

Owns the calendar arithmetic (crypto.md 6.2, 6.6): what an instant's components are, and which
prefixes together cover a range of hours. Refuses to know keys and slots. All times are UTC. Fault
model: instants come from strangers' messages; those outside the years that JEDI knows are refused.
The original grants whole days, months or years of which a range is only a part; ours never does,
and nobody notices but who would have read too much: readers match patterns, not lists.
"""

from __future__ import annotations

import calendar
from datetime import UTC, datetime
from typing import Final

from wavemq.errors import InvalidJEDIGrantError

TIME_COMPONENTS: Final = 6
YEAR_FIRST: Final = 2015
YEAR_LAST: Final = 2050
HOUR_SECONDS: Final = 3600
_FIRST_SECOND: Final = int(datetime(YEAR_FIRST, 1, 1, tzinfo=UTC).timestamp())
_END_SECOND: Final = int(datetime(YEAR_LAST + 1, 1, 1, tzinfo=UTC).timestamp())
_PERIODS: Final = 6
_PERIOD_DAYS: Final = 5
_QUARTERS: Final = 4
_QUARTER_HOURS: Final = 6

TimePrefix = tuple[int, ...]
"""Up to six of: year, month, five-day period, day of the month, quarter of the day, hour."""


def time_of(at_s: int) -> TimePrefix:
    """Return the six quantities of an instant.

    Args:
        at_s: seconds since the epoch.

    Raises:
        InvalidJEDIGrantError: it is outside the years 2015 to 2050.
    """
    if not _FIRST_SECOND <= at_s < _END_SECOND:
        raise InvalidJEDIGrantError(
            f"JEDI knows the years {YEAR_FIRST} to {YEAR_LAST} only, and this time is another"
        )
    at = datetime.fromtimestamp(at_s, UTC)
    period = min((at.day - 1) // _PERIOD_DAYS + 1, _PERIODS)
    return (at.year, at.month, period, at.day, at.hour // _QUARTER_HOURS + 1, at.hour)


def time_components(time: TimePrefix) -> tuple[bytes, ...]:
    """Return six components of three bytes each; those beyond the prefix are empty."""
    encoded = tuple(
        bytes((index,)) + quantity.to_bytes(2, "little") for index, quantity in enumerate(time)
    )
    return encoded + (b"",) * (TIME_COMPONENTS - len(encoded))


def time_prefixes(first_s: int, last_s: int) -> list[TimePrefix]:
    """Return the fewest prefixes that cover the hours from one instant to another, in order.

    Args:
        first_s: an instant within the first hour, in seconds since the epoch.
        last_s: an instant within the last hour.

    Raises:
        InvalidJEDIGrantError: the range is empty, or not within the years 2015 to 2050.
    """
    if last_s < first_s:
        raise InvalidJEDIGrantError("the period of a JEDI grant ends before it begins")
    return _cover((), time_of(first_s), time_of(last_s))


def _cover(parent: TimePrefix, first: TimePrefix, last: TimePrefix) -> list[TimePrefix]:
    """Return the cover of the part of `parent` between two hours, both inside."""
    found: list[TimePrefix] = []
    level = len(parent)
    for quantity in range(first[level], last[level] + 1):
        child = (*parent, quantity)
        begin, end = _ends(child)
        child_first = first if quantity == first[level] else begin
        child_last = last if quantity == last[level] else end
        if (child_first, child_last) == (begin, end):
            found.append(child)
        else:
            found += _cover(child, child_first, child_last)
    return found


def _ends(prefix: TimePrefix) -> tuple[TimePrefix, TimePrefix]:
    """Return the first and the last hour of a prefix."""
    begin = end = prefix
    while len(begin) < TIME_COMPONENTS:
        begin = (*begin, _bounds(begin)[0])
        end = (*end, _bounds(end)[1])
    return begin, end


def _bounds(prefix: TimePrefix) -> tuple[int, int]:
    """Return the least and the greatest value of the quantity after a prefix."""
    match len(prefix):
        case 1:
            return 1, 12
        case 2:
            return 1, _PERIODS
        case 3:
            year, month, period = prefix
            begin = (period - 1) * _PERIOD_DAYS + 1
            if period == _PERIODS:
                return begin, calendar.monthrange(year, month)[1]
            return begin, begin + _PERIOD_DAYS - 1
        case 4:
            return 1, _QUARTERS
        case _:
            begin = (prefix[-1] - 1) * _QUARTER_HOURS
            return begin, begin + _QUARTER_HOURS - 1
