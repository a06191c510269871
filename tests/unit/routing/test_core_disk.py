"""The disk fails, is slow, is too small for memory, or has lost something."""

from __future__ import annotations

import pytest

from tests.support.core_rig import (
    DISK_FULL,
    Rig,
    all_of,
    contents,
    delivered,
    error_of,
    is_done,
    the,
    transmitted,
)
from tests.support.core_values import (
    NAMESPACE,
    designated_config,
    message,
    site_config,
    subscription,
)
from wavemq.clock import NANOSECONDS_PER_MILLISECOND
from wavemq.errors import ConfigError, QueueError, SubscriptionFailedError, UnavailableError
from wavemq.routing.config import Durability
from wavemq.routing.effects import Deliver, EndConsumer, ReadRecords, Reply, WriteJournal
from wavemq.routing.events import (
    ConsumerAttached,
    ConsumerId,
    DeliveryConfirmed,
    DownlinkReceived,
    FrameAccepted,
    JournalFailed,
    MessagePublished,
    PeerMessagePublished,
    RecordsRead,
    RequestId,
    SubscriptionRequested,
    TimerFired,
    UplinkConnected,
)
from wavemq.routing.journaling import FLUSH_MILLISECONDS, RETRY_SECONDS
from wavemq.storage.memory import MemoryJournal

# --- promising less -----------------------------------------------------------------------------


def test_accepted_messages_are_answered_before_they_are_written() -> None:
    rig = Rig(designated_config(durability=Durability.ACCEPTED))
    rig.subscribe(subscription("a"))
    effects = rig.handle(MessagePublished(RequestId(90), message("a", b"1")))
    assert the(Reply, effects).error is None
    assert len(all_of(WriteJournal, effects)) == 1, "and written at once all the same"


def test_accepted_messages_stay_when_the_disk_fails() -> None:
    rig = Rig(designated_config(durability=Durability.ACCEPTED))
    queue = rig.subscribe(subscription("a"))
    rig.is_disk_full = True
    assert is_done(rig.publish(message("a", b"1")))
    assert isinstance(error_of(rig.publish(message("a", b"2"))), QueueError)
    rig.is_disk_full = False
    rig.advance(RETRY_SECONDS)
    rig.restart()
    _, effects = rig.attach(queue)
    assert contents(delivered(effects)) == [b"1"]


# --- failing ------------------------------------------------------------------------------------


def test_publisher_is_told_when_the_disk_fails_and_its_message_is_taken_back() -> None:
    rig = Rig(site_config())
    rig.subscribe(subscription("a"))
    rig.is_disk_full = True
    error = error_of(rig.publish(message("a", b"1")))
    assert isinstance(error, QueueError)
    assert "the disk is full" in str(error)
    statistics = rig.router.statistics()
    assert (statistics.queued_messages, statistics.records) == (0, 0)
    assert statistics.withdrawn_count == 2
    assert statistics.journal_failure_count == 1
    assert statistics.dropped_count == 0


def test_failing_disk_is_not_tried_at_every_publish_but_again_soon() -> None:
    rig = Rig(site_config())
    rig.run()
    rig.is_disk_full = True
    rig.publish(message("a"))
    effects = rig.handle(MessagePublished(RequestId(50), message("a")))
    assert isinstance(error_of(effects), QueueError)
    assert all_of(WriteJournal, effects) == []
    rig.is_disk_full = False
    rig.advance(RETRY_SECONDS)
    assert is_done(rig.publish(message("a", b"again")))
    assert contents(transmitted(rig.run(UplinkConnected(NAMESPACE)))) == [b"again"]


def test_delivery_goes_on_while_the_disk_fails_and_is_written_down_later() -> None:
    rig = Rig(designated_config())
    queue = rig.subscribe(subscription("a"))
    for number in range(3):
        rig.publish(message("a", b"%d" % number))
    rig.is_disk_full = True
    rig.publish(message("a", b"lost"))
    consumer, effects = rig.attach(queue)
    got = delivered(effects)
    assert contents(got) == [b"0", b"1", b"2"]
    rig.run(DeliveryConfirmed(consumer, got[1].place))
    rig.advance(10)
    rig.is_disk_full = False
    rig.advance(RETRY_SECONDS)
    rig.restart()
    assert contents(delivered(rig.attach(queue)[1])) == [b"2"]


def test_message_reaches_readers_when_it_is_on_disk_and_not_before() -> None:
    rig = Rig(designated_config())
    rig.attach(rig.subscribe(subscription("a")))
    effects = rig.handle(MessagePublished(rig.request(), message("a", b"1")))
    assert delivered(effects) == [], "after a crash now its number would be another's"
    write = the(WriteJournal, effects)
    effects = rig.handle(JournalFailed(write.batch, DISK_FULL))
    assert isinstance(error_of(effects), QueueError)
    rig.advance(RETRY_SECONDS)
    (got,) = delivered(rig.publish(message("a", b"2")))
    assert contents([got]) == [b"2"], "its publisher was told that the first failed"


