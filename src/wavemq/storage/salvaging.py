"""Rows out of a damaged SQLite file, into a new one with the same tables.

Owns the reading of what can still be read. Refuses to judge rows: they have checksums. Fault model:
SQLite gives up at a damaged page, so each table is read from both ends.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import structlog

_log = structlog.get_logger("wavemq.storage")


def salvage(damaged: Path, into: sqlite3.Connection) -> int:
    """Copy the rows that can be read; return how many.

    Args:
        damaged: the file; it is not changed.
        into: a new file with the same tables, empty.

    Raises:
        sqlite3.Error: the new file cannot be written.
    """
    copied = 0
    tables = [
        name
        for (name,) in into.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        )
    ]
    into.execute("BEGIN IMMEDIATE")
    try:
        for table in tables:
            for row in _rows(damaged, table):
                marks = ", ".join("?" * len(row))
                # Names are those of our own schema; the values are bound. A row that is none any
                # more has values of other types than its table.
                with contextlib.suppress(sqlite3.IntegrityError):
                    statement = f"INSERT OR IGNORE INTO {table} VALUES ({marks})"  # noqa: S608
                    copied += into.execute(statement, row).rowcount
    except BaseException:
        into.execute("ROLLBACK")
        raise
    into.execute("COMMIT")
    _log.warning("rows_salvaged", file=str(damaged), rows=copied)
    return copied


def _rows(damaged: Path, table: str) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a table from both ends, up to where it is damaged; some come twice."""
    for direction in ("ASC", "DESC"):
        try:
            source = f"{damaged.absolute().as_uri()}?mode=ro"
            with contextlib.closing(sqlite3.connect(source, uri=True)) as connection:
                columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
                if not columns:
                    return
                keys = _key(connection, table) or columns[0]
                order = ", ".join(f"{key} {direction}" for key in keys.split(","))
                yield from connection.execute(f"SELECT * FROM {table} ORDER BY {order}")  # noqa: S608
                return
        except sqlite3.DatabaseError as error:
            _log.warning("table_damaged", file=str(damaged), table=table, reason=str(error))


def _key(connection: sqlite3.Connection, table: str) -> str:
    """Return the columns of a table's primary key."""
    keys = [(row[5], row[1]) for row in connection.execute(f"PRAGMA table_info({table})") if row[5]]
    return ",".join(name for _, name in sorted(keys))
