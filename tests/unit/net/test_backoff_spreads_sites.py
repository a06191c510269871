"""How sites return after an outage: soon, growing slower, and never all at once."""

from __future__ import annotations

from collections import Counter
from random import Random

from wavemq.net.backoff import CEILING_SECONDS, FIRST_SECONDS_MAX, FLOOR_SECONDS, Backoff

SITES = 500


def test_five_hundred_sites_do_not_return_in_one_second() -> None:
    delays = [Backoff(Random(site)).next_delay() for site in range(SITES)]
    assert all(FLOOR_SECONDS <= delay <= FIRST_SECONDS_MAX for delay in delays)
    for shift in (0.0, 0.25, 0.5, 0.75):
        seconds = Counter(int(delay + shift) for delay in delays)
        assert max(seconds.values()) <= SITES * 0.3


def test_delays_grow_to_the_ceiling_and_begin_anew_after_a_success() -> None:
    backoff = Backoff(Random(7))
    delays = [backoff.next_delay() for _ in range(200)]
    assert max(delays[:4]) <= FIRST_SECONDS_MAX
    assert all(FLOOR_SECONDS <= delay <= CEILING_SECONDS for delay in delays)
    assert max(delays) > CEILING_SECONDS * 0.9
    backoff.reset()
    assert backoff.next_delay() <= FIRST_SECONDS_MAX
