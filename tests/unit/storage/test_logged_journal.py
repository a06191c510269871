"""The log before the file of queues: what it settles, what a crash leaves, what damage costs."""

from __future__ import annotations

import errno
import os
import random
import resource
import select
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest

from wavemq._kernel import LogWriter
from wavemq.errors import CorruptRecordError, StorageFaultError
from wavemq.storage.journal import EntryRow, IdentityRow, JournalBatch, QueueRow, RecordRow
from wavemq.storage.log_frames import HEADER, MAGIC
from wavemq.storage.logged_journal import FILE_NAME, LoggedJournal
from wavemq.storage.sqlite_journal import SqliteJournal

LOG_BYTES = 64 * 1024
PROOF = b"proof" * 1000


def opened(folder: Path) -> LoggedJournal:
    return LoggedJournal(folder, log_bytes=LOG_BYTES)


def batch_of(*records: int) -> JournalBatch:
    return JournalBatch(
        records=[RecordRow(one, b"body %d" % one * 40, PROOF) for one in records],
        entries=[EntryRow(1, one, 10, 7) for one in records],
    )


def removal_of(*records: int) -> JournalBatch:
    return JournalBatch(
        removed_entries=[(1, one) for one in records], removed_records=list(records)
    )


def killed(folder: Path) -> Path:
    """Return a copy of a directory as a process that dies now leaves it."""
    copy = folder.with_name(folder.name + "-killed")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    return copy


def waiting(folder: Path) -> list[int]:
    """Return the records of the first queue; each can be read."""
    journal = opened(folder)
    queues = journal.contents().queues
    records = list(queues[0].entries.records) if queues else []
    found = journal.read(records)
    journal.close()
    assert all(isinstance(found[one], RecordRow) for one in records)
    return records


def filled(folder: Path, count: int) -> LoggedJournal:
    """Return a journal whose log has a frame with a queue, and one for each of some records."""
    journal = opened(folder)
    journal.write(JournalBatch(queues=[QueueRow(1, b"one", b"")]))
    for number in range(1, count + 1):
        journal.write(batch_of(number))
    return journal


def frames(folder: Path) -> list[int]:
    """Return where the frames of a log that was never emptied are."""
    content = (folder / FILE_NAME).read_bytes()
    found, at = [], content.find(MAGIC)
    while at >= 0:
        found.append(at)
        at = content.find(MAGIC, at + 1)
    return found


def overwrite(folder: Path, at: int, content: bytes) -> None:
    with (folder / FILE_NAME).open("r+b") as file:
        file.seek(at)
        file.write(content)


@contextmanager
def full_disk() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_came_and_went_never_reaches_the_file_of_queues(tmp_path: Path) -> None:
    journal = filled(tmp_path, 3)
    journal.write(removal_of(1, 2, 3))
    journal.contents()
    assert journal._file.read([1, 2, 3]).keys() == {1, 2, 3}
    assert journal.statistics().records == 0
    assert journal.contents().next_record == 4, "but their numbers are known"
    journal.close()


def test_log_is_read_after_a_kill_and_emptied(tmp_path: Path) -> None:
    journal = filled(tmp_path / "a", 5)
    journal.write(removal_of(2))
    copy = killed(tmp_path / "a")
    journal.close()
    assert waiting(copy) == [1, 3, 4, 5]
    assert waiting(copy) == [1, 3, 4, 5]
    file = SqliteJournal(copy)
    assert list(file.contents().queues[0].entries.records) == [1, 3, 4, 5]
    file.close()


def test_kill_between_settling_and_emptying_takes_nothing_twice(tmp_path: Path) -> None:
    journal = filled(tmp_path / "a", 2)
    journal.write(JournalBatch(identities=[IdentityRow(b"scope", one) for one in range(5)]))
    log = (tmp_path / "a" / FILE_NAME).read_bytes()
    journal.statistics()
    copy = killed(tmp_path / "a")
    (copy / FILE_NAME).write_bytes(log)
    journal.close()
    again = opened(copy)
    assert list(again.contents().identities[b"scope"]) == list(range(5))
    again.close()
    assert waiting(copy) == [1, 2]


def test_log_is_used_again_from_its_start_when_it_is_full(tmp_path: Path) -> None:
    journal = filled(tmp_path / "a", 0)
    for number in range(1, 1001):
        journal.write(batch_of(number))
        if number > 10:
            journal.write(removal_of(number - 10))
    assert (tmp_path / "a" / FILE_NAME).stat().st_size == LOG_BYTES
    copy = killed(tmp_path / "a")
    journal.close()
    assert waiting(copy) == list(range(991, 1001))


