"""What authority remembers on disk: objects, queues and their entries, revocations, names.

Owns one SQLite database in a directory of mode 0700. Refuses to know what the objects mean and
never sees an unsealed key. Fault model: everything here can be fetched or computed again, so a
lost or damaged record costs time and nothing else; a database that cannot be read, or holds what
nobody wrote, is set aside and begun anew, also while the program runs. Objects are checked against
their hash when read. Calls block: make them from a worker thread. Several processes may share the
directory.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

import structlog

from wavemq.authz.config import REVOCATION_GRACE_SECONDS_MAX
from wavemq.clock import NANOSECONDS_PER_SECOND, Instant
from wavemq.errors import StorageFaultError, WaveMQError
from wavemq.limits import MIB
from wavemq.wave.hashes import Hash
from wavemq.wave.location import Location

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

_log = structlog.get_logger(__name__)

OBJECT_CACHE_BYTES_MAX: Final = 1024 * MIB
"""Objects kept on disk; the oldest go first and are fetched again when needed."""
BUSY_SECONDS_MAX: Final = 5.0
"""How long one process waits for another that writes."""
CHECK_AGE_SECONDS_MAX: Final = REVOCATION_GRACE_SECONDS_MAX
"""Age at which a revocation check on disk is of no use to anybody."""
CHECKS_BETWEEN_SWEEPS: Final = 1000
FILE_NAME: Final = "authority.sqlite3"

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS objects (
    sequence INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, content BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS unrevoked (
    option BLOB NOT NULL, url TEXT NOT NULL, version INTEGER NOT NULL, checked_ns INTEGER NOT NULL,
    PRIMARY KEY (option, url, version)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS revoked (option BLOB NOT NULL PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS queues (
    perspective BLOB NOT NULL, queue BLOB NOT NULL, url TEXT NOT NULL, version INTEGER NOT NULL,
    token TEXT NOT NULL, entries INTEGER NOT NULL,
    PRIMARY KEY (perspective, queue, url, version)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entries (
    perspective BLOB NOT NULL, hash BLOB NOT NULL, url TEXT NOT NULL, version INTEGER NOT NULL,
    state INTEGER NOT NULL, sealed BLOB,
    PRIMARY KEY (perspective, hash)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS names (
    perspective BLOB NOT NULL, hash BLOB NOT NULL, tag BLOB NOT NULL, sealed BLOB NOT NULL,
    PRIMARY KEY (perspective, hash), UNIQUE (perspective, tag)) WITHOUT ROWID;
"""
_VERSION: Final = 1
"""Version 0 discarded name declarations: it did not know them. They are to be tried again."""


class EntryState(IntEnum):
    """What has become of a queue entry. The numbers are on disk."""

    MISSING = 1
    """Storage does not have the object (yet)."""
    PENDING = 2
    """An attestation or name declaration that no key of ours opens (yet)."""
    LABELLED = 3
    """Its envelope is open, its body not (yet); the sealed key is the envelope's, 28 bytes."""
    OPENED = 4
    """Its body is open; the sealed key opens everything: 84 bytes of an attestation (the prover
    key), 56 of a name declaration; empty for plaintext."""
    DISCARDED = 5
    """Malformed, forged, or an object of no use in a queue; never looked at again."""


@dataclass(frozen=True, slots=True)
class QueueEntry:
    """One object that a queue named, as kept for one perspective."""

    hash: Hash
    location: Location
    state: EntryState
    sealed: bytes | None = None


@dataclass(frozen=True, slots=True)
class QueuePosition:
    """How far one queue has been read.

    Attributes:
        queue: the entity whose queue it is.
        location: where it is.
        token: where to go on.
        entries: how many entries have been read in all.
    """

    queue: Hash
    location: Location
    token: str
    entries: int


@dataclass(frozen=True, slots=True)
class PastCheck:
    """What is known of a revocation option: found at some time, or when it was last not found."""

    is_revoked: bool
    unrevoked_since: Instant | None


