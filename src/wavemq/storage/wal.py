"""SQLite's write-ahead log, read and mended before SQLite sees it.

Owns the file format of the log (https://sqlite.org/fileformat2.html#walformat): its header, its
frames, and the checksum that runs through them. Refuses to know tables. Fault model: the end of the
log may be torn by a power cut, which is as it should be: nobody was told that it was written. But
SQLite takes the first frame whose checksum fails for such an end, also where whole transactions
follow: one flipped bit would take back, in silence, what was committed after it. Since the checksum
is linear, most single flipped bits are found and turned back. Other damage with intact frames
behind it is passed over: the page stays as it is, where the checksums of rows find what is wrong.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from wavemq._kernel import wal_chain

HEADER: Final = struct.Struct(">8I")
"""Magic, version, page size, number of the checkpoint, two salts, two sums."""
FRAME: Final = struct.Struct(">6I")
"""Page, size of the database in pages after a commit (0: no commit), two salts, two sums."""
MAGIC: Final = 0x377F0682
"""The lowest bit says that words are big-endian."""
_SUMMED_BYTES: Final = 8
_WORD: Final = 0xFFFF_FFFF
Sums = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Mark:
    """So many frames of the log with these salts were committed at least."""

    frames: int
    salts: Sums


@dataclass(frozen=True, slots=True)
class Mended:
    """A log after it was looked at.

    Attributes:
        content: what it should be.
        salts: that its frames have.
        repaired: what was turned back, each in words; nothing was lost by it.
        committed: frames up to the last commit that SQLite will find.
        passed_over: frames that are damaged beyond that, each in words.
    """

    content: bytes
    salts: Sums
    committed: int
    repaired: tuple[str, ...]
    passed_over: tuple[str, ...]


class _Damage(Enum):
    """What is wrong with a frame."""

    REPAIRED = "repaired"
    ONE_BIT = "one bit"
    """Not a torn end, then; but which bit cannot be told."""
    UNKNOWN = "unknown"


class _Log:
    """A log under repair."""

    def __init__(self, content: bytes) -> None:
        self.content = bytearray(content)
        self.repaired: list[str] = []
        self.passed_over: list[str] = []
        self.committed = 0
        self.is_big_endian = False
        self.page_bytes = 0
        self.salts: Sums = (0, 0)
        self._pages = 0  # of the database, at most, as intact commits say

    # --- the header -------------------------------------------------------------------------

    def read_header(self) -> Sums | None:
        """Return the sums that the frames begin with; None if there is no header to be had."""
        if len(self.content) < HEADER.size:
            return None
        sums = self._header_sums()
        if sums is None:
            for bit in range(8 * HEADER.size):
                self.content[bit // 8] ^= 1 << bit % 8
                sums = self._header_sums()
                if sums is not None:
                    self.repaired.append("its header")
                    break
                self.content[bit // 8] ^= 1 << bit % 8
        return sums

    def _header_sums(self) -> Sums | None:
        magic, _, page_bytes, _, *salts, first, second = HEADER.unpack_from(self.content)
        self.is_big_endian = bool(magic & 1)
        if magic & ~1 != MAGIC:
            return None
        if self._chain(0, HEADER.size - 8, (0, 0)) != (first, second):
            return None
        self.page_bytes, self.salts = page_bytes, (salts[0], salts[1])
        return first, second

    # --- frames -----------------------------------------------------------------------------

    def mend(self, sums: Sums, mark: Mark | None) -> None:
        """Go through the frames up to the end of what was committed."""
        marked = mark.frames if mark is not None and mark.salts == self.salts else 0
        frame_bytes = FRAME.size + self.page_bytes
        frames = range(HEADER.size, len(self.content) - frame_bytes + 1, frame_bytes)
        before, first_passed_over, end = sums, None, 0
        for number, at in enumerate(frames, 1):
            if not self._follows(at, before):
                commits = self._commits_behind(at)
                if number > marked and commits < 2:
                    # The last transaction, torn or in pieces: each is on disk before the next is
                    # begun. What was there before may differ by one bit, too.
                    break
                damage = self._repair(at, before)
                if damage is _Damage.REPAIRED:
                    self.repaired.append(f"frame {number}")
                elif damage is _Damage.ONE_BIT or commits:
                    self.passed_over.append(f"frame {number} (page {self._page(at)})")
                    first_passed_over = first_passed_over or number
                else:
                    break
            else:
                self._pages = max(self._pages, self._size(at))
            before, end = self._stored(at), number
            if self._size(at):
                self.committed = number
        if first_passed_over is not None:
            self._chain_anew(frames[first_passed_over - 1 : end], sums, frames)

    def _follows(self, at: int, before: Sums) -> bool:
        """Return whether a frame is intact, given the sums of the one before it."""
        return self._has_salts(at) and self._sums_of(at, before) == self._stored(at)

    def _repair(self, at: int, before: Sums) -> _Damage:
        """Turn one bit back if that alone makes a frame what its sums say."""
        page, size, *salts, first, second = FRAME.unpack_from(self.content, at)
        found = self._sums_of(at, before)
        wrong_salts = _differing_bits((salts[0], salts[1]), self.salts)
        wrong_sums = _differing_bits((first, second), found)
        if wrong_salts + wrong_sums == 1:
            FRAME.pack_into(self.content, at, page, size, *self.salts, *found)
            return _Damage.REPAIRED
        if wrong_salts:
            return _Damage.UNKNOWN
        delta = ((first - found[0]) & _WORD, (second - found[1]) & _WORD)
        candidates = _single_bits((_SUMMED_BYTES + self.page_bytes) // 4).get(delta, ())
        fitting: list[tuple[int, int]] = []
        for word, bit in candidates:
            is_in_header = word < _SUMMED_BYTES // 4
            offset = at + 4 * word + (0 if is_in_header else FRAME.size - _SUMMED_BYTES)
            offset += 3 - bit // 8 if self.is_big_endian else bit // 8
            self.content[offset] ^= 1 << bit % 8
            if self._follows(at, before):
                fitting.append((offset, 1 << bit % 8))
            self.content[offset] ^= 1 << bit % 8
        if len(fitting) == 1:
            ((offset, mask),) = fitting
            self.content[offset] ^= mask
            return _Damage.REPAIRED
        # The highest bits of many words change the sums alike: one of them, nobody knows which.
        return _Damage.ONE_BIT if fitting else _Damage.UNKNOWN

    def _commits_behind(self, at: int) -> int:
        """Return how many commits, two at most, intact frames of the same log behind one have."""
        frame_bytes = FRAME.size + self.page_bytes
        commits = 0
        before, at = self._stored(at), at + frame_bytes
        while at + frame_bytes <= len(self.content) and commits < 2:
            if self._has_salts(at) and self._size(at) and self._follows(at, before):
                commits += 1
            before, at = self._stored(at), at + frame_bytes
        return commits

    def _chain_anew(self, damaged: range, sums: Sums, frames: range) -> None:
        """Give frames the salts and sums that let SQLite read on from the first to the last."""
        if damaged.start > frames.start:
            sums = self._stored(damaged.start - frames.step)
        for at in damaged:
            if not 0 < self._page(at) <= self._pages or self._size(at) > self._pages:
                self._repeat_previous(at, frames.step)
            sums = self._sums_of(at, sums)
            page, size, *_ = FRAME.unpack_from(self.content, at)
            FRAME.pack_into(self.content, at, page, size, *self.salts, *sums)

    def _repeat_previous(self, at: int, frame_bytes: int) -> None:
        """Have a frame that names no page of this database change nothing."""
        source = at - frame_bytes if at - frame_bytes >= HEADER.size else at + frame_bytes
        self.content[at : at + frame_bytes] = self.content[source : source + frame_bytes]
        FRAME.pack_into(self.content, at, self._page(source), 0, *self.salts, 0, 0)

    # --- parts ------------------------------------------------------------------------------

    def _page(self, at: int) -> int:
        return int(FRAME.unpack_from(self.content, at)[0])

    def _size(self, at: int) -> int:
        """Return the pages of the database after the commit that a frame is; 0: it is none."""
        return int(FRAME.unpack_from(self.content, at)[1])

    def _has_salts(self, at: int) -> bool:
        _, _, *salts, _, _ = FRAME.unpack_from(self.content, at)
        return tuple(salts) == self.salts

    def _stored(self, at: int) -> Sums:
        *_, first, second = FRAME.unpack_from(self.content, at)
        return first, second

    def _sums_of(self, at: int, sums: Sums) -> Sums:
        sums = self._chain(at, _SUMMED_BYTES, sums)
        return self._chain(at + FRAME.size, self.page_bytes, sums)

    def _chain(self, at: int, size_bytes: int, sums: Sums) -> Sums:
        return wal_chain(bytes(self.content[at : at + size_bytes]), self.is_big_endian, sums)


def _differing_bits(some: Sums, others: Sums) -> int:
    return (some[0] ^ others[0]).bit_count() + (some[1] ^ others[1]).bit_count()


@functools.lru_cache(2)
def _single_bits(words: int) -> dict[Sums, list[tuple[int, int]]]:
    """Return which bits of which words change the sums by how much, either way.

    A word that is one higher makes the sums of its pair higher by (1, 1) or (0, 1); each pair that
    follows turns a difference (p, q) into (p + q, p + 2 q).
    """
    changes: dict[Sums, list[tuple[int, int]]] = {}
    even, odd = (1, 1), (0, 1)
    for word in range(words - 2, -1, -2):
        for index, (p, q) in ((word, even), (word + 1, odd)):
            for bit in range(32):
                up, down = (p << bit) & _WORD, (q << bit) & _WORD
                for delta in {(up, down), (-up & _WORD, -down & _WORD)}:
                    changes.setdefault(delta, []).append((index, bit))
        even, odd = (((p + q) & _WORD, (p + 2 * q) & _WORD) for p, q in (even, odd))
    return changes


def mended(content: bytes, mark: Mark | None = None) -> Mended:
    """Return a log as it should be, and what was wrong with it.

    Args:
        content: of the whole file.
        mark: how much of it is known to be committed.
    """
    log = _Log(content)
    sums = log.read_header()
    if sums is not None:
        log.mend(sums, mark)
    return Mended(
        bytes(log.content), log.salts, log.committed, tuple(log.repaired), tuple(log.passed_over)
    )


def pages_of(content: bytes, frames: int) -> Iterator[tuple[int, memoryview]]:
    """Yield number and content of each page in so many frames of a sound log, in order."""
    at, page_bytes, view = HEADER.size, _page_bytes(content), memoryview(content)
    for _ in range(frames):
        (page,) = struct.unpack_from(">I", content, at)
        yield page, view[at + FRAME.size : at + FRAME.size + page_bytes]
        at += FRAME.size + page_bytes


def committed(content: bytes) -> tuple[int, int]:
    """Return how many frames a log in use has up to the last commit; they are not checked.

    Returns:
        The frames, and the pages of the database after that commit.
    """
    if len(content) < HEADER.size:
        return 0, 0
    salts = HEADER.unpack_from(content)[4:6]
    frames, pages, frame_bytes = 0, 0, FRAME.size + _page_bytes(content)
    places = range(HEADER.size, len(content) - frame_bytes + 1, frame_bytes)
    for number, at in enumerate(places, 1):
        _, size, *found, _, _ = FRAME.unpack_from(content, at)
        if tuple(found) != salts:
            break
        if size:
            frames, pages = number, size
    return frames, pages


def _page_bytes(content: bytes) -> int:
    return int(HEADER.unpack_from(content)[2]) if len(content) >= HEADER.size else 0
