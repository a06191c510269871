"""Subscriptions from the first request to the end, and their readers (wavemq.md 7)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.core_rig import Rig, all_of, contents, delivered, error_of, is_done, the
from tests.support.core_values import (
    NAMESPACE,
    OTHER_NAMESPACE,
    START,
    after,
    designated_config,
    entity,
    message,
    site_config,
    subscription,
)
from wavemq.clock import Instant
from wavemq.errors import (
    NoSuchSubscriptionError,
    SubscriptionFailedError,
    UnsubscribedError,
)
from wavemq.routing.config import QueueLimits
from wavemq.routing.effects import AcceptSubscription, EndConsumer, Reply, WriteJournal
from wavemq.routing.events import (
    ConsumerAttached,
    ConsumerDetached,
    ConsumerId,
    DeliveryConfirmed,
    JournalWritten,
    MessagePublished,
    PeerSubscriptionRequested,
    PeerUnsubscribeRequested,
    RequestId,
    SubscriptionRequested,
)
from wavemq.routing.records import Place, QueueId

DAY = 86_400


# --- opening ------------------------------------------------------------------------------------


def test_subscription_is_answered_when_durable_and_effective_at_once() -> None:
    rig = Rig(designated_config())
    effects = rig.handle(
        SubscriptionRequested(RequestId(1), subscription("a")),
        MessagePublished(RequestId(2), message("a", b"1")),
    )
    write = the(WriteJournal, effects)
    assert all_of(AcceptSubscription, effects) == []
    rig.recorder.write(write.changes)
    effects = rig.handle(JournalWritten(write.batch))
    queue = the(AcceptSubscription, effects).queue
    assert contents(delivered(rig.attach(queue)[1])) == [b"1"]


def test_namespace_without_a_designated_router_fails_by_name() -> None:
    rig = Rig(site_config())
    wish = subscription("a", namespace=OTHER_NAMESPACE)
    error = error_of(rig.run(SubscriptionRequested(RequestId(1), wish)))
    assert isinstance(error, SubscriptionFailedError)
    assert "304" in str(error)
    assert "no configured DR for this namespace" in str(error)


def test_peer_subscribes_only_where_this_router_is_designated() -> None:
    rig = Rig(site_config())
    wish = subscription("a", router_id="peer")
    error = error_of(rig.run(PeerSubscriptionRequested(RequestId(1), wish, "link")))
    assert isinstance(error, SubscriptionFailedError)


def test_same_identity_resumes_its_queue() -> None:
    rig = Rig(designated_config())
    queue = rig.subscribe(subscription("a"))
    rig.publish(message("a", b"1"))
    assert rig.subscribe(subscription("a")) == queue
    assert rig.subscribe(subscription("a", "other name")) != queue
    assert rig.subscribe(subscription("a", source="other entity")) != queue
    assert contents(delivered(rig.attach(queue)[1])) == [b"1"]


@pytest.mark.parametrize(
    "other",
    [subscription("b"), subscription("a", namespace=OTHER_NAMESPACE)],
    ids=["filter", "namespace"],
)
def test_identity_bound_to_something_else_fails_and_names_it(other: object) -> None:
    rig = Rig(designated_config(designated=frozenset({NAMESPACE, OTHER_NAMESPACE})))
    rig.subscribe(subscription("a"))
    event = SubscriptionRequested(RequestId(1), other)  # type: ignore[arg-type]  # parametrized
    error = error_of(rig.run(event))
    assert isinstance(error, SubscriptionFailedError)
    assert "'a'" in str(error)
    assert NAMESPACE.to_text() in str(error)


def test_local_and_peers_subscriptions_never_share_a_queue() -> None:
    rig = Rig(designated_config())
    local = rig.subscribe(subscription("a", router_id=""))
    queues = {local}
    for router_id in ("", "one", "two"):
        wish = subscription("a", router_id=router_id)
        effects = rig.run(PeerSubscriptionRequested(rig.request(), wish, "link"))
        queues.add(the(AcceptSubscription, effects).queue)
    assert len(queues) == 4


def test_number_of_subscriptions_is_bounded() -> None:
    rig = Rig(designated_config(subscriptions_max=2))
    rig.subscribe(subscription("a", "1"))
    queue = rig.subscribe(subscription("a", "2"))
    error = error_of(rig.run(SubscriptionRequested(RequestId(9), subscription("a", "3"))))
    assert isinstance(error, SubscriptionFailedError)
    assert rig.subscribe(subscription("a", "2")) == queue, "resuming is always possible"


def test_subscription_that_has_ended_already_is_refused() -> None:
    rig = Rig(designated_config())
    wish = subscription("a", absolute_expiry=START)
    error = error_of(rig.run(SubscriptionRequested(RequestId(1), wish)))
    assert isinstance(error, SubscriptionFailedError)
    assert rig.router.statistics().queues == 0


# --- readers ------------------------------------------------------------------------------------


def test_reader_gets_no_more_than_its_credit() -> None:
    rig = Rig(designated_config())
    queue = rig.subscribe(subscription("a"))
    for number in range(5):
        rig.publish(message("a", b"%d" % number))
    consumer, effects = rig.attach(queue, credit=2)
    first = delivered(effects)
    assert contents(first) == [b"0", b"1"]
    assert delivered(rig.publish(message("a", b"5"))) == []
    effects = rig.run(DeliveryConfirmed(consumer, first[0].place))
    assert contents(delivered(effects)) == [b"2"]
    assert rig.router.statistics().delivered_count == 1


def test_reader_s_window_is_bounded_in_bytes_but_for_one_message() -> None:
    rig = Rig(designated_config(window_bytes_max=1000))
    queue = rig.subscribe(subscription("a"))
    for _ in range(3):
        rig.publish(message("a", b"x" * 2000))
    consumer, effects = rig.attach(queue)
    (first,) = delivered(effects)
    assert len(delivered(rig.run(DeliveryConfirmed(consumer, first.place)))) == 1


def test_message_leaves_the_queue_only_when_its_delivery_is_confirmed() -> None:
    rig = Rig(designated_config())
    queue = rig.subscribe(subscription("a"))
    consumer, _ = rig.attach(queue)
    (first,) = delivered(rig.publish(message("a", b"1")))
    (second,) = delivered(rig.publish(message("a", b"2")))
    assert rig.router.statistics().queued_messages == 2
    rig.run(DeliveryConfirmed(consumer, first.place))
    rig.run(ConsumerDetached(consumer))
    _, effects = rig.attach(queue)
    assert delivered(effects) == [replace(second, attempt=2)]


def test_newer_reader_takes_over_with_what_was_not_confirmed() -> None:
    rig = Rig(designated_config())
    queue = rig.subscribe(subscription("a"))
    older, _ = rig.attach(queue)
    rig.publish(message("a", b"1"))
    newer, effects = rig.attach(queue)
    ended = the(EndConsumer, effects)
    assert ended.consumer == older
    assert isinstance(ended.error, UnsubscribedError)
    assert contents(delivered(effects)) == [b"1"]
    assert rig.run(DeliveryConfirmed(older, Place(1))) == []
    assert rig.run(ConsumerDetached(older)) == [], "the newer one goes on"
    assert contents(delivered(rig.publish(message("a", b"2")))) == [b"2"]
    assert rig.router.statistics().consumers == 1
    assert newer != older


def test_attaching_to_a_queue_that_is_gone_ends_the_stream() -> None:
    rig = Rig(designated_config())
    (effect,) = rig.run(ConsumerAttached(ConsumerId(5), QueueId(99), 1))
    assert isinstance(effect, EndConsumer)
    assert isinstance(effect.error, UnsubscribedError)


def test_slow_reader_costs_no_more_than_its_queue() -> None:
    rig = Rig(designated_config(consumer_queue=QueueLimits(10, 1 << 20)))
    slow, fast = rig.subscribe(subscription("a", "slow")), rig.subscribe(subscription("a", "fast"))
    rig.attach(slow, credit=1)
    consumer, _ = rig.attach(fast)
    for number in range(100):
        (got,) = delivered(rig.publish(message("a", b"%d" % number)))[-1:]
        rig.run(DeliveryConfirmed(consumer, got.place))
    statistics = rig.router.statistics()
    assert statistics.queued_messages == 11
    assert statistics.records == 11
    assert statistics.dropped_count == 89


# --- ends ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked_s", "lives_s"), [(0, 60), (59, 60), (60, 60), (61, 61), (600, 600)]
)
def test_undrained_queue_ends_after_its_expiry_of_at_least_a_minute(
    asked_s: int, lives_s: int
) -> None:
    rig = Rig(designated_config())
    rig.subscribe(subscription("a", expiry_s=asked_s))
    rig.advance(lives_s - 0.001)
    assert rig.router.statistics().queues == 1
    rig.advance(0.001)
    assert rig.router.statistics().queues == 0


def test_router_s_own_expiry_is_the_shorter_one() -> None:
    rig = Rig(designated_config(queue_expiry_s=90))
    rig.subscribe(subscription("a", expiry_s=3600))
    rig.advance(89.9)
    assert rig.router.statistics().queues == 1
    rig.advance(0.1)
    assert rig.router.statistics().queues == 0


def test_dropping_does_not_prolong_a_queue_s_life() -> None:
    rig = Rig(designated_config(consumer_queue=QueueLimits(1, 1 << 20)))
    rig.subscribe(subscription("a"))
    for _ in range(59):
        rig.advance(1)
        rig.publish(message("a"))
    assert rig.router.statistics().dropped_count == 58
    rig.advance(1)
    statistics = rig.router.statistics()
    assert (statistics.queues, statistics.records) == (0, 0)
    assert statistics.dropped["expiry"] == 1


def test_drained_queue_lives_on_while_nothing_comes() -> None:
    rig = Rig(designated_config())
    queue = rig.subscribe(subscription("a"))
    consumer, _ = rig.attach(queue)
    rig.advance(10 * DAY)
    (got,) = delivered(rig.publish(message("a", b"1")))
    rig.run(DeliveryConfirmed(consumer, got.place))
    rig.advance(10 * DAY)
    rig.run(ConsumerDetached(consumer))
    rig.advance(59)
    assert rig.router.statistics().queues == 1, "it was drained until the reader left"
    rig.advance(1)
    assert rig.router.statistics().queues == 0


def test_queue_whose_reader_takes_nothing_ends() -> None:
    rig = Rig(designated_config())
    queue = rig.subscribe(subscription("a"))
    consumer, _ = rig.attach(queue, credit=1)
    rig.advance(1000)
    rig.publish(message("a", b"1"))
    rig.advance(59)
    assert rig.router.statistics().queues == 1, "its time began when it had something to take"
    ended = the(EndConsumer, rig.advance(1))
    assert ended.consumer == consumer
    assert isinstance(ended.error, UnsubscribedError)


def test_confirming_prolongs_a_queue_s_life() -> None:
    rig = Rig(designated_config())
    queue = rig.subscribe(subscription("a"))
    for number in range(10):
        rig.publish(message("a", b"%d" % number))
    consumer, effects = rig.attach(queue, credit=1)
    for _ in range(9):
        rig.advance(50)
        effects = rig.run(DeliveryConfirmed(consumer, delivered(effects)[0].place))
    assert rig.router.statistics().queues == 1
    rig.advance(60)
    assert rig.router.statistics().queues == 0


def test_resuming_prolongs_a_queue_s_life() -> None:
    rig = Rig(designated_config())
    queue = rig.subscribe(subscription("a"))
    rig.advance(59)
    assert rig.subscribe(subscription("a")) == queue
    rig.advance(59)
    assert rig.subscribe(subscription("a")) == queue


@pytest.mark.parametrize("by", ["absolute_expiry", "granted_until"])
def test_absolute_expiry_ends_a_drained_queue_too(by: str) -> None:
    rig = Rig(designated_config())
    queue = rig.subscribe(subscription("a", **{by: after(100)}))  # type: ignore[arg-type]  # by name
    consumer, _ = rig.attach(queue)
    rig.advance(99.9)
    assert rig.router.statistics().queues == 1
    ended = the(EndConsumer, rig.advance(0.1))
    assert ended.consumer == consumer
    assert rig.router.statistics().queues == 0


def test_renewed_subscription_lives_as_long_as_its_new_proof() -> None:
    rig = Rig(designated_config())
    queue = rig.subscribe(subscription("a", granted_until=after(50)))
    renewed = subscription("a", granted_until=after(500), proof=b"newer", expiry_s=1000)
    assert rig.subscribe(renewed) == queue
    rig.attach(queue)
    rig.advance(499)
    assert rig.router.statistics().queues == 1
    rig.advance(1)
    assert rig.router.statistics().queues == 0


def test_ended_subscription_gets_nothing_and_can_be_made_anew() -> None:
    rig = Rig(designated_config())
    queue = rig.subscribe(subscription("a"))
    rig.advance(60)
    assert is_done(rig.publish(message("a")))
    assert rig.router.statistics().records == 0
    assert rig.subscribe(subscription("b")) != queue, "the identifier is free again"


def test_expiry_is_found_when_the_timer_is_late() -> None:
    rig = Rig(designated_config())
    rig.subscribe(subscription("a"))
    rig.now = after(1000)
    rig.publish(message("a"))
    assert rig.router.statistics().queues == 0


def test_clock_that_is_set_back_ends_nothing() -> None:
    rig = Rig(designated_config())
    rig.subscribe(subscription("a"))
    rig.now = Instant(START - 1000 * DAY)
    rig.publish(message("a", b"1"))
    assert rig.router.statistics().queued_messages == 1


# --- peers give up ------------------------------------------------------------------------------


def peer_subscribe(rig: Rig, link: str, identifier: str = "reader") -> QueueId:
    wish = subscription("a", identifier, router_id="site")
    effects = rig.run(PeerSubscriptionRequested(rig.request(), wish, link))
    return the(AcceptSubscription, effects).queue


def unsubscribe(link: str, identifier: str = "reader") -> PeerUnsubscribeRequested:
    return PeerUnsubscribeRequested(RequestId(500), entity("subscriber"), identifier, link)


def test_peer_ends_its_own_subscription() -> None:
    rig = Rig(designated_config())
    queue = peer_subscribe(rig, "link")
    consumer, _ = rig.attach(queue)
    effects = rig.run(unsubscribe("link"))
    assert the(EndConsumer, effects).consumer == consumer
    assert the(Reply, effects).error is None
    assert rig.router.statistics().queues == 0
    rig.restart()
    assert rig.router.statistics().queues == 0, "no ghost comes back"


def test_peer_cannot_end_what_another_link_opened() -> None:
    rig = Rig(designated_config())
    peer_subscribe(rig, "link")
    rig.subscribe(subscription("a"))
    for event in (unsubscribe("other link"), unsubscribe(""), unsubscribe("link", "other")):
        assert isinstance(error_of(rig.run(event)), NoSuchSubscriptionError)
    assert rig.router.statistics().queues == 2


def test_last_link_that_subscribed_is_the_one_that_may_end() -> None:
    rig = Rig(designated_config())
    assert peer_subscribe(rig, "old") == peer_subscribe(rig, "new")
    assert isinstance(error_of(rig.run(unsubscribe("old"))), NoSuchSubscriptionError)
    assert is_done(rig.run(unsubscribe("new")))


# --- restart ------------------------------------------------------------------------------------


def test_subscription_and_its_messages_survive_a_restart() -> None:
    rig = Rig(designated_config(consumer_queue=QueueLimits(3, 1 << 20)))
    queue = rig.subscribe(subscription("a", expiry_s=100))
    for number in range(4):
        rig.publish(message("a", b"%d" % number, timestamps=[9]))
    rig.restart()
    assert rig.subscribe(subscription("a", expiry_s=100)) == queue
    _, effects = rig.attach(queue)
    assert contents(delivered(effects)) == [b"1", b"2", b"3"]
    assert delivered(effects)[0].message.drops == (1,)
    assert delivered(effects)[0].message.timestamps == (9, START + 1)
    assert delivered(effects)[0].message.proof == b"proof"


def test_clock_of_a_restored_queue_begins_anew() -> None:
    rig = Rig(designated_config())
    rig.subscribe(subscription("a"))
    rig.advance(50)
    rig.restart()
    rig.advance(50)
    assert rig.router.statistics().queues == 1, "while it was down nobody could drain it"
    rig.advance(10)
    assert rig.router.statistics().queues == 0


def test_restored_queue_that_ended_meanwhile_ends_at_once() -> None:
    rig = Rig(designated_config())
    rig.subscribe(subscription("a", absolute_expiry=after(10)))
    rig.now = after(20)
    rig.restart()
    rig.run()
    assert rig.router.statistics().queues == 0


def test_unconfirmed_deliveries_come_again_after_a_restart() -> None:
    rig = Rig(designated_config())
    queue = rig.subscribe(subscription("a"))
    consumer, _ = rig.attach(queue)
    (first,) = delivered(rig.publish(message("a", b"1")))
    rig.publish(message("a", b"2"))
    rig.run(DeliveryConfirmed(consumer, first.place))
    rig.advance(1)
    rig.restart()
    assert contents(delivered(rig.attach(queue)[1])) == [b"2"]


def test_new_queues_do_not_get_the_numbers_of_restored_ones() -> None:
    rig = Rig(designated_config())
    queue = rig.subscribe(subscription("a"))
    rig.publish(message("a", b"1"))
    rig.restart()
    assert rig.subscribe(subscription("b", "other")) != queue
    rig.publish(message("a", b"2"))
    assert contents(delivered(rig.attach(queue)[1])) == [b"1", b"2"]
