"""The core's promises under any weather: slow, failing and crashing disk, links and readers.

Goal: every answered publish reaches every reader that was subscribed, in order, at least once;
every reference is accounted for; what is on disk is what is in memory. Method: a state machine
reports any events in any order, performs disk effects when it likes or never (a crash), and keeps a
model of what was promised. In the end everything heals and is drained, and promises are checked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.support.core_rig import DISK_FULL, Rig
from tests.support.core_values import NAMESPACE, message, site_config, subscription
from wavemq.clock import NANOSECONDS_PER_SECOND, Instant
from wavemq.errors import ProofInvalidError, QueueError
from wavemq.messages.topic import Topic, TopicFilter
from wavemq.routing.config import QueueLimits
from wavemq.routing.effects import (
    AcceptSubscription,
    Deliver,
    Delivery,
    Effect,
    EndConsumer,
    ReadRecords,
    Reply,
    Transmit,
    WriteJournal,
)
from wavemq.routing.events import (
    ClockStepped,
    ConsumerAttached,
    ConsumerDetached,
    ConsumerId,
    CreditChanged,
    DeliveriesAcknowledged,
    DeliveriesReturned,
    DeliveryConfirmed,
    DownlinkReceived,
    Event,
    FrameAccepted,
    FrameRefused,
    JournalFailed,
    MessagePublished,
    RecordsUnread,
    RequestId,
    SubscriptionReproved,
    SubscriptionRequested,
    SubscriptionWithdrawn,
    TimerFired,
    UplinkConnected,
    UplinkDisconnected,
)
from wavemq.routing.records import QueueId

FILTERS = {"exact": "a/b", "tree": "a/*", "everything": "*", "one": "+"}
TOPICS = st.sampled_from(["a", "a/b", "c"])
AMPLE = QueueLimits(10_000, 1 << 24)
SCARCE = QueueLimits(3, 1500)
LONG_S = 10_000_000
SHARES = st.floats(0, 1)


class Reader:
    """A stream and what it saw."""

    def __init__(self, consumer: ConsumerId) -> None:
        self.consumer = consumer
        self.unconfirmed: list[Delivery] = []


class CoreMachine(RuleBasedStateMachine):
    """One site router."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0
        self.subscribed: dict[str, QueueId] = {}
        self.asked: dict[RequestId, str] = {}
        self.published: dict[RequestId, tuple[int, list[str]]] = {}
        self.promised: list[tuple[int, list[str]]] = []
        self.readers: dict[str, Reader] = {}
        self.seen: dict[str, list[int]] = {name: [] for name in FILTERS}
        self.sent_up: dict[str, list[int]] = {}
        self.in_flight: list[Delivery] = []
        self.disk: list[WriteJournal | ReadRecords] = []
        self.base = 0

    @initialize(
        limits=st.sampled_from([AMPLE, SCARCE]), resident=st.sampled_from([0, 600, 1 << 30])
    )
    def begin(self, limits: QueueLimits, resident: int) -> None:
        self.is_ample = limits == AMPLE
        self.rig = Rig(
            site_config(
                consumer_queue=limits,
                uplink_queue=limits,
                uplink_window=3,
                window_bytes_max=700,
                resident_bytes_max=resident,
                queue_expiry_s=LONG_S,
            )
        )

    # --- what happens -----------------------------------------------------------------------

    def report(self, *events: Event) -> None:
        for effect in self.rig.handle(*events):
            self.take(effect)

    def take(self, effect: Effect) -> None:
        match effect:
            case WriteJournal() | ReadRecords():
                self.disk.append(effect)
            case Reply(request, error):
                wanted = self.published.pop(request, None)
                if wanted is not None and error is None:
                    self.promised.append(wanted)
                self.asked.pop(request, None)
            case AcceptSubscription(request, queue):
                self.subscribed[self.asked.pop(request)] = queue
            case Deliver(consumer, deliveries):
                name = next(n for n, one in self.readers.items() if one.consumer == consumer)
                self.readers[name].unconfirmed += deliveries
                self.note(self.seen[name], deliveries)
            case EndConsumer(consumer, _):
                self.readers = {n: r for n, r in self.readers.items() if r.consumer != consumer}
            case Transmit(_, frames):
                self.in_flight += frames
                for frame in frames:  # order is kept per topic
                    self.note(self.sent_up.setdefault(frame.message.topic.text, []), [frame])
            case _:
                pass

    def note(self, seen: list[int], deliveries: Sequence[Delivery]) -> None:
        """What is seen for the first time is later than all that was seen before.

        Where queues overflow this need not hold across a crash: a message that was dropped, and
        whose dropping was not written yet, is there again.
        """
        for one in deliveries:
            number = int(one.message.payload[0].content.rstrip(b"x"))
            if number not in seen:
                assert not (self.is_ample and seen) or number > max(seen), "out of order"
                seen.append(number)

    @rule(topic=TOPICS, size=st.sampled_from([0, 300, 2000]))
    def publish(self, topic: str, size: int) -> None:
        self.numbers += 1
        request = self.rig.request()
        readers = [
            name for name in self.subscribed if TopicFilter(FILTERS[name]).matches(Topic(topic))
        ]
        self.published[request] = (self.numbers, readers)
        content = b"%d" % self.numbers + b"x" * size
        self.report(MessagePublished(request, message(topic, content)))

    @rule(name=st.sampled_from(sorted(FILTERS)), terms=st.integers(1, 2))
    def subscribe(self, name: str, terms: int) -> None:
        request = self.rig.request()
        self.asked[request] = name
        wish = subscription(FILTERS[name], name, expiry_s=LONG_S + terms)
        self.report(SubscriptionRequested(request, wish))

    @precondition(lambda self: self.subscribed)
    @rule(share=SHARES, is_late=st.booleans())
    def prove_anew(self, share: float, is_late: bool) -> None:
        name = pick(sorted(self.subscribed), share)
        queue = self.subscribed[name]
        standing = next(
            (one for one in self.rig.router.standing_subscriptions() if one.queue == queue), None
        )
        if standing is None:
            return
        self.numbers += 1
        looked_at = b"an older proof" if is_late else standing.request.proof
        wish = subscription(
            FILTERS[name], name, expiry_s=standing.request.expiry_s, proof=b"%d" % self.numbers
        )
        self.report(SubscriptionReproved(queue, looked_at, wish))
        self.report(SubscriptionWithdrawn(queue, b"an older proof", "it was revoked"))

    @precondition(lambda self: self.subscribed)
    @rule(share=SHARES, credit=st.integers(1, 5))
    def attach(self, share: float, credit: int) -> None:
        name = pick(sorted(self.subscribed), share)
        self.numbers += 1
        self.readers[name] = Reader(ConsumerId(self.numbers))
        self.report(ConsumerAttached(ConsumerId(self.numbers), self.subscribed[name], credit))

    @precondition(lambda self: any(one.unconfirmed for one in self.readers.values()))
    @rule(share=SHARES)
    def confirm(self, share: float) -> None:
        reader = pick([one for one in self.readers.values() if one.unconfirmed], share)
        count = 1 + int(share * (len(reader.unconfirmed) - 1))
        place = reader.unconfirmed[count - 1].place
        del reader.unconfirmed[:count]
        self.report(DeliveryConfirmed(reader.consumer, place))

    @precondition(lambda self: any(one.unconfirmed for one in self.readers.values()))
    @rule(shares=st.lists(SHARES, min_size=1, max_size=3), delay_s=st.sampled_from([None, 0, 1.5]))
    def acknowledge_or_give_back(self, shares: list[float], delay_s: float | None) -> None:
        reader = pick([one for one in self.readers.values() if one.unconfirmed], shares[0])
        places = [pick(reader.unconfirmed, share).place for share in shares]
        reader.unconfirmed = [one for one in reader.unconfirmed if one.place not in places]
        if delay_s is None:
            self.report(DeliveriesAcknowledged(reader.consumer, places))
        else:
            self.report(DeliveriesReturned(reader.consumer, places, delay_s))

    @precondition(lambda self: self.readers)
    @rule(share=SHARES, credit=st.integers(1, 5))
    def change_credit(self, share: float, credit: int) -> None:
        reader = pick([self.readers[name] for name in sorted(self.readers)], share)
        self.report(CreditChanged(reader.consumer, credit))

    @rule(seconds=st.sampled_from([-3600.0, 3600.0]))
    def clock_is_set(self, seconds: float) -> None:
        by_ns = round(seconds * NANOSECONDS_PER_SECOND)
        self.rig.now = Instant(self.rig.now + by_ns)
        self.report(ClockStepped(by_ns))

    @precondition(lambda self: self.readers)
    @rule(share=SHARES)
    def detach(self, share: float) -> None:
        name = pick(sorted(self.readers), share)
        self.report(ConsumerDetached(self.readers.pop(name).consumer))

    @rule()
    def link_up(self) -> None:
        self.in_flight.clear()
        self.report(UplinkConnected(NAMESPACE))

    @rule()
    def link_down(self) -> None:
        self.in_flight.clear()
        self.report(UplinkDisconnected(NAMESPACE))

    @precondition(lambda self: self.in_flight)
    @rule(share=SHARES, answer=st.sampled_from(["yes", "yes", "later", "no"]))
    def answer_frame(self, share: float, answer: str) -> None:
        frame = pick(self.in_flight, share)
        self.in_flight.remove(frame)
        event: Event
        if answer == "yes":
            event = FrameAccepted(NAMESPACE, frame.place)
        elif answer == "later":
            event = FrameRefused(NAMESPACE, frame.place, QueueError("later"))
            topic = frame.message.topic  # what follows on the topic is refused with it
            behind = [one for one in self.in_flight if one.message.topic == topic]
            self.in_flight = [one for one in self.in_flight if one not in behind]
            self.report(event)
            for one in behind:
                self.report(FrameRefused(NAMESPACE, one.place, QueueError("later")))
            return
        else:
            event = FrameRefused(NAMESPACE, frame.place, ProofInvalidError("no"))
        self.report(event)

    @precondition(lambda self: self.subscribed)
    @rule(share=SHARES)
    def receive(self, share: float) -> None:
        name = pick(sorted(self.subscribed), share)
        self.numbers += 1
        topic = {"exact": "a/b", "tree": "a", "everything": "c", "one": "c"}[name]
        sent = message(topic, b"%d" % self.numbers, origin="far")
        self.report(DownlinkReceived(self.subscribed[name], sent))

    @precondition(lambda self: self.disk)
    @rule(is_well=st.sampled_from([True, True, False]))
    def disk_acts(self, is_well: bool) -> None:
        effect = self.disk.pop(0)
        if is_well:
            event = self.rig.perform(effect)
            assert event is not None
        elif isinstance(effect, WriteJournal):
            event = JournalFailed(effect.batch, DISK_FULL)
        else:
            event = RecordsUnread(effect.records, DISK_FULL)
        self.report(event)

    @rule(seconds=st.sampled_from([0.01, 0.1, 1, 40]))
    def time_passes(self, seconds: float) -> None:
        self.rig.now = Instant(self.rig.now + round(seconds * NANOSECONDS_PER_SECOND))
        self.report(TimerFired())

    @rule(is_last_write_done=st.booleans())
    def crash(self, is_last_write_done: bool) -> None:
        for effect in self.disk:
            if is_last_write_done and isinstance(effect, WriteJournal):
                self.rig.recorder.write(effect.changes)
        self.disk.clear()
        self.in_flight.clear()
        self.readers.clear()
        self.published.clear()
        self.asked.clear()
        self.rig.restart()
        self.base = self.rig.router.statistics().queued_messages
        # Not answered means not promised: what was kept all the same is found by asking again.
        kept = {stored.queue for stored in self.rig.recorder.snapshot().queues}
        assert set(self.subscribed.values()) <= kept, "an answered subscription is gone"

    # --- what always holds --------------------------------------------------------------------

    @invariant()
    def every_reference_is_accounted_for(self) -> None:
        if not hasattr(self, "rig"):
            return
        found = self.rig.router.statistics()
        gone = found.delivered_count + found.transmitted_count
        gone += found.dropped_count + found.withdrawn_count
        assert self.base + found.enqueued_count == gone + found.queued_messages
        assert found.corrupt_count == 0
        assert found.records <= found.queued_messages

    @invariant()
    def memory_keeps_to_its_budget(self) -> None:
        if not hasattr(self, "rig"):
            return
        found = self.rig.router.statistics()
        if found.durable_records == found.records and not self.disk:
            pinned = sum(len(one.unconfirmed) for one in self.readers.values())
            allowed = self.rig.config.resident_bytes_max + 2500 * (
                pinned + len(self.in_flight) + 64
            )
            assert found.resident_bytes <= allowed

    # --- the end ------------------------------------------------------------------------------

    def teardown(self) -> None:
        if not hasattr(self, "rig"):
            return
        self.heal()
        self.memory_is_on_disk()
        self.drain()
        if self.is_ample:
            for number, readers in self.promised:
                for name in readers:
                    assert number in self.seen[name], f"{number} was promised to {name}"
                assert any(number in seen for seen in self.sent_up.values()), (
                    f"{number} was promised to the designated router"
                )
        self.heal()
        found = self.rig.router.statistics()
        assert (found.queued_messages, found.records, found.resident_bytes) == (0, 0, 0)
        assert self.rig.journal.statistics().records == 0

    def heal(self) -> None:
        for _ in range(50):
            while self.disk:
                self.disk_acts(is_well=True)
            self.time_passes(1)
            if not self.disk:
                return

    def memory_is_on_disk(self) -> None:
        stored = self.rig.recorder.snapshot().queues
        on_disk = sum(len(one.entries) for one in stored)
        assert on_disk == self.rig.router.statistics().queued_messages

    def drain(self) -> None:
        self.link_up()
        for name in sorted(FILTERS):  # a queue may be there whose making was not answered
            self.subscribe(name=name, terms=1)
        self.heal()
        for name in sorted(self.subscribed):
            self.numbers += 1
            self.readers[name] = Reader(ConsumerId(self.numbers))
            event = ConsumerAttached(ConsumerId(self.numbers), self.subscribed[name], 1000)
            self.report(event)
        while True:
            while self.disk:
                self.disk_acts(is_well=True)
            busy = False
            for reader in list(self.readers.values()):
                if reader.unconfirmed:
                    busy = True
                    place = reader.unconfirmed[-1].place
                    reader.unconfirmed.clear()
                    self.report(DeliveryConfirmed(reader.consumer, place))
            while self.in_flight:
                busy = True
                self.report(FrameAccepted(NAMESPACE, self.in_flight.pop(0).place))
            if not busy and not self.disk:
                return


def pick(values: Sequence[Any], share: float) -> Any:
    return values[min(int(share * len(values)), len(values) - 1)]


CoreMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
TestCorePromises = CoreMachine.TestCase
