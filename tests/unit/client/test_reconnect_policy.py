"""The delays of a reconnection: bounded each, bounded in all, spread by chance."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavemq.client.reconnect import ReconnectPolicy
from wavemq.errors import InvalidParameterError


def test_delays_double_up_to_the_ceiling() -> None:
    policy = ReconnectPolicy(initial_s=1.0, ceiling_s=4.0, give_up_after_s=20.0)
    highest = [delay / 1.0 for delay in policy.delays(draw=lambda: 1.0)]
    assert highest == [1.0, 2.0, 4.0, 4.0, 4.0, 4.0, 1.0]


def test_half_of_each_delay_is_chance() -> None:
    policy = ReconnectPolicy(initial_s=1.0, ceiling_s=4.0, give_up_after_s=3.0)
    assert list(policy.delays(draw=lambda: 0.0)) == [0.5, 1.0, 1.5]


def test_policy_that_gives_up_at_once_yields_no_delay() -> None:
    assert list(ReconnectPolicy(give_up_after_s=0.0).delays()) == []


@given(
    initial_s=st.floats(0.01, 10),
    factor=st.floats(1, 100),
    give_up_after_s=st.floats(0, 1000),
    draws=st.randoms(use_true_random=False),
)
def test_delays_never_exceed_their_bounds(
    initial_s: float, factor: float, give_up_after_s: float, draws: object
) -> None:
    policy = ReconnectPolicy(
        initial_s=initial_s, ceiling_s=initial_s * factor, give_up_after_s=give_up_after_s
    )
    delays = list(policy.delays(draw=draws.random))  # type: ignore[attr-defined]  # a Random
    assert all(0 < delay <= policy.ceiling_s for delay in delays)
    assert sum(delays) == pytest.approx(give_up_after_s)


@pytest.mark.parametrize(
    ("initial_s", "ceiling_s", "give_up_after_s"), [(0, 1, 1), (-1, 1, 1), (2, 1, 1), (1, 2, -1)]
)
def test_policy_out_of_range_is_refused(
    initial_s: float, ceiling_s: float, give_up_after_s: float
) -> None:
    with pytest.raises(InvalidParameterError):
        ReconnectPolicy(initial_s=initial_s, ceiling_s=ceiling_s, give_up_after_s=give_up_after_s)
