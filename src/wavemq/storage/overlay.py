"""The net changes of a log since it was emptied: what the file behind it does not know yet.

Owns the netting: a record that came and went leaves nothing. Refuses to know files. Fault model:
none; whoever applies a batch has it on disk. `record` may be called from any thread, the rest
belongs to the one that writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from wavemq.storage.journal import IDENTITIES_PER_SCOPE_MAX, JournalBatch, QueueRow, RecordRow

IDENTITIES_MAX: Final = 16_384
"""Of all scopes together, after which they go into the file."""
_IDENTITIES_SPARE: Final = 1024
"""How far a scope's list may grow beyond its newest before it is cut."""


class Overlay:
    """Changes to a file.

    Args:
        next_queue: above every queue that was named before.
        next_record: above every record that was named before.
        settled_record: above every record that the file may hold, in an entry or as itself.
    """

    def __init__(self, next_queue: int, next_record: int, settled_record: int) -> None:
        self.next_queue = next_queue
        self.next_record = next_record
        self._settled_record = settled_record
        self._is_untouched = True
        self._queues: dict[int, QueueRow] = {}
        self._dropped_counts: dict[int, int] = {}
        self._marks: dict[int, bytes] = {}
        self._records: dict[int, RecordRow] = {}
        self._entries: dict[tuple[int, int], tuple[int, int, int, int]] = {}
        self._identities: dict[bytes, list[int]] = {}
        self._identity_count = 0
        self._removed_entries: dict[tuple[int, int], None] = {}
        self._removed_queues: dict[int, None] = {}
        self._removed_records: dict[int, None] = {}
        self._removed_scopes: dict[bytes, None] = {}

    @property
    def row_count(self) -> int:
        """Rows that the file will have to write or remove, but for identities."""
        return (
            len(self._records)
            + len(self._entries)
            + len(self._removed_entries)
            + len(self._removed_records)
            + len(self._removed_queues)
            + len(self._queues)
        )

    @property
    def is_untouched(self) -> bool:
        """Whether nothing was applied."""
        return self._is_untouched

    @property
    def is_full_of_identities(self) -> bool:
        """Whether there are so many that they should go into the file."""
        return self._identity_count > IDENTITIES_MAX

    def is_contradicted_by(self, batch: JournalBatch) -> bool:
        """Return whether a batch brings back a queue or scope whose removal is not settled.

        Removals come last when changes are settled, so these must be settled first.
        """
        return any(row.queue in self._removed_queues for row in batch.queues) or (
            bool(self._removed_scopes)
            and any(scope in self._removed_scopes for scope, _ in batch.identities)
        )

    def next_numbers(self, batch: JournalBatch) -> tuple[int, int]:
        """Return what follows the highest queue and record after a batch."""
        queue, record = self.next_queue, self.next_record
        for one in batch.queues:
            queue = max(queue, one.queue + 1)
        if batch.records:
            record = max(record, max(batch.records).record + 1)  # rows begin with their numbers
        return queue, record

    def apply(self, batch: JournalBatch) -> None:
        """Take changes."""
        self.next_queue, self.next_record = self.next_numbers(batch)
        self._is_untouched = False
        settled = self._settled_record
        for queue in batch.queues:
            self._queues[queue.queue] = queue
        self._dropped_counts.update(batch.dropped_counts)
        self._marks.update(batch.marks)
        records, removed_records = self._records, self._removed_records
        records.update({record[0]: record for record in batch.records})
        if removed_records:
            for record in batch.records:
                removed_records.pop(record[0], None)
        entries, removed_entries = self._entries, self._removed_entries
        entries.update({entry[:2]: entry for entry in batch.entries})
        if removed_entries:
            for entry in batch.entries:
                removed_entries.pop(entry[:2], None)
        if batch.identities:
            self._see(batch)
        for key in batch.removed_entries:
            entries.pop(key, None)
            if key[1] < settled:
                removed_entries[key] = None
        if batch.removed_queues:
            self._remove_queues(batch)
        for number in batch.removed_records:
            records.pop(number, None)
            if number < settled:
                removed_records[number] = None
        for scope in batch.removed_scopes:
            self._identity_count -= len(self._identities.pop(scope, ()))
            self._removed_scopes[scope] = None

    def _see(self, batch: JournalBatch) -> None:
        for scope, identity in batch.identities:
            seen = self._identities.pop(scope, None)
            if seen is None:
                seen = []
            seen.append(identity)
            self._identity_count += 1
            if len(seen) >= IDENTITIES_PER_SCOPE_MAX + _IDENTITIES_SPARE:
                self._identity_count -= len(seen) - IDENTITIES_PER_SCOPE_MAX
                del seen[:-IDENTITIES_PER_SCOPE_MAX]
            self._identities[scope] = seen

    def _remove_queues(self, batch: JournalBatch) -> None:
        removed = set(batch.removed_queues)
        for key in [one for one in self._entries if one[0] in removed]:
            del self._entries[key]
        for queue in batch.removed_queues:
            self._queues.pop(queue, None)
            self._dropped_counts.pop(queue, None)
            self._marks.pop(queue, None)
            self._removed_queues[queue] = None

    def record(self, number: int) -> RecordRow | None:
        """Return a record that was added."""
        return self._records.get(number)

    def is_removed(self, number: int) -> bool:
        """Return whether a record that the file holds was removed."""
        return number in self._removed_records

    def batch(self) -> JournalBatch:
        """Return all changes, to be written as one."""
        queues: Mapping[int, QueueRow] = self._queues
        return JournalBatch(
            queues=list(queues.values()),
            dropped_counts=self._dropped_counts,
            marks=self._marks,
            records=list(self._records.values()),
            entries=list(self._entries.values()),
            identities=[
                (scope, identity)
                for scope, seen in self._identities.items()
                for identity in seen[-IDENTITIES_PER_SCOPE_MAX:]
            ],
            removed_entries=list(self._removed_entries),
            removed_queues=list(self._removed_queues),
            removed_records=list(self._removed_records),
            removed_scopes=list(self._removed_scopes),
        )
