"""What can be wrong with a file, and what is served in spite of it."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from wavemq.errors import ConfigError, CorruptRecordError, StorageFaultError
from wavemq.storage.journal import EntryRow, Journal, JournalBatch, QueueRow, RecordRow
from wavemq.storage.retained import RetainedRow
from wavemq.storage.sqlite_file import PROOFS_UNSWEPT_MAX
from wavemq.storage.sqlite_journal import FILE_NAME, SqliteJournal
from wavemq.storage.sqlite_retained import SqliteRetained

PROOF = b"proof" * 1000


def fill(directory: Path) -> None:
    journal = SqliteJournal(directory)
    journal.write(
        JournalBatch(
            queues=[QueueRow(number, b"queue %d" % number, PROOF) for number in (1, 2, 3)],
            records=[RecordRow(number, b"body %d" % number, PROOF) for number in (1, 2, 3)],
            entries=[EntryRow(number, 1, number, 10) for number in (1, 2, 3)],
        )
    )
    journal.keep_setting("router_id", b"me")
    journal.close()


def damage(directory: Path, statement: str) -> None:
    connection = sqlite3.connect(directory / FILE_NAME)
    connection.execute(statement)
    connection.commit()
    connection.close()
    # As if the page had been written so: without sums, they are taken from the pages as they are.
    (directory / f"{FILE_NAME}.sums").unlink()


def quarantined(directory: Path) -> list[tuple[str, int]]:
    connection = sqlite3.connect(directory / FILE_NAME)
    found = connection.execute("SELECT kind, number FROM quarantine").fetchall()
    connection.close()
    return found


def test_everything_is_there_after_reopening(tmp_path: Path) -> None:
    fill(tmp_path)
    journal = SqliteJournal(tmp_path)
    assert [queue.queue for queue in journal.contents().queues] == [1, 2, 3]
    assert journal.read([2]) == {2: RecordRow(2, b"body 2", PROOF)}
    assert journal.setting("router_id") == b"me"
    journal.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE queues SET definition = x'00' WHERE queue = 2",
        "UPDATE queues SET checksum = checksum + 1 WHERE queue = 2",
        "UPDATE queues SET proof = 77 WHERE queue = 2",
    ],
)
def test_damaged_queue_is_set_aside_and_the_rest_is_served(tmp_path: Path, statement: str) -> None:
    fill(tmp_path)
    damage(tmp_path, statement)
    journal = SqliteJournal(tmp_path)
    contents = journal.contents()
    assert [queue.queue for queue in contents.queues] == [1, 3]
    assert contents.corrupt_count == 1
    assert contents.next_queue == 4
    journal.close()
    assert quarantined(tmp_path) == [("queue", 2)]
    again = SqliteJournal(tmp_path)
    assert again.contents().corrupt_count == 0, "what was set aside is counted once"
    again.close()


def test_number_of_a_queue_set_aside_is_not_used_for_another(tmp_path: Path) -> None:
    fill(tmp_path)
    damage(tmp_path, "UPDATE queues SET definition = x'00' WHERE queue = 3")
    journal = SqliteJournal(tmp_path)
    assert journal.contents().next_queue == 4
    journal.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE records SET body = x'00' WHERE record = 2",
        "UPDATE records SET proof = 99 WHERE record = 2",
        "DELETE FROM records WHERE record = 2",
    ],
)
def test_damaged_record_is_an_error_in_its_place(tmp_path: Path, statement: str) -> None:
    fill(tmp_path)
    damage(tmp_path, statement)
    journal = SqliteJournal(tmp_path)
    for _ in range(2):
        found = journal.read([1, 2, 3])
        assert isinstance(found[2], CorruptRecordError)
        assert found[3] == RecordRow(3, b"body 3", PROOF)
    assert journal.statistics().corrupt_count == 1
    journal.close()


def test_damaged_record_is_set_aside_when_it_is_removed(tmp_path: Path) -> None:
    fill(tmp_path)
    damage(tmp_path, "UPDATE records SET body = x'00' WHERE record = 2")
    journal = SqliteJournal(tmp_path)
    journal.read([1, 2])
    journal.write(JournalBatch(removed_records=[1, 2]))
    journal.close()
    assert quarantined(tmp_path) == [("record", 2)]


def test_damaged_proof_spoils_those_who_need_it_only(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path)
    journal.write(JournalBatch(records=[RecordRow(1, b"1", PROOF), RecordRow(2, b"2", b"other")]))
    journal.close()
    damage(tmp_path, "UPDATE proofs SET content = x'00' WHERE proof = 1")
    journal = SqliteJournal(tmp_path)
    found = journal.read([1, 2])
    assert isinstance(found[1], CorruptRecordError)
    assert found[2] == RecordRow(2, b"2", b"other")
    journal.close()


def test_damaged_setting_counts_as_absent(tmp_path: Path) -> None:
    fill(tmp_path)
    damage(tmp_path, "UPDATE settings SET value = x'00'")
    journal = SqliteJournal(tmp_path)
    assert journal.setting("router_id") is None
    assert journal.statistics().corrupt_count == 1
    journal.close()


@pytest.mark.parametrize(
    "content", [b"\0" * 8192, b"not a database", b"SQLite format 3\0" + b"?" * 5000]
)
def test_file_that_is_no_journal_is_set_aside_and_a_new_one_begun(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    journal = SqliteJournal(tmp_path)
    assert journal.contents().corrupt_count == 1
    journal.write(JournalBatch(queues=[QueueRow(1, b"new", b"")]))
    journal.close()
    assert (tmp_path / f"{FILE_NAME}.damaged-1").read_bytes() == content, "nothing is deleted"
    (tmp_path / FILE_NAME).write_bytes(content)
    SqliteJournal(tmp_path).close()
    assert (tmp_path / f"{FILE_NAME}.damaged-2").exists()


@pytest.mark.parametrize(("version", "words"), [(99, "newer version"), (1, "earlier build")])
def test_journal_of_another_version_is_left_alone(tmp_path: Path, version: int, words: str) -> None:
    fill(tmp_path)
    damage(tmp_path, f"PRAGMA user_version = {version}")
    with pytest.raises(ConfigError, match=words):
        SqliteJournal(tmp_path)


def test_directory_serves_one_router_at_a_time(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path)
    with pytest.raises(ConfigError, match="in use"):
        SqliteJournal(tmp_path)
    journal.close()
    SqliteJournal(tmp_path).close()


def test_directory_that_cannot_be_made_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageFaultError, match="cannot be made"):
        SqliteJournal(tmp_path / "file" / "queues")


def test_full_disk_refuses_the_batch_whole_and_the_journal_goes_on(tmp_path: Path) -> None:
    fill(tmp_path)
    journal = SqliteJournal(tmp_path)
    writer = journal._file.writer
    (pages,) = writer.execute("PRAGMA page_count").fetchone()
    writer.execute(f"PRAGMA max_page_count = {pages + 4}")
    batch = JournalBatch(
        queues=[QueueRow(9, b"small", b"")],
        records=[RecordRow(number, b"x" * 5000, b"new proof") for number in range(10, 20)],
    )
    with pytest.raises(StorageFaultError, match="full"):
        journal.write(batch)
    assert [queue.queue for queue in journal.contents().queues] == [1, 2, 3]
    assert journal.statistics().records == 3
    writer.execute("PRAGMA max_page_count = 100000")
    journal.write(batch)
    assert journal.read([10]) == {10: RecordRow(10, b"x" * 5000, b"new proof")}
    journal.close()


def test_file_shrinks_after_a_backlog_is_gone(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path)
    journal.write(
        JournalBatch(records=[RecordRow(number, b"x" * 20_000, b"") for number in range(2000)])
    )
    journal.write(JournalBatch(removed_records=range(2000)))
    largest = (tmp_path / FILE_NAME).stat().st_size
    for _ in range(5 * 512):
        journal.write(JournalBatch())
    journal._file.writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert (tmp_path / FILE_NAME).stat().st_size < largest * 0.6
    journal.close()


def proofs_of(journal: Journal) -> int:
    return journal.statistics().proofs


def test_proofs_that_nobody_needs_are_swept(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path)
    kept = RecordRow(1, b"kept", b"kept proof")
    journal.write(JournalBatch(records=[kept]))
    for number in range(2, PROOFS_UNSWEPT_MAX + 20):
        row = RecordRow(number, b"", b"proof %d" % number)
        journal.write(JournalBatch(records=[row], removed_records=[number]))
    assert proofs_of(journal) < 40
    assert journal.read([1]) == {1: kept}
    again = RecordRow(2, b"again", b"proof 2")
    journal.write(JournalBatch(records=[again]))
    assert journal.read([2, 1]) == {2: again, 1: kept}
    journal.close()


def test_damaged_retained_row_is_left_out_until_its_topic_is_retained_anew(tmp_path: Path) -> None:
    store = SqliteRetained(tmp_path)
    rows = [RetainedRow(b"n", topic, b"body", PROOF) for topic in ("a", "b", "c")]
    store.write(rows)
    store._file.writer.execute("UPDATE retained SET body = x'00' WHERE topic = 'b'")

    def find() -> list[str]:
        return [row.topic for row in store.find(b"n", prefix="", is_wanted=lambda _: True).rows]

    assert find() == find() == ["a", "c"]
    assert store.statistics().corrupt_count == 1
    store.write([rows[1]])
    assert find() == ["a", "b", "c"]
    store.close()


@pytest.mark.parametrize(
    "call",
    [
        lambda journal: journal.write(JournalBatch(queues=[QueueRow(1, b"", b"")])),
        lambda journal: journal.read([1]),
        lambda journal: journal.contents(),
        lambda journal: journal.setting("a"),
        lambda journal: journal.keep_setting("a", b""),
        lambda journal: journal.statistics(),
    ],
)
def test_failing_file_is_a_fault_at_every_call(
    tmp_path: Path, call: Callable[[SqliteJournal], object]
) -> None:
    journal = SqliteJournal(tmp_path)
    for table in ("queues", "records", "settings", "proofs"):
        journal._file.writer.execute(f"DROP TABLE {table}")
    with pytest.raises(StorageFaultError, match="disk failed"):
        call(journal)
    journal.close()


def test_log_that_another_program_has_brought_into_the_file_is_no_damage(tmp_path: Path) -> None:
    living = tmp_path / "living"
    journal = fill_and_leave_open(living)
    killed = tmp_path / "killed"
    shutil.copytree(living, killed)
    journal.close()
    connection = sqlite3.connect(killed / FILE_NAME)
    assert connection.execute("SELECT COUNT(*) FROM records").fetchone() == (3,)
    connection.close()  # the last one: it brings the log into the database
    assert not (killed / f"{FILE_NAME}-wal").exists()
    for _ in range(2):
        reopened = SqliteJournal(killed)
        assert reopened.statistics().records == 3
        assert (reopened.statistics().corrupt_count, reopened.statistics().repaired_count) == (0, 0)
        reopened.close()


def fill_and_leave_open(directory: Path) -> SqliteJournal:
    """Return a journal whose file has sums, and whose log has more."""
    SqliteJournal(directory).close()
    journal = SqliteJournal(directory)
    for number in range(1, 4):
        journal.write(JournalBatch(records=[RecordRow(number, b"body" * 500, b"proof")]))
    return journal
