"""SQLite's log, damaged on purpose: what is mended, what is passed over, what is a torn end."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import pytest

from wavemq.storage.wal import FRAME, HEADER, Mark, committed, mended

FRAME_BYTES = FRAME.size + 4096


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return a log of some transactions."""
    path: Path = tmp_path_factory.mktemp("wal") / "file.sqlite"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE t (number INTEGER PRIMARY KEY, content BLOB)")
    dice = random.Random(1)
    for number in range(8):
        connection.execute("INSERT INTO t VALUES (?, ?)", (number, dice.randbytes(3000)))
    content = path.with_name(path.name + "-wal").read_bytes()
    connection.close()
    return content


def frames_in(log: bytes) -> int:
    return (len(log) - HEADER.size) // FRAME_BYTES


def mark_of(log: bytes) -> Mark:
    found = mended(log)
    return Mark(found.committed, found.salts)


def test_sound_log_is_left_as_it_is(log: bytes) -> None:
    found = mended(log)
    assert (found.content, found.repaired, found.passed_over) == (log, (), ())
    assert found.committed == committed(log)[0] == frames_in(log)


def test_low_bits_and_header_bits_are_turned_back(log: bytes) -> None:
    dice = random.Random(2)
    for _ in range(200):
        at = dice.randrange(len(log))
        in_frame = (at - HEADER.size) % FRAME_BYTES
        # The two highest bytes of a word share their effect with those of other words.
        is_clear = at < HEADER.size or 8 <= in_frame < FRAME.size or in_frame % 4 < 2
        if not is_clear:
            continue
        damaged = bytearray(log)
        damaged[at] ^= 1 << dice.randrange(8)
        found = mended(bytes(damaged), mark_of(log))
        assert found.content == log, at
        assert len(found.repaired) == 1
        assert found.passed_over == ()


def test_overwritten_frame_is_passed_over_and_what_follows_is_kept(log: bytes) -> None:
    damaged = bytearray(log)
    at = HEADER.size + 2 * FRAME_BYTES + FRAME.size + 512
    damaged[at : at + 512] = random.Random(3).randbytes(512)
    found = mended(bytes(damaged))
    assert len(found.passed_over) == 1
    assert found.passed_over[0].startswith("frame 3 (page ")
    assert found.committed == frames_in(log)
    again = mended(found.content)
    assert (again.repaired, again.passed_over, again.committed) == ((), (), found.committed)


@pytest.mark.parametrize("kept_bytes", [0, 10, HEADER.size, HEADER.size + 50])
def test_log_that_has_hardly_begun_is_empty(log: bytes, kept_bytes: int) -> None:
    found = mended(log[:kept_bytes])
    assert (found.committed, found.passed_over) == (0, ())


def test_torn_end_is_left_alone_unless_it_is_known_to_have_been_committed(log: bytes) -> None:
    torn = bytearray(log)
    torn[-2000:] = bytes(2000)
    found = mended(bytes(torn))
    assert found.content == bytes(torn)
    assert found.committed < frames_in(log)
    assert found.passed_over == ()
    known = mended(bytes(torn), mark_of(log))
    assert known.committed < mark_of(log).frames, "its owner sees what is missing"


def test_header_damaged_beyond_repair_leaves_nothing(log: bytes) -> None:
    found = mended(bytes(HEADER.size) + log[HEADER.size :])
    assert (found.committed, found.repaired) == (0, ())
