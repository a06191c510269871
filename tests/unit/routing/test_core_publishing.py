"""Where a message goes, and when its publisher is answered (wavemq.md 6, 8)."""

from __future__ import annotations

from tests.support.core_rig import Rig, all_of, contents, delivered, error_of, is_done, the
from tests.support.core_values import (
    OTHER_NAMESPACE,
    START,
    designated_config,
    message,
    query,
    site_config,
    subscription,
)
from wavemq.clock import NANOSECONDS_PER_MICROSECOND, Instant
from wavemq.errors import (
    DesignatedRouterLinkDownError,
    InvalidParameterError,
)
from wavemq.routing.config import Durability, QueueLimits
from wavemq.routing.effects import Deliver, ForwardQuery, ReadRetained, Reply, WriteJournal
from wavemq.routing.events import (
    DeliveryConfirmed,
    JournalWritten,
    MessagePublished,
    PeerMessagePublished,
    PeerQueryRequested,
    PeerSubscriptionRequested,
    QueryRequested,
    RequestId,
    SubscriptionRequested,
    TimerFired,
    UplinkConnected,
)
from wavemq.routing.journaling import GATHER_MICROSECONDS
from wavemq.routing.records import Place

GATHER_NS = GATHER_MICROSECONDS * NANOSECONDS_PER_MICROSECOND


def test_publish_is_answered_after_the_write_that_holds_it_and_not_before() -> None:
    rig = Rig(site_config())
    rig.subscribe(subscription("a/*"))
    effects = rig.handle(MessagePublished(RequestId(7), message("a/b", b"1")))
    write = the(WriteJournal, effects)
    assert all_of(Reply, effects) == []
    assert len(write.changes.records) == 1, "the message is written once"
    assert len(write.changes.entries) == 2, "it is in the reader's queue and in the uplink's"
    effects = rig.handle(JournalWritten(write.batch))
    assert the(Reply, effects) == Reply(RequestId(7), None)


def test_publishes_during_a_write_share_the_next_one() -> None:
    rig = Rig(site_config())
    rig.run()
    first = the(WriteJournal, rig.handle(MessagePublished(RequestId(1), message("a", b"1"))))
    for number in range(2, 10):
        effects = rig.handle(MessagePublished(RequestId(number), message("a", b"%d" % number)))
        assert all_of(WriteJournal, effects) == [], "one write at a time"
    rig.handle(JournalWritten(first.batch))
    rig.now = Instant(rig.now + GATHER_NS)
    second = the(WriteJournal, rig.handle(TimerFired()))
    assert len(second.changes.records) == 8
    replies = all_of(Reply, rig.handle(JournalWritten(second.batch)))
    assert [reply.request for reply in replies] == list(range(2, 10))


def test_write_waits_a_moment_for_publishers_who_were_just_answered() -> None:
    rig = Rig(site_config())
    rig.run()
    first = the(WriteJournal, rig.handle(MessagePublished(RequestId(1), message("a", b"1"))))
    rig.handle(MessagePublished(RequestId(2), message("a", b"2")))
    effects = rig.handle(JournalWritten(first.batch))
    assert the(Reply, effects).request == 1, "answers wait for nobody"
    assert all_of(WriteJournal, effects) == []
    assert rig.router.next_deadline() == rig.now + GATHER_NS
    second = the(WriteJournal, rig.handle(MessagePublished(RequestId(3), message("a", b"3"))))
    assert len(second.changes.records) == 2, "all who were expected are here"


def test_write_waits_for_nobody_who_was_answered_a_subscription() -> None:
    rig = Rig(site_config())
    rig.run()
    first = the(WriteJournal, rig.handle(SubscriptionRequested(RequestId(1), subscription("a"))))
    rig.handle(MessagePublished(RequestId(2), message("a", b"2")))
    effects = rig.handle(JournalWritten(first.batch))
    assert len(the(WriteJournal, effects).changes.records) == 1


