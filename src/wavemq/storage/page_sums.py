"""Checksums of a database's pages, beside it: SQLite keeps none of its own.

Owns one small file. Refuses to know tables and when pages are written. Fault model: a bit of a page
may flip on a disk that says nothing; it is found, and turned back, since a CRC tells which it was.
Damage beyond one bit is named; what it did is for the checksums of rows to find. A file of sums
that is absent or unreadable is made anew from the pages as they are.
"""

from __future__ import annotations

import functools
import os
import struct
import zlib
from array import array
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from wavemq._kernel import page_sums
from wavemq.storage.durable import replace_file

_HEADER: Final = struct.Struct(">8sII")
"""Mark, page size, check of both."""
_MARK: Final = b"wmqsums1"
_PAGE_SIZE_AT: Final = 16
"""Where an SQLite file says how large its pages are; 1 stands for 65536."""
_UNKNOWN: Final = 0
"""The sum of a page that has none yet; a page whose CRC is 0 is not checked."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What became of the pages.

    Attributes:
        repaired: numbers of pages in which a bit was turned back.
        damaged: numbers of pages that are damaged beyond that; from now on they count as they are.
        mended_sums: numbers of pages whose sums were damaged, not they.
    """

    repaired: tuple[int, ...] = ()
    damaged: tuple[int, ...] = ()
    mended_sums: tuple[int, ...] = ()


@dataclass(slots=True)
class _Findings:
    repaired: list[int] = field(default_factory=list)
    damaged: list[int] = field(default_factory=list)
    mended_sums: list[int] = field(default_factory=list)
    is_any_sum_new: bool = False


class PageSums:
    """The sums of one database.

    Args:
        path: of the database.
    """

    def __init__(self, path: Path) -> None:
        self._database = path
        self._path = path.with_name(path.name + ".sums")
        self._page_bytes = 0
        self._sums: array[int] = array("I")

    def check(self, newer: Collection[int]) -> Checked:
        """Compare every page with its sum, and mend what can be mended.

        Call it while nobody has the database open.

        Args:
            newer: pages of which the log holds a newer version.

        Raises:
            OSError: a file cannot be read or written.
        """
        self._load()
        if not self._page_bytes:
            return Checked()  # an empty file
        found = _Findings()
        values = array("I", page_sums(self._database, self._page_bytes))
        if values.tobytes() == self._sums[: len(values)].tobytes():
            return Checked()
        with self._database.open("r+b", buffering=0) as file:
            for number, value in enumerate(values, 1):
                if value != self._sum(number) and number not in newer:
                    at = (number - 1) * self._page_bytes
                    page = os.pread(file.fileno(), self._page_bytes, at)
                    self._mend(file.fileno(), number, page, value, found)
            if found.repaired:
                os.fsync(file.fileno())
        if found.is_any_sum_new:
            self._save()
        return Checked(tuple(found.repaired), tuple(found.damaged), tuple(found.mended_sums))

    def _mend(
        self, descriptor: int, number: int, page: bytes, value: int, found: _Findings
    ) -> None:
        """Deal with a page that does not have its sum."""
        known = self._sum(number)
        if known != _UNKNOWN and (value ^ known).bit_count() > 1:
            position = _single_bits(self._page_bytes).get(value ^ known)
            if position is not None:
                right = page[position // 8] ^ 1 << position % 8
                offset = (number - 1) * self._page_bytes + position // 8
                os.pwrite(descriptor, bytes((right,)), offset)
                found.repaired.append(number)
                return
            found.damaged.append(number)
        elif known != _UNKNOWN:
            found.mended_sums.append(number)
        self._set(number, value)
        found.is_any_sum_new = True

    def update(self, pages: Mapping[int, memoryview], count: int) -> None:
        """Take note of pages that are about to be written to the database, durably.

        Until they are, the log holds them too.

        Args:
            pages: by number.
            count: pages that the database has then.

        Raises:
            OSError: the file cannot be written.
        """
        for number, content in pages.items():
            self._page_bytes = len(content)
            self._set(number, zlib.crc32(content))
        if pages:
            del self._sums[count:]
            self._save()

    def forget(self) -> None:
        """Take the pages as they are at the next look: somebody else may have written them.

        Raises:
            OSError: the file cannot be removed.
        """
        self._sums = array("I")
        self._path.unlink(missing_ok=True)

    def _sum(self, number: int) -> int:
        return self._sums[number - 1] if number <= len(self._sums) else _UNKNOWN

    def _set(self, number: int, value: int) -> None:
        missing = number - len(self._sums)
        if missing > 0:
            self._sums.extend([_UNKNOWN] * missing)
        self._sums[number - 1] = value

    def _load(self) -> None:
        """Read the sums; they tell the size of the pages more reliably than a page does."""
        self._sums = array("I")
        self._page_bytes = _page_bytes(self._database)
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return
        if len(content) >= _HEADER.size:
            kept, self._page_bytes = self._page_bytes, _HEADER.unpack_from(content)[1]
            if content[: _HEADER.size] == self._header():
                self._sums.frombytes(content[_HEADER.size : _whole(len(content))])
            else:
                self._page_bytes = kept

    def _save(self) -> None:
        """Write the sums; torn, they would be those of other pages, so a new file takes over."""
        replace_file(self._path, self._header() + self._sums.tobytes())

    def _header(self) -> bytes:
        check = zlib.crc32(_MARK + self._page_bytes.to_bytes(4, "big"))
        return _HEADER.pack(_MARK, self._page_bytes, check)


def _whole(size_bytes: int) -> int:
    """Return the bytes up to the end of the last whole sum."""
    return size_bytes - (size_bytes - _HEADER.size) % 4


def _page_bytes(path: Path) -> int:
    """Return the size of a database's pages; 0 if it has none yet."""
    try:
        with path.open("rb") as file:
            head = file.read(_PAGE_SIZE_AT + 2)
    except FileNotFoundError:
        return 0
    if len(head) < _PAGE_SIZE_AT + 2:
        return 0
    size = int.from_bytes(head[_PAGE_SIZE_AT:], "big")
    return 65536 if size == 1 else size


@functools.lru_cache(1)
def _single_bits(page_bytes: int) -> dict[int, int]:
    """Return which bit of a page changes its CRC by how much."""
    nothing = zlib.crc32(bytes(page_bytes))
    page = bytearray(page_bytes)
    changes: dict[int, int] = {}
    for position in range(8 * page_bytes):
        page[position // 8] = 1 << position % 8
        changes[zlib.crc32(page) ^ nothing] = position
        page[position // 8] = 0
    return changes
