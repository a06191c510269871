"""The verdict over a run finds every kind of broken promise, and nothing else."""

from __future__ import annotations

import pytest

from wavemq.errors import InvalidParameterError
from wavemq.testing.history import Fate, History, Publication

TOPIC = "plant/a"


def publish(history: History, *fates: Fate, topic: str = TOPIC) -> list[Publication]:
    """Send and settle one by one, so that they have an order."""
    found = []
    for fate in fates:
        one = history.sending("pump", topic)
        history.settle(one, fate)
        found.append(one)
    return found


def deliver(history: History, subscriber: str, *publications: Publication) -> None:
    for one in publications:
        history.received(subscriber, one.topic, one.payload, origin="router")


@pytest.fixture
def history() -> History:
    made = History()
    made.joined("screen", "plant/*")
    return made


def test_run_without_a_fault_is_kept(history: History) -> None:
    sent = publish(history, *[Fate.ANSWERED] * 3)
    assert history.outstanding("screen") == 3
    deliver(history, "screen", *sent)
    assert history.outstanding("screen") == 0
    verdict = history.verdict()
    assert verdict.is_kept
    assert (verdict.answered, verdict.subscribers["screen"].delivered) == (3, 3)
    assert verdict.complaints() == ()
    assert "delivered 3 (and 0 unknown), out of order 0, duplicates 0, lost 0" in verdict.summary()


def test_delivery_before_the_answer_counts(history: History) -> None:
    one = history.sending("pump", TOPIC)
    deliver(history, "screen", one)
    history.settle(one, Fate.ANSWERED)
    assert history.outstanding("screen") == 0
    assert history.verdict().is_kept


def test_answered_message_that_does_not_arrive_is_lost(history: History) -> None:
    first, second, third = publish(history, *[Fate.ANSWERED] * 3)
    deliver(history, "screen", first, third)
    verdict = history.verdict()
    assert (verdict.lost, verdict.is_kept) == (1, False)
    assert f"pump/{second.number} on {TOPIC}" in verdict.summary()
    assert verdict.out_of_order == 0


def test_unknown_message_may_arrive_or_not_but_once(history: History) -> None:
    absent, present = publish(history, Fate.UNKNOWN, Fate.UNKNOWN)
    del absent
    deliver(history, "screen", present)
    verdict = history.verdict()
    assert verdict.is_kept
    assert (verdict.unknown, verdict.subscribers["screen"].delivered_unknown) == (2, 1)
    deliver(history, "screen", present)
    assert history.verdict().duplicates == 1


def test_message_that_never_was_settled_is_unknown(history: History) -> None:
    history.sending("pump", TOPIC)
    assert history.count(Fate.UNKNOWN) == 1
    assert history.verdict().is_kept


def test_refused_message_must_not_arrive(history: History) -> None:
    (refused,) = publish(history, Fate.REFUSED)
    assert history.verdict().is_kept
    deliver(history, "screen", refused)
    assert "delivered though refused" in history.verdict().summary()


def test_every_repeat_is_counted(history: History) -> None:
    (one,) = publish(history, Fate.ANSWERED)
    deliver(history, "screen", one, one, one)
    verdict = history.verdict()
    assert (verdict.duplicates, verdict.out_of_order, verdict.lost) == (2, 0, 0)


def test_swapped_messages_are_out_of_order(history: History) -> None:
    first, second = publish(history, Fate.ANSWERED, Fate.ANSWERED)
    deliver(history, "screen", second, first)
    assert history.verdict().out_of_order == 1


def test_messages_under_way_at_the_same_time_have_no_order(history: History) -> None:
    first, second = history.sending("pump", TOPIC), history.sending("pump", TOPIC)
    history.settle(first, Fate.ANSWERED)
    history.settle(second, Fate.ANSWERED)
    deliver(history, "screen", second, first)
    assert history.verdict().is_kept


def test_order_is_promised_for_each_topic_and_router_alone(history: History) -> None:
    (first,) = publish(history, Fate.ANSWERED)
    (second,) = publish(history, Fate.ANSWERED, topic="plant/b")
    deliver(history, "screen", second, first)
    third, fourth = publish(history, Fate.ANSWERED, Fate.ANSWERED)
    history.received("screen", TOPIC, fourth.payload, origin="one router")
    history.received("screen", TOPIC, third.payload, origin="another")
    assert history.verdict().is_kept


def test_queues_must_agree_on_the_order(history: History) -> None:
    history.joined("recorder", "plant/a")
    one, other = history.sending("pump", TOPIC), history.sending("valve", TOPIC)
    history.settle(one, Fate.ANSWERED)
    history.settle(other, Fate.ANSWERED)
    deliver(history, "screen", one, other)
    deliver(history, "recorder", other, one)
    verdict = history.verdict()
    assert (verdict.disagreements.count, verdict.out_of_order) == (1, 1)
    assert not verdict.is_kept


def test_altered_content_and_a_wrong_topic_are_found(history: History) -> None:
    first, second = publish(history, Fate.ANSWERED, Fate.ANSWERED)
    history.received("screen", TOPIC, first.payload[:-1] + b"\0", origin="router")
    history.received("screen", "plant/b", second.payload, origin="router")
    verdict = history.verdict()
    assert verdict.subscribers["screen"].altered.count == 2
    assert verdict.lost == 2


@pytest.mark.parametrize("payload", [b"", b"stranger 0 x", b"pump x y", b"pump 9", b"\xff \xff "])
def test_what_nobody_sent_is_foreign(history: History, payload: bytes) -> None:
    history.received("screen", TOPIC, payload)
    assert history.verdict().subscribers["screen"].foreign.count == 1


def test_delivery_that_was_not_asked_for_is_foreign(history: History) -> None:
    (elsewhere,) = publish(history, Fate.ANSWERED, topic="office/a")
    assert history.verdict().is_kept
    deliver(history, "screen", elsewhere)
    assert history.verdict().subscribers["screen"].foreign.count == 1


def test_queue_is_owed_only_what_was_sent_after_it_existed(history: History) -> None:
    early = history.sending("pump", TOPIC)
    history.joined("late", "plant/a")
    history.settle(early, Fate.ANSWERED)
    assert (history.outstanding("screen"), history.outstanding("late")) == (1, 0)
    deliver(history, "screen", early)
    assert history.verdict().is_kept
    deliver(history, "late", early)
    assert history.verdict().is_kept


def test_reported_drops_are_the_highest_count_of_each_hop(history: History) -> None:
    first, second = publish(history, Fate.ANSWERED, Fate.ANSWERED)
    history.received("screen", TOPIC, first.payload, drops=(1, 4))
    history.received("screen", TOPIC, second.payload, drops=(3, 4))
    assert history.verdict().subscribers["screen"].drops_reported == 7


def test_payloads_have_the_asked_size_and_are_all_different(history: History) -> None:
    some = [history.sending("pump", TOPIC, size_bytes=size) for size in (0, 100, 100)]
    assert [len(one.payload) for one in some] == [7, 100, 100]
    assert len({one.payload for one in some}) == 3


@pytest.mark.parametrize("publisher", ["", "two words"])
def test_publisher_needs_a_name_that_can_be_found_again(history: History, publisher: str) -> None:
    with pytest.raises(InvalidParameterError):
        history.sending(publisher, TOPIC)