def test_write_expects_no_more_publishers_than_came_last_time() -> None:
    rig = Rig(site_config())
    rig.run()
    first = the(WriteJournal, rig.handle(MessagePublished(RequestId(1), message("a", b"1"))))
    rig.handle(MessagePublished(RequestId(2), message("a", b"2")))
    rig.handle(JournalWritten(first.batch))
    rig.now = Instant(rig.now + GATHER_NS)
    second = the(WriteJournal, rig.handle(TimerFired()))
    assert len(second.changes.records) == 1
    rig.handle(JournalWritten(second.batch))
    third = rig.handle(MessagePublished(RequestId(3), message("a", b"3")))
    assert len(all_of(WriteJournal, third)) == 1, "one alone waits for nobody"


def test_what_is_delivered_during_a_write_needs_no_write_of_its_own() -> None:
    rig = Rig(designated_config(durability=Durability.ACCEPTED))
    queue = rig.subscribe(subscription("a"))
    consumer, _ = rig.attach(queue)
    first = the(WriteJournal, rig.handle(MessagePublished(RequestId(1), message("a", b"1"))))
    place = (
        the(Deliver, rig.handle(MessagePublished(RequestId(2), message("a", b"2"))))
        .deliveries[0]
        .place
    )
    rig.handle(DeliveryConfirmed(consumer, place))
    effects = rig.handle(JournalWritten(first.batch))
    assert all_of(WriteJournal, effects) == [], "the traces of the first may wait"
    assert rig.router.statistics().queued_messages == 0


def test_message_gets_a_timestamp_at_each_router() -> None:
    rig = Rig(designated_config())
    rig.attach(rig.subscribe(subscription("a")))
    rig.now = Instant(START + 5)
    (delivery,) = delivered(rig.peer_publish(message("a", timestamps=[3])))
    assert delivery.message.timestamps == (3, START + 5)
    (delivery,) = delivered(rig.publish(message("a", b"own")))
    assert delivery.message.timestamps == (START + 6,), "a repetition is known by its stamp"


def test_namespace_without_a_designated_router_is_refused() -> None:
    rig = Rig(site_config())
    error = error_of(rig.publish(message("a", namespace=OTHER_NAMESPACE)))
    assert isinstance(error, InvalidParameterError)
    assert "no configured DR for this namespace" in str(error)


def test_message_of_a_site_is_refused_where_this_router_is_not_designated() -> None:
    rig = Rig(site_config())
    queue = rig.subscribe(subscription("a"))
    _, effects = rig.attach(queue)
    effects = rig.peer_publish(message("a"))
    assert isinstance(error_of(effects), InvalidParameterError)
    assert delivered(effects) == []


def test_message_that_nobody_wants_is_answered_without_a_write() -> None:
    rig = Rig(designated_config())
    rig.run()
    effects = rig.handle(MessagePublished(RequestId(1), message("a")))
    assert effects == [Reply(RequestId(1), None)]


def test_message_of_a_site_does_not_go_up_again() -> None:
    rig = Rig(designated_config(uplinks=frozenset({OTHER_NAMESPACE})))
    rig.run(UplinkConnected(OTHER_NAMESPACE))
    rig.peer_publish(message("a"))
    own_by_its_word = message("a", namespace=OTHER_NAMESPACE, origin="designated")
    assert not is_done(rig.peer_publish(own_by_its_word))
    assert rig.router.statistics().queued_messages == 0


def test_peer_queue_does_not_get_back_what_its_own_router_formed() -> None:
    rig = Rig(designated_config())
    for router_id in ("site", "other site"):
        wish = subscription("a", router_id=router_id)
        rig.run(PeerSubscriptionRequested(rig.request(), wish, router_id))
    rig.peer_publish(message("a", b"1", origin="site"))
    assert rig.router.statistics().queued_messages == 1
    rig.publish(message("a", b"2", origin="designated"))
    assert rig.router.statistics().queued_messages == 3


def test_repeated_message_of_a_site_is_taken_once() -> None:
    rig = Rig(designated_config())
    rig.attach(rig.subscribe(subscription("a")))
    sent = message("a", b"1", timestamps=[17])
    assert len(delivered(rig.peer_publish(sent))) == 1
    effects = rig.peer_publish(sent)
    assert is_done(effects), "the site must let go of it"
    assert delivered(effects) == []
    assert rig.router.statistics().duplicate_count == 1
    assert len(delivered(rig.peer_publish(message("a", b"1", timestamps=[18])))) == 1, (
        "the same content published later is another message"
    )


