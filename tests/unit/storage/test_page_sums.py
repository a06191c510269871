"""Sums beside a database: what they find, and what they turn back."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from wavemq.storage.page_sums import Checked, PageSums

PAGE_BYTES = 4096
PAGES = 5


@pytest.fixture
def database(tmp_path: Path) -> Path:
    content = bytearray(random.Random(1).randbytes(PAGES * PAGE_BYTES))
    content[16:18] = PAGE_BYTES.to_bytes(2, "big")
    path = tmp_path / "file.sqlite"
    path.write_bytes(content)
    return path


def flip(path: Path, at: int, mask: int = 4) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= mask
    path.write_bytes(content)


def test_first_look_takes_pages_as_they_are(database: Path) -> None:
    assert PageSums(database).check(()) == Checked()
    assert PageSums(database).check(()) == Checked()


@pytest.mark.parametrize("at", [0, 17, 5000, PAGES * PAGE_BYTES - 1])
def test_flipped_bit_is_turned_back(database: Path, at: int) -> None:
    PageSums(database).check(())
    whole = database.read_bytes()
    flip(database, at)
    assert PageSums(database).check(()) == Checked(repaired=(at // PAGE_BYTES + 1,))
    assert database.read_bytes() == whole
    assert PageSums(database).check(()) == Checked()


def test_page_damaged_beyond_that_is_named_once(database: Path) -> None:
    PageSums(database).check(())
    flip(database, 2 * PAGE_BYTES + 9, 0x5A)
    flip(database, 2 * PAGE_BYTES + 99, 0x33)
    assert PageSums(database).check(()) == Checked(damaged=(3,))
    assert PageSums(database).check(()) == Checked()


def test_damaged_sum_is_not_taken_for_a_damaged_page(database: Path) -> None:
    PageSums(database).check(())
    whole = database.read_bytes()
    flip(database.with_name("file.sqlite.sums"), 16 + 4 * 3)
    assert PageSums(database).check(()) == Checked(mended_sums=(4,))
    assert database.read_bytes() == whole


def test_pages_of_which_the_log_holds_a_newer_version_are_not_looked_at(database: Path) -> None:
    sums = PageSums(database)
    sums.check(())
    newer = random.Random(2).randbytes(PAGE_BYTES)
    sums.update({2: memoryview(newer), 7: memoryview(newer)}, 7)
    assert PageSums(database).check({2, 7}) == Checked()
    content = bytearray(database.read_bytes())
    content[PAGE_BYTES : 2 * PAGE_BYTES] = newer
    database.write_bytes(content)
    assert PageSums(database).check(()) == Checked()


def test_sums_of_pages_that_the_database_gave_up_are_forgotten(database: Path) -> None:
    sums = PageSums(database)
    sums.check(())
    first = memoryview(database.read_bytes())[:PAGE_BYTES]
    sums.update({1: first}, 3)
    content = database.read_bytes()
    database.write_bytes(content[: 3 * PAGE_BYTES] + bytes(2 * PAGE_BYTES))
    assert PageSums(database).check(()) == Checked()


@pytest.mark.parametrize("content", [b"", b"short", bytes(40)])
def test_unreadable_sums_are_made_anew(database: Path, content: bytes) -> None:
    PageSums(database).check(())
    sums = database.with_name("file.sqlite.sums")
    sums.write_bytes(content)
    assert PageSums(database).check(()) == Checked()
    assert len(sums.read_bytes()) == 16 + 4 * PAGES


def test_absent_and_empty_databases_have_nothing_to_check(tmp_path: Path) -> None:
    assert PageSums(tmp_path / "absent").check(()) == Checked()
    (tmp_path / "empty").touch()
    assert PageSums(tmp_path / "empty").check(()) == Checked()
