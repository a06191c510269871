"""Entries as the journal reads them back: numbers of every size, gaps, and damage."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

import pytest

from wavemq._kernel import EncodingError, parse_integers
from wavemq.storage.journal import EntryRow, JournalBatch, QueueRow
from wavemq.storage.sqlite_journal import FILE_NAME, RECORDS_AT_ONCE, SqliteJournal

FAR = 1 << 46
ENTRIES = [
    EntryRow(1, 1, 0, 0),
    EntryRow(1, 2, (1 << 32) - 1, (1 << 63) - 1),
    EntryRow(1, 1 + RECORDS_AT_ONCE, 3, -(1 << 63)),
    EntryRow(1, 2 + RECORDS_AT_ONCE, 4, -1),
    EntryRow(1, FAR, 5, 7),
    EntryRow(2, 2, 6, 8),
]


def filled(folder: Path) -> None:
    journal = SqliteJournal(folder)
    queues = [QueueRow(queue, b"definition", b"") for queue in (1, 2, 3)]
    journal.write(JournalBatch(queues=queues, entries=ENTRIES))
    journal.close()


def found(folder: Path) -> tuple[dict[int, list[tuple[int, int, int]]], int]:
    journal = SqliteJournal(folder)
    contents = journal.contents()
    journal.close()
    return {one.queue: list(one.entries) for one in contents.queues}, contents.corrupt_count


def expected(queue: int) -> list[tuple[int, int, int]]:
    return [(one.record, one.size_bytes, one.lane) for one in ENTRIES if one.queue == queue]


def test_numbers_of_every_size_come_back_over_gaps(tmp_path: Path) -> None:
    filled(tmp_path)
    assert found(tmp_path) == ({1: expected(1), 2: expected(2), 3: []}, 0)


def forget_page_sums(directory: Path) -> None:
    """Let pages count as they are, as if they had been written so."""
    (directory / f"{FILE_NAME}.sums").unlink()


@pytest.mark.parametrize("column", ["size", "lane", "checksum"])
def test_damaged_entry_is_left_out_alone_and_counted(tmp_path: Path, column: str) -> None:
    filled(tmp_path)
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        connection.execute(f"UPDATE entries SET {column} = {column} - 4 WHERE record = 2")
    connection.close()
    forget_page_sums(tmp_path)
    queues, corrupt_count = found(tmp_path)
    assert queues == {1: expected(1)[:1] + expected(1)[2:], 2: [], 3: []}
    assert corrupt_count == 2


def test_entry_whose_record_is_damaged_is_left_out(tmp_path: Path) -> None:
    filled(tmp_path)
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        connection.execute("UPDATE entries SET record = -5 WHERE queue = 2")
    connection.close()
    forget_page_sums(tmp_path)
    queues, corrupt_count = found(tmp_path)
    assert (queues[2], corrupt_count) == ([], 1)


def test_lists_of_numbers_are_read_strictly() -> None:
    assert parse_integers("", 8) == b""
    assert parse_integers("-2,3", 8) == b"".join(
        value.to_bytes(8, sys.byteorder, signed=True) for value in (-2, 3)
    )
    for text, width in [("1,,2", 8), ("1.0", 8), ("-1", 4), (str(1 << 32), 4), ("1", 2)]:
        with pytest.raises(EncodingError):
            parse_integers(text, width)