def test_downlink_message_is_kept_in_memory_while_the_disk_fails() -> None:
    rig = Rig(site_config())
    queue = rig.subscribe(subscription("a"))
    rig.is_disk_full = True
    rig.run(DownlinkReceived(queue, message("a", b"1", origin="far")))
    rig.advance(10)
    assert rig.router.statistics().queued_messages == 1
    rig.is_disk_full = False
    rig.advance(RETRY_SECONDS)
    rig.restart()
    assert contents(delivered(rig.attach(queue)[1])) == [b"1"]


def test_subscription_that_cannot_be_kept_fails_and_leaves_nothing() -> None:
    rig = Rig(designated_config())
    rig.is_disk_full = True
    error = error_of(rig.run(SubscriptionRequested(RequestId(1), subscription("a"))))
    assert isinstance(error, SubscriptionFailedError)
    assert rig.router.statistics().queues == 0
    error = error_of(rig.run(SubscriptionRequested(RequestId(2), subscription("a"))))
    assert isinstance(error, SubscriptionFailedError), "at once, while the disk is known to fail"
    rig.is_disk_full = False
    rig.advance(RETRY_SECONDS)
    assert rig.subscribe(subscription("a"))


def test_reader_of_a_subscription_that_could_not_be_kept_is_ended() -> None:
    rig = Rig(designated_config())
    effects = rig.handle(SubscriptionRequested(RequestId(1), subscription("a")))
    write = the(WriteJournal, effects)
    (queue,) = write.changes.queues
    rig.handle(ConsumerAttached(ConsumerId(1), queue, 1))
    effects = rig.handle(JournalFailed(write.batch, DISK_FULL))
    assert the(EndConsumer, effects).consumer == 1
    assert isinstance(the(Reply, effects).error, SubscriptionFailedError)


def test_subscription_is_resumed_on_a_full_disk_and_its_new_terms_are_kept_later() -> None:
    rig = Rig(designated_config())
    queue = rig.subscribe(subscription("a"))
    rig.is_disk_full = True
    wish = subscription("a", expiry_s=500)
    assert rig.subscribe(wish) == queue, "the write fails, the queue is there"
    assert rig.subscribe(subscription("a", expiry_s=600)) == queue, "the disk is known to fail"
    rig.is_disk_full = False
    rig.advance(RETRY_SECONDS)
    rig.restart()
    rig.advance(400)
    assert rig.router.statistics().queues == 1, "the new terms were written in the end"


def test_new_subscription_is_refused_on_a_full_disk() -> None:
    rig = Rig(designated_config())
    rig.is_disk_full = True
    for number in range(2):
        wanted = SubscriptionRequested(RequestId(9 + number), subscription("a"))
        assert isinstance(error_of(rig.run(wanted)), SubscriptionFailedError)
    assert rig.router.statistics().queues == 0


def test_site_that_was_refused_for_the_disk_s_sake_may_repeat() -> None:
    rig = Rig(designated_config())
    queue = rig.subscribe(subscription("a"))
    sent = message("a", b"1", timestamps=[1])
    rig.is_disk_full = True
    assert isinstance(error_of(rig.peer_publish(sent)), UnavailableError)
    assert isinstance(error_of(rig.peer_publish(sent)), UnavailableError)
    rig.is_disk_full = False
    rig.advance(RETRY_SECONDS)
    assert is_done(rig.peer_publish(sent))
    assert contents(delivered(rig.attach(queue)[1])) == [b"1"]
    assert rig.router.statistics().duplicate_count == 0


def test_changes_during_a_failing_write_are_refused_with_it() -> None:
    rig = Rig(site_config())
    rig.run()
    write = the(WriteJournal, rig.handle(MessagePublished(RequestId(1), message("a"))))
    rig.handle(MessagePublished(RequestId(2), message("a")))
    rig.handle(PeerMessagePublished(RequestId(3), message("a")))
    replies = all_of(Reply, rig.handle(JournalFailed(write.batch, DISK_FULL)))
    assert [reply.request for reply in replies] == [1, 2]
    assert all(isinstance(reply.error, QueueError) for reply in replies)
    assert rig.router.statistics().records == 0


def test_repeated_report_of_a_failure_is_ignored() -> None:
    rig = Rig(site_config())
    rig.run()
    write = the(WriteJournal, rig.handle(MessagePublished(RequestId(1), message("a"))))
    rig.handle(JournalFailed(write.batch, DISK_FULL))
    assert rig.handle(JournalFailed(write.batch, DISK_FULL)) == []
    assert rig.router.statistics().journal_failure_count == 1


# --- traces -------------------------------------------------------------------------------------


def test_traces_of_deliveries_are_written_together_and_soon() -> None:
    rig = Rig(designated_config())
    queue = rig.subscribe(subscription("a"))
    for number in range(3):
        rig.publish(message("a", b"%d" % number))
    consumer, effects = rig.attach(queue)
    for one in delivered(effects):
        assert all_of(WriteJournal, rig.handle(DeliveryConfirmed(consumer, one.place))) == []
    deadline = rig.router.next_deadline()
    assert deadline == rig.now + FLUSH_MILLISECONDS * NANOSECONDS_PER_MILLISECOND
    rig.now = deadline
    write = the(WriteJournal, rig.handle(TimerFired()))
    assert len(write.changes.removed_entries) == len(write.changes.removed_records) == 3


