"""A core with a disk, without anything else: the test says what happens and when."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TypeVar

from tests.support.core_values import START
from wavemq.clock import NANOSECONDS_PER_SECOND, Instant
from wavemq.errors import StorageFaultError, WaveMQError
from wavemq.messages.message import Message, SubscriptionRequest
from wavemq.messages.verified import Verified
from wavemq.router.recording import Recorder
from wavemq.routing.config import RoutingConfig
from wavemq.routing.effects import (
    AcceptSubscription,
    Deliver,
    Delivery,
    Effect,
    ReadRecords,
    Reply,
    Transmit,
    WriteJournal,
)
from wavemq.routing.events import (
    ConsumerAttached,
    ConsumerId,
    Event,
    JournalFailed,
    JournalWritten,
    MessagePublished,
    PeerMessagePublished,
    RecordsRead,
    RecordsUnread,
    RequestId,
    SubscriptionRequested,
    TimerFired,
)
from wavemq.routing.records import QueueId
from wavemq.routing.router import Router
from wavemq.storage.journal import Journal
from wavemq.storage.memory import MemoryJournal, MemoryRetained
from wavemq.storage.retained import RetainedStore

EffectT = TypeVar("EffectT")
DISK_FULL = StorageFaultError("the disk is full")


class Rig:
    """Drives one core.

    Args:
        config: of the core.
        journal: where it keeps queues; in memory by default.
        retained: where it keeps retained messages; in memory by default.
    """

    def __init__(
        self,
        config: RoutingConfig,
        journal: Journal | None = None,
        retained: RetainedStore | None = None,
    ) -> None:
        self.config = config
        self.journal = journal or MemoryJournal()
        self.recorder = Recorder(self.journal, retained or MemoryRetained())
        self.now = START
        self.is_disk_full = False
        self.is_unreadable = False
        self._requests = itertools.count(1)
        self._consumers = itertools.count(1)
        self.restart()

    def restart(self) -> None:
        """Begin anew from what is on disk, as after kill -9."""
        self.router = Router(self.config, self.recorder.snapshot(), self.now)

    # --- steps ------------------------------------------------------------------------------

    def handle(self, *events: Event) -> list[Effect]:
        """Report events; nothing is performed."""
        return self.router.handle(events, self.now)

    def perform(self, effect: Effect) -> Event | None:
        """Perform what concerns the disk; return what is to be reported."""
        if isinstance(effect, WriteJournal):
            if self.is_disk_full:
                return JournalFailed(effect.batch, DISK_FULL)
            self.recorder.write(effect.changes)
            return JournalWritten(effect.batch)
        if isinstance(effect, ReadRecords):
            if self.is_unreadable:
                return RecordsUnread(effect.records, DISK_FULL)
            return RecordsRead(self.recorder.read(effect.records))
        return None

    def run(self, *events: Event) -> list[Effect]:
        """Report events, let the disk do what is ordered, and return all other effects."""
        done: list[Effect] = []
        pending: Sequence[Event] = events
        while True:
            effects = self.handle(*pending)
            pending = [event for one in effects if (event := self.perform(one)) is not None]
            done += (one for one in effects if not isinstance(one, WriteJournal | ReadRecords))
            if not pending:
                return done

    def advance(self, seconds: float) -> list[Effect]:
        """Let time pass and fire the timer whenever it is due."""
        end = Instant(self.now + round(seconds * NANOSECONDS_PER_SECOND))
        done: list[Effect] = []
        while (deadline := self.router.next_deadline()) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            done += self.run(TimerFired())
        self.now = end
        return done

    # --- whole errands ----------------------------------------------------------------------

    def request(self) -> RequestId:
        """Return a new request id."""
        return RequestId(next(self._requests))

    def publish(self, message: Verified[Message]) -> list[Effect]:
        """Publish as a local client."""
        return self.run(MessagePublished(self.request(), message))

    def peer_publish(self, message: Verified[Message]) -> list[Effect]:
        """Publish as a site."""
        return self.run(PeerMessagePublished(self.request(), message))

    def subscribe(self, subscription: Verified[SubscriptionRequest]) -> QueueId:
        """Subscribe as a local client and return the queue."""
        effects = self.run(SubscriptionRequested(self.request(), subscription))
        return the(AcceptSubscription, effects).queue

    def attach(self, queue: QueueId, credit: int = 100) -> tuple[ConsumerId, list[Effect]]:
        """Attach a new reader."""
        consumer = ConsumerId(next(self._consumers))
        return consumer, self.run(ConsumerAttached(consumer, queue, credit))


def all_of(kind: type[EffectT], effects: Sequence[Effect]) -> list[EffectT]:
    """Return the effects of a kind."""
    return [effect for effect in effects if isinstance(effect, kind)]


def the(kind: type[EffectT], effects: Sequence[Effect]) -> EffectT:
    """Return the only effect of a kind."""
    found = all_of(kind, effects)
    assert len(found) == 1, effects
    return found[0]


def error_of(effects: Sequence[Effect]) -> WaveMQError:
    """Return the error with which a request was refused."""
    error = the(Reply, effects).error
    assert error is not None, effects
    return error


def is_done(effects: Sequence[Effect]) -> bool:
    """Return whether a request was answered, and well."""
    return the(Reply, effects).error is None


def delivered(effects: Sequence[Effect]) -> list[Delivery]:
    """Return what readers were given, in order."""
    return [one for effect in all_of(Deliver, effects) for one in effect.deliveries]


def transmitted(effects: Sequence[Effect]) -> list[Delivery]:
    """Return what went up, in order."""
    return [one for effect in all_of(Transmit, effects) for one in effect.frames]


def contents(deliveries: Sequence[Delivery]) -> list[bytes]:
    """Return the contents of messages."""
    return [one.message.payload[0].content for one in deliveries]
