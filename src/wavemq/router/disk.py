"""A router's own disk, opened and read before anything else is there.

Owns the journal and the retained messages of a process from their opening, and what the journal
held then. Refuses to know what the bytes mean. Fault model: a directory may be in use, unreadable
or failing, which is an error of the opening.

It needs little of the program, and most of its time is SQLite's. So it goes on in a thread while
the rest of the program is loaded.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from wavemq.router.config import RouterConfig
from wavemq.storage.journal import JournalContents
from wavemq.storage.logged_journal import LoggedJournal
from wavemq.storage.sqlite_retained import SqliteRetained


@dataclass(slots=True)
class OpenedDisk:
    """What a router keeps."""

    journal: LoggedJournal
    retained: SqliteRetained
    _contents: JournalContents | None

    def take_contents(self) -> JournalContents:
        """Return what the journal held, once: whoever takes it changes it."""
        contents, self._contents = self._contents, None
        assert contents is not None, "they were taken before"
        return contents

    def close(self) -> None:
        """Release the files."""
        self.journal.close()
        self.retained.close()


def open_disk(config: RouterConfig) -> OpenedDisk:
    """Open and read the disk of a router.

    Raises:
        ConfigError: another process uses it, or another version of the program wrote it.
        StorageFaultError: the disk fails.
    """
    journal = LoggedJournal(config.queue_directory)
    try:
        contents = journal.contents()
        return OpenedDisk(journal, SqliteRetained(config.retained_directory), contents)
    except BaseException:
        journal.close()
        raise


def opening_disk(config: RouterConfig) -> Future[OpenedDisk]:
    """Begin to open the disk of a router; errors as `open_disk`."""
    thread = ThreadPoolExecutor(1, thread_name_prefix="wavemq-opening")
    try:
        return thread.submit(open_disk, config)
    finally:
        thread.shutdown(wait=False)  # it ends when this is done
