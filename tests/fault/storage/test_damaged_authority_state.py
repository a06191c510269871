"""What authority remembers, damaged at every 512 bytes: nothing false is told, and it goes on.

The file is a cache that several processes may share. Objects are checked against their hashes; what
cannot be read is set aside, and what was in it is found again by asking storage.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from tests.support.edges import entity
from tests.support.object_stores import LOCATION
from wavemq.authz.state import FILE_NAME, AuthorityState, EntryState, QueueEntry, QueuePosition
from wavemq.clock import instant_from_seconds
from wavemq.errors import StorageFaultError
from wavemq.wave.hashes import Hash

T = TypeVar("T")
OBJECTS = [random.Random(number).randbytes(400 + 97 * number) for number in range(30)]
PERSPECTIVE = entity("perspective")
OTHERS = [entity(f"entity {number}") for number in range(20)]
SECTOR_BYTES = 512


def fill(state: AuthorityState) -> None:
    for content in OBJECTS:
        state.remember_object(Hash.of(content), content)
    for number, one in enumerate(OTHERS):
        state.remember_unrevoked(one, LOCATION, instant_from_seconds(number))
    state.remember_revoked(PERSPECTIVE)
    state.save_progress(
        PERSPECTIVE,
        positions=[QueuePosition(one, LOCATION, "7", 7) for one in OTHERS],
        entries=[QueueEntry(one, LOCATION, EntryState.OPENED, b"sealed") for one in OTHERS],
    )


def read_all(state: AuthorityState) -> int:
    """Read everything; return how many objects there are, all of them true."""
    state.queue_positions(PERSPECTIVE)
    state.entries(PERSPECTIVE)
    state.checks([(one, LOCATION) for one in OTHERS])
    found = 0
    for content in OBJECTS:
        there = state.object(Hash.of(content))
        assert there in (None, content), "altered"
        found += there is not None
    return found


def again_if_set_aside(folder: Path, use: Callable[[], T]) -> T:
    """Use the state; the call that meets damage fails, and the next one finds an empty file."""
    try:
        return use()
    except StorageFaultError:
        assert list(folder.glob("*.damaged"))
        return use()


@pytest.mark.parametrize("is_whole_sector", [False, True], ids=["bit", "sector"])
def test_damaged_state_tells_nothing_false_and_goes_on(
    tmp_path: Path, is_whole_sector: bool
) -> None:
    good, work = tmp_path / "good", tmp_path / "work"
    state = AuthorityState(good)
    fill(state)
    state.close()
    content = (good / FILE_NAME).read_bytes()
    dice = random.Random(20_261_124)
    found: list[int] = []
    for at in range(0, len(content), SECTOR_BYTES):
        damaged = bytearray(content)
        if is_whole_sector:
            damaged[at : at + SECTOR_BYTES] = dice.randbytes(SECTOR_BYTES)
        else:
            damaged[dice.randrange(at, at + SECTOR_BYTES)] ^= 1 << dice.randrange(8)
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(good, work)
        (work / FILE_NAME).write_bytes(damaged)
        state = AuthorityState(work)
        found.append(again_if_set_aside(work, partial(read_all, state)))
        again_if_set_aside(work, partial(fill, state))
        assert read_all(state) == len(OBJECTS)
        state.close()
    assert sum(found) > (0.5 if is_whole_sector else 0.85) * len(OBJECTS) * len(found)
