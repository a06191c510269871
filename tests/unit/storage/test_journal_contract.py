"""What every journal does; run on each of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from wavemq.errors import CorruptRecordError
from wavemq.storage.journal import (
    IDENTITIES_PER_SCOPE_MAX,
    EntryRow,
    IdentityRow,
    Journal,
    JournalBatch,
    QueueRow,
    RecordRow,
)
from wavemq.storage.logged_journal import LoggedJournal
from wavemq.storage.memory import MemoryJournal
from wavemq.storage.sqlite_journal import SqliteJournal

PROOF = b"proof" * 10_000


class BegunWrites(LoggedJournal):
    """A journal whose writes go on by themselves where they can."""

    def write(self, batch: JournalBatch) -> None:
        if self.begin(batch):
            self.end()
        else:
            super().write(batch)


@pytest.fixture(params=["memory", "sqlite", "logged", "small log", "begun", "begun, small log"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journal]:
    opened: Journal
    match request.param:
        case "memory":
            opened = MemoryJournal()
        case "sqlite":
            opened = SqliteJournal(tmp_path)
        case "logged":
            opened = LoggedJournal(tmp_path)
        case "small log":  # settled now and then
            opened = LoggedJournal(tmp_path, log_bytes=70_000, rows_max=3)
        case "begun":
            opened = BegunWrites(tmp_path)
        case _:
            opened = BegunWrites(tmp_path, log_bytes=70_000, rows_max=3)
    yield opened
    opened.close()


def record(number: int, *, proof: bytes = PROOF) -> RecordRow:
    return RecordRow(number, b"body %d" % number, proof)


def entry(queue: int, number: int) -> EntryRow:
    return EntryRow(queue, number, 100 + number, -number)


def listed(*rows: EntryRow) -> list[tuple[int, int, int]]:
    return [(row.record, row.size_bytes, row.lane) for row in rows]


def filled(journal: Journal) -> Journal:
    """Two queues; the first holds records 1 and 2, the second holds 2."""
    journal.write(
        JournalBatch(
            queues=[QueueRow(1, b"first", PROOF), QueueRow(2, b"second", b"")],
            records=[record(1), record(2)],
            entries=[entry(1, 1), entry(1, 2), entry(2, 2)],
        )
    )
    return journal


def shape(journal: Journal) -> object:
    """All that a journal holds but the bodies, as values that can be compared."""
    contents = journal.contents()
    queues = [
        (one.queue, one.definition, one.proof, one.dropped_count, one.mark, list(one.entries))
        for one in contents.queues
    ]
    seen = [(scope, list(identities)) for scope, identities in contents.identities.items()]
    return queues, seen, contents.next_queue, contents.next_record


def test_new_journal_is_empty(journal: Journal) -> None:
    contents = journal.contents()
    assert (list(contents.queues), contents.next_queue, contents.next_record) == ([], 1, 1)
    assert journal.setting("name") is None


def test_what_was_written_is_there(journal: Journal) -> None:
    contents = filled(journal).contents()
    first, second = contents.queues
    assert (first.queue, first.definition, first.proof) == (1, b"first", PROOF)
    assert list(first.entries) == listed(entry(1, 1), entry(1, 2))
    assert (second.definition, second.proof, second.dropped_count) == (b"second", b"", 0)
    assert (contents.next_queue, contents.next_record, contents.corrupt_count) == (3, 3, 0)
    assert journal.read([2, 1]) == {2: record(2), 1: record(1)}


def test_entries_come_in_the_order_of_their_records(journal: Journal) -> None:
    filled(journal)
    journal.write(JournalBatch(entries=[entry(1, 3), entry(1, 10), entry(2, 9), entry(1, 300)]))
    assert list(journal.contents().queues[0].entries.records) == [1, 2, 3, 10, 300]


def test_removing_takes_what_was_named_and_nothing_else(journal: Journal) -> None:
    filled(journal)
    journal.write(JournalBatch(removed_entries=[(1, 1)], removed_records=[1]))
    contents = journal.contents()
    assert list(contents.queues[0].entries.records) == [2]
    assert len(contents.queues[1].entries) == 1
    assert isinstance(journal.read([1])[1], CorruptRecordError)
    assert journal.read([2]) == {2: record(2)}


def test_removing_a_queue_takes_its_entries_along(journal: Journal) -> None:
    filled(journal)
    journal.write(JournalBatch(removed_queues=[1], removed_records=[1]))
    assert [one.queue for one in journal.contents().queues] == [2]
    journal.write(JournalBatch(queues=[QueueRow(1, b"again", b"")]))
    again, _ = journal.contents().queues
    assert (again.definition, len(again.entries), again.dropped_count) == (b"again", 0, 0)


def test_additions_come_before_removals_in_one_batch(journal: Journal) -> None:
    journal.write(
        JournalBatch(
            queues=[QueueRow(1, b"first", b"")],
            records=[record(1)],
            entries=[entry(1, 1)],
            removed_entries=[(1, 1)],
            removed_records=[1],
            removed_queues=[1],
        )
    )
    assert list(journal.contents().queues) == []
    assert journal.statistics().records == 0


def test_writing_the_same_batch_twice_is_writing_it_once(journal: Journal) -> None:
    before = shape(filled(journal))
    filled(journal)
    assert shape(journal) == before
    assert journal.statistics().records == 2


def test_removing_what_is_not_there_does_nothing(journal: Journal) -> None:
    filled(journal)
    before = shape(journal)
    journal.write(
        JournalBatch(
            removed_entries=[(9, 9)],
            removed_queues=[9],
            removed_records=[9],
            removed_scopes=[b"never"],
        )
    )
    assert shape(journal) == before


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


# --- numbers, marks and identities --------------------------------------------------------------


def test_numbers_are_never_given_again(journal: Journal) -> None:
    filled(journal)
    journal.write(
        JournalBatch(
            removed_entries=[(1, 1), (1, 2), (2, 2)],
            removed_queues=[1, 2],
            removed_records=[1, 2],
        )
    )
    contents = journal.contents()
    assert (contents.next_queue, contents.next_record) == (3, 3)


def test_mark_is_replaced_kept_with_the_queue_and_gone_with_it(journal: Journal) -> None:
    filled(journal)
    journal.write(JournalBatch(marks={1: b"one", 2: b"two"}))
    journal.write(JournalBatch(marks={1: b"later"}))
    journal.write(JournalBatch(queues=[QueueRow(1, b"other", b"")]))
    assert [one.mark for one in journal.contents().queues] == [b"later", b"two"]
    journal.write(JournalBatch(removed_queues=[1]))
    journal.write(JournalBatch(queues=[QueueRow(1, b"again", b"")]))
    assert [one.mark for one in journal.contents().queues] == [b"", b"two"]


def test_newest_identities_of_each_scope_are_kept(journal: Journal) -> None:
    most = IDENTITIES_PER_SCOPE_MAX
    journal.write(JournalBatch(identities=[IdentityRow(b"quiet", 2**64 - 1)]))
    for first in (0, most, 2 * most - 7):
        numbers = range(first, first + most)
        journal.write(JournalBatch(identities=[IdentityRow(b"busy", one) for one in numbers]))
    seen = journal.contents().identities
    assert list(seen) == [b"quiet", b"busy"], "the scope that was written to last is at the end"
    assert list(seen[b"quiet"]) == [2**64 - 1]
    assert list(seen[b"busy"]) == list(range(2 * most - 7, 3 * most - 7))


def test_identities_go_on_where_they_were_after_reading_them(journal: Journal) -> None:
    most = IDENTITIES_PER_SCOPE_MAX
    for number in range(0, most + 10, 2):
        rows = [IdentityRow(b"scope", number), IdentityRow(b"scope", number + 1)]
        journal.write(JournalBatch(identities=rows))
        if number % 500 == 0:
            journal.contents()
    assert list(journal.contents().identities[b"scope"]) == list(range(10, most + 10))


def test_scope_is_forgotten_and_begins_anew(journal: Journal) -> None:
    journal.write(JournalBatch(identities=[IdentityRow(b"a", 1), IdentityRow(b"b", 2)]))
    journal.write(JournalBatch(removed_scopes=[b"a"]))
    journal.write(JournalBatch(identities=[IdentityRow(b"a", 3)]))
    seen = journal.contents().identities
    assert {scope: list(identities) for scope, identities in seen.items()} == {b"a": [3], b"b": [2]}
