"""What a router keeps on its own disk, as bytes and integers.

Owns the Protocol of journals and the rows that pass through it. Refuses to know what the bytes
mean. Fault model of every journal: `write` is all or nothing and durable when it returns; a killed
process or a power cut loses nothing that was written. A full or failing disk is a
`StorageFaultError`, and nothing of that write is kept. Bodies and definitions carry a checksum,
proofs their hash: what fails it is set aside and counted, and the rest is served.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from wavemq.errors import CorruptRecordError


@dataclass(frozen=True, slots=True)
class RecordRow:
    """A body and the proof that many bodies share; the proof is stored once, by its hash."""

    record: int
    body: bytes = field(repr=False)
    proof: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class QueueRow:
    """A queue; `definition` means nothing here, `proof` is stored once, like that of a body."""

    queue: int
    definition: bytes = field(repr=False)
    proof: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class EntryRow:
    """A record's place in a queue."""

    queue: int
    place: int
    record: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class JournalBatch:
    """Changes that are written together, in the order of the attributes.

    Writing what is there already replaces it; removing what is not there does nothing.

    Attributes:
        queues: to create or replace.
        dropped_counts: of queues.
        records: to keep.
        entries: to fill.
        removed_entries: (queue, place).
        removed_queues: with all their entries.
        removed_records: whose entries are all removed.
    """

    queues: Sequence[QueueRow] = ()
    dropped_counts: Mapping[int, int] = field(default_factory=dict)
    records: Sequence[RecordRow] = ()
    entries: Sequence[EntryRow] = ()
    removed_entries: Sequence[tuple[int, int]] = ()
    removed_queues: Sequence[int] = ()
    removed_records: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class QueueContents:
    """A queue with its entries, which ascend by place."""

    queue: int
    definition: bytes = field(repr=False)
    proof: bytes = field(repr=False)
    dropped_count: int
    entries: Sequence[EntryRow] = field(repr=False)


@dataclass(frozen=True, slots=True)
class JournalContents:
    """All but the bodies.

    Attributes:
        queues: every sound queue.
        next_queue: above every queue that is.
        next_record: above every record that is.
        corrupt_count: rows and files set aside at this start.
    """

    queues: Sequence[QueueContents]
    next_queue: int
    next_record: int
    corrupt_count: int


@dataclass(frozen=True, slots=True)
class JournalStatistics:
    """What a journal holds now, and what it set aside.

    Attributes:
        records: bodies.
        proofs: proofs, each once.
        size_bytes: of the files, or of the memory.
        corrupt_count: rows set aside.
        write_count: batches written since it was opened.
    """

    records: int
    proofs: int
    size_bytes: int
    corrupt_count: int
    write_count: int


class Journal(Protocol):
    """Keeps queues of records. Calls block; `write` comes from one thread, `read` from any."""

    def contents(self) -> JournalContents:
        """Return what was written and not removed.

        Raises:
            StorageFaultError: the disk fails.
        """
        ...

    def write(self, batch: JournalBatch) -> None:
        """Write changes, durably.

        Raises:
            StorageFaultError: nothing was written.
        """
        ...

    def read(self, records: Sequence[int]) -> Mapping[int, RecordRow | CorruptRecordError]:
        """Return bodies; a record that is absent or unsound has an error in its place.

        Raises:
            StorageFaultError: the disk fails.
        """
        ...

    def setting(self, name: str) -> bytes | None:
        """Return a small value that was kept under a name.

        Raises:
            StorageFaultError: the disk fails.
        """
        ...

    def keep_setting(self, name: str, value: bytes) -> None:
        """Keep a small value under a name, durably.

        Raises:
            StorageFaultError: it was not kept.
        """
        ...

    def statistics(self) -> JournalStatistics:
        """Return counts."""
        ...

    def close(self) -> None:
        """Release files; nothing else may be called after."""
        ...