def test_batch_that_is_larger_than_the_log_is_written_all_the_same(tmp_path: Path) -> None:
    journal = filled(tmp_path / "a", 1)
    large = RecordRow(2, bytes(2 * LOG_BYTES), PROOF)
    journal.write(JournalBatch(records=[large], entries=[EntryRow(1, 2, 10, 7)]))
    journal.write(batch_of(3))
    assert journal.read([2]) == {2: large}
    copy = killed(tmp_path / "a")
    journal.write(removal_of(2))
    assert isinstance(journal.read([2])[2], CorruptRecordError)
    journal.close()
    assert waiting(copy) == [1, 2, 3]
    assert waiting(tmp_path / "a") == [1, 3]


def test_torn_end_was_never_answered_and_is_no_damage(tmp_path: Path) -> None:
    journal = filled(tmp_path / "a", 3)
    before = (tmp_path / "a" / f"{FILE_NAME}.mark").read_bytes()
    journal.write(batch_of(4))
    copy = killed(tmp_path / "a")
    journal.close()
    (copy / f"{FILE_NAME}.mark").write_bytes(before)
    overwrite(copy, frames(copy)[-1] + HEADER.size + 200, bytes(600))
    again = opened(copy)
    assert again.statistics().corrupt_count == 0
    again.close()
    assert waiting(copy) == [1, 2, 3]


def test_end_that_was_on_disk_and_is_damaged_is_told(tmp_path: Path) -> None:
    journal = filled(tmp_path / "a", 3)
    copy = killed(tmp_path / "a")
    journal.close()
    overwrite(copy, frames(copy)[-1], bytes(600))
    again = opened(copy)
    assert again.statistics().corrupt_count == 1
    assert again.contents().next_record == 4, "its number is not given to another"
    again.close()
    assert (copy / f"{FILE_NAME}.damaged-1").exists()
    assert waiting(copy) == [1, 2]


def test_damaged_header_takes_its_frame_and_what_follows_is_found(tmp_path: Path) -> None:
    journal = filled(tmp_path / "a", 6)
    copy = killed(tmp_path / "a")
    journal.close()
    overwrite(copy, frames(copy)[4], random.Random(1).randbytes(64))
    again = opened(copy)
    assert again.statistics().corrupt_count == 1
    again.close()
    assert waiting(copy) == [1, 2, 4, 5, 6]


def test_damaged_body_takes_no_other_of_its_frame_along(tmp_path: Path) -> None:
    journal = filled(tmp_path / "a", 0)
    journal.write(batch_of(1, 2, 3))
    journal.write(batch_of(4))
    copy = killed(tmp_path / "a")
    journal.close()
    at = (copy / FILE_NAME).read_bytes().find(b"body 2")
    overwrite(copy, at, b"altered")
    again = opened(copy)
    found = again.read([1, 2, 3, 4])
    assert [one for one in found if isinstance(found[one], RecordRow)] == [1, 3, 4]
    assert again.statistics().corrupt_count >= 1
    again.close()


def test_frame_within_a_message_is_none(tmp_path: Path) -> None:
    other = filled(tmp_path / "other", 3)
    content = (tmp_path / "other" / FILE_NAME).read_bytes()[:8000]
    other.close()
    journal = filled(tmp_path / "a", 1)
    journal.write(
        JournalBatch(records=[RecordRow(9, content, b"")], entries=[EntryRow(1, 9, 1, 1)])
    )
    copy = killed(tmp_path / "a")
    journal.close()
    overwrite(copy, frames(copy)[3], bytes(64))
    assert waiting(copy) == [1]


def test_full_disk_keeps_nothing_of_a_write_and_the_journal_goes_on(tmp_path: Path) -> None:
    journal = filled(tmp_path / "a", 2)
    with full_disk():
        for _ in range(3):
            with pytest.raises(StorageFaultError, match="disk failed"):
                journal.write(batch_of(3))
        assert isinstance(journal.read([3])[3], CorruptRecordError)
        assert isinstance(journal.read([2])[2], RecordRow)
    assert waiting(killed(tmp_path / "a")) == [1, 2]
    journal.write(batch_of(3))
    assert waiting(killed(tmp_path / "a")) == [1, 2, 3]
    journal.close()


def test_disk_that_is_full_when_the_log_is_settles_later(tmp_path: Path) -> None:
    journal = filled(tmp_path / "a", 2)
    with full_disk(), pytest.raises(StorageFaultError):
        journal.statistics()
    journal.write(batch_of(3))
    assert journal.statistics().records == 3
    journal.close()
    assert waiting(tmp_path / "a") == [1, 2, 3]


