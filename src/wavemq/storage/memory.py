"""A journal and a retained store that live in memory.

Own what they were given, for as long as the process lives: for tests, simulations, and routers that
promise nothing. Refuse to touch a disk. Fault model: as every journal, but that nothing survives
the process; bytes in memory do not rot, so nothing is ever corrupt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from wavemq.errors import CorruptRecordError
from wavemq.storage.journal import (
    IDENTITIES_PER_SCOPE_MAX,
    EntryColumns,
    JournalBatch,
    JournalContents,
    JournalStatistics,
    QueueContents,
    QueueRow,
    RecordRow,
    WritesWhole,
)
from wavemq.storage.retained import (
    PAGE_BYTES_MAX,
    PAGE_ROWS_MAX,
    RetainedPage,
    RetainedRow,
    RetainedStatistics,
)

_ABSENT: Final = "there is no such record"


class MemoryJournal(WritesWhole):
    """A `Journal` in memory."""

    def __init__(self) -> None:
        self._queues: dict[int, QueueRow] = {}
        self._dropped_counts: dict[int, int] = {}
        self._entries: dict[int, dict[int, tuple[int, int, int, int]]] = {}
        self._records: dict[int, RecordRow] = {}
        self._settings: dict[str, bytes] = {}
        self._marks: dict[int, bytes] = {}
        self._identities: dict[bytes, list[int]] = {}
        self._next_queue = 1
        self._next_record = 1
        self._write_count = 0

    def contents(self) -> JournalContents:
        """Return what was written and not removed."""
        queues = [
            QueueContents(
                queue,
                row.definition,
                row.proof,
                self._dropped_counts.get(queue, 0),
                self._marks.get(queue, b""),
                EntryColumns.of(self._entries.get(queue, {}).values()),
            )
            for queue, row in sorted(self._queues.items())
        ]
        return JournalContents(
            queues,
            {scope: list(identities) for scope, identities in self._identities.items()},
            next_queue=self._next_queue,
            next_record=self._next_record,
            corrupt_count=0,
        )

    def write(self, batch: JournalBatch) -> None:
        """Take changes."""
        for row in batch.queues:
            self._queues[row.queue] = row
            self._next_queue = max(self._next_queue, row.queue + 1)
        self._dropped_counts.update(batch.dropped_counts)
        self._marks.update(batch.marks)
        for record in batch.records:
            self._records[record.record] = record
            self._next_record = max(self._next_record, record.record + 1)
        for entry in batch.entries:
            self._entries.setdefault(entry[0], {})[entry[1]] = entry
        for scope, identity in batch.identities:
            identities = self._identities.pop(scope, [])
            identities.append(identity)
            self._identities[scope] = identities[-IDENTITIES_PER_SCOPE_MAX:]
        for queue, held in batch.removed_entries:
            self._entries.get(queue, {}).pop(held, None)
        for queue in batch.removed_queues:
            self._queues.pop(queue, None)
            self._dropped_counts.pop(queue, None)
            self._marks.pop(queue, None)
            self._entries.pop(queue, None)
        for removed in batch.removed_records:
            self._records.pop(removed, None)
        for forgotten in batch.removed_scopes:
            self._identities.pop(forgotten, None)
        self._write_count += 1

    def read(self, records: Sequence[int]) -> Mapping[int, RecordRow | CorruptRecordError]:
        """Return bodies."""
        return {
            record: self._records.get(record, CorruptRecordError(_ABSENT)) for record in records
        }

    def setting(self, name: str) -> bytes | None:
        """Return a small value that was kept under a name."""
        return self._settings.get(name)

    def keep_setting(self, name: str, value: bytes) -> None:
        """Keep a small value under a name."""
        self._settings[name] = value

    def statistics(self) -> JournalStatistics:
        """Return counts."""
        rows = self._records.values()
        proofs = {row.proof for row in rows} | {row.proof for row in self._queues.values()}
        proofs.discard(b"")
        return JournalStatistics(
            records=len(self._records),
            proofs=len(proofs),
            size_bytes=sum(len(row.body) for row in rows) + sum(map(len, proofs)),
            corrupt_count=0,
            write_count=self._write_count,
        )

    def close(self) -> None:
        """Do nothing: the contents stay readable."""


class MemoryRetained:
    """A `RetainedStore` in memory."""

    def __init__(self) -> None:
        self._rows: dict[tuple[bytes, str], RetainedRow] = {}

    def write(self, rows: Sequence[RetainedRow]) -> None:
        """Take rows."""
        for row in rows:
            self._rows[row.namespace, row.topic] = row

    def find(
        self,
        namespace: bytes,
        *,
        prefix: str,
        is_wanted: Callable[[str], bool],
        after: str | None = None,
    ) -> RetainedPage:
        """Return a page of rows."""
        topics = sorted(
            (
                topic
                for owner, topic in self._rows
                if owner == namespace and topic.startswith(prefix) and is_wanted(topic)
            ),
            key=str.encode,
        )
        rows: list[RetainedRow] = []
        size_bytes = 0
        for topic in topics:
            if after is not None and topic.encode() <= after.encode():
                continue
            row = self._rows[namespace, topic]
            if len(rows) >= PAGE_ROWS_MAX or (rows and size_bytes > PAGE_BYTES_MAX):
                return RetainedPage(rows, rows[-1].topic)
            rows.append(row)
            size_bytes += len(row.body)
        return RetainedPage(rows, None)

    def statistics(self) -> RetainedStatistics:
        """Return counts."""
        return RetainedStatistics(topics=len(self._rows), corrupt_count=0)

    def close(self) -> None:
        """Do nothing: the contents stay readable."""