def test_message_held_by_two_queues_is_forgotten_with_the_last() -> None:
    journal = MemoryJournal()
    rig = Rig(site_config(), journal)
    queue = rig.subscribe(subscription("a"))
    rig.publish(message("a", b"1"))
    (frame,) = transmitted(rig.run(UplinkConnected(NAMESPACE)))
    rig.run(FrameAccepted(NAMESPACE, frame.place))
    rig.advance(1)
    assert journal.statistics().records == 1
    consumer, effects = rig.attach(queue)
    rig.run(DeliveryConfirmed(consumer, delivered(effects)[0].place))
    rig.advance(1)
    assert journal.statistics().records == 0


# --- memory -------------------------------------------------------------------------------------


def test_backlog_over_the_budget_is_on_disk_only_and_comes_back_in_order() -> None:
    rig = Rig(designated_config(resident_bytes_max=2000))
    queue = rig.subscribe(subscription("a"))
    sent = [b"%d" % number + b"x" * 500 for number in range(50)]
    for content in sent:
        rig.publish(message("a", content))
        assert rig.router.statistics().resident_bytes < 3500
    consumer, effects = rig.attach(queue, credit=3)
    got: list[bytes] = []
    while batch := delivered(effects):
        got += contents(batch)
        effects = rig.run(DeliveryConfirmed(consumer, batch[-1].place))
    assert got == sent
    assert rig.router.statistics().resident_bytes == 0


def test_nothing_is_read_back_twice_for_two_readers() -> None:
    rig = Rig(designated_config(resident_bytes_max=0))
    queues = [rig.subscribe(subscription("a", name)) for name in ("1", "2")]
    rig.publish(message("a", b"1"))
    effects = rig.handle(*(ConsumerAttached(ConsumerId(queue), queue, 1) for queue in queues))
    assert len(the(ReadRecords, effects).records) == 1
    report = rig.perform(the(ReadRecords, effects))
    assert report is not None
    assert len(all_of(Deliver, rig.handle(report))) == 2


def test_messages_survive_a_restart_without_being_read_at_once() -> None:
    rig = Rig(site_config(uplink_window=2))
    for number in range(5):
        rig.publish(message("a", b"%d" % number))
    rig.restart()
    assert rig.router.statistics().resident_bytes == 0
    assert rig.router.statistics().durable_records == 5
    effects = rig.run(UplinkConnected(NAMESPACE))
    assert contents(transmitted(effects)) == [b"0", b"1"]


def test_unreadable_disk_is_asked_again_later() -> None:
    rig = Rig(designated_config(resident_bytes_max=0))
    queue = rig.subscribe(subscription("a"))
    rig.publish(message("a", b"1"))
    rig.is_unreadable = True
    _, effects = rig.attach(queue)
    assert delivered(effects) == []
    assert delivered(rig.advance(5)) == []
    rig.is_unreadable = False
    assert contents(delivered(rig.advance(RETRY_SECONDS))) == [b"1"]


def test_corrupt_message_is_dropped_counted_and_the_next_is_served() -> None:
    rig = Rig(designated_config(resident_bytes_max=0))
    queue = rig.subscribe(subscription("a"))
    for number in range(3):
        rig.publish(message("a", b"%d" % number))
    effects = rig.handle(ConsumerAttached(ConsumerId(1), queue, 10))
    records = the(ReadRecords, effects).records
    good = dict(rig.recorder.read(records))
    effects = rig.run(
        RecordsRead(
            [(records[0], good[records[0]]), (records[1], None), (records[2], good[records[2]])]
        )
    )
    got = delivered(effects)
    assert contents(got) == [b"0", b"2"]
    assert got[-1].message.drops == (1,)
    statistics = rig.router.statistics()
    assert (statistics.corrupt_count, statistics.dropped_count) == (1, 1)


def test_message_that_ended_while_it_was_read_back_is_ignored() -> None:
    rig = Rig(designated_config(resident_bytes_max=0))
    queue = rig.subscribe(subscription("a"))
    rig.publish(message("a", b"1"))
    effects = rig.handle(ConsumerAttached(ConsumerId(1), queue, 10))
    report = rig.perform(the(ReadRecords, effects))
    assert report is not None
    rig.advance(100)
    assert rig.run(report) == []
    assert rig.router.statistics().records == 0


def test_configuration_mistakes_are_found_at_once() -> None:
    for change in (
        {"router_id": ""},
        {"designated": frozenset({NAMESPACE})},
        {"queue_expiry_s": 0},
        {"uplink_window": 0},
        {"resident_bytes_max": -1},
    ):
        with pytest.raises(ConfigError):
            site_config(**change)