def test_disk_that_fails_to_synchronize_leaves_no_frame_behind(tmp_path: Path) -> None:
    journal = filled(tmp_path / "a", 2)
    reading = os.open(tmp_path / "a" / FILE_NAME, os.O_RDONLY)
    writing, journal._log._file = journal._log._file, reading
    with pytest.raises(StorageFaultError, match=os.strerror(errno.EBADF)):
        journal.write(batch_of(3))
    journal._log._file = writing
    os.close(reading)
    journal.write(batch_of(4))
    assert waiting(killed(tmp_path / "a")) == [1, 2, 4]
    journal.close()


def test_log_of_another_size_is_read_and_made_anew(tmp_path: Path) -> None:
    journal = filled(tmp_path / "a", 3)
    copy = killed(tmp_path / "a")
    journal.close()
    again = LoggedJournal(copy, log_bytes=2 * LOG_BYTES)
    assert again.statistics().records == 3
    again.close()
    assert (copy / FILE_NAME).stat().st_size == 2 * LOG_BYTES


def is_readable(journal: LoggedJournal, wait_s: float = 0.0) -> bool:
    return bool(select.select([journal.descriptor()], [], [], wait_s)[0])


def test_begun_write_goes_on_by_itself_and_rings_when_it_is_durable(tmp_path: Path) -> None:
    journal = filled(tmp_path / "a", 1)
    assert not is_readable(journal)
    assert journal.begin(batch_of(2))
    assert is_readable(journal, 10.0)
    copy = killed(tmp_path / "a")
    journal.end()
    assert not is_readable(journal), "each ring is taken note of"
    assert journal.read([2])[2] == batch_of(2).records[0]
    journal.close()
    assert waiting(copy) == [1, 2]


def test_others_wait_for_what_was_begun_and_its_end_is_told_all_the_same(tmp_path: Path) -> None:
    journal = filled(tmp_path, 1)
    assert journal.begin(batch_of(2))
    assert journal.statistics().records == 2
    assert is_readable(journal)
    journal.end()
    assert journal.begin(batch_of(3))
    journal.close()
    assert waiting(tmp_path) == [1, 2, 3]


def test_end_does_not_wait_for_who_is_at_the_files(tmp_path: Path) -> None:
    journal = filled(tmp_path, 1)
    assert journal.begin(batch_of(2))
    with journal._alone():
        journal.end()
    assert isinstance(journal.read([2])[2], RecordRow)
    journal.close()
    assert waiting(tmp_path) == [1, 2]


def test_write_without_a_thread_to_be_had_is_for_who_needs_none(tmp_path: Path) -> None:
    journal = filled(tmp_path / "a", 1)
    other_proof = JournalBatch(
        records=[RecordRow(2, b"body", b"another proof")], entries=[EntryRow(1, 2, 10, 7)]
    )

    class NoThread:
        def begin(self, *_: object) -> int:
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    writer, journal._log._writer = journal._log._writer, cast(LogWriter, NoThread())
    assert not journal.begin(other_proof)
    journal._log._writer = writer
    journal.write(other_proof)
    copy = killed(tmp_path / "a")
    journal.close()
    assert waiting(copy) == [1, 2], "its proof went along"


def test_write_that_would_take_long_is_not_begun(tmp_path: Path) -> None:
    journal = filled(tmp_path, 1)
    too_large = JournalBatch(records=[RecordRow(2, b"x" * LOG_BYTES, PROOF)])
    assert not journal.begin(too_large)
    journal.write(too_large)
    journal.write(batch_of(3))
    assert not is_readable(journal)
    assert journal.statistics().records == 3
    with journal._lock:
        assert not journal.begin(batch_of(4)), "somebody else is at the files"
    journal.close()


def test_full_disk_keeps_nothing_of_a_begun_write(tmp_path: Path) -> None:
    journal = filled(tmp_path, 2)
    with full_disk():
        assert journal.begin(batch_of(3))
        assert is_readable(journal, 10.0)
        with pytest.raises(StorageFaultError, match="File too large"):
            journal.end()
        assert journal.begin(batch_of(4))
        with pytest.raises(StorageFaultError):
            journal.statistics()
        # The failure is told to whoever began it all the same.
        with pytest.raises(StorageFaultError, match="File too large"):
            journal.end()
    assert journal.begin(batch_of(5))
    journal.end()
    copy = killed(tmp_path)
    journal.close()
    assert waiting(copy) == [1, 2, 5]