def test_repetition_is_answered_after_the_first_is_durable() -> None:
    rig = Rig(designated_config())
    rig.subscribe(subscription("a"))
    sent = message("a", b"1", timestamps=[17])
    write = the(WriteJournal, rig.handle(PeerMessagePublished(RequestId(1), sent)))
    assert rig.handle(PeerMessagePublished(RequestId(2), sent)) == []
    effects = rig.handle(JournalWritten(write.batch))
    assert {reply.request for reply in all_of(Reply, effects)} == {1, 2}


def test_size_limit_counts_messages_without_their_shared_proof() -> None:
    limits = QueueLimits(messages_max=1000, bytes_max=100_000)
    rig = Rig(designated_config(consumer_queue=limits))
    rig.subscribe(subscription("a"))
    proof = b"p" * 55_000
    for number in range(100):
        rig.publish(message("a", b"%d" % number, proof=proof))
    statistics = rig.router.statistics()
    assert statistics.dropped_count == 0
    assert statistics.queued_messages == 100
    assert statistics.queued_bytes < 100_000


def test_full_queue_drops_the_oldest_and_says_so_in_later_messages() -> None:
    rig = Rig(designated_config(consumer_queue=QueueLimits(2, 1 << 20)))
    queue = rig.subscribe(subscription("a"))
    for number in range(5):
        rig.publish(message("a", b"%d" % number))
    _, effects = rig.attach(queue)
    assert contents(delivered(effects)) == [b"3", b"4"]
    assert [one.message.drops for one in delivered(effects)] == [(3,), (3,)]
    assert rig.router.statistics().dropped_count == 3


def test_message_over_the_whole_limit_is_dropped_alone() -> None:
    rig = Rig(designated_config(consumer_queue=QueueLimits(10, 1000)))
    small = rig.subscribe(subscription("a"))
    rig.publish(message("a", b"1"))
    effects = rig.publish(message("a", b"x" * 2000))
    assert is_done(effects)
    assert contents(delivered(rig.attach(small)[1])) == [b"1"]
    assert rig.router.statistics().records == 1


def test_persisted_message_is_retained_by_the_designated_router_only() -> None:
    site, designated = Rig(site_config()), Rig(designated_config())
    for rig in (site, designated):
        assert is_done(rig.publish(message("a", b"1", is_persisted=True)))
        assert is_done(rig.publish(message("a", b"2", is_persisted=True)))
        assert is_done(rig.publish(message("b", b"3")))
    kept = [
        one.payload[0].content
        for batch in designated.recorder.retained(
            query("*").value.namespace, query("*").value.topic_filter
        )
        for one in batch
    ]
    assert kept == [b"2"]
    assert site.router.statistics().persisted_count == 0
    assert designated.router.statistics().persisted_count == 2


def test_query_is_answered_by_the_designated_router_and_forwarded_by_a_site() -> None:
    wish = query("a/*")
    designated = Rig(designated_config())
    for event in (QueryRequested(RequestId(1), wish), PeerQueryRequested(RequestId(1), wish)):
        (effect,) = designated.run(event)
        assert effect == ReadRetained(RequestId(1), wish.value.namespace, wish.value.topic_filter)
    site = Rig(site_config())
    error = error_of(site.run(QueryRequested(RequestId(1), wish)))
    assert isinstance(error, DesignatedRouterLinkDownError)
    site.run(UplinkConnected(wish.value.namespace))
    assert site.run(QueryRequested(RequestId(2), wish)) == [ForwardQuery(RequestId(2), wish.value)]
    assert isinstance(
        error_of(site.run(PeerQueryRequested(RequestId(3), wish))), InvalidParameterError
    )
    elsewhere = query("a", namespace=OTHER_NAMESPACE)
    error = error_of(site.run(QueryRequested(RequestId(4), elsewhere)))
    assert "no configured DR for this namespace" in str(error)


def test_stale_reports_are_ignored() -> None:
    rig = Rig(site_config())
    rig.run()
    before = rig.router.statistics()
    assert rig.run(JournalWritten(RequestId(99))) == []  # type: ignore[arg-type]  # any number
    assert rig.router.statistics() == before
    assert Place(1) == 1
