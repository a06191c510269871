"""A journal and a retained store to be damaged, and what may be served afterwards."""

from __future__ import annotations

import random
import shutil
from dataclasses import dataclass
from pathlib import Path

from wavemq.storage.journal import EntryRow, JournalBatch, QueueRow, RecordRow
from wavemq.storage.logged_journal import LoggedJournal
from wavemq.storage.retained import RetainedRow
from wavemq.storage.sqlite_retained import SqliteRetained

NAMESPACE = b"namespace"
RETAINED = 12
PROOF_BYTES = 9_000


LOG_BYTES = 128 * 1024


def opened(folder: Path) -> LoggedJournal:
    """Return the journal that routers use, with a log that is small enough to be damaged often."""
    return LoggedJournal(folder, log_bytes=LOG_BYTES)


def body(record: int) -> bytes:
    return random.Random(record).randbytes(40 + record * 37 % 900)


def proof(record: int) -> bytes:
    return random.Random(-1 - record % 3).randbytes(PROOF_BYTES)


def batch_of(records: range, queues: tuple[int, ...] = (1,)) -> JournalBatch:
    return JournalBatch(
        records=[RecordRow(one, body(one), proof(one)) for one in records],
        entries=[
            EntryRow(queue, one, len(body(one)), one % 5) for one in records for queue in queues
        ],
    )


def write(folder: Path, records: int, *, is_closed_between: bool) -> None:
    """Write two queues that both hold some records; the last ones are only in the log."""
    journal, retained = opened(folder), SqliteRetained(folder)
    journal.write(JournalBatch(queues=[QueueRow(1, b"one", b""), QueueRow(2, b"two", proof(1))]))
    journal.keep_setting("name", b"value")
    for first in range(1, records, 8):
        if is_closed_between and first == 8 * (records // 16) + 1:
            journal.close()
            journal = opened(folder)
        journal.write(batch_of(range(first, min(first + 8, records + 1)), (1, 2)))
    for topic in range(RETAINED):
        row = RetainedRow(NAMESPACE, f"topic/{topic}", body(topic), proof(topic))
        retained.write([row])
    # Copied while open: closing would bring the log into the database.
    shutil.copytree(folder, folder.with_name(folder.name + "-killed"))
    journal.close()
    retained.close()


@dataclass(frozen=True, slots=True)
class Served:
    """What was read back from a directory.

    Attributes:
        records: that both queues name and that could be read, ascending.
        reported: damage that was counted.
        repaired: damage that was undone.
        retained: topics.
    """

    records: list[int]
    reported: int
    repaired: int
    retained: int


def read_back(folder: Path) -> Served:
    """Open everything and read it; whatever is served must be what was written, in order."""
    journal, retained = opened(folder), SqliteRetained(folder)
    try:
        contents = journal.contents()
        queues = {one.queue: list(one.entries.records) for one in contents.queues}
        for places in queues.values():
            assert places == sorted(places), "out of order"
        named = sorted(set(queues.get(1, [])) & set(queues.get(2, [])))
        found = journal.read(named)
        good = [one for one in named if isinstance(found[one], RecordRow)]
        for one in good:
            assert found[one] == RecordRow(one, body(one), proof(one)), "altered"
        page = retained.find(NAMESPACE, prefix="topic", is_wanted=lambda _: True, after=None)
        for row in page.rows:
            number = int(row.topic.split("/")[1])
            assert (row.body, row.proof) == (body(number), proof(number)), "altered"
        statistics = (journal.statistics(), retained.statistics())
        return Served(
            good,
            sum(one.corrupt_count for one in statistics),
            sum(one.repaired_count for one in statistics),
            len(page.rows),
        )
    finally:
        journal.close()
        retained.close()
