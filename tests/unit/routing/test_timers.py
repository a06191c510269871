"""Timers: each key once, due in order, bounded in memory."""

from __future__ import annotations

from wavemq.clock import Instant
from wavemq.routing.timers import Timers


def test_keys_come_due_in_order_of_time_then_of_setting() -> None:
    timers: Timers[str] = Timers()
    for key, instant in [("late", 30), ("first", 10), ("second", 10)]:
        timers.set(key, Instant(instant))
    assert timers.next_instant() == 10
    assert timers.pop_due(Instant(9)) == []
    assert timers.pop_due(Instant(10)) == ["first", "second"]
    assert timers.pop_due(Instant(99)) == ["late"]
    assert timers.next_instant() is None


def test_setting_a_key_again_moves_it() -> None:
    timers: Timers[str] = Timers()
    timers.set("a", Instant(10))
    timers.set("a", Instant(20))
    assert timers.instant_of("a") == 20
    assert timers.pop_due(Instant(15)) == []
    timers.set("a", Instant(5))
    assert timers.pop_due(Instant(15)) == ["a"]
    assert timers.pop_due(Instant(99)) == []


def test_cancelled_keys_do_not_come() -> None:
    timers: Timers[str] = Timers()
    timers.set("a", Instant(10))
    timers.cancel("a")
    timers.cancel("never set")
    assert timers.instant_of("a") is None
    assert timers.pop_due(Instant(99)) == []


def test_moving_a_key_many_times_takes_no_memory() -> None:
    timers: Timers[str] = Timers()
    timers.set("other", Instant(5_000))
    for instant in range(10_000, 0, -1):
        timers.set("a", Instant(instant))
    assert len(timers._heap) < 100
    assert timers.pop_due(Instant(5_000)) == ["a", "other"]