class AuthorityState:
    """The database of one engine.

    Args:
        directory: where it lives, made with mode 0700 if needed; None keeps it in memory.

    Raises:
        StorageFaultError: the directory cannot be made or written.
    """

    def __init__(self, directory: Path | None) -> None:
        self._lock = threading.Lock()
        self._object_bytes_max = OBJECT_CACHE_BYTES_MAX
        self._checks_kept = 0
        self._path = None if directory is None else directory / FILE_NAME
        if directory is None:
            self._connection = _connect(":memory:")
        else:
            try:
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                directory.chmod(0o700)
                self._connection = _connect_or_set_aside(directory / FILE_NAME)
                (directory / FILE_NAME).chmod(0o600)
            except OSError as error:
                raise StorageFaultError(
                    f"the state directory {directory} cannot be used: {error.strerror}"
                ) from error
        self._object_bytes = 0
        try:
            self._object_bytes = self._measure_objects()
        except StorageFaultError:
            self._object_bytes = self._measure_objects()  # what was damaged has been set aside

    def _measure_objects(self) -> int:
        with self._cursor() as cursor:
            row = cursor.execute("SELECT coalesce(sum(length(content)), 0) FROM objects").fetchone()
            return int(row[0])

    def close(self) -> None:
        """Close the database; later calls raise."""
        with self._lock:
            self._connection.close()

    # --- objects ----------------------------------------------------------------------------

    def object(self, object_hash: Hash) -> bytes | None:
        """Return a remembered object, or None."""
        with self._cursor() as cursor:
            row = cursor.execute(
                "SELECT content FROM objects WHERE hash = ?", (object_hash.to_bytes(),)
            ).fetchone()
        if row is None:
            return None
        content = bytes(row[0])
        if Hash.of(content) != object_hash:
            _log.warning("authority_state_object_damaged", object=object_hash.to_text())
            return None
        return content

    def remember_object(self, object_hash: Hash, content: bytes) -> None:
        """Keep an object whose hash has been checked."""
        with self._cursor() as cursor:
            cursor.execute(
                "INSERT INTO objects (hash, content) VALUES (?, ?) "
                "ON CONFLICT (hash) DO UPDATE SET content = excluded.content",
                (object_hash.to_bytes(), content),
            )
            self._object_bytes += len(content)
            while self._object_bytes > self._object_bytes_max:
                oldest = cursor.execute(
                    "SELECT sequence, length(content) FROM objects ORDER BY sequence LIMIT 1"
                ).fetchone()
                if oldest is None:
                    self._object_bytes = 0
                    break
                cursor.execute("DELETE FROM objects WHERE sequence = ?", (oldest[0],))
                self._object_bytes -= int(oldest[1])

    # --- revocation -------------------------------------------------------------------------

    def unrevoked_since(self, option: Hash, location: Location) -> Instant | None:
        """Return when the option was last looked up and not found, or None."""
        with self._cursor() as cursor:
            row = cursor.execute(
                "SELECT checked_ns FROM unrevoked WHERE option = ? AND url = ? AND version = ?",
                (option.to_bytes(), location.url, location.version),
            ).fetchone()
        return _instant(row)

    def has_revocation(self, option: Hash) -> bool:
        """Whether the option was found at some time; revocation is for ever."""
        with self._cursor() as cursor:
            row = cursor.execute(
                "SELECT 1 FROM revoked WHERE option = ?", (option.to_bytes(),)
            ).fetchone()
        return row is not None

    def checks(self, options: Sequence[tuple[Hash, Location]]) -> list[PastCheck]:
        """Return what is known of each option, in one read."""
        with self._cursor() as cursor:
            return [
                PastCheck(
                    is_revoked=cursor.execute(
                        "SELECT 1 FROM revoked WHERE option = ?", (option.to_bytes(),)
                    ).fetchone()
                    is not None,
                    unrevoked_since=_instant(
                        cursor.execute(
                            "SELECT checked_ns FROM unrevoked "
                            "WHERE option = ? AND url = ? AND version = ?",
                            (option.to_bytes(), location.url, location.version),
                        ).fetchone()
                    ),
                )
                for option, location in options
            ]

    def remember_unrevoked(self, option: Hash, location: Location, checked: Instant) -> None:
        """Keep that one option was looked up and not found; see `remember_all_unrevoked`."""
        self.remember_all_unrevoked([(option, location, checked)])

    def remember_all_unrevoked(self, checks: Sequence[tuple[Hash, Location, Instant]]) -> None:
        """Keep that options were looked up at an instant and not found; drop ancient checks."""
        with self._cursor() as cursor:
            sweeps = self._checks_kept // CHECKS_BETWEEN_SWEEPS
            self._checks_kept += len(checks)
            if self._checks_kept // CHECKS_BETWEEN_SWEEPS > sweeps:
                latest = max(checked for _, _, checked in checks)
                cursor.execute(
                    "DELETE FROM unrevoked WHERE checked_ns < ?",
                    (latest - CHECK_AGE_SECONDS_MAX * NANOSECONDS_PER_SECOND,),
                )
            cursor.executemany(
                "INSERT OR REPLACE INTO unrevoked VALUES (?, ?, ?, ?)",
                [
                    (option.to_bytes(), location.url, location.version, checked)
                    for option, location, checked in checks
                ],
            )

    def forget_check(self, option: Hash, location: Location) -> None:
        """Drop that the option was looked up."""
        with self._cursor() as cursor:
            cursor.execute(
                "DELETE FROM unrevoked WHERE option = ? AND url = ? AND version = ?",
                (option.to_bytes(), location.url, location.version),
            )

    def remember_revoked(self, option: Hash) -> None:
        """Keep that the option was found."""
        with self._cursor() as cursor:
            cursor.execute("INSERT OR IGNORE INTO revoked VALUES (?)", (option.to_bytes(),))

    # --- queues of one perspective ----------------------------------------------------------

    def queue_positions(self, perspective: Hash) -> list[QueuePosition]:
        """Return how far each queue has been read for a perspective."""
        with self._cursor() as cursor:
            rows = cursor.execute(
                "SELECT queue, url, version, token, entries FROM queues WHERE perspective = ?",
                (perspective.to_bytes(),),
            ).fetchall()
            return [
                QueuePosition(Hash.from_bytes(queue), Location(url, version), token, entries)
                for queue, url, version, token, entries in rows
            ]

    def entries(self, perspective: Hash) -> list[QueueEntry]:
        """Return all queue entries that are known to a perspective."""
        with self._cursor() as cursor:
            rows = cursor.execute(
                "SELECT hash, url, version, state, sealed FROM entries WHERE perspective = ?",
                (perspective.to_bytes(),),
            ).fetchall()
            return [
                QueueEntry(
                    Hash.from_bytes(entry), Location(url, version), EntryState(state), sealed
                )
                for entry, url, version, state, sealed in rows
            ]

    def save_progress(
        self,
        perspective: Hash,
        *,
        positions: Iterable[QueuePosition] = (),
        entries: Iterable[QueueEntry] = (),
    ) -> None:
        """Keep positions and the entries read up to them, all or nothing.

        A position must never be kept without its entries: they would not be read again.
        """
        owner = perspective.to_bytes()
        with self._cursor() as cursor:
            cursor.executemany(
                "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (
                        owner,
                        entry.hash.to_bytes(),
                        entry.location.url,
                        entry.location.version,
                        int(entry.state),
                        entry.sealed,
                    )
                    for entry in entries
                ],
            )
            cursor.executemany(
                "INSERT OR REPLACE INTO queues VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (
                        owner,
                        position.queue.to_bytes(),
                        position.location.url,
                        position.location.version,
                        position.token,
                        position.entries,
                    )
                    for position in positions
                ],
            )

    # --- names that a perspective has for objects -------------------------------------------

    def remember_name(self, perspective: Hash, named: Hash, *, tag: bytes, sealed: bytes) -> None:
        """Keep the one name of an object; a name that stood for another object does so no more.

        Args:
            perspective: whose name for it.
            named: the object.
            tag: equal for equal names, says nothing about the name otherwise.
            sealed: the name.
        """
        row = (perspective.to_bytes(), named.to_bytes(), tag, sealed)
        with self._cursor() as cursor:
            cursor.execute("INSERT OR REPLACE INTO names VALUES (?, ?, ?, ?)", row)

    def sealed_name(self, perspective: Hash, named: Hash) -> bytes | None:
        """Return the sealed name of an object, or None."""
        with self._cursor() as cursor:
            row = cursor.execute(
                "SELECT sealed FROM names WHERE perspective = ? AND hash = ?",
                (perspective.to_bytes(), named.to_bytes()),
            ).fetchone()
        return None if row is None else bytes(row[0])

    @contextlib.contextmanager
    def _cursor(self) -> Iterator[sqlite3.Cursor]:
        """Run one transaction; map the database's errors to ours.

        What is damaged is set aside here: the caller's error passes, and the next call works.
        """
        with self._lock:
            try:
                with self._connection:
                    yield self._connection.cursor()
            except sqlite3.Error as error:
                if _is_damage(error):
                    self._begin_anew(str(error))
                raise StorageFaultError(f"the authority state failed: {error}") from error
            except (ValueError, TypeError, WaveMQError) as error:  # a row that nobody wrote
                self._begin_anew(str(error))
                raise StorageFaultError(f"the authority state is damaged: {error}") from error

    def _begin_anew(self, reason: str) -> None:
        if self._path is not None:
            _log.error("authority_state_damaged", file=self._path.name, reason=reason)
            self._connection.close()
            self._connection = _set_aside(self._path)
            self._object_bytes = 0


