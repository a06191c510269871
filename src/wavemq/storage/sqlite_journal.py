"""The journal in an SQLite file.

Owns its tables. Refuses to know what the bytes mean. Fault model: as every journal; in addition a
file that SQLite finds damaged at the start is set aside whole (see `sqlite_file`), and a queue or
body that fails its checksum is moved to the table `quarantine`, where an operator finds it. The
entries of a queue set aside so stay in the file, unused.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from wavemq._kernel import EncodingError, parse_integers
from wavemq.errors import CorruptRecordError
from wavemq.storage.journal import (
    IDENTITIES_PER_SCOPE_MAX,
    EntryColumns,
    JournalBatch,
    JournalContents,
    JournalStatistics,
    QueueContents,
    RecordRow,
    WritesWhole,
)
from wavemq.storage.sqlite_file import SqliteFile, checksum

FILE_NAME: Final = "queues.sqlite"
FORMAT: Final = 2
LOG_POSITION: Final = "log"
"""The setting that says how far the log before this file went into it."""
WRITES_PER_SHRINKING: Final = 512
"""How often free space is looked at."""

RECORDS_AT_ONCE: Final = 1 << 22
"""Range of records whose entries are read together; they take 40 bytes each meanwhile."""
RECORD_MAX: Final = (1 << 63) - 1

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS settings (
    name TEXT PRIMARY KEY, value BLOB NOT NULL, checksum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS queues (
    queue INTEGER PRIMARY KEY, proof INTEGER NOT NULL, definition BLOB NOT NULL,
    checksum INTEGER NOT NULL, dropped INTEGER NOT NULL DEFAULT 0,
    mark BLOB NOT NULL DEFAULT x''
) STRICT;
CREATE TABLE IF NOT EXISTS records (
    record INTEGER PRIMARY KEY, proof INTEGER NOT NULL, checksum INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS entries (
    queue INTEGER NOT NULL, record INTEGER NOT NULL, size INTEGER NOT NULL,
    lane INTEGER NOT NULL, checksum INTEGER NOT NULL, PRIMARY KEY (queue, record)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS identities (
    scope BLOB NOT NULL, slot INTEGER NOT NULL, number INTEGER NOT NULL, identity BLOB NOT NULL,
    PRIMARY KEY (scope, slot)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS numbers (
    name TEXT PRIMARY KEY, next INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS quarantine (
    kind TEXT NOT NULL, number INTEGER NOT NULL, proof INTEGER NOT NULL, content BLOB NOT NULL
) STRICT;
"""
_SWEEP: Final = """
DELETE FROM proofs WHERE proof NOT IN (
    SELECT proof FROM records UNION SELECT proof FROM queues UNION SELECT proof FROM quarantine
)
"""


_ENTRY_SUM: Final = (
    "((queue * 1000003 + record * 65599 + size * 257 + (lane & 4294967295) * 3 + (lane >> 32)) "
    "& 70368744177663)"
)
"""What tells an unharmed entry from a damaged one, so that SQLite itself can compare a million: any
one flipped bit changes it."""


def _entry_sum(queue: int, record: int, size_bytes: int, lane: int) -> int:
    """Return the same as `_ENTRY_SUM`."""
    total = queue * 1000003 + record * 65599 + size_bytes * 257
    return (total + (lane & 0xFFFF_FFFF) * 3 + (lane >> 32)) & 0x3FFF_FFFF_FFFF


