"""The retained store in an SQLite file.

Owns its table. Refuses to know what the bytes mean and how filters match. Fault model: as of the
journal in SQLite; a row that fails its checksum is left out and counted, until its topic is
retained anew.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from wavemq.errors import CorruptRecordError
from wavemq.storage.retained import (
    PAGE_BYTES_MAX,
    PAGE_ROWS_MAX,
    RetainedPage,
    RetainedRow,
    RetainedStatistics,
)
from wavemq.storage.sqlite_file import SqliteFile, checksum

FILE_NAME: Final = "retained.sqlite"
FORMAT: Final = 1
PAGE_TOPICS_MAX: Final = 10_000
"""Topics looked at for one page."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS retained (
    number INTEGER PRIMARY KEY, namespace BLOB NOT NULL, topic TEXT NOT NULL,
    proof INTEGER NOT NULL, checksum INTEGER NOT NULL, body BLOB NOT NULL,
    UNIQUE (namespace, topic)
) STRICT;
"""


class SqliteRetained:
    """A `RetainedStore` in a file of a directory; arguments and errors as of `SqliteJournal`."""

    def __init__(self, directory: Path) -> None:
        self._file = SqliteFile(
            directory / FILE_NAME,
            schema=_SCHEMA,
            version=FORMAT,
            sweep="DELETE FROM proofs WHERE proof NOT IN (SELECT proof FROM retained)",
        )
        self._damaged: set[int] = set()

    def write(self, rows: Sequence[RetainedRow]) -> None:
        """Keep rows, durably; on an error nothing was written."""
        with self._file.transaction() as connection:
            # A new number for each row, so that a damaged one is known by it.
            connection.executemany(
                "INSERT OR REPLACE INTO retained (namespace, topic, proof, checksum, body) "
                "VALUES (?, ?, ?, ?, ?)",
                [
                    (
                        row.namespace,
                        row.topic,
                        self._file.proof_id(row.proof),
                        _checksum(row.namespace, row.topic, row.body),
                        row.body,
                    )
                    for row in rows
                ],
            )

    def find(
        self,
        namespace: bytes,
        *,
        prefix: str,
        is_wanted: Callable[[str], bool],
        after: str | None = None,
    ) -> RetainedPage:
        """Return a page of rows, ascending by topic."""
        start, comparison = (prefix, ">=") if after is None else (after, ">")
        rows: list[RetainedRow] = []
        size_bytes = 0
        with self._file.reading() as reader:
            # The index alone answers this; bodies are read for wanted topics only.
            topics = reader.execute(
                "SELECT topic, number FROM retained "  # noqa: S608  # an operator of our own
                f"WHERE namespace = ? AND topic {comparison} ? ORDER BY topic LIMIT ?",
                (namespace, start, PAGE_TOPICS_MAX),
            ).fetchall()
            for topic, number in topics:
                if not topic.startswith(prefix):
                    return RetainedPage(rows, None)
                if not is_wanted(topic):
                    continue
                row = self._row(reader, namespace, topic, number)
                if row is None:
                    continue
                rows.append(row)
                size_bytes += len(row.body)
                if len(rows) >= PAGE_ROWS_MAX or size_bytes > PAGE_BYTES_MAX:
                    return RetainedPage(rows, topic)
        return RetainedPage(rows, topics[-1][0] if len(topics) == PAGE_TOPICS_MAX else None)

    def _row(
        self, reader: sqlite3.Connection, namespace: bytes, topic: str, number: int
    ) -> RetainedRow | None:
        """Return a row; None if it is damaged, or was replaced just now."""
        found = reader.execute(
            "SELECT proof, checksum, body FROM retained WHERE number = ?", (number,)
        ).fetchone()
        if found is None:
            return None
        proof, found_checksum, body = found
        try:
            if found_checksum != _checksum(namespace, topic, body):
                raise CorruptRecordError(f"the retained message of {topic!r} is damaged")
            return RetainedRow(namespace, topic, body, self._file.proof(reader, proof))
        except CorruptRecordError:
            self._damaged.add(number)
            return None

    def statistics(self) -> RetainedStatistics:
        """Return counts."""
        with self._file.reading() as reader:
            (topics,) = reader.execute("SELECT COUNT(*) FROM retained").fetchone()
        return RetainedStatistics(
            topics=topics,
            corrupt_count=len(self._damaged) + self._file.damaged_count,
            repaired_count=self._file.repaired_count,
        )

    def close(self) -> None:
        """Release the file."""
        self._file.close()


def _checksum(namespace: bytes, topic: str, body: bytes) -> int:
    return checksum(namespace, topic.encode(), body)
