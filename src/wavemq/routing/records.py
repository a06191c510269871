"""What of a core's state is on disk, as the core sees it.

Owns the names of queues and records, and the changes that are journaled together. Refuses to know
files and encodings: whoever performs `WriteJournal`
encodes messages, in its own thread. Fault model: a set of changes is written whole or not at all;
writing the same set twice is the same as writing it once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, NewType

from wavemq.errors import RemoteProtocolError
from wavemq.messages.message import Message, SubscriptionRequest
from wavemq.messages.topic import Topic
from wavemq.messages.verified import Verified
from wavemq.wave.hashes import Hash

QueueId = NewType("QueueId", int)
"""A queue; the number is not used again while the process runs, or while the queue exists."""
RecordId = NewType("RecordId", int)
"""A message that is kept once for all queues that hold it; used again as a queue's number is."""
Place = RecordId
"""The place of a message in every queue that holds it is its number, which grows along a queue."""
LaneKey = NewType("LaneKey", int)
"""64 bits with a sign that stand for an origin router and a topic, whose messages stay in order."""


JOURNAL_NAME_BYTES_MAX: Final = 48

Scope = NewType("Scope", bytes)
"""Within which identities of messages are told apart; at most 64 bytes."""


class Entry(NamedTuple):
    """A message's place in a queue, which is its number.

    Attributes:
        record: the message, and its place.
        size_bytes: without the proof.
        lane: messages of one lane stay in order.
    """

    record: RecordId
    size_bytes: int
    lane: LaneKey


@dataclass(frozen=True, slots=True)
class DownlinkPosition:
    """Where a message stood in the designated router's queue.

    Attributes:
        journal: names the numbering: under one name, later messages have higher indexes.
        index: below 2^64.

    Raises:
        RemoteProtocolError: the name is over `JOURNAL_NAME_BYTES_MAX`, or the index out of range.
    """

    journal: str
    index: int

    def __post_init__(self) -> None:
        if len(self.journal.encode()) > JOURNAL_NAME_BYTES_MAX:
            raise RemoteProtocolError(
                f"the name of a journal has at most {JOURNAL_NAME_BYTES_MAX} bytes"
            )
        if not 0 <= self.index < 2**64:
            raise RemoteProtocolError("the index of a message is out of range")


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
class JournalChanges:
    """Changes to the journal, in the order of the attributes, all or none.

    Attributes:
        queues: queues to create, or whose definition to replace.
        dropped_counts: new drop counts of queues.
        positions: how far queues have followed their designated routers.
        records: messages to keep.
        entries: places in queues to fill, ascending in each queue.
        retained: last persisted messages, by namespace and topic; each replaces the one before.
        identities: messages that are recognised when they come again, by scope.
        removed_entries: places to empty.
        removed_queues: queues to remove with all their entries.
        removed_records: messages to forget; no entry refers to them any more.
        removed_scopes: scopes of identities to forget.
    """

    queues: Mapping[QueueId, QueueDefinition]
    dropped_counts: Mapping[QueueId, int]
    positions: Mapping[QueueId, DownlinkPosition]
    records: Mapping[RecordId, Verified[Message]]
    entries: Mapping[tuple[QueueId, Place], Entry]
    retained: Mapping[tuple[Hash, Topic], Verified[Message]]
    identities: Sequence[tuple[Scope, int]]
    removed_entries: Sequence[tuple[QueueId, Place]]
    removed_queues: Sequence[QueueId]
    removed_records: Sequence[RecordId]
    removed_scopes: Sequence[Scope]