class SqliteJournal(WritesWhole):
    """A `Journal` in a file of a directory.

    Args:
        directory: where the file is; made if need be.

    Raises:
        ConfigError: another process uses it, or another version of the program wrote it.
        StorageFaultError: it cannot be opened.
    """

    def __init__(self, directory: Path) -> None:
        self._file = SqliteFile(
            directory / FILE_NAME,
            schema=_SCHEMA,
            version=FORMAT,
            sweep=_SWEEP,
        )
        self._corrupt_count = self._file.damaged_count
        self._corrupt_records: set[int] = set()
        self._write_count = 0
        self._seen_counts: dict[bytes, int] = {}
        self._next_seen = 1

    # --- at the start -----------------------------------------------------------------------

    def contents(self) -> JournalContents:
        """Return what was written and not removed; unsound queues are set aside."""
        with self._file.transaction() as connection:
            queues: list[QueueContents] = []
            rows = connection.execute(
                "SELECT queue, proof, definition, checksum, dropped, mark "
                "FROM queues ORDER BY queue"
            ).fetchall()
            for row in rows:
                found = self._queue_contents(connection, *row)
                if found is None:
                    self._corrupt_count += 1
                    connection.execute(
                        "INSERT INTO quarantine SELECT 'queue', queue, proof, definition "
                        "FROM queues WHERE queue = ?",
                        (row[0],),
                    )
                    connection.execute("DELETE FROM queues WHERE queue = ?", (row[0],))
                else:
                    queues.append(found)
            identities = self._identities(connection)
            next_queue = self._next_number(connection, "queue", "queues", "entries")
            next_record = self._next_number(connection, "record", "records")
        return JournalContents(queues, identities, next_queue, next_record, self._corrupt_count)

    def _queue_contents(
        self,
        connection: sqlite3.Connection,
        queue: int,
        proof: int,
        definition: bytes,
        found_checksum: int,
        dropped_count: int,
        mark: bytes,
    ) -> QueueContents | None:
        """Return a queue with its entries; None if it is unsound."""
        if found_checksum != checksum(queue, definition):
            return None
        try:
            proof_content = self._file.proof(connection, proof)
        except CorruptRecordError:
            return None
        try:
            entries = self._entries(connection, queue)
        except EncodingError:
            return None
        (stored_count,) = connection.execute(
            "SELECT COUNT(*) FROM entries WHERE queue = ?", (queue,)
        ).fetchone()
        self._corrupt_count += stored_count - len(entries)
        return QueueContents(queue, definition, proof_content, dropped_count, mark, entries)

    def _entries(self, connection: sqlite3.Connection, queue: int) -> EntryColumns:
        """Return the sound entries of a queue.

        As texts of numbers, which SQLite makes and the kernel reads without the interpreter: a
        million entries take a third of a second instead of a whole one.
        """
        entries = EntryColumns()
        beyond = -1
        while True:
            (first,) = connection.execute(
                "SELECT MIN(record) FROM entries WHERE queue = ? AND record > ?", (queue, beyond)
            ).fetchone()
            if first is None:
                return entries
            beyond = min(first + RECORDS_AT_ONCE, RECORD_MAX)
            # They come in the order of the primary key, by which they are found.
            records, sizes, lanes = connection.execute(
                "SELECT group_concat(record), group_concat(size), group_concat(lane) FROM entries "  # noqa: S608 - a constant
                f"WHERE queue = ? AND record BETWEEN ? AND ? AND checksum = {_ENTRY_SUM}",
                (queue, first, beyond),
            ).fetchone()
            if records is not None:
                entries.records.frombytes(parse_integers(records, entries.records.itemsize))
                entries.sizes_bytes.frombytes(parse_integers(sizes, entries.sizes_bytes.itemsize))
                entries.lanes.frombytes(parse_integers(lanes, entries.lanes.itemsize))

    def _identities(self, connection: sqlite3.Connection) -> dict[bytes, list[int]]:
        """Return what was seen, the scope of the newest at the end."""
        identities: dict[bytes, list[int]] = {}
        self._seen_counts.clear()
        for scope, slot, number, identity in connection.execute(
            "SELECT scope, slot, number, identity FROM identities ORDER BY number"
        ):
            known = identities.pop(scope, [])
            known.append(int.from_bytes(identity, "big"))
            identities[scope] = known
            self._seen_counts[scope] = slot + 1  # behind the newest
            self._next_seen = max(self._next_seen, number + 1)
        return identities

    def _next_number(self, connection: sqlite3.Connection, name: str, *tables: str) -> int:
        """Return what is above all numbers that were ever given, however damaged the file is."""
        found = [1]
        for table in tables:
            # Names are this module's own; no value of anybody gets here.
            (last,) = connection.execute(f"SELECT MAX({name}) FROM {table}").fetchone()  # noqa: S608
            found.append((last or 0) + 1)
        row = connection.execute("SELECT next FROM numbers WHERE name = ?", (name,)).fetchone()
        return max(*found, 0 if row is None else row[0])

    # --- records ----------------------------------------------------------------------------

    def write(self, batch: JournalBatch) -> None:
        """Write changes, durably; on an error nothing was written."""
        with self._file.transaction() as connection:
            self._add(connection, batch)
            self._remove(connection, batch)
        self._corrupt_records.difference_update(batch.removed_records)
        self._write_count += 1
        if self._write_count % WRITES_PER_SHRINKING == 0:
            self._file.shrink()

    def settle(self, batch: JournalBatch, numbers: tuple[int, int], position: bytes) -> None:
        """Write the net changes of a log, and in the same transaction how far they go.

        Args:
            batch: the changes.
            numbers: what follows the highest queue and record that the log ever named.
            position: kept under `LOG_POSITION`.

        Raises:
            StorageFaultError: nothing was written.
        """
        with self._file.transaction() as connection:
            self._add(connection, batch)
            self._remove(connection, batch)
            self._raise_numbers(connection, *numbers)
            self._put_setting(connection, LOG_POSITION, position)
        self._corrupt_records.difference_update(batch.removed_records)
        self._file.shrink()

    def _add(self, connection: sqlite3.Connection, batch: JournalBatch) -> None:
        for queue in batch.queues:
            connection.execute(
                "INSERT INTO queues (queue, proof, definition, checksum) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (queue) DO UPDATE SET proof = excluded.proof, "
                "definition = excluded.definition, checksum = excluded.checksum",
                (
                    queue.queue,
                    self._file.proof_id(queue.proof),
                    queue.definition,
                    checksum(queue.queue, queue.definition),
                ),
            )
        connection.executemany(
            "UPDATE queues SET dropped = ? WHERE queue = ?",
            [(count, queue) for queue, count in batch.dropped_counts.items()],
        )
        connection.executemany(
            "INSERT OR REPLACE INTO records (record, proof, checksum, body) VALUES (?, ?, ?, ?)",
            [
                (
                    row.record,
                    self._file.proof_id(row.proof),
                    checksum(row.record, row.body),
                    row.body,
                )
                for row in batch.records
            ],
        )
        connection.executemany(
            "INSERT OR REPLACE INTO entries (queue, record, size, lane, checksum) "
            "VALUES (?, ?, ?, ?, ?)",
            [
                (queue, record, size, lane, _entry_sum(queue, record, size, lane))
                for queue, record, size, lane in batch.entries
            ],
        )
        self._note_numbers(connection, batch)
        connection.executemany(
            "UPDATE queues SET mark = ? WHERE queue = ?",
            [(mark, queue) for queue, mark in batch.marks.items()],
        )
        connection.executemany(
            "INSERT OR REPLACE INTO identities (scope, slot, number, identity) VALUES (?, ?, ?, ?)",
            [self._seen_row(scope, identity) for scope, identity in batch.identities],
        )

    def _seen_row(self, scope: bytes, identity: int) -> tuple[bytes, int, int, bytes]:
        """Return a row that takes the place of the oldest of its scope if there are too many."""
        count = self._seen_counts.get(scope, 0)
        self._seen_counts[scope] = count + 1
        number, self._next_seen = self._next_seen, self._next_seen + 1
        slot = count % IDENTITIES_PER_SCOPE_MAX
        return scope, slot, number, identity.to_bytes(8, "big")

    def _note_numbers(self, connection: sqlite3.Connection, batch: JournalBatch) -> None:
        """Keep the highest numbers: none may be given again after all that had them went."""
        self._raise_numbers(
            connection,
            max((row.queue for row in batch.queues), default=0) + 1,
            max((row.record for row in batch.records), default=0) + 1,
        )

    def _raise_numbers(
        self, connection: sqlite3.Connection, next_queue: int, next_record: int
    ) -> None:
        connection.executemany(
            "INSERT INTO numbers (name, next) VALUES (?, ?) "
            "ON CONFLICT (name) DO UPDATE SET next = MAX(next, excluded.next)",
            [
                (n, number)
                for n, number in (("queue", next_queue), ("record", next_record))
                if number > 1
            ],
        )

    def _remove(self, connection: sqlite3.Connection, batch: JournalBatch) -> None:
        connection.executemany(
            "DELETE FROM entries WHERE queue = ? AND record = ?", batch.removed_entries
        )
        removed_queues = [(queue,) for queue in batch.removed_queues]
        connection.executemany("DELETE FROM entries WHERE queue = ?", removed_queues)
        connection.executemany("DELETE FROM queues WHERE queue = ?", removed_queues)
        corrupt = self._corrupt_records.intersection(batch.removed_records)
        connection.executemany(
            "INSERT INTO quarantine SELECT 'record', record, proof, body "
            "FROM records WHERE record = ?",
            [(record,) for record in sorted(corrupt)],
        )
        connection.executemany(
            "DELETE FROM records WHERE record = ?", [(record,) for record in batch.removed_records]
        )

        scopes = [(scope,) for scope in batch.removed_scopes]
        connection.executemany("DELETE FROM identities WHERE scope = ?", scopes)
        for scope in batch.removed_scopes:
            self._seen_counts.pop(scope, None)

    def read(self, records: Sequence[int]) -> Mapping[int, RecordRow | CorruptRecordError]:
        """Return bodies; unsound ones are set aside when they are removed."""
        found: dict[int, RecordRow | CorruptRecordError] = {}
        with self._file.reading() as reader:
            for record in records:
                try:
                    found[record] = self._read_one(reader, record)
                except CorruptRecordError as error:
                    if record not in self._corrupt_records:
                        self._corrupt_records.add(record)
                        self._corrupt_count += 1
                    found[record] = error
        return found

    def _read_one(self, reader: sqlite3.Connection, record: int) -> RecordRow:
        row = reader.execute(
            "SELECT proof, checksum, body FROM records WHERE record = ?", (record,)
        ).fetchone()
        if row is None:
            raise CorruptRecordError(f"record {record} is not there")
        proof, found_checksum, body = row
        if found_checksum != checksum(record, body):
            raise CorruptRecordError(f"record {record} is damaged")
        return RecordRow(record, body, self._file.proof(reader, proof))

    # --- settings ---------------------------------------------------------------------------

    def setting(self, name: str) -> bytes | None:
        """Return a small value that was kept under a name; a damaged one counts as absent."""
        with self._file.reading() as reader:
            row = reader.execute(
                "SELECT value, checksum FROM settings WHERE name = ?", (name,)
            ).fetchone()
        if row is None:
            return None
        value: bytes = row[0]
        if row[1] != checksum(name.encode(), value):
            self._corrupt_count += 1
            return None
        return value

    def keep_setting(self, name: str, value: bytes) -> None:
        """Keep a small value under a name, durably."""
        with self._file.transaction() as connection:
            self._put_setting(connection, name, value)

    def _put_setting(self, connection: sqlite3.Connection, name: str, value: bytes) -> None:
        connection.execute(
            "INSERT OR REPLACE INTO settings (name, value, checksum) VALUES (?, ?, ?)",
            (name, value, checksum(name.encode(), value)),
        )

    def statistics(self) -> JournalStatistics:
        """Return counts."""
        with self._file.reading() as reader:
            (records,) = reader.execute("SELECT COUNT(*) FROM records").fetchone()
            (proofs,) = reader.execute("SELECT COUNT(*) FROM proofs").fetchone()
        return JournalStatistics(
            records=records,
            proofs=proofs,
            size_bytes=self._file.size_bytes(),
            corrupt_count=self._corrupt_count,
            write_count=self._write_count,
            repaired_count=self._file.repaired_count,
        )

    def close(self) -> None:
        """Release the file."""
        self._file.close()
