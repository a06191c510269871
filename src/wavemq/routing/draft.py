"""Changes that are not on disk yet.

Owns what the next write to the journal will hold, and who waits for it. Refuses to know when it is
written. Fault model: a write may fail; its changes are then merged with those made meanwhile. What
came and went between two writes never reaches the disk. After a failed write nobody knows for sure
what is there, so from then on what went is removed even if it should never have been written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from wavemq.messages.message import Message
from wavemq.messages.topic import Topic
from wavemq.messages.verified import Verified
from wavemq.quickly import quickly
from wavemq.routing.events import RequestId
from wavemq.routing.records import (
    DownlinkPosition,
    Entry,
    JournalChanges,
    Place,
    QueueDefinition,
    QueueId,
    RecordId,
    Scope,
)
from wavemq.wave.hashes import Hash

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PublishWaiter:
    """A publish (or an end of a subscription) that is answered when it is durable.

    Attributes:
        request: to answer.
        queues: that it was put into.
        record: as which; None: it was put nowhere.
        seen: by which a repetition is recognised; None: not at all.
    """

    request: RequestId
    queues: tuple[QueueId, ...] = ()
    record: RecordId | None = None
    seen: tuple[Scope, int] | None = None


made_publish_waiter: Final = quickly(PublishWaiter)


@dataclass(frozen=True, slots=True)
class SubscriptionWaiter:
    """A subscription that is answered when its queue is durable."""

    request: RequestId
    queue: QueueId
    is_new: bool


Waiter = PublishWaiter | SubscriptionWaiter


@dataclass(slots=True)
class Draft:
    """Changes in the making; the attributes are those of `JournalChanges`."""

    queues: dict[QueueId, QueueDefinition] = field(default_factory=dict)
    dropped_counts: dict[QueueId, int] = field(default_factory=dict)
    positions: dict[QueueId, DownlinkPosition] = field(default_factory=dict)
    records: dict[RecordId, Verified[Message]] = field(default_factory=dict)
    entries: dict[tuple[QueueId, Place], Entry] = field(default_factory=dict)
    retained: dict[tuple[Hash, Topic], Verified[Message]] = field(default_factory=dict)
    identities: dict[tuple[Scope, int], None] = field(default_factory=dict)
    removed_entries: dict[tuple[QueueId, Place], None] = field(default_factory=dict)
    removed_queues: dict[QueueId, None] = field(default_factory=dict)
    removed_records: dict[RecordId, None] = field(default_factory=dict)
    removed_scopes: dict[Scope, None] = field(default_factory=dict)
    waiters: list[Waiter] = field(default_factory=list)
    is_after_failure: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return not (
            self.queues
            or self.dropped_counts
            or self.positions
            or self.identities
            or self.removed_scopes
            or self.records
            or self.entries
            or self.retained
            or self.removed_entries
            or self.removed_queues
            or self.removed_records
        )

    @property
    def is_urgent(self) -> bool:
        """Whether it holds more than the traces of what was delivered or dropped."""
        return bool(self.records or self.queues or self.retained or self.removed_queues)

    def remove_entries(self, keys: Sequence[tuple[QueueId, Place]]) -> None:
        """Empty places."""
        self.removed_entries.update(dict.fromkeys(self._leave_out(self.entries, keys)))

    def remove_records(self, records: Sequence[RecordId]) -> None:
        """Forget messages."""
        self.removed_records.update(dict.fromkeys(self._leave_out(self.records, records)))

    def _leave_out(self, made: dict[T, Any], keys: Sequence[T]) -> Sequence[T]:
        """Make those not that have not been written; return the others, which are to be removed."""
        here = [key for key in keys if key in made]
        if not here:
            return keys
        for key in here:
            del made[key]
        if self.is_after_failure:
            return keys  # the write that failed may have written them
        left_out = set(here)
        return [key for key in keys if key not in left_out]

    def remove_queue(self, queue: QueueId, *, is_written: bool) -> None:
        """Remove a queue with all its entries; `is_written`: it may be on disk."""
        self.queues.pop(queue, None)
        self.dropped_counts.pop(queue, None)
        self.positions.pop(queue, None)
        for one in [key for key in self.entries if key[0] == queue]:
            del self.entries[one]
        if is_written or self.is_after_failure:
            self.removed_queues[queue] = None

    def remove_scope(self, scope: Scope) -> None:
        """Forget all identities of a scope."""
        for one in [key for key in self.identities if key[0] == scope]:
            del self.identities[one]
        self.removed_scopes[scope] = None

    def absorb(self, later: Draft) -> None:
        """Add changes that were made after these, when these could not be written."""
        self.is_after_failure = True
        self.queues.update(later.queues)
        self.dropped_counts.update(later.dropped_counts)
        self.positions.update(later.positions)
        self.records.update(later.records)
        self.entries.update(later.entries)
        self.retained.update(later.retained)
        self.remove_entries(tuple(later.removed_entries))
        for queue in later.removed_queues:
            self.remove_queue(queue, is_written=True)
        self.remove_records(tuple(later.removed_records))
        for scope in later.removed_scopes:
            self.remove_scope(scope)
        self.identities.update(later.identities)
        self.waiters += later.waiters

    def changes(self) -> JournalChanges:
        """Return what is to be written; the draft must not change any more."""
        return JournalChanges(
            queues=self.queues,
            dropped_counts=self.dropped_counts,
            positions=self.positions,
            records=self.records,
            entries=self.entries,
            retained=self.retained,
            identities=tuple(self.identities),
            removed_entries=tuple(self.removed_entries),
            removed_queues=tuple(self.removed_queues),
            removed_records=tuple(self.removed_records),
            removed_scopes=tuple(self.removed_scopes),
        )
