"""A run of 1,000 messages, cut at every write, fsync and rename: what was promised is there.

The run is made once, by the real journal on real files, and every operation that reaches the
kernel is recorded. Then the files are built as a disk may hold them after each of the operations:
as after kill -9; with that last write torn; and as after a power cut, which keeps what was
synchronized and of the rest any part. Each time the journal is opened and read.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.damaged_journal import body, proof
from tests.support.recorded_writes import Disk, Operation, record, torn
from wavemq.storage.journal import RecordRow
from wavemq.storage.logged_journal import LoggedJournal

MESSAGES = 1_000
BATCH = 25
KEPT = 60
"""Messages that wait at a time; older ones are removed as they are delivered."""
ACKNOWLEDGED = "acknowledged"
SEED = 20_261_124

LOG_BYTES = 48 * 1024
"""So few that the log is emptied some forty times."""
JOURNALS = {
    "file": "SqliteJournal(root)",
    "log": f"LoggedJournal(root, log_bytes={LOG_BYTES})",
}

PROGRAM = f"""
import os, sys
from pathlib import Path
from tests.support.damaged_journal import batch_of
from wavemq.storage import sqlite_file
from wavemq.storage.journal import JournalBatch, QueueRow
from wavemq.storage.logged_journal import LoggedJournal
from wavemq.storage.sqlite_journal import SqliteJournal

sqlite_file.LOG_FRAMES_MAX = 100  # so that the log goes into the database some times
root = Path(sys.argv[1])
acknowledged = os.open(root / "{ACKNOWLEDGED}", os.O_WRONLY | os.O_CREAT)
journal = JOURNAL
journal.write(JournalBatch(queues=[QueueRow(1, b"one", b"")]))
for first in range(1, {MESSAGES} + 1, {BATCH}):
    journal.write(batch_of(range(first, first + {BATCH})))
    os.pwrite(acknowledged, (first + {BATCH} - 1).to_bytes(4, "big"), 0)
    done = range(max(1, first - {KEPT}), max(1, first - {KEPT} + {BATCH}))
    journal.write(JournalBatch(
        removed_entries=[(1, one) for one in done], removed_records=list(done)
    ))
journal.close()
"""


def states() -> list[list[int]]:
    """Return what the queue may hold, in the order in which it held it."""
    found: list[list[int]] = [[]]
    there: list[int] = []
    for first in range(1, MESSAGES + 1, BATCH):
        there = there + list(range(first, first + BATCH))
        found.append(there)
        done = set(range(max(1, first - KEPT), max(1, first - KEPT + BATCH)))
        there = [one for one in there if one not in done]
        found.append(there)
    return found


STATES = states()


def complaint(files: dict[str, bytes], work: Path) -> str | None:
    """Open what a disk holds; return what is wrong, if anything is."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    last = int.from_bytes(files.pop(ACKNOWLEDGED, b""), "big")
    for name, content in files.items():
        (work / name).write_bytes(content)
    journal = LoggedJournal(work, log_bytes=LOG_BYTES)
    try:
        contents = journal.contents()
        found = [list(one.entries.records) for one in contents.queues]
        there = found[0] if found else []
        if there not in STATES:
            return f"{there[:3]}...{there[-3:]} never was"
        if last and (not there or there[-1] < last):
            return f"{last} was acknowledged, the last is {there[-1:]}"
        rows = journal.read(there)
        if any(rows[one] != RecordRow(one, body(one), proof(one)) for one in there):
            return "something was altered"
        if journal.statistics().corrupt_count:
            return "damage is told where there is none"
    finally:
        journal.close()
    return None


def cut_share(job: tuple[list[Operation], int, int, str]) -> list[str]:
    """Cut after every operation of a share of them, in each way; return what is wrong."""
    operations, share, shares, work = job
    disk, complaints = Disk(), []
    for number, operation in enumerate(operations):
        dice = random.Random(SEED + number)
        is_mine = number % shares == share
        if is_mine and operation.kind == "w" and operation.path != ACKNOWLEDGED:
            half = disk.copy()
            half.apply(torn(operation, dice))
            complaints.append((number, "torn", complaint(half.after_a_kill(), Path(work))))
        disk.apply(operation)
        if is_mine:
            complaints.append((number, "killed", complaint(disk.after_a_kill(), Path(work))))
            lost = disk.after_a_power_cut(dice)
            lost[ACKNOWLEDGED] = disk.after_a_kill().get(ACKNOWLEDGED, b"")
            complaints.append((number, "without power", complaint(lost, Path(work))))
    return [f"{number} {how}: {what}" for number, how, what in complaints if what is not None]


def pool() -> Any:
    return multiprocessing.get_context("spawn").Pool(os.cpu_count())


@pytest.mark.timeout(600)
@pytest.mark.parametrize("journal", JOURNALS.values(), ids=JOURNALS)
def test_every_operation_of_a_run_may_be_the_last(journal: str, tmp_path: Path) -> None:
    operations = record(PROGRAM.replace("JOURNAL", journal), tmp_path / "run", tmp_path)
    kinds = {one.kind for one in operations}
    assert kinds >= {"w", "s", "r", "t"}, "writes, fsyncs, renames and truncations were recorded"
    assert sum(one.path.endswith(".sums.new") for one in operations) >= 4, "the log was emptied"
    shares = os.cpu_count() or 1
    jobs = [(operations, share, shares, str(tmp_path / f"cut-{share}")) for share in range(shares)]
    with pool() as workers:
        complaints = [line for lines in workers.map(cut_share, jobs) for line in lines]
    assert complaints[:5] == []
