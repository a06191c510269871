"""Covers of time ranges: exactly the range, no prefix too many, and never wider than asked."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.jedi_original import hours, original_prefixes
from wavemq.wave.jedi_time import time_prefixes

FIRST_S = 1_420_070_400
"""2015-01-01T00:00Z."""
HOURS = 36 * 365 * 24
LONGEST = 3 * 366 * 24
ends = st.integers(0, HOURS - LONGEST - 1)
# Short ranges meet the corners of days and months; long ones those of years.
lengths = st.one_of(st.integers(0, 48), st.integers(0, 24 * 70), st.integers(0, LONGEST))
seconds = st.integers(0, 3599)


@settings(max_examples=150, deadline=None)
@given(ends, lengths, seconds, seconds)
def test_cover_is_exactly_the_range(begin: int, length: int, first: int, last: int) -> None:
    if length == 0:
        first, last = sorted((first, last))
    first_s = FIRST_S + begin * 3600 + first
    last_s = FIRST_S + (begin + length) * 3600 + last
    prefixes = time_prefixes(first_s, last_s)
    covered = [hour for prefix in prefixes for hour in hours(prefix)]
    assert covered == list(range(first_s // 3600, last_s // 3600 + 1))
    assert len(prefixes) <= 128


@settings(max_examples=300, deadline=None)
@given(ends, lengths)
def test_cover_is_the_original_s_wherever_that_grants_no_more(begin: int, length: int) -> None:
    first_s = FIRST_S + begin * 3600
    last_s = first_s + length * 3600
    theirs = original_prefixes(first_s, last_s)
    covered = {hour for prefix in theirs for hour in hours(prefix)}
    wanted = set(range(first_s // 3600, last_s // 3600 + 1))
    assert covered >= wanted  # as the specification says: it never grants less
    if covered == wanted and len(theirs) == len(set(theirs)):
        ours = time_prefixes(first_s, last_s)
        assert ours == theirs


def test_every_range_within_two_days_around_the_end_of_february() -> None:
    for begin_s in (1_709_078_400, 1_740_614_400):  # of 2024, which leaps, and of 2025
        begin = begin_s // 3600
        for first in range(begin, begin + 48, 5):
            for last in range(first, begin + 48):
                prefixes = time_prefixes(first * 3600, last * 3600)
                covered = [hour for prefix in prefixes for hour in hours(prefix)]
                assert covered == list(range(first, last + 1))


def test_original_grants_a_whole_day_for_twenty_hours_and_ours_does_not() -> None:
    day = 1_795_046_400 // 86_400 * 86_400
    theirs = original_prefixes(day, day + 19 * 3600)
    ours = time_prefixes(day, day + 19 * 3600)
    assert len([hour for prefix in ours for hour in hours(prefix)]) == 20
    assert len({hour for prefix in theirs for hour in hours(prefix)}) == 24
