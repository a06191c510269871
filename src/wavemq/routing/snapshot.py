"""What a core starts from.

Owns the contents of a journal as the core takes them. Refuses to know files. Fault model: what was
not readable is left out and counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from wavemq.routing.entries import EntryFifo
from wavemq.routing.records import DownlinkPosition, QueueDefinition, QueueId, RecordId, Scope

_FIRST_QUEUE: Final = QueueId(1)
_FIRST_RECORD: Final = RecordId(1)


@dataclass(frozen=True, slots=True)
class StoredQueue:
    """A queue as found on disk.

    Attributes:
        queue: its id.
        definition: what it is.
        dropped_count: over its life.
        position: how far it has followed its designated router; None: not at all.
        entries: ascending; the core takes them over.
    """

    queue: QueueId
    definition: QueueDefinition
    dropped_count: int
    position: DownlinkPosition | None
    entries: EntryFifo


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that a core starts from.

    Attributes:
        queues: every queue.
        identities: messages that are recognised when they come again, the oldest of a scope first,
            the scope that was in use last at the end.
        next_queue: above all queues that ever were.
        next_record: above all messages that ever were.
        corrupt_count: records, queues and files that could not be read back and were set aside.
    """

    queues: Sequence[StoredQueue] = ()
    identities: Mapping[Scope, Sequence[int]] = field(default_factory=dict)
    next_queue: QueueId = _FIRST_QUEUE
    next_record: RecordId = _FIRST_RECORD
    corrupt_count: int = 0
