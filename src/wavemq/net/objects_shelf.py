"""Objects and queues on the local disk: what the storage server and the provider `local` share.

Owns one SQLite file: objects by their Keccak hash, append-only queues by position. Refuses to know
HTTP, locations and what the objects mean. Fault model: the process may be killed at any moment and
other processes may write to the same file; a write that was answered is on disk (WAL journal,
synchronous=FULL, one commit for all writes that wait). A failing disk is a `StorageFaultError`.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

from wavemq.errors import InternalError, InvalidParameterError, StorageFaultError, WaveMQError
from wavemq.limits import OBJECT_BYTES_MAX, QUEUE_ENTRIES_MAX
from wavemq.wave.hashes import Hash

FILE_NAME: Final = "objects.sqlite3"
FORMAT_VERSION: Final = 1
APPLICATION_ID: Final = 0x77766F62
"""Marks our files, so that another program's database is not taken for one."""
BUSY_SECONDS_MAX: Final = 5.0
"""Waiting for another process that writes."""
LOCK_RETRY_SECONDS: Final = 0.02
WRITES_PENDING_MAX: Final = 256
WRITES_PER_COMMIT_MAX: Final = 64
CLOSE_SECONDS_MAX: Final = 30.0
TOKEN_DIGITS_MAX: Final = 18

_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS object (hash BLOB PRIMARY KEY, content BLOB NOT NULL)",
    """CREATE TABLE IF NOT EXISTS entry (
        queue BLOB, position INTEGER, hash BLOB NOT NULL, PRIMARY KEY (queue, position)
    ) WITHOUT ROWID""",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {FORMAT_VERSION}",
)

_Write = Callable[[sqlite3.Connection], None]
_Pending = tuple[_Write, "Future[None]"]


