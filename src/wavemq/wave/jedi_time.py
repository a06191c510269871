"""Hours as JEDI sees them, and the prefixes that cover a period (crypto.md 6.2, 6.6).

Owns the hierarchy year, month, five days, day, six hours, hour, all in UTC. Refuses to know keys. A
period is covered exactly: the original grants a whole day, month or year where only a part of it
was asked for; a reader only compares prefixes, so the exact cover changes nothing on the wire.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import datetime
from typing import Final

from wavemq.clock import Instant, datetime_from_instant
from wavemq.errors import InvalidJEDIGrantError, InvalidParameterError

TIME_COMPONENTS: Final = 6
YEAR_MIN: Final = 2015
YEAR_MAX: Final = 2050
FIVE_DAYS: Final = 5
FIVE_DAY_PERIODS: Final = 6
SIX_HOURS: Final = 6
PREFIXES_MAX: Final = 256
"""Prefixes of one period; 36 years take fewer than 130."""

Hour = tuple[int, ...]
"""Six quantities: year, month, five-day period, day, six-hour period, hour; a prefix has fewer."""


def hour_of(instant: Instant) -> Hour:
    """Return the six quantities of an instant.

    Raises:
        InvalidParameterError: its year is outside 2015 to 2050.
    """
    try:
        moment = datetime_from_instant(instant)
    except OverflowError as error:
        raise InvalidParameterError("the time is outside the range of JEDI") from error
    if not YEAR_MIN <= moment.year <= YEAR_MAX:
        raise InvalidParameterError(
            f"JEDI knows the years {YEAR_MIN} to {YEAR_MAX}, not {moment.year}"
        )
    return _hour(moment)


def _hour(moment: datetime) -> Hour:
    return (
        moment.year,
        moment.month,
        min((moment.day - 1) // FIVE_DAYS + 1, FIVE_DAY_PERIODS),
        moment.day,
        moment.hour // SIX_HOURS + 1,
        moment.hour,
    )


def time_components(hour: Hour) -> tuple[bytes, ...]:
    """Return the six components of an hour or of a prefix; what a prefix leaves open is empty."""
    parts = tuple(
        bytes((place,)) + quantity.to_bytes(2, "little") for place, quantity in enumerate(hour)
    )
    return parts + (b"",) * (TIME_COMPONENTS - len(parts))


def time_prefixes(not_before: Instant, not_after: Instant) -> list[Hour]:
    """Return the fewest prefixes that cover every hour of a period, and no other hour.

    Args:
        not_before: first instant; its whole hour counts.
        not_after: last instant; its whole hour counts.

    Raises:
        InvalidJEDIGrantError: the period is empty, or outside the years that JEDI knows.
    """
    if not_after < not_before:
        raise InvalidJEDIGrantError("the period of a JEDI grant ends before it begins")
    try:
        first, last = hour_of(not_before), hour_of(not_after)
    except InvalidParameterError as error:
        raise InvalidJEDIGrantError(error.reason) from error
    return list(_cover((), first, last))


def _cover(prefix: Hour, first: Hour | None, last: Hour | None) -> list[Hour]:
    """Return prefixes below `prefix` that cover it from `first` to `last`; None: its own ends.

    Early prefixes stand before later ones, as in the original's lists.
    """
    depth = len(prefix)
    if first is not None and _is_beginning(prefix, first):
        first = None
    if last is not None and _is_end(prefix, last):
        last = None
    if depth and first is None and last is None:
        return [prefix]
    low, high = bounds(prefix)
    start = low if first is None else first[depth]
    stop = high if last is None else last[depth]
    found: list[Hour] = []
    for quantity in range(start, stop + 1):
        found += _cover(
            (*prefix, quantity),
            first if quantity == start else None,
            last if quantity == stop else None,
        )
    return found


def _is_beginning(prefix: Hour, hour: Hour) -> bool:
    """Whether `hour` is the first one below `prefix`."""
    return all(
        hour[depth] == bounds(hour[:depth])[0] for depth in range(len(prefix), TIME_COMPONENTS)
    )


def _is_end(prefix: Hour, hour: Hour) -> bool:
    """Whether `hour` is the last one below `prefix`."""
    return all(
        hour[depth] == bounds(hour[:depth])[1] for depth in range(len(prefix), TIME_COMPONENTS)
    )


def bounds(prefix: Hour) -> tuple[int, int]:
    """Return the first and last quantity that may follow a prefix of zero to five."""
    match len(prefix):
        case 0:
            return YEAR_MIN, YEAR_MAX
        case 1:
            return 1, 12
        case 2:
            return 1, FIVE_DAY_PERIODS
        case 3:
            year, month, period = prefix
            if period == FIVE_DAY_PERIODS:
                return FIVE_DAYS * period - 4, monthrange(year, month)[1]
            return FIVE_DAYS * period - 4, FIVE_DAYS * period
        case 4:
            return 1, 24 // SIX_HOURS
        case _:
            quarter = prefix[4]
            return SIX_HOURS * (quarter - 1), SIX_HOURS * quarter - 1
