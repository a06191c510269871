"""What a router keeps on its own disk, as bytes and integers.

Owns the Protocol of journals and the rows that pass through it. Refuses to know what the bytes
mean. Fault model of every journal: `write` is all or nothing and durable when it returns; a killed
process or a power cut loses nothing that was written. A full or failing disk is a
`StorageFaultError`, and nothing of that write is kept. Bodies and definitions carry a checksum,
proofs their hash: what fails it is set aside and counted, and the rest is served.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from wavemq.errors import CorruptRecordError

IDENTITIES_PER_SCOPE_MAX: Final = 4096
"""Newest identities that a journal keeps of each scope."""


class RecordRow(NamedTuple):
    """A body and the proof that many bodies share; the proof is stored once, by its hash."""

    record: int
    body: bytes
    proof: bytes

    def __repr__(self) -> str:
        return f"RecordRow(record={self.record})"


class QueueRow(NamedTuple):
    """A queue; `definition` means nothing here, `proof` is stored once, like that of a body."""

    queue: int
    definition: bytes
    proof: bytes

    def __repr__(self) -> str:
        return f"QueueRow(queue={self.queue})"


class EntryRow(NamedTuple):
    """A record in a queue: its place is its number, so that the entries of a queue ascend by it.

    Attributes:
        queue: that holds it.
        record: that is held.
        size_bytes: of it, as its queue counts it; below 2^32.
        lane: 64 bits with a sign that mean nothing here.
    """

    queue: int
    record: int
    size_bytes: int
    lane: int


class IdentityRow(NamedTuple):
    """Something that was seen: 64 bits without a sign, in a scope of at most 64 bytes."""

    scope: bytes
    identity: int


@dataclass(frozen=True, slots=True)
class JournalBatch:
    """Changes that are written together, in the order of the attributes.

    Writing what is there already replaces it; removing what is not there does nothing.

    Attributes:
        queues: to create or replace; the entries of a queue that is replaced stay.
        dropped_counts: of queues.
        marks: at most 64 bytes for each of some queues, which replace those before.
        records: to keep; their numbers are above all that were ever kept before.
        entries: rows as `EntryRow` has them, to fill; in each queue their records ascend.
        identities: rows as `IdentityRow` has them, seen in this order; each scope keeps its newest
            `IDENTITIES_PER_SCOPE_MAX`.
        removed_entries: (queue, record).
        removed_queues: with all their entries.
        removed_records: whose entries are all removed.
        removed_scopes: to forget.
    """

    queues: Sequence[QueueRow] = ()
    dropped_counts: Mapping[int, int] = field(default_factory=dict)
    marks: Mapping[int, bytes] = field(default_factory=dict)
    records: Sequence[RecordRow] = ()
    entries: Sequence[tuple[int, int, int, int]] = ()
    identities: Sequence[tuple[bytes, int]] = ()
    removed_entries: Sequence[tuple[int, int]] = ()
    removed_queues: Sequence[int] = ()
    removed_records: Sequence[int] = ()
    removed_scopes: Sequence[bytes] = ()


class EntryColumns:
    """The entries of a queue, ascending by record, as columns: 20 bytes for each.

    Args:
        records: ascending, type `Q`.
        sizes_bytes: type `I`, as long.
        lanes: type `q`, as long.
    """

    __slots__ = ("lanes", "records", "sizes_bytes")

    def __init__(
        self,
        records: array[int] | None = None,
        sizes_bytes: array[int] | None = None,
        lanes: array[int] | None = None,
    ) -> None:
        self.records = array("Q") if records is None else records
        self.sizes_bytes = array("I") if sizes_bytes is None else sizes_bytes
        self.lanes = array("q") if lanes is None else lanes

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        return zip(self.records, self.sizes_bytes, self.lanes, strict=True)

    @classmethod
    def of(cls, entries: Iterable[tuple[int, int, int, int]]) -> EntryColumns:
        """Return entries, which ascend by record, as columns."""
        columns = cls()
        for _, record, size_bytes, lane in entries:
            columns.append(record, size_bytes, lane)
        return columns

    def append(self, record: int, size_bytes: int, lane: int) -> None:
        """Add an entry at the end; its record is above all others."""
        self.records.append(record)
        self.sizes_bytes.append(size_bytes)
        self.lanes.append(lane)


@dataclass(frozen=True, slots=True)
class QueueContents:
    """A queue with its entries; `mark` is empty if none was written."""

    queue: int
    definition: bytes = field(repr=False)
    proof: bytes = field(repr=False)
    dropped_count: int
    mark: bytes = field(repr=False)
    entries: EntryColumns = field(repr=False)


@dataclass(frozen=True, slots=True)
class JournalContents:
    """All but the bodies.

    Attributes:
        queues: every sound queue, ascending.
        identities: by scope, the scope that was written to last at the end; the oldest of a scope
            first.
        next_queue: above every queue that ever was.
        next_record: above every record that ever was.
        corrupt_count: records, queues and files set aside at this start.
    """

    queues: Sequence[QueueContents]
    identities: Mapping[bytes, Sequence[int]]
    next_queue: int
    next_record: int
    corrupt_count: int


@dataclass(frozen=True, slots=True)
class JournalStatistics:
    """What a journal holds now, and what it set aside.

    Attributes:
        records: bodies.
        proofs: proofs, each once.
        size_bytes: of the files, as far as they are used, or of the memory.
        corrupt_count: records, queues and files set aside.
        write_count: batches written since it was opened.
        repaired_count: places where flipped bits were turned back when it was opened.
    """

    records: int
    proofs: int
    size_bytes: int
    corrupt_count: int
    write_count: int
    repaired_count: int = 0


class Journal(Protocol):
    """Keeps queues of records.

    Calls block, except `begin`. There is one write at a time; `read` may come from any thread.
    """

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

    def begin(self, batch: JournalBatch) -> bool:
        """Begin to write changes, if that neither takes long nor waits for anybody.

        Returns:
            Whether it was begun: the write goes on by itself, and is durable when `end` returns.
            If not, it is for `write`.
        """
        ...

    def end(self) -> None:
        """Wait for the end of what was begun; call it once, before the next write.

        Raises:
            StorageFaultError: nothing was written.
        """
        ...

    def descriptor(self) -> int | None:
        """Return a file descriptor that is readable when what was begun has ended, until `end`.

        None where nothing is ever begun.
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


class WritesWhole:
    """A journal that begins no write: all go through `write`."""

    def begin(self, batch: JournalBatch) -> bool:
        """Leave it to `write`."""
        del batch
        return False

    def end(self) -> None:
        """Nothing was begun."""

    def descriptor(self) -> None:
        """Return nothing to wait for."""
