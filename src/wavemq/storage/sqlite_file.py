"""One SQLite file that survives kill -9 and power cuts, opened by one process.

Owns the settings that make a commit durable, the lock, the mapping of SQLite's errors to ours, and
the table of proofs, each stored once by its hash. Refuses to know the other tables. Fault model:
the disk may be full, failing, read-only or damaged. What SQLite calls damaged when the file is
opened is set aside under another name, and a new file is begun with the rows that can be read: a
router with an empty journal is of more use than one that does not start, and nothing is deleted.
Flipped bits are turned back before SQLite sees them (`file_care`).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import sqlite3
import threading
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import structlog

from wavemq.errors import ConfigError, CorruptRecordError, StorageFaultError
from wavemq.storage.file_care import FileCare
from wavemq.storage.salvaging import salvage

PROOFS_CACHED_MAX: Final = 128
"""Proofs in memory per direction, at about 55 kB each, mostly shared with their messages."""
PROOFS_UNSWEPT_MAX: Final = 512
"""New proofs after which those that nothing refers to are removed."""
PAGES_FREE_MAX: Final = 4096
"""Free pages that a file keeps; beyond, it shrinks."""
PAGES_FREED_AT_ONCE: Final = 1024
LOG_FRAMES_MAX: Final = 4000
"""Pages in the log, of 4 KiB each, after which they go into the database."""
_NO_PROOF: Final = 0

_log = structlog.get_logger("wavemq.storage")

_PROOFS_TABLE: Final = """
CREATE TABLE IF NOT EXISTS proofs (
    proof INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, content BLOB NOT NULL
) STRICT;
"""


def checksum(*parts: bytes | int) -> int:
    """Return what tells an unharmed row from a damaged one."""
    value = 0
    for part in parts:
        value = zlib.crc32(part.to_bytes(8, "big") if isinstance(part, int) else part, value)
    return value


class SqliteFile:
    """An open file: one connection that writes, one that reads.

    Args:
        path: of the file; its directory is made if need be.
        schema: statements that create its tables if they are not there.
        version: of the schema.
        sweep: statement that deletes the proofs that nothing refers to.

    Raises:
        ConfigError: another process has it open, or another version of the program wrote it.
        StorageFaultError: it cannot be opened or made.
    """

    def __init__(
        self,
        path: Path,
        *,
        schema: str,
        version: int,
        sweep: str,
    ) -> None:
        self.path = path
        self._sweep = sweep
        self._proof_ids: OrderedDict[bytes, int] = OrderedDict()
        self._proof_contents: OrderedDict[int, bytes] = OrderedDict()
        self._unswept_count = 0
        self._read_lock = threading.Lock()
        self._lock = _lock(path)
        self._care = FileCare(path)
        self._frames_tried = 0
        try:
            with MappedErrors(path):
                care = self._care.mend()
            self.damaged_count, self.repaired_count = care.damaged_count, care.repaired_count
            self.writer = self._open(schema, version)
            with MappedErrors(path):
                self._reader = _connect(path)
        except BaseException:
            os.close(self._lock)
            raise

    def _open(self, schema: str, version: int) -> sqlite3.Connection:
        try:
            return self._prepare(schema, version)
        except sqlite3.OperationalError as error:
            raise StorageFaultError(f"{self.path} cannot be opened: {error}") from error
        except sqlite3.DatabaseError as error:
            with MappedErrors(self.path):
                aside = self._care.set_aside()
            self.damaged_count += 1
            _log.error("file_set_aside", file=str(self.path), aside=aside.name, reason=str(error))
        with MappedErrors(self.path):
            connection = self._prepare(schema, version)
            salvage(aside, connection)
            return connection

    def _prepare(self, schema: str, version: int) -> sqlite3.Connection:
        connection = _connect(self.path)
        try:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            # Builds of SQLite may zero what is deleted, also where that alone writes a page. What
            # was delivered stays in both logs until they are used again, so that protects nothing.
            connection.execute("PRAGMA secure_delete = FAST")
            (found,) = connection.execute("PRAGMA user_version").fetchone()
            if found > version:
                raise ConfigError(
                    f"{self.path} was written by a newer version of this program "
                    f"(format {found}, this one knows {version})"
                )
            if 0 < found < version:
                raise ConfigError(
                    f"{self.path} was written by an earlier build (format {found}, this one knows "
                    f"{version}); let that build deliver what it holds, then move the file away"
                )
            connection.executescript(_PROOFS_TABLE + schema)
            connection.execute(f"PRAGMA user_version = {version}")
            if self.damaged_count:
                (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
                if verdict != "ok":
                    raise sqlite3.DatabaseError(verdict)
        except BaseException:
            connection.close()
            raise
        return connection

    def _checkpoint(self) -> bool:
        """Bring the log into the database, after the sums of the pages that it holds.

        Should that fail now, nothing is lost: the log holds everything, and grows until it works.
        """
        try:
            self._care.prepare_checkpoint()
            self.writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except (OSError, sqlite3.Error) as error:
            _log.warning("checkpoint_failed", file=str(self.path), reason=str(error))
            return False
        return True

    def close(self) -> None:
        """Close both connections and give the lock back."""
        with self._read_lock:
            self._reader.close()
        is_prepared = self._checkpoint()  # SQLite would, and without the sums
        self.writer.close()
        with contextlib.suppress(OSError):  # the sums are taken anew, then
            self._care.note_closed(is_log_gone=is_prepared)
        os.close(self._lock)

    # --- transactions -----------------------------------------------------------------------

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Give the connection that writes; all or nothing, durable after the block.

        Raises:
            StorageFaultError: nothing was written.
        """
        with MappedErrors(self.path):
            self.writer.execute("BEGIN IMMEDIATE")
            try:
                yield self.writer
                self.writer.execute("COMMIT")
            except BaseException:
                # What was put into the table of proofs is gone again.
                self._proof_ids.clear()
                if self.writer.in_transaction:
                    self.writer.execute("ROLLBACK")
                raise
        if self._unswept_count > PROOFS_UNSWEPT_MAX:
            self._sweep_proofs()
        frames = self._care.note_committed()
        # A log that was just emptied says so with its next commit, and a reader may hinder.
        tried = self._frames_tried
        if frames >= LOG_FRAMES_MAX and not tried <= frames < tried + LOG_FRAMES_MAX // 4:
            self._frames_tried = frames
            self._checkpoint()

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give the connection that reads, from any thread, to one at a time.

        Raises:
            StorageFaultError: the disk fails.
        """
        with self._read_lock, MappedErrors(self.path):
            yield self._reader

    def size_bytes(self) -> int:
        """Return the size of the file and its log."""
        size = 0
        for name in (self.path.name, self.path.name + "-wal", self.path.name + ".sums"):
            try:
                size += self.path.with_name(name).stat().st_size
            except FileNotFoundError:
                continue  # the log comes and goes
            except OSError as error:
                raise StorageFaultError(
                    f"{self.path} cannot be looked at: {error.strerror or error}"
                ) from error
        return size

    def shrink(self) -> None:
        """Give some free pages back to the file system if there are many.

        Raises:
            StorageFaultError: the disk fails.
        """
        with MappedErrors(self.path):
            (free,) = self.writer.execute("PRAGMA freelist_count").fetchone()
            if free > PAGES_FREE_MAX:
                # A script, since SQLite frees one page per step, and `execute` takes one step.
                self.writer.executescript(f"PRAGMA incremental_vacuum({PAGES_FREED_AT_ONCE})")

    # --- proofs -----------------------------------------------------------------------------

    def proof_id(self, proof: bytes) -> int:
        """Return the number of a proof, stored if need be; only inside a transaction."""
        if not proof:
            return _NO_PROOF
        # Comparing the same object costs nothing, so most messages cost no hashing.
        known = self._proof_ids.get(proof)
        if known is not None:
            self._proof_ids.move_to_end(proof)
            return known
        digest = hashlib.sha256(proof).digest()
        row = self.writer.execute("SELECT proof FROM proofs WHERE hash = ?", (digest,)).fetchone()
        if row is None:
            cursor = self.writer.execute(
                "INSERT INTO proofs (hash, content) VALUES (?, ?)", (digest, proof)
            )
            number = cursor.lastrowid
            assert number is not None
            self._unswept_count += 1
        else:
            (number,) = row
        self._proof_ids[proof] = number
        if len(self._proof_ids) > PROOFS_CACHED_MAX:
            self._proof_ids.popitem(last=False)
        return int(number)

    def proof(self, reader: sqlite3.Connection, number: int) -> bytes:
        """Return a proof by its number, the same object for the same proof where possible.

        Raises:
            CorruptRecordError: it is absent or does not have its hash.
        """
        if number == _NO_PROOF:
            return b""
        known = self._proof_contents.get(number)
        if known is not None:
            self._proof_contents.move_to_end(number)
            return known
        row = reader.execute(
            "SELECT hash, content FROM proofs WHERE proof = ?", (number,)
        ).fetchone()
        if row is None or hashlib.sha256(row[1]).digest() != row[0]:
            raise CorruptRecordError("a proof on disk is absent or damaged")
        content: bytes = row[1]
        self._proof_contents[number] = content
        if len(self._proof_contents) > PROOFS_CACHED_MAX:
            self._proof_contents.popitem(last=False)
        return content

    def _sweep_proofs(self) -> None:
        """Remove proofs that nothing refers to."""
        self._unswept_count = 0
        with self.transaction() as writer:
            writer.execute(self._sweep)
            # Numbers of removed proofs may be given to others.
            self._proof_ids.clear()
        with self._read_lock:
            self._proof_contents.clear()


class MappedErrors:
    """Raises what SQLite and the system raise within its blocks as `StorageFaultError`.

    Args:
        path: of the file that the blocks are about.
    """

    __slots__ = ("_path",)

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        """Begin a block; there may be several at once."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        """Raise another error in the place of one of the disk's."""
        if isinstance(error, sqlite3.Error):
            raise StorageFaultError(f"the disk failed at {self._path}: {error}") from error
        if isinstance(error, OSError):
            reason = error.strerror or error
            raise StorageFaultError(f"the disk failed at {self._path}: {reason}") from error


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10.0)
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    return connection


def _lock(path: Path) -> int:
    """Return the open lock file of a file, locked until it is closed or the process ends."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(
            path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
    except OSError as error:
        raise StorageFaultError(f"{path} cannot be made: {error.strerror or error}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise ConfigError(f"{path} is in use by another process") from error
    return descriptor