def _instant(row: tuple[int] | None) -> Instant | None:
    return None if row is None else Instant(int(row[0]))


def _connect(path: str) -> sqlite3.Connection:
    """Open and prepare the database at `path`."""
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS_MAX, check_same_thread=False)
    try:
        # A cache need not survive power loss whole, so a commit does not wait for the disk.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA secure_delete = ON")
        connection.executescript(_SCHEMA)
        _upgrade(connection)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _upgrade(connection: sqlite3.Connection) -> None:
    """Have what an older version threw away without need looked at again, once."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version < _VERSION:
        with connection:
            connection.execute(
                "UPDATE entries SET state = ? WHERE state = ?",
                (int(EntryState.PENDING), int(EntryState.DISCARDED)),
            )
            connection.execute(f"PRAGMA user_version = {_VERSION}")


def _connect_or_set_aside(path: Path) -> sqlite3.Connection:
    """Open the database at `path`; one that is not a database is renamed and begun anew."""
    try:
        return _connect(str(path))
    except sqlite3.OperationalError as error:
        raise StorageFaultError(f"the state file {path} cannot be opened: {error}") from error
    except sqlite3.DatabaseError:
        return _set_aside(path)


def _set_aside(path: Path) -> sqlite3.Connection:
    """Rename a damaged database and begin anew."""
    path.replace(path.with_suffix(".damaged"))
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    _log.warning("authority_state_set_aside", file=path.name)
    return _connect(str(path))


def _is_damage(error: sqlite3.Error) -> bool:
    """Return whether the file is at fault, and not the moment."""
    primary = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or "decode" in str(error)
