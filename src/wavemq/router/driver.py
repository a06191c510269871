"""Joins the pure core to time, disk, readers and uplinks.

Owns the order in which things happen: events are gathered, handed to the core together, and what
it orders is performed at once, in order, without waiting in between. Refuses to decide anything
and to know gRPC. Fault model: a failing disk is reported to the core, which answers; a core that
raises is a defect of ours, and ends the process rather than go on in an unknown state.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from functools import partial
from typing import Final, TypeVar, assert_never

import structlog

from wavemq.clock import NANOSECONDS_PER_MILLISECOND, NANOSECONDS_PER_SECOND, Clock, Instant
from wavemq.errors import InternalError
from wavemq.messages.message import Message
from wavemq.messages.verified import Verified
from wavemq.net.transport import Answer as Told
from wavemq.net.uplink import Uplink
from wavemq.router.disk_work import DiskWork, Done
from wavemq.router.machine import Failed, Machine, Outgoing, OwnMachine, SentByItself
from wavemq.router.reader import QueueReader, ReaderPort
from wavemq.router.recording import Recorder
from wavemq.routing.effects import (
    AcceptSubscription,
    CloseUplinkSubscription,
    Deliver,
    EndConsumer,
    ForwardQuery,
    OpenUplinkSubscription,
    Order,
    ReadRecords,
    ReadRetained,
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
    Event,
    JournalFailed,
    JournalWritten,
    RequestId,
    TimerFired,
)
from wavemq.routing.journaling import FLUSH_MILLISECONDS
from wavemq.routing.records import Place, QueueId
from wavemq.routing.router import Router
from wavemq.routing.statistics import RouterStatistics
from wavemq.routing.status import RouterStatus
from wavemq.routing.subscriptions import StandingSubscription
from wavemq.wave.hashes import Hash

CONSUMER_CREDIT: Final = 128
"""Messages in flight to one reader."""
CLOSE_SECONDS_MAX: Final = 5.0
"""How long stopping waits for the disk."""
QUIET_STEP_SECONDS: Final = 0.005
ALARM_SECONDS_MAX: Final = 5.0
"""Longest sleep, so that a clock that was set does not put off what is due."""
IMMINENT_NS: Final = NANOSECONDS_PER_MILLISECOND
"""An alarm that rings within that time for nothing is set anew instead."""

COMPANY_SECONDS_MAX: Final = 0.001
"""How long acknowledgements of readers wait for something else to happen."""
WRITTEN_COMPANY_SECONDS_MAX: Final = 0.005
"""The same during a write, whose end mostly comes sooner; a slow disk must not hold up readers."""

CLOCK_STEP_MIN_SECONDS: Final = 1.0
"""A smaller difference between two looks at the wall clock and the monotonic one is no step."""

Answer = Reply | AcceptSubscription | ReadRetained | ForwardQuery
AnswerCallback = Callable[[Answer], None]

T = TypeVar("T")

_log = structlog.get_logger("wavemq.router.driver")


class Driver:
    """Runs one core; everything but the disk happens in one event loop.

    Args:
        core: what decides.
        recorder: performs what concerns the disk, beside the event loop.
        uplinks: by namespace; filled before the first event.
        clock: tells the time.
        machine: makes threads and alarms.
        outgoing: what goes to the network, which goes together at the end of a turn.
    """

    def __init__(
        self,
        core: Router,
        recorder: Recorder,
        uplinks: Mapping[Hash, Uplink],
        clock: Clock,
        machine: Machine | None = None,
        outgoing: Outgoing | None = None,
    ) -> None:
        machine = machine or OwnMachine()
        self._outgoing = outgoing or SentByItself()
        self._core = core
        self._uplinks = uplinks
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._disk = DiskWork(recorder, machine, self._note_done)
        self._inbox: list[Event] = []
        self._is_scheduled = False
        self._company: asyncio.TimerHandle | None = None
        self._alarm = machine.alarm(self._ring)
        self._alarm_due: Instant | None = None
        self._publishes: dict[RequestId, Told] = {}
        self._requests: dict[RequestId, AnswerCallback] = {}
        self._readers: dict[ConsumerId, QueueReader] = {}
        self._next_request = 0
        self._next_consumer = 0
        self._is_writing = False
        self._unsettled: list[Callable[[], None]] = []
        self._settling: list[Callable[[], None]] = []
        self._failure: asyncio.Future[None] = self._loop.create_future()
        self._clock_offset_ns = self._measure_offset()
        self._set_alarm()

    # --- what doors and uplinks use -----------------------------------------------------------

    def report(self, event: Event) -> None:
        """Take note of an event; it is handled with all others of this turn of the event loop."""
        self.note(event)
        self.turn_soon()

    def note(self, event: Event) -> None:
        """Take note of an event; it is handled at the next turn: call `turn` or `turn_soon`."""
        self._inbox.append(event)

    def report_soon(self, event: Event) -> None:
        """Take note of an event for which nobody waits; it may wait for company.

        A reader's acknowledgements come between writes to the journal, of which each is a turn.
        """
        self.note(event)
        if self._is_scheduled:
            return
        delay_s = WRITTEN_COMPANY_SECONDS_MAX if self._is_writing else COMPANY_SECONDS_MAX
        due = self._loop.time() + delay_s
        if self._company is not None:
            if self._company.when() <= due:
                return
            self._company.cancel()
        self._company = self._loop.call_at(due, self.turn)

    def request(self, make: Callable[[RequestId], Event], answer: AnswerCallback) -> None:
        """Report an event that is answered, and have `answer` called once with the answer."""
        self._next_request += 1
        request = RequestId(self._next_request)
        self._requests[request] = answer
        self.report(make(request))

    def publish(
        self,
        make: Callable[[RequestId, Verified[Message]], Event],
        messages: Sequence[Verified[Message]],
        answers: Sequence[Told],
    ) -> None:
        """Take note of messages, each with what is to be called once with its outcome.

        They are handled at the next turn: call `turn` or `turn_soon`.
        """
        first = self._next_request + 1
        self._next_request += len(messages)
        requests = list(map(RequestId, range(first, self._next_request + 1)))
        self._publishes.update(zip(requests, answers, strict=True))
        self._inbox += map(make, requests, messages)

    def turn(self) -> None:
        """Handle at once what was reported; saves a turn of the event loop where much was."""
        if self._inbox:
            self._turn()

    def turn_soon(self) -> None:
        """Handle what was reported when the event loop turns."""
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._turn_scheduled)

    async def ask(self, make: Callable[[RequestId], Event]) -> Answer:
        """Report an event and return its answer, which is no error.

        Raises:
            WaveMQError: the answer is an error.
        """
        answered: asyncio.Future[Answer] = self._loop.create_future()
        self.request(make, partial(_set_unless_done, answered))
        answer = await answered
        if isinstance(answer, Reply) and answer.error is not None:
            raise answer.error
        return answer

    def attach(self, queue: QueueId, credit: int = CONSUMER_CREDIT) -> QueueReader:
        """Begin to read a queue, with so many messages in flight."""
        self._next_consumer += 1
        consumer = ConsumerId(self._next_consumer)
        reader = QueueReader(_ReaderPort(self, consumer))
        self._readers[consumer] = reader
        self.report(ConsumerAttached(consumer, queue, credit))
        return reader

    def when_settled(self, callback: Callable[[], None]) -> None:
        """Call back once what was reported so far is on disk or needs no disk.

        While the disk fails, that is when it works again.
        """
        self._unsettled.append(callback)

    async def retained(self, order: ReadRetained) -> AsyncGenerator[Sequence[Message], None]:
        """Perform a `ReadRetained` in batches.

        Raises:
            StorageFaultError: the disk fails.
        """
        async for batch in self._disk.retained(order):
            yield batch

    @property
    def router_id(self) -> str:
        """The router's own id, which lives as long as its journal and names its numbering."""
        return self._core.router_id

    def standing_subscriptions(self) -> list[StandingSubscription]:
        """Return every subscription that exists now."""
        return self._core.standing_subscriptions()

    def statistics(self) -> RouterStatistics:
        """Return the core's counts."""
        return self._core.statistics()

    def status(self, subscriptions_max: int) -> RouterStatus:
        """Return a picture of the core, with so many subscriptions at most."""
        return self._core.status(subscriptions_max)

    # --- life -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Return never; raise when the core failed.

        Raises:
            InternalError: the core raised; the log says where.
        """
        await self._failure

    async def aclose(self) -> None:
        """Let what is under way reach the disk, then let go of the threads."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS_MAX):
                await self._wait_quiet()
        except TimeoutError:
            _log.warning("disk_slow", reason="stopping before everything was written")
        self._alarm.close()
        await self._disk.aclose()

    async def _wait_quiet(self) -> None:
        """Return when the core has nothing to write, nor gathers anything to write soon."""
        soon = FLUSH_MILLISECONDS * NANOSECONDS_PER_MILLISECOND
        while not self._failure.done():
            if self._inbox or self._is_writing:
                settled: asyncio.Future[None] = self._loop.create_future()
                self.when_settled(partial(_set_unless_done, settled, None))
                self.report(TimerFired())
                await asyncio.wait({settled, self._failure}, return_when=asyncio.FIRST_COMPLETED)
                continue
            deadline = self._core.next_deadline()
            if deadline is None or deadline - self._clock.now() > soon:
                return
            await asyncio.sleep(QUIET_STEP_SECONDS)  # the timer does what is due

    # --- one turn ---------------------------------------------------------------------------

    def _turn_scheduled(self) -> None:
        self._is_scheduled = False
        self.turn()

    def _turn(self) -> None:
        if self._failure.done():
            return
        self._outgoing.hold()
        try:
            self._handle_all()
        finally:
            self._outgoing.release()

    def _handle_all(self) -> None:
        events, self._inbox = self._inbox, []
        if self._company is not None:
            # Waking up for nothing costs more than not doing so.
            self._company.cancel()
            self._company = None
        step_ns = self._clock_step()
        if step_ns:
            events.insert(0, ClockStepped(step_ns))
        try:
            for effect in self._core.handle(events, self._clock.now()):
                if isinstance(effect, Reply):
                    self._reply(effect)
                else:
                    self._perform(effect)
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing may go on after it
            _log.exception("core_failed", events=[type(event).__name__ for event in events])
            self._failure.set_exception(InternalError(f"the router's core failed: {error!r}"))
            return
        if self._core.is_settled:
            self._settling += self._unsettled
            self._unsettled = []
            self._settle()
        self._set_alarm()

    def _settle(self) -> None:
        settled, self._settling = self._settling, []
        for callback in settled:
            callback()

    def _reply(self, effect: Reply) -> None:
        publish = self._publishes.pop(effect.request, None)
        if publish is not None:
            publish(effect.error)
        else:
            self._requests.pop(effect.request)(effect)

    def _perform(self, effect: Order) -> None:
        match effect:
            case WriteJournal():
                self._is_writing = True
                # The write holds all that was reported so far: the core has one at a time.
                self._settling += self._unsettled
                self._unsettled = []
                self._disk.write(effect)
            case ReadRecords():
                self._disk.read(effect)
            case AcceptSubscription() | ReadRetained() | ForwardQuery():
                self._requests.pop(effect.request)(effect)
            case Deliver(consumer, deliveries):
                reader = self._readers.get(consumer)
                if reader is not None:  # it may have left while the core did not know
                    reader.put(deliveries)
            case EndConsumer(consumer, error):
                reader = self._readers.pop(consumer, None)
                if reader is not None:
                    reader.end(error)
            case Transmit(namespace, frames):
                self._uplinks[namespace].transmit(frames)
            case OpenUplinkSubscription(queue, request):
                self._uplinks[request.namespace].open_subscription(queue, request)
            case CloseUplinkSubscription(queue, request):
                self._uplinks[request.namespace].close_subscription(queue, request)
            case _:
                assert_never(effect)

    # --- readers ----------------------------------------------------------------------------

    def report_of(self, consumer: ConsumerId, event: Event) -> None:
        """Report an event of a reader, unless it has left."""
        if consumer in self._readers:
            self.report(event)

    def report_done(self, consumer: ConsumerId, event: Event) -> None:
        """Report that a reader is done with messages, unless it has left."""
        if consumer in self._readers:
            self.report_soon(event)

    def detach(self, consumer: ConsumerId) -> None:
        """Let a reader leave."""
        if self._readers.pop(consumer, None) is not None:
            self.report(ConsumerDetached(consumer))

    # --- disk -------------------------------------------------------------------------------

    def _note_done(self, event: Done) -> None:
        if isinstance(event, Failed):
            if not self._failure.done():
                reason = repr(event.error)
                _log.error("disk_thread_failed", reason=reason)
                self._failure.set_exception(InternalError(f"a disk thread failed: {reason}"))
            return
        if isinstance(event, JournalWritten | JournalFailed):
            self._is_writing = False
            if isinstance(event, JournalWritten):
                self._settle()
        self.note(event)
        self.turn()

    # --- time -------------------------------------------------------------------------------

    def _measure_offset(self) -> int:
        """Return by how much the wall clock is ahead of the event loop's, which nobody sets."""
        return self._clock.now() - round(self._loop.time() * NANOSECONDS_PER_SECOND)

    def _clock_step(self) -> int:
        """Return by how many nanoseconds the wall clock was set since the last look; mostly 0."""
        offset_ns = self._measure_offset()
        step_ns = offset_ns - self._clock_offset_ns
        # The small differences of a clock that is being steered add up to no step.
        self._clock_offset_ns = offset_ns
        if abs(step_ns) < CLOCK_STEP_MIN_SECONDS * NANOSECONDS_PER_SECOND:
            return 0
        _log.warning("clock_stepped", seconds=round(step_ns / NANOSECONDS_PER_SECOND, 3))
        return step_ns

    def _set_alarm(self) -> None:
        """Make sure that the core is called when something is due.

        An alarm that is too early stays, since what is due often moves away. Where it is about to
        ring for nothing, setting it anew costs less.
        """
        deadline, due = self._core.next_deadline(), self._alarm_due
        if deadline is None or deadline == due:
            return
        now = self._clock.now()
        if due is not None and now + IMMINENT_NS < due < deadline:
            return
        self._alarm_due = deadline
        delay_s = max(0.0, (deadline - now) / NANOSECONDS_PER_SECOND)
        self._alarm.set(min(delay_s, ALARM_SECONDS_MAX))

    def _ring(self) -> None:
        self._alarm_due = None
        # Also where nothing is due: a clock that was set is noticed at every turn.
        self.note(TimerFired())
        self.turn()


class _ReaderPort(ReaderPort):
    """What one reader tells the driver, as events."""

    def __init__(self, driver: Driver, consumer: ConsumerId) -> None:
        self._driver = driver
        self._consumer = consumer

    def confirmed(self, place: Place) -> None:
        self._driver.report_done(self._consumer, DeliveryConfirmed(self._consumer, place))

    def acknowledged(self, places: Sequence[Place]) -> None:
        self._driver.report_done(self._consumer, DeliveriesAcknowledged(self._consumer, places))

    def returned(self, places: Sequence[Place], delay_s: float) -> None:
        self._report(DeliveriesReturned(self._consumer, places, delay_s))

    def credit_changed(self, credit: int) -> None:
        self._report(CreditChanged(self._consumer, credit))

    def detached(self) -> None:
        self._driver.detach(self._consumer)

    def _report(self, event: Event) -> None:
        self._driver.report_of(self._consumer, event)


def _set_unless_done(future: asyncio.Future[T], value: T) -> None:
    if not future.done():  # cancelled: nobody waits any more
        future.set_result(value)
