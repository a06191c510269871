"""What of a core's state is on disk, as the core sees it.

Owns the names of queues and records, the changes that are journaled together, and the snapshot
from which a core starts. Refuses to know files and encodings: whoever performs `WriteJournal`
encodes messages, in its own thread. Fault model: a set of changes is written whole or not at all;
writing the same set twice is the same as writing it once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NewType

from wavemq.messages.message import Message, SubscriptionRequest
from wavemq.messages.topic import Topic
from wavemq.messages.verified import Verified
from wavemq.wave.hashes import Hash

QueueId = NewType("QueueId", int)
"""A queue; the number is not used again while the process runs, or while the queue exists."""
RecordId = NewType("RecordId", int)
"""A message that is kept once for all queues that hold it; used again as a queue's number is."""
Place = NewType("Place", int)
"""The place of a message in one queue; grows along the queue."""


@dataclass(frozen=True, slots=True)
class ConsumerQueueDefinition:
    """A queue of what matches a subscription.

    Attributes:
        subscription: what was asked for.
        is_local: whether a client of this router asked, or a site router.
    """

    subscription: Verified[SubscriptionRequest]
    is_local: bool


@dataclass(frozen=True, slots=True)
class UplinkQueueDefinition:
    """A queue of messages formed here, for the designated router of a namespace."""

    namespace: Hash


QueueDefinition = ConsumerQueueDefinition | UplinkQueueDefinition


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """A message's place in a queue, and its size without the proof."""

    place: Place
    record: RecordId
    size_bytes: int


@dataclass(frozen=True, slots=True)
class StoredQueue:
    """A queue as found on disk; entries ascend by place, `dropped_count` is over its life."""

    queue: QueueId
    definition: QueueDefinition
    dropped_count: int
    entries: Sequence[StoredEntry]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that a core starts from.

    Attributes:
        queues: every queue.
        next_queue: a queue id above all that are in use.
        next_record: a record id above all that are in use.
        corrupt_count: records and queues that could not be read back and were set aside.
    """

    queues: Sequence[StoredQueue] = ()
    next_queue: QueueId = QueueId(1)
    next_record: RecordId = RecordId(1)
    corrupt_count: int = 0


@dataclass(frozen=True, slots=True)
class JournalChanges:
    """Changes to the journal, in the order of the attributes, all or none.

    Attributes:
        queues: queues to create, or whose definition to replace.
        dropped_counts: new drop counts of queues.
        records: messages to keep.
        entries: places in queues to fill.
        retained: last persisted messages, by namespace and topic; each replaces the one before.
        removed_entries: places to empty.
        removed_queues: queues to remove with all their entries.
        removed_records: messages to forget; no entry refers to them any more.
    """

    queues: Mapping[QueueId, QueueDefinition]
    dropped_counts: Mapping[QueueId, int]
    records: Mapping[RecordId, Verified[Message]]
    entries: Mapping[tuple[QueueId, Place], StoredEntry]
    retained: Mapping[tuple[Hash, Topic], Verified[Message]]
    removed_entries: Sequence[tuple[QueueId, Place]]
    removed_queues: Sequence[QueueId]
    removed_records: Sequence[RecordId]
