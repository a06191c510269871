"""How the original turns a range of hours into prefixes (crypto.md 6.6), and hours of prefixes.

Only tests compare with it: it grants whole days, months or years of which a range is but a part.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from datetime import UTC, datetime

from wavemq.wave.jedi_time import TimePrefix, time_of

_HOUR = 5


def _bounds(prefix: TimePrefix) -> tuple[int, int]:
    match len(prefix):
        case 0:
            return 2015, 2050
        case 1:
            return 1, 12
        case 2:
            return 1, 6
        case 3:
            year, month, period = prefix
            if period == 6:
                return 26, calendar.monthrange(year, month)[1]
            return 5 * period - 4, 5 * period
        case 4:
            return 1, 4
        case _:
            return 6 * (prefix[-1] - 1), 6 * prefix[-1] - 1


def original_prefixes(first_s: int, last_s: int) -> list[TimePrefix]:
    """Return the original's list, in its order."""
    start, end = list(time_of(first_s)), list(time_of(last_s))
    if start == end:
        return [tuple(start)]
    differing = next(place for place in range(6) if start[place] != end[place])
    found: list[TimePrefix] = []
    is_full_start = _left(start, differing, found)
    low, high = _bounds(tuple(start[:differing]))
    is_single = differing != 0 and start[differing] == low and end[differing] == high
    if is_single:
        found.append(tuple(start[:differing]))
    else:
        if is_full_start:
            found.append(tuple(start[: differing + 1]))
        between = range(start[differing] + 1, end[differing])
        found += [(*start[:differing], quantity) for quantity in between]
    top_end = tuple(end[: differing + 1])
    is_full_end = _right(end, differing, found)
    if not is_single and is_full_end:
        found.append(top_end)
    return found


def _left(start: list[int], differing: int, found: list[TimePrefix]) -> bool:
    place, is_full = _HOUR, True
    while place > differing:
        low, high = _bounds(tuple(start[:place]))
        if start[place] == low:
            place -= 1
            continue
        is_full = False
        found += [(*start[:place], quantity) for quantity in range(start[place], high + 1)]
        above = place - 1
        while above > differing:
            low, high = _bounds(tuple(start[:above]))
            if start[above] != high:
                start[above] += 1
                break
            start[above] = low
            above -= 1
        place = above
    return is_full


def _right(end: list[int], differing: int, found: list[TimePrefix]) -> bool:
    place, is_full = _HOUR, True
    groups: list[list[TimePrefix]] = []
    while place > differing:
        low, high = _bounds(tuple(end[:place]))
        if end[place] == high:
            place -= 1
            continue
        is_full = False
        groups.append([(*end[:place], quantity) for quantity in range(low, end[place] + 1)])
        above = place - 1
        while above >= 0:
            low, high = _bounds(tuple(end[:above]))
            if end[above] != low:
                end[above] -= 1
                break
            end[above] = high
            above -= 1
        place = above
    for group in reversed(groups):
        found += group
    return is_full


def hours(prefix: TimePrefix) -> Iterator[int]:
    """Yield the hours of a prefix, counted from the epoch."""
    if len(prefix) < 6:
        low, high = _bounds(prefix)
        for quantity in range(low, high + 1):
            yield from hours((*prefix, quantity))
        return
    year, month, _, day, _, hour = prefix
    yield int(datetime(year, month, day, hour, tzinfo=UTC).timestamp()) // 3600
