"""What every journal does; run on each of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from wavemq.errors import CorruptRecordError
from wavemq.storage.journal import EntryRow, Journal, JournalBatch, QueueRow, RecordRow
from wavemq.storage.memory import MemoryJournal
from wavemq.storage.sqlite_journal import SqliteJournal

PROOF = b"proof" * 10_000


@pytest.fixture(params=["memory", "sqlite"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journal]:
    opened: Journal = MemoryJournal() if request.param == "memory" else SqliteJournal(tmp_path)
    yield opened
    opened.close()


def record(number: int, *, proof: bytes = PROOF) -> RecordRow:
    return RecordRow(number, b"body %d" % number, proof)


def entry(queue: int, place: int, number: int) -> EntryRow:
    return EntryRow(queue, place, number, 100)


def filled(journal: Journal) -> Journal:
    """Two queues; the first holds records 1 and 2, the second holds 2."""
    journal.write(
        JournalBatch(
            queues=[QueueRow(1, b"first", PROOF), QueueRow(2, b"second", b"")],
            records=[record(1), record(2)],
            entries=[entry(1, 10, 1), entry(1, 11, 2), entry(2, 5, 2)],
        )
    )
    return journal


def test_new_journal_is_empty(journal: Journal) -> None:
    contents = journal.contents()
    assert (list(contents.queues), contents.next_queue, contents.next_record) == ([], 1, 1)
    assert journal.setting("name") is None


def test_what_was_written_is_there(journal: Journal) -> None:
    contents = filled(journal).contents()
    first, second = contents.queues
    assert (first.queue, first.definition, first.proof) == (1, b"first", PROOF)
    assert list(first.entries) == [entry(1, 10, 1), entry(1, 11, 2)]
    assert (second.definition, second.proof, second.dropped_count) == (b"second", b"", 0)
    assert (contents.next_queue, contents.next_record, contents.corrupt_count) == (3, 3, 0)
    assert journal.read([2, 1]) == {2: record(2), 1: record(1)}


def test_entries_come_in_order_of_place_however_they_were_written(journal: Journal) -> None:
    filled(journal)
    journal.write(JournalBatch(entries=[entry(1, 300, 2), entry(1, 2, 1), entry(1, 20, 1)]))
    places = [one.place for one in journal.contents().queues[0].entries]
    assert places == [2, 10, 11, 20, 300]


def test_removing_takes_what_was_named_and_nothing_else(journal: Journal) -> None:
    filled(journal)
    journal.write(JournalBatch(removed_entries=[(1, 10)], removed_records=[1]))
    contents = journal.contents()
    assert [one.place for one in contents.queues[0].entries] == [11]
    assert len(contents.queues[1].entries) == 1
    assert isinstance(journal.read([1])[1], CorruptRecordError)
    assert journal.read([2]) == {2: record(2)}


def test_removing_a_queue_takes_its_entries_along(journal: Journal) -> None:
    filled(journal)
    journal.write(JournalBatch(removed_queues=[1], removed_records=[1]))
    assert [one.queue for one in journal.contents().queues] == [2]
    journal.write(JournalBatch(queues=[QueueRow(1, b"again", b"")]))
    again, _ = journal.contents().queues
    assert (again.definition, list(again.entries), again.dropped_count) == (b"again", [], 0)


def test_additions_come_before_removals_in_one_batch(journal: Journal) -> None:
    journal.write(
        JournalBatch(
            queues=[QueueRow(1, b"first", b"")],
            records=[record(1)],
            entries=[entry(1, 1, 1)],
            removed_entries=[(1, 1)],
            removed_records=[1],
            removed_queues=[1],
        )
    )
    assert list(journal.contents().queues) == []
    assert journal.statistics().records == 0


def test_writing_the_same_batch_twice_is_writing_it_once(journal: Journal) -> None:
    before = filled(journal).contents()
    filled(journal)
    assert journal.contents() == before
    assert journal.statistics().records == 2


def test_removing_what_is_not_there_does_nothing(journal: Journal) -> None:
    filled(journal)
    before = journal.contents()
    journal.write(JournalBatch(removed_entries=[(9, 9)], removed_queues=[9], removed_records=[9]))
    assert journal.contents() == before


def test_redefining_a_queue_keeps_its_entries_and_drop_count(journal: Journal) -> None:
    filled(journal)
    journal.write(JournalBatch(dropped_counts={1: 7}))
    journal.write(JournalBatch(queues=[QueueRow(1, b"other", b"other proof")]))
    first = journal.contents().queues[0]
    assert (first.definition, first.proof, first.dropped_count) == (b"other", b"other proof", 7)
    assert len(first.entries) == 2


def test_proof_is_stored_once_for_all_that_share_it(journal: Journal) -> None:
    journal.write(
        JournalBatch(
            queues=[QueueRow(1, b"first", PROOF)],
            records=[record(number, proof=bytes(bytearray(PROOF))) for number in range(1, 101)]
            + [record(101, proof=b"other"), record(102, proof=b"")],
        )
    )
    statistics = journal.statistics()
    assert (statistics.records, statistics.proofs) == (102, 2)
    assert statistics.size_bytes < 20 * len(PROOF)
    assert journal.read([102]) == {102: record(102, proof=b"")}


def test_absent_record_is_an_error_in_its_place(journal: Journal) -> None:
    found = filled(journal).read([1, 77])
    assert found[1] == record(1)
    assert isinstance(found[77], CorruptRecordError)


def test_settings_are_kept_and_replaced(journal: Journal) -> None:
    journal.keep_setting("router_id", b"1")
    journal.keep_setting("router_id", b"2")
    assert journal.setting("router_id") == b"2"
    assert journal.setting("other") is None


def test_writes_are_counted(journal: Journal) -> None:
    filled(journal)
    journal.write(JournalBatch())
    assert journal.statistics().write_count == 2


@pytest.mark.parametrize("size", [0, 1, 4 * 1024 * 1024])
def test_bodies_of_any_size_come_back_as_they_were(journal: Journal, size: int) -> None:
    row = RecordRow(1, b"x" * size, b"")
    journal.write(JournalBatch(records=[row]))
    assert journal.read([1]) == {1: row}
