"""Files of `wv`: secrets are private, writes are whole, nothing is lost silently."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from wavemq.cli.wv.files import PUBLIC_MODE, SECRET_MODE, read_file, replace_file, write_new
from wavemq.cli.wv.text import UsageFaultError

MARKER = b"-----BEGIN A-----"


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_secret_is_private_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "secret.pem"
    before = os.umask(0)
    try:
        write_new(path, b"secret", mode=SECRET_MODE)
    finally:
        os.umask(before)
    assert (path.read_bytes(), mode_of(path)) == (b"secret", 0o600)
    assert list(tmp_path.iterdir()) == [path]


def test_existing_file_is_never_overwritten_by_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "secret.pem"
    path.write_bytes(b"old")
    with pytest.raises(UsageFaultError, match="exists already"):
        write_new(path, b"new", mode=SECRET_MODE)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_file_of_the_same_kind_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "proof.pem"
    path.write_bytes(MARKER + b"old")
    replace_file(path, MARKER + b"new", marker=MARKER, mode=PUBLIC_MODE)
    assert path.read_bytes() == MARKER + b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_file_of_another_kind_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "alice.pem"
    path.write_bytes(b"-----BEGIN WAVE ENTITY SECRET-----")
    with pytest.raises(UsageFaultError, match="of another kind"):
        replace_file(path, MARKER + b"new", marker=MARKER, mode=PUBLIC_MODE)
    assert path.read_bytes() == b"-----BEGIN WAVE ENTITY SECRET-----"


def test_replace_makes_a_file_that_is_missing(tmp_path: Path) -> None:
    replace_file(tmp_path / "proof.pem", MARKER, marker=MARKER, mode=PUBLIC_MODE)
    assert (tmp_path / "proof.pem").read_bytes() == MARKER


@pytest.mark.parametrize("name", ["missing/file.pem", "file/below.pem"])
def test_impossible_place_is_said_in_one_sentence(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UsageFaultError, match="could not write file"):
        write_new(tmp_path / name, b"x", mode=SECRET_MODE)
    with pytest.raises(UsageFaultError, match="could not write file"):
        replace_file(tmp_path / name, b"x", marker=MARKER, mode=PUBLIC_MODE)


def test_directory_is_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(UsageFaultError, match="could not write file"):
        replace_file(tmp_path, b"x", marker=MARKER, mode=PUBLIC_MODE)


def test_huge_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(UsageFaultError, match="is larger than"):
        read_file(str(path))
