"""Every file that keeps messages, damaged at every 512 bytes: found, named, and the rest served.

A single flipped bit costs nothing: it is turned back. A sector full of something else costs what it
held; that is told, and nothing that is served has been altered.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.support.damaged_journal import RETAINED, Served, read_back, write
from wavemq.storage.wal import committed, pages_of

RECORDS = 96
SECTOR_BYTES = 512
PAGE_BYTES = 4096
PAGE_RECORDS_MAX = 40
"""Records of which a page of entries or of proofs may have a part."""
SEED = 20_261_124
SECTORS_OVERWRITTEN = 120
IDLE_FILES = (".lock", "-shm")
"""Without content that matters: locks, and an index that SQLite makes anew at every start."""


def places(folder: Path) -> list[tuple[str, int]]:
    """Return every 512 bytes of every file that is looked at."""
    return [
        (path.name, at)
        for path in sorted(folder.iterdir())
        if not path.name.endswith(IDLE_FILES)
        for at in range(0, path.stat().st_size, SECTOR_BYTES)
    ]


def damaged_copy(folder: Path, into: Path, name: str, at: int, *, is_whole_sector: bool) -> str:
    """Copy a directory with one damage; return what was done."""
    shutil.rmtree(into, ignore_errors=True)
    shutil.copytree(folder, into)
    content = bytearray((into / name).read_bytes())
    dice = random.Random(f"{SEED} {name} {at}")
    end = min(at + SECTOR_BYTES, len(content))
    if is_whole_sector:
        content[at:end] = dice.randbytes(end - at)
    else:
        content[dice.randrange(at, end)] ^= 1 << dice.randrange(8)
    (into / name).write_bytes(content)
    return f"{name} at {at}"


def after_flip(job: tuple[str, str, str, int]) -> str | None:
    """Flip one bit, read everything back; return what is wrong, if anything is."""
    folder, work, name, at = job
    into = Path(work) / str(os.getpid())
    what = damaged_copy(Path(folder), into, name, at, is_whole_sector=False)
    with capture_logs() as logs:
        try:
            served = read_back(into)
        except AssertionError as error:
            return f"{what}: {error}"
    named = [one for one in logs if one["event"] == "file_damaged"]
    if not any(name.startswith(Path(one["file"]).name) for one in named):
        # What SQLite reads no more need not be looked at, but then nothing may be missing.
        is_idle = is_superseded(Path(folder), name, at) and is_whole(served)
        return None if is_idle else f"{what}: nobody noticed, {served}"
    if not served.repaired + served.reported:
        return f"{what}: it is not counted"
    if served.reported:  # a bit of the log that cannot be told from others: its page was damaged
        is_little = name.endswith("-wal") and len(served.records) >= RECORDS - PAGE_RECORDS_MAX
        return None if is_little else f"{what}: {RECORDS - len(served.records)} records missing"
    return None if is_whole(served) else f"{what}: repaired, but {served}"


def is_whole(served: Served) -> bool:
    return served.records == list(range(1, RECORDS + 1)) and served.retained == RETAINED


def is_superseded(folder: Path, name: str, at: int) -> bool:
    """Return whether a newer version of what was damaged is in the log, or behind its end."""
    if name.endswith(("-wal", ".log")):
        return True
    log = folder / f"{name}-wal"
    if not log.exists():
        return False
    page = at // PAGE_BYTES + 1
    content = log.read_bytes()
    frames, _ = committed(content)
    return page in {number for number, _ in pages_of(content, frames)}


def pool() -> Any:
    return multiprocessing.get_context("spawn").Pool(os.cpu_count())


@pytest.mark.parametrize("is_killed", [False, True], ids=["closed", "killed"])
def test_flipped_bit_is_turned_back_and_named(tmp_path: Path, is_killed: bool) -> None:
    folder = tmp_path / "state"
    write(folder, RECORDS, is_closed_between=True)
    if is_killed:
        folder = tmp_path / "state-killed"
    assert read_back(folder) == Served(list(range(1, RECORDS + 1)), 0, 0, RETAINED)
    # Reading has closed the files; the damage is done to them as they were before.
    shutil.rmtree(tmp_path)
    write(tmp_path / "state", RECORDS, is_closed_between=True)
    jobs = [(str(folder), str(tmp_path / "work"), name, at) for name, at in places(folder)]
    assert len(jobs) > 300
    with pool() as workers:
        complaints = [one for one in workers.map(after_flip, jobs, chunksize=16) if one]
    assert complaints == []


def test_overwritten_sectors_cost_what_they_held_and_no_more(tmp_path: Path) -> None:
    write(tmp_path / "state", RECORDS, is_closed_between=True)
    folder = tmp_path / "state-killed"
    dice = random.Random(SEED)
    kept: list[int] = []
    for name, at in dice.sample(places(folder), SECTORS_OVERWRITTEN):
        what = damaged_copy(folder, tmp_path / "work", name, at, is_whole_sector=True)
        with capture_logs() as logs:
            served = read_back(tmp_path / "work")
        told = [one["event"] for one in logs if one["log_level"] in ("error", "warning")]
        assert is_whole(served) or served.reported, f"{what}: something is gone, and nobody says so"
        assert is_whole(served) or told, f"{what}: the log says nothing"
        kept.append(len(served.records))
    # The first page says where everything is; without it nothing can be read.
    assert sorted(kept)[SECTORS_OVERWRITTEN // 10] > RECORDS // 2
    assert sum(kept) > 0.9 * RECORDS * SECTORS_OVERWRITTEN
