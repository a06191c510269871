"""The journal alone, and what stands on it: rows to disk, a million queued messages, matching.

Bodies of 450 bytes (a payload of 128 with everything around it), one proof of 55 kB that all share;
each batch is one durable transaction in a temporary directory.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from bench.measurement import Measurement
from wavemq.messages.topic import Topic, TopicFilter
from wavemq.routing.trie import FilterTrie
from wavemq.storage.journal import EntryRow, Journal, JournalBatch, QueueRow, RecordRow
from wavemq.storage.logged_journal import LoggedJournal

BODY = os.urandom(450)
PROOF = os.urandom(55_000)
BATCH = 256
BATCHES = 200
QUEUES = 1000
QUEUED = 1_000_000
ROWS_AT_ONCE = 4096
FILTERS = 100_000
MATCHES = 2000


def measurements() -> list[Measurement]:
    """Return rates and times with the bounds that this project set for itself."""
    with tempfile.TemporaryDirectory(prefix="wavemq-bench-") as folder:
        return [*_journal(Path(folder)), _matching()]


def _journal(folder: Path) -> list[Measurement]:
    journal = LoggedJournal(folder)
    queues = [QueueRow(number, b"definition", PROOF) for number in range(1, QUEUES + 2)]
    journal.write(JournalBatch(queues=queues))
    append = _seconds(journal, [_batch(1, number * BATCH + 1, BATCH) for number in range(BATCHES)])
    next_record = BATCHES * BATCH + 1
    spread = []
    for record in range(next_record, next_record + 100):
        entries = [EntryRow(row.queue, record, len(BODY), 7) for row in queues[1:]]
        spread.append(JournalBatch(records=[RecordRow(record, BODY, PROOF)], entries=entries))
    fan_out = _seconds(journal, spread)
    removals = []
    for first in range(1, BATCHES * BATCH, BATCH):
        records = range(first, first + BATCH)
        removals.append(
            JournalBatch(
                removed_entries=[(1, record) for record in records],
                removed_records=list(records),
            )
        )
    removal = _seconds(journal, removals)
    for first in range(next_record + 100, next_record + 100 + QUEUED, ROWS_AT_ONCE):
        journal.write(_batch(1, first, ROWS_AT_ONCE))
    journal.close()
    started = time.perf_counter()
    journal = LoggedJournal(folder)
    restored = sum(len(queue.entries) for queue in journal.contents().queues)
    recovery_s = time.perf_counter() - started
    journal.close()
    return [
        Measurement(
            "appended in batches of 256", BATCH * BATCHES / append, "/s", 50_000, "messages"
        ),
        Measurement(
            "one body to 1,000 queues", 100 * QUEUES / fan_out, "/s", 200_000, "references"
        ),
        Measurement("removed in batches of 256", BATCH * BATCHES / removal, "/s", None, "messages"),
        Measurement("restored", recovery_s, "s", 10.0, f"{restored:,} entries"),
    ]


def _batch(queue: int, first: int, count: int) -> JournalBatch:
    records = range(first, first + count)
    return JournalBatch(
        records=[RecordRow(record, BODY, PROOF) for record in records],
        entries=[EntryRow(queue, record, len(BODY), 7) for record in records],
    )


def _seconds(journal: Journal, batches: list[JournalBatch]) -> float:
    started = time.perf_counter()
    for batch in batches:
        journal.write(batch)
    return time.perf_counter() - started


def _matching() -> Measurement:
    """Match topics that were never seen before; recent ones are remembered by the router."""
    trie: FilterTrie[int] = FilterTrie()
    for number in range(FILTERS):
        building, device = number % 500, number // 500
        kind = ("temperature", "+", "*")[number % 3]
        trie.add(TopicFilter(f"campus/building{building}/device{device}/{kind}"), number)
    topics = [
        Topic(f"campus/building{number % 500}/device{number % 200}/temperature")
        for number in range(MATCHES)
    ]
    started = time.perf_counter()
    for topic in topics:
        trie.match(topic)
    microseconds = (time.perf_counter() - started) / MATCHES * 1e6
    return Measurement("match over 100,000 filters", microseconds, "us", 20.0)
