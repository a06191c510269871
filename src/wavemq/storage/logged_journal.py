"""The journal of a router: a log in front of the file of queues.

Owns the order of things: a batch is appended to the log, which is what makes it durable, and its
net effect is kept in memory; now and then the net effect goes into the file in one transaction, and
the log is emptied. What is delivered soon never reaches the file. Refuses to know what the bytes
mean. Fault model: as every journal. A crash between the transaction and the emptying is harmless,
since the transaction says how far the log is settled.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import structlog

from wavemq.errors import CorruptRecordError, StorageFaultError
from wavemq.limits import MIB
from wavemq.storage.append_log import AppendLog, Position
from wavemq.storage.journal import JournalBatch, JournalContents, JournalStatistics, RecordRow
from wavemq.storage.overlay import Overlay
from wavemq.storage.sqlite_file import MappedErrors
from wavemq.storage.sqlite_journal import LOG_POSITION, RECORD_MAX, SqliteJournal

FILE_NAME: Final = "queues.log"
LOG_BYTES: Final = 8 * MIB
"""Of the log, on disk; what is in memory of it is less."""
ROWS_MAX: Final = 8192
"""Rows of net changes after which they go into the file: 28 to 44 ms of writing."""

_log = structlog.get_logger("wavemq.storage")


class LoggedJournal:
    """A `Journal` in files of a directory.

    Args:
        directory: where the files are; made if need be.
        log_bytes: size of the log.
        rows_max: of net changes that are not in the file of queues yet.

    Raises:
        ConfigError: another process uses it, or another version of the program wrote it.
        StorageFaultError: it cannot be opened.
    """

    def __init__(
        self, directory: Path, *, log_bytes: int = LOG_BYTES, rows_max: int = ROWS_MAX
    ) -> None:
        self._rows_max = rows_max
        self._lock = threading.Lock()
        # Whoever holds the other one may take long, and has ended what was begun before that.
        self._ending = threading.Lock()
        self._write_count = 0
        # Whatever the file holds may be removed, until `contents` has looked.
        self._settled_record = RECORD_MAX
        self._overlay = Overlay(1, 1, self._settled_record)
        self._begun: JournalBatch | None = None
        self._failure: StorageFaultError | None = None
        self._path = directory / FILE_NAME
        self._errors = MappedErrors(self._path)
        self._file = SqliteJournal(directory)
        self._log = AppendLog(self._path, log_bytes)
        try:
            with self._errors:
                self._replay()
        except BaseException:
            self._log.close()
            self._file.close()
            raise

    def _replay(self) -> None:
        """Take what the log holds, and begin it anew."""
        settled = Position.parse(self._file.setting(LOG_POSITION))
        found = self._log.read(settled)
        self._damaged_count, self._repaired_count = found.damaged_count, found.repaired_count
        self._overlay = Overlay(found.next_queue, found.next_record, self._settled_record)
        position = self._log.next_position(found.next_sequence)
        for batch in found.batches:
            if self._overlay.is_contradicted_by(batch):
                # The log stays as it is, and is replayed whole should the process die now.
                self._file.write(self._overlay.batch())
                self._overlay = self._following()
            self._overlay.apply(batch)
        self._settle(position)

    # --- writing ----------------------------------------------------------------------------

    def write(self, batch: JournalBatch) -> None:
        """Write changes, durably; on an error nothing was written."""
        with self._alone(), self._errors:
            overlay = self._overlay
            if self._must_settle(batch):
                overlay = self._settle()
            if not self._log.append(batch, overlay.next_numbers(batch)):
                overlay = self._settle()
                if not self._log.append(batch, overlay.next_numbers(batch)):
                    self._write_through(batch)
                    return
            overlay.apply(batch)
            self._write_count += 1

    def begin(self, batch: JournalBatch) -> bool:
        """Begin to write changes; False: it would take long, so `write` is to do it."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            if self._must_settle(batch):
                return False
            is_begun = self._log.begin(batch, self._overlay.next_numbers(batch))
            if is_begun:
                self._begun = batch
            return is_begun
        finally:
            self._lock.release()

    def end(self) -> None:
        """Wait for the end of what was begun; on an error nothing was written."""
        self._end_begun()
        failure, self._failure = self._failure, None
        self._log.take_note()
        if failure is not None:
            raise failure

    def descriptor(self) -> int:
        """Return what is readable when what was begun has ended, until `end`."""
        return self._log.descriptor()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Let nobody else in, and nothing be under way."""
        with self._lock:
            self._end_begun()
            yield

    def _end_begun(self) -> None:
        with self._ending:
            begun, self._begun = self._begun, None
            if begun is None:
                return
            try:
                with self._errors:
                    self._log.end()
            except StorageFaultError as error:
                self._failure = error
            else:
                self._overlay.apply(begun)
                self._write_count += 1

    def _must_settle(self, batch: JournalBatch) -> bool:
        """Return whether the net changes go into the file before a batch is appended."""
        overlay = self._overlay
        return (
            overlay.row_count >= self._rows_max
            or overlay.is_full_of_identities
            or overlay.is_contradicted_by(batch)
            or not self._log.is_ready
        )

    def _write_through(self, batch: JournalBatch) -> None:
        """Write what is larger than the log into the file."""
        overlay = self._overlay
        self._file.write(batch)
        self._write_count += 1
        self._settled_record = max(self._settled_record, _above(batch))
        self._overlay = Overlay(*overlay.next_numbers(batch), self._settled_record)

    def _settle(self, position: Position | None = None) -> Overlay:
        """Write the net changes into the file, and empty the log; return what takes the next."""
        position = position or self._log.next_position()
        overlay = self._overlay
        numbers = (overlay.next_queue, overlay.next_record)
        self._file.settle(overlay.batch(), numbers, position.to_bytes())
        self._overlay = self._following()
        self._log.empty(position, *numbers)
        return self._overlay

    def _following(self) -> Overlay:
        """Return what takes the next changes when those there are have gone into the file."""
        overlay = self._overlay
        highest = max(overlay.next_record, _above(overlay.batch()))
        self._settled_record = max(self._settled_record, highest)
        return Overlay(overlay.next_queue, overlay.next_record, self._settled_record)

    # --- reading ----------------------------------------------------------------------------

    def contents(self) -> JournalContents:
        """Return what was written and not removed; unsound queues are set aside."""
        with self._alone(), self._errors:
            overlay = self._overlay
            if not overlay.is_untouched:
                overlay = self._settle()
            contents = self._file.contents()
            last = [one.entries.records[-1] for one in contents.queues if one.entries.records]
            self._settled_record = max(contents.next_record, *(one + 1 for one in last), 1)
            self._overlay = Overlay(
                max(overlay.next_queue, contents.next_queue),
                max(overlay.next_record, contents.next_record),
                self._settled_record,
            )
        return replace(contents, corrupt_count=contents.corrupt_count + self._damaged_count)

    def read(self, records: Sequence[int]) -> Mapping[int, RecordRow | CorruptRecordError]:
        """Return bodies; unsound ones are set aside when they are removed."""
        overlay = self._overlay  # once: it is replaced when its changes are in the file
        found: dict[int, RecordRow | CorruptRecordError] = {}
        missing: list[int] = []
        for record in records:
            row = overlay.record(record)
            if row is not None:
                found[record] = row
            elif overlay.is_removed(record):
                found[record] = CorruptRecordError(f"record {record} is not there")
            else:
                missing.append(record)
        if missing:
            found.update(self._file.read(missing))
        return found

    def setting(self, name: str) -> bytes | None:
        """Return a small value that was kept under a name; a damaged one counts as absent."""
        return self._file.setting(name)

    def keep_setting(self, name: str, value: bytes) -> None:
        """Keep a small value under a name, durably."""
        with self._alone():
            self._file.keep_setting(name, value)

    def statistics(self) -> JournalStatistics:
        """Return counts, of what the file holds when the log has gone into it."""
        with self._alone(), self._errors:
            if not self._overlay.is_untouched:
                self._settle()
        found = self._file.statistics()
        return replace(
            found,
            size_bytes=found.size_bytes + self._log.used_bytes(),
            corrupt_count=found.corrupt_count + self._damaged_count,
            write_count=self._write_count,
            repaired_count=found.repaired_count + self._repaired_count,
        )

    def close(self) -> None:
        """Release the files; what the log holds goes into the file of queues if it can."""
        with self._alone():
            try:
                if not self._overlay.is_untouched:
                    with self._errors:
                        self._settle()
            except StorageFaultError as error:
                # Nothing is lost: the log is read at the next start.
                _log.warning("log_not_settled", file=str(self._path), reason=str(error))
            self._log.close()
            self._file.close()


def _above(batch: JournalBatch) -> int:
    """Return what is above all records that a batch adds, and those that its entries name."""
    return 1 + max(
        max((row.record for row in batch.records), default=0),
        max((row[1] for row in batch.entries), default=0),
    )