class Shelf:
    """A durable set of objects and queues in one directory; safe for several processes at once.

    The methods may be awaited from one event loop at a time. Reads run in one thread, writes in
    another that commits all waiting ones together.

    Args:
        directory: made with mode 0700 if missing; holds one database.
        queue_entries_max: more are refused.

    Raises:
        StorageFaultError: the directory cannot be used, or holds something else.
    """

    def __init__(self, directory: Path, *, queue_entries_max: int = QUEUE_ENTRIES_MAX) -> None:
        self.directory = directory
        self._queue_entries_max = queue_entries_max
        self._path = directory / FILE_NAME
        with self._faults("opened"):
            _make_directory(directory)
            with contextlib.ExitStack() as on_failure:
                self._read_connection = self._connect()
                on_failure.callback(self._read_connection.close)
                with _lock(directory):
                    self._prepare(self._read_connection)
                self._write_connection = self._connect()
                on_failure.pop_all()
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="objects-read")
        self._pending: queue.Queue[_Pending | None] = queue.Queue(WRITES_PENDING_MAX)
        self._writer = threading.Thread(target=self._run_writer, name="objects-write", daemon=True)
        self._writer.start()
        self._is_closed = False

    async def get(self, object_hash: Hash) -> bytes | None:
        """Return the object, or None when it is not here.

        Raises:
            StorageFaultError: the disk failed.
        """
        return await self._read(
            "SELECT content FROM object WHERE hash = ?", (object_hash.to_bytes(),)
        )

    async def put(self, content: bytes) -> Hash:
        """Store an object and return the hash that was computed here; durable on return.

        Raises:
            InvalidParameterError: it is empty or larger than `OBJECT_BYTES_MAX`.
            StorageFaultError: the disk failed; nothing was stored.
        """
        if not 0 < len(content) <= OBJECT_BYTES_MAX:
            raise InvalidParameterError(
                f"an object has 1 to {OBJECT_BYTES_MAX} bytes, this one has {len(content)}"
            )
        object_hash = Hash.of(content)
        row = (object_hash.to_bytes(), content)

        def insert(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT OR IGNORE INTO object (hash, content) VALUES (?, ?)", row)

        await self._write(insert)
        return object_hash

    async def enqueue(self, queue_hash: Hash, entry: Hash) -> None:
        """Append an entry to a queue; durable on return.

        Raises:
            StorageFaultError: the disk failed or the queue is full; nothing was appended.
        """
        key, value = queue_hash.to_bytes(), entry.to_bytes()

        def append(connection: sqlite3.Connection) -> None:
            (position,) = connection.execute(
                "SELECT coalesce(max(position) + 1, 0) FROM entry WHERE queue = ?", (key,)
            ).fetchone()
            if position >= self._queue_entries_max:
                raise StorageFaultError(f"the queue is full: it has {position} entries")
            connection.execute(
                "INSERT INTO entry (queue, position, hash) VALUES (?, ?, ?)", (key, position, value)
            )

        await self._write(append)

    async def entry(self, queue_hash: Hash, position: int) -> Hash | None:
        """Return the entry of a queue at `position`, from 0; None after the last one.

        Raises:
            StorageFaultError: the disk failed.
        """
        if not 0 <= position < self._queue_entries_max:
            return None
        found = await self._read(
            "SELECT hash FROM entry WHERE queue = ? AND position = ?",
            (queue_hash.to_bytes(), position),
        )
        return None if found is None else Hash.from_bytes(found)

    async def aclose(self) -> None:
        """Commit what waits and let go of the file; closing twice does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        await asyncio.to_thread(self._pending.put, None)
        await asyncio.to_thread(self._writer.join, CLOSE_SECONDS_MAX)
        await asyncio.to_thread(self._reader.shutdown)
        # The last connection to close checkpoints the journal into the database.
        self._read_connection.close()
        self._write_connection.close()

    def _connect(self) -> sqlite3.Connection:
        # Each connection is used by one thread of ours, but not by the one that made it.
        connection = sqlite3.connect(
            self._path, timeout=BUSY_SECONDS_MAX, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if application == APPLICATION_ID and version == FORMAT_VERSION:
            return
        if application not in (0, APPLICATION_ID) or tables != 0:
            raise StorageFaultError(
                f"{self._path} is not an object storage of this version of the program"
            )
        connection.execute("PRAGMA journal_mode = WAL")
        with _transaction(connection):
            for statement in _SCHEMA:
                connection.execute(statement)

    async def _read(self, statement: str, parameters: Sequence[object]) -> bytes | None:
        if self._is_closed:
            raise StorageFaultError(f"object storage {self.directory} is closed")

        def fetch() -> bytes | None:
            with self._faults("read"):
                row = self._read_connection.execute(statement, parameters).fetchone()
            return None if row is None else bytes(row[0])

        return await asyncio.get_running_loop().run_in_executor(self._reader, fetch)

    async def _write(self, write: _Write) -> None:
        done: Future[None] = Future()
        if self._is_closed:
            raise StorageFaultError(f"object storage {self.directory} is closed")
        try:
            self._pending.put_nowait((write, done))
        except queue.Full:
            raise StorageFaultError(
                f"object storage {self.directory} is overloaded: {WRITES_PENDING_MAX} writes wait"
            ) from None
        await asyncio.wrap_future(done)

    def _run_writer(self) -> None:
        """Commit waiting writes in batches until the end is announced."""
        is_open = True
        while is_open:
            batch: list[_Pending] = []
            first = self._pending.get()
            while first is not None:
                write, done = first
                if done.set_running_or_notify_cancel():
                    batch.append((write, done))
                if len(batch) >= WRITES_PER_COMMIT_MAX:
                    break
                try:
                    first = self._pending.get_nowait()
                except queue.Empty:
                    break
            is_open = first is not None
            self._commit(batch)

    def _commit(self, batch: list[_Pending]) -> None:
        """Perform a batch in one transaction; each write fails alone, the disk fails all."""
        failures: dict[int, WaveMQError] = {}
        try:
            with self._faults("written"), _transaction(self._write_connection):
                for index, (write, _) in enumerate(batch):
                    try:
                        write(self._write_connection)
                    except StorageFaultError as error:
                        failures[index] = error
        except StorageFaultError as error:
            failures = dict.fromkeys(range(len(batch)), error)
        except Exception as error:  # noqa: BLE001 - whoever waits must hear of it
            fault = InternalError(f"object storage could not write: {error!r}")
            failures = dict.fromkeys(range(len(batch)), fault)
        for index, (_, done) in enumerate(batch):
            if index in failures:
                done.set_exception(failures[index])
            else:
                done.set_result(None)

    @contextlib.contextmanager
    def _faults(self, verb: str) -> Iterator[None]:
        """Turn failures of disk and database into ours, once."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StorageFaultError(
                f"object storage {self.directory} could not be {verb}: {error}"
            ) from error


def token_position(token: str) -> int | None:
    """Return the position that a queue token of ours stands for; None for any other text."""
    if token == "":
        return 0
    is_ours = token.isascii() and token.isdecimal() and len(token) <= TOKEN_DIGITS_MAX
    return int(token) if is_ours else None


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit on success, roll back on any error; takes the write lock at its beginning."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextlib.contextmanager
def _lock(directory: Path) -> Iterator[None]:
    """Hold a directory's advisory lock: only one process at a time makes the database."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        deadline = time.monotonic() + BUSY_SECONDS_MAX
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(LOCK_RETRY_SECONDS)
        yield
    finally:
        os.close(handle)


def _make_directory(directory: Path) -> None:
    """Make a private directory whose name survives a power loss."""
    if directory.is_dir():
        return
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    parent = os.open(directory.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)
