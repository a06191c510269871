"""What is done for an SQLite file that SQLite does not do: damage is found, told, and mended.

Owns the look at a file and its log before SQLite opens them, and what is kept beside them for that:
sums of pages, and a mark that says how much of the log was committed. Refuses to know tables. Fault
model: bits flip and sectors are overwritten on a disk that says nothing. Nothing that is damaged is
deleted: a log that is mended is kept as it was under another name. Another program may have brought
the log into the file, which is seen by the mark that it left; then the sums say nothing.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from wavemq.storage import wal
from wavemq.storage.durable import replace_file
from wavemq.storage.page_sums import PageSums

_INDEX: Final = struct.Struct("=16xIII4xII")
"""Of the log's index, in the machine's order: frames, pages, a sum, and the log's salts, which are
kept as they stand in the log (https://sqlite.org/walformat.html, 2.1)."""
_RESETS_MAX: Final = 16
"""How often a log may have been begun anew since its mark: at most once, and some to spare. Each
time its first salt grows by one."""
_SALTS: Final = struct.Struct(">II")
_MARK: Final = struct.Struct(">I8sI")
"""Frames, salts, check of both."""

_log = structlog.get_logger("wavemq.storage")


@dataclass(frozen=True, slots=True)
class Cared:
    """What was found before a file was opened.

    Attributes:
        repaired_count: places that are again as they were.
        damaged_count: places that are not.
    """

    repaired_count: int
    damaged_count: int


class FileCare:
    """Looks after one file.

    Args:
        path: of the database.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sums = PageSums(path)
        # Open from the first commit on: closing the index would take SQLite's locks on it along.
        self._index: int | None = None
        self._mark_file: int | None = None

    def mend(self) -> Cared:
        """Turn flipped bits back, and tell of all damage. Call it while nobody has the file open.

        Raises:
            OSError: a file cannot be read or written.
        """
        log_path = self._beside("-wal")
        content = log_path.read_bytes() if log_path.exists() else b""
        mark, damaged_marks = self._mark()
        log = wal.mended(content, mark)
        if log.content != content:
            shutil.copyfile(log_path, self._free_name("-wal"))
            replace_file(log_path, log.content)
        if mark is not None and (log.salts[0] - mark.salts[0]) & 0xFFFF_FFFF > _RESETS_MAX:
            _log.warning("file_written_by_others", file=str(self._path))
            self._sums.forget()
        newer = {number for number, _ in wal.pages_of(log.content, log.committed)}
        pages = self._sums.check(newer)
        missing = []
        if mark is not None and mark.salts == log.salts and mark.frames > log.committed:
            missing.append(f"frames {log.committed + 1} to {mark.frames}, which end it")
        found = {
            "repaired_log": log.repaired,
            "damaged_log": (*log.passed_over, *missing),
            "repaired_pages": pages.repaired,
            "damaged_pages": pages.damaged,
            "repaired_sums": pages.mended_sums,
            "damaged_mark": damaged_marks,
        }
        if any(found.values()):
            told = {name: list(value) for name, value in found.items() if value}
            _log.error("file_damaged", file=str(self._path), **told)
        return Cared(
            len(log.repaired) + len(pages.repaired) + len(pages.mended_sums) + len(damaged_marks),
            len(found["damaged_log"]) + len(pages.damaged),
        )

    def prepare_checkpoint(self) -> None:
        """Keep the sums of what is about to go from the log into the database.

        Raises:
            OSError: a file cannot be read or written.
        """
        content = self._beside("-wal").read_bytes()
        frames, pages = wal.committed(content)
        self._sums.update(dict(wal.pages_of(content, frames)), pages)

    def note_closed(self, *, is_log_gone: bool) -> None:
        """Take note that SQLite has closed the file, with the log in the database or not.

        Raises:
            OSError: the mark cannot be removed; at the next start the sums will be taken anew.
        """
        for descriptor in (self._index, self._mark_file):
            if descriptor is not None:
                os.close(descriptor)
        self._index = self._mark_file = None
        if is_log_gone:
            self._beside(".mark").unlink(missing_ok=True)

    def set_aside(self) -> Path:
        """Rename the file, with what belongs to it, to a name that is free; return that.

        Raises:
            OSError: it cannot be renamed.
        """
        aside = self._free_name()
        self._path.rename(aside)
        for suffix in ("-wal", "-shm", ".sums", ".mark"):
            part = self._beside(suffix)
            if part.exists():
                part.rename(aside.with_name(aside.name + suffix))
        self._sums.forget()
        return aside

    def note_committed(self) -> int:
        """Mark how much of the log is committed; return the frames that it holds.

        The mark does not wait for the disk, and is behind the log after a power cut at worst.
        """
        with contextlib.suppress(OSError):  # it is for the worst case; this is another one
            if self._index is None:
                self._index = os.open(self._beside("-shm"), os.O_RDONLY | os.O_CLOEXEC)
            head = os.pread(self._index, _INDEX.size, 0)
            if len(head) == _INDEX.size:
                frames = int(_INDEX.unpack(head)[0])
                check = zlib.crc32(frames.to_bytes(4, "big") + head[-8:])
                self._write_mark(_MARK.pack(frames, head[-8:], check))
                return frames
        return 0

    def _write_mark(self, content: bytes) -> None:
        """Write in place: a few bytes of one sector are written whole or not at all."""
        if self._mark_file is None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
            self._mark_file = os.open(self._beside(".mark"), flags, 0o600)
        os.pwrite(self._mark_file, content, 0)

    def _mark(self) -> tuple[wal.Mark | None, tuple[str, ...]]:
        """Return the mark, if there is one, and what is wrong with it.

        A damaged one costs nothing: another is written with the next commit.
        """
        path = self._beside(".mark")
        content = path.read_bytes() if path.exists() else b""
        if not content:  # not written yet
            return None, ()
        if len(content) != _MARK.size:
            return None, ("its length",)
        frames, salts, check = _MARK.unpack(content)
        if check != zlib.crc32(content[:-4]):
            return None, ("its checksum",)
        return wal.Mark(frames, _SALTS.unpack(salts)), ()

    def _free_name(self, suffix: str = "") -> Path:
        """Return the name under which something damaged may be kept."""
        number = 1
        while True:
            aside = self._beside(f".damaged-{number}")
            beside = aside.with_name(aside.name + suffix)
            if not aside.exists() and not beside.exists():
                return beside
            number += 1

    def _beside(self, suffix: str) -> Path:
        return self._path.with_name(self._path.name + suffix)
