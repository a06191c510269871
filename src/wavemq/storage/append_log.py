"""A file of fixed size to which frames are appended durably, and which is used again and again.

Owns the file, the place of the next frame, and the look at what is there at a start. Refuses to
know what frames mean. Fault model: as `log_frames`; in addition the last frame may be torn, which
is as it should be: nobody was told that it was written. What tells it from a damaged one is the
frames behind it, and a mark beside the file that says which frame was the last on disk. Frames
behind damage are found by their magic and by the salt, which is drawn anew whenever the file is
emptied and which nobody outside knows: what looks like a frame within a message is none.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from wavemq._kernel import LogWriter
from wavemq.storage.durable import replace_file
from wavemq.storage.journal import JournalBatch
from wavemq.storage.log_frames import HEADER, MAGIC, Header, Proofs, decoded, encoded, header_at

_MARK: Final = struct.Struct("<QQQQI")
"""Salt and sequence of the last frame that is on disk, next queue, next record; CRC."""
_POSITION: Final = struct.Struct("<QQ")
_OPENING: Final = JournalBatch()
_ALIGNMENT: Final = 8

_log = structlog.get_logger("wavemq.storage")


class Position(NamedTuple):
    """How far a log is settled: frames with this salt, from this sequence on, are not."""

    salt: int
    sequence: int

    def to_bytes(self) -> bytes:
        """Return it as it is kept."""
        return _POSITION.pack(*self)

    @classmethod
    def parse(cls, content: bytes | None) -> Position | None:
        """Return what was kept; None if it is none."""
        if content is None or len(content) != _POSITION.size:
            return None
        return cls(*_POSITION.unpack(content))


@dataclass(frozen=True, slots=True)
class Found:
    """What a log held when it was opened.

    Attributes:
        batches: that are not settled, in order.
        next_queue: after the highest queue that it names.
        next_record: after the highest record that it names.
        next_sequence: after the last frame.
        repaired_count: frames in which a bit was turned back.
        damaged_count: frames that are damaged beyond that.
    """

    batches: list[JournalBatch]
    next_queue: int
    next_record: int
    next_sequence: int
    repaired_count: int
    damaged_count: int


class AppendLog:
    """An open log; nothing can be appended before it was emptied once.

    Args:
        path: of the file; made if need be.
        size_bytes: of the file.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, path: Path, size_bytes: int) -> None:
        self._path = path
        self._size_bytes = size_bytes
        self._place = Position(0, 0)
        self._end: int | None = None
        self._proofs = Proofs()
        self._file = self._mark_file = -1
        self._writer = LogWriter()
        self._begun: _Begun | None = None

    # --- at the start -----------------------------------------------------------------------

    def read(self, settled: Position | None) -> Found:
        """Return what is not settled, and tell of all damage.

        Args:
            settled: what the file behind the log says; None if it does not know.

        Raises:
            OSError: it cannot be read.
        """
        content = bytearray(self._path.read_bytes()) if self._path.exists() else bytearray()
        mark, is_mark_damaged = self._mark()
        opening = header_at(content, 0)
        scan = _Scan(content, _salt(settled, opening, mark))
        if settled is not None and settled.salt == scan.salt:
            scan.settled = settled.sequence
        scan.run(mark)
        told = {
            "repaired_log": scan.repaired,
            "damaged_log": scan.damaged,
            "damaged_mark": ["its checksum"] if is_mark_damaged else [],
        }
        if any(told.values()):
            if scan.damaged:
                shutil.copyfile(self._path, self._free_name())
            found = {name: value for name, value in told.items() if value}
            _log.error("file_damaged", file=str(self._path), **found)
        sequences = [scan.next_sequence, 1 if settled is None else settled.sequence]
        return Found(
            scan.batches,
            scan.next_queue,
            scan.next_record,
            max(sequences),
            len(scan.repaired) + is_mark_damaged,
            len(scan.damaged),
        )

    def _mark(self) -> tuple[Header | None, bool]:
        """Return what is known of the last frame on disk, and whether the mark is damaged."""
        path = self._path.with_name(self._path.name + ".mark")
        content = path.read_bytes() if path.exists() else b""
        if not content:
            return None, False
        if len(content) != _MARK.size or zlib.crc32(content[:-4]) != _MARK.unpack(content)[-1]:
            return None, True
        salt, sequence, next_queue, next_record, _ = _MARK.unpack(content)
        return Header(salt, sequence, next_queue, next_record, 0, 0, 0, 0, 0, False), False

    def _free_name(self) -> Path:
        number = 1
        while True:
            aside = self._path.with_name(f"{self._path.name}.damaged-{number}")
            if not aside.exists():
                return aside
            number += 1

    # --- while it is used -------------------------------------------------------------------

    def next_position(self, sequence: int | None = None) -> Position:
        """Return where the log will begin when it is emptied: with a salt of its own."""
        following = self._place.sequence if sequence is None else sequence
        return Position(secrets.randbits(64), following)

    def empty(self, position: Position, next_queue: int, next_record: int) -> None:
        """Begin anew; call it when all frames are settled and `position` is kept.

        Raises:
            OSError: it must be emptied before anything is appended.
        """
        self._end = None
        self._proofs = Proofs()
        self._place = position
        self._open()
        meta, blobs = encoded(_OPENING, self._proofs)
        numbers = (next_queue, next_record)
        self._end = 0
        try:
            self._write(meta, blobs, numbers)
        except OSError:
            self._end = None
            raise

    def _open(self) -> None:
        if self._file >= 0:
            return
        try:
            is_as_it_should_be = self._path.stat().st_size == self._size_bytes
        except FileNotFoundError:
            is_as_it_should_be = False
        if not is_as_it_should_be:
            # Zeros that are written, not a hole: what overwrites them later changes no metadata.
            replace_file(self._path, bytes(self._size_bytes))
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        file = os.open(self._path, flags, 0o600)
        try:
            mark_path = self._path.with_name(self._path.name + ".mark")
            self._mark_file = os.open(mark_path, flags, 0o600)
        except BaseException:
            os.close(file)
            raise
        self._file = file

    @property
    def is_ready(self) -> bool:
        """Whether something can be appended."""
        return self._end is not None

    @property
    def position(self) -> Position:
        """The salt, and the sequence of the next frame."""
        return self._place

    def append(self, batch: JournalBatch, numbers: tuple[int, int]) -> bool:
        """Append a batch, durably; return False if there is no room.

        Args:
            batch: to be appended.
            numbers: next queue and record after it.

        Raises:
            OSError: nothing was appended.
        """
        known_count = len(self._proofs.indexes)
        meta, blobs = encoded(batch, self._proofs)
        try:
            is_written = self._write(meta, blobs, numbers)
        except OSError:
            self._take_back(known_count)
            raise
        if not is_written:
            self._proofs.forget_since(known_count)
        return is_written

    def begin(self, batch: JournalBatch, numbers: tuple[int, int]) -> bool:
        """Begin to append a batch, which goes on by itself; False if it is for `append`.

        Nothing else may be done until `end` has told how it ended.
        """
        known_count = len(self._proofs.indexes)
        meta, blobs = encoded(batch, self._proofs)
        frame_bytes = 0
        with contextlib.suppress(OSError):  # no thread to be had: `append` needs none
            frame_bytes = self._writer.begin((self._target(numbers), meta, blobs))
        if frame_bytes:
            self._begun = _Begun(known_count, frame_bytes)
        else:
            self._proofs.forget_since(known_count)
        return frame_bytes > 0

    def end(self) -> None:
        """Wait for the end of what was begun.

        Raises:
            OSError: nothing was appended.
        """
        begun, self._begun = self._begun, None
        assert begun is not None, "something was begun"
        try:
            self._writer.end()
        except OSError:
            self._take_back(begun.known_count)
            raise
        self._advance(begun.frame_bytes)

    def descriptor(self) -> int:
        """Return what is readable when something that was begun has ended, until `take_note`."""
        return self._writer.fileno()

    def take_note(self) -> None:
        """Take note that the descriptor was readable."""
        self._writer.take()

    def _write(self, meta: bytes, blobs: list[bytes], numbers: tuple[int, int]) -> bool:
        frame_bytes = self._writer.append((self._target(numbers), meta, blobs))
        if frame_bytes:
            self._advance(frame_bytes)
        return frame_bytes > 0

    def _target(self, numbers: tuple[int, int]) -> _Target:
        """Return files, room and place of the next frame, as the kernel takes them."""
        assert self._end is not None, "it was emptied"
        assert self._begun is None, "what was begun has ended"
        files, room = (self._file, self._mark_file), (self._end, self._size_bytes)
        return files, room, (*self._place, *numbers)

    def _advance(self, frame_bytes: int) -> None:
        assert self._end is not None, "it was emptied"
        self._end = _aligned(self._end + frame_bytes)
        self._place = Position(self._place.salt, self._place.sequence + 1)

    def _take_back(self, known_count: int) -> None:
        """Clear what there is of a frame that was refused: it must not come back at a start."""
        self._proofs.forget_since(known_count)
        with contextlib.suppress(OSError):  # then the next frame takes its place
            os.pwrite(self._file, bytes(HEADER.size), self._end or 0)

    def used_bytes(self) -> int:
        """Return how much of the file holds frames; the rest is there to be used."""
        return self._end or 0

    def close(self) -> None:
        """Release the files."""
        self._end = None
        for descriptor in (self._file, self._mark_file):
            if descriptor >= 0:
                os.close(descriptor)
        self._file = self._mark_file = -1


_Target = tuple[tuple[int, int], tuple[int, int], tuple[int, int, int, int]]


@dataclass(frozen=True, slots=True)
class _Begun:
    """A frame on its way to the disk; `known_count` proofs were known before it."""

    known_count: int
    frame_bytes: int


def _aligned(at: int) -> int:
    return at + -at % _ALIGNMENT


def _salt(settled: Position | None, opening: Header | None, mark: Header | None) -> int | None:
    """Return the salt of the frames that count.

    The file behind the log knows it, unless it has lost its newest commits: then the log has gone
    further, and its first frame says so, or else the mark.
    """
    candidates: list[tuple[int, int]] = []
    if opening is not None:
        candidates.append((opening.sequence, opening.salt))
    elif mark is not None:
        candidates.append((mark.sequence, mark.salt))
    if settled is not None and (not candidates or settled.sequence > candidates[0][0]):
        return settled.salt
    return candidates[0][1] if candidates else None


class _Scan:
    """A walk through the frames of one salt."""

    def __init__(self, content: bytearray, salt: int | None) -> None:
        self._content = content
        self.salt = salt
        self.settled = 0
        self.batches: list[JournalBatch] = []
        self.next_queue = self.next_record = 1
        self.next_sequence = 1
        self.repaired: list[str] = []
        self.damaged: list[str] = []
        self._proofs = Proofs()

    def run(self, mark: Header | None) -> None:
        if self.salt is None:
            return
        known = mark.sequence if mark is not None and mark.salt == self.salt else 0
        at, expected = 0, self.settled
        while (found := self._frame_from(at, expected)) is not None:
            header, place = found
            if expected and header.sequence > expected:
                self.damaged.append(f"frames {expected} to {header.sequence - 1}")
            end = _aligned(place + HEADER.size + header.body_bytes)
            expected = header.sequence + 1
            is_committed = header.sequence <= known or self._frame_from(end, expected) is not None
            if not self._take(header, place, is_committed=is_committed):
                break
            at = end
        if known >= max(expected, 1) and known >= self.settled:
            self.damaged.append(f"frames {expected} to {known}, which end it")
            self.next_sequence = max(self.next_sequence, known + 1)
        if mark is not None and mark.salt == self.salt:
            self.next_queue = max(self.next_queue, mark.next_queue)
            self.next_record = max(self.next_record, mark.next_record)

    def _frame_from(self, at: int, expected: int) -> tuple[Header, int] | None:
        """Return the next frame at a place, or behind it if there is none."""
        while 0 <= at < len(self._content):
            header = header_at(self._content, at)
            if header is not None and header.salt == self.salt and header.sequence >= expected:
                return header, at
            at = self._content.find(MAGIC, at + 1)
        return None

    def _take(self, header: Header, place: int, *, is_committed: bool) -> bool:
        """Take a frame, or what of it is sound; return False if it is a torn end."""
        body = decoded(self._content, place, header, self._proofs)
        is_damaged = body is None or body.lost_count > 0
        if is_damaged and not is_committed:
            return False
        name = f"frame {header.sequence}"
        if is_damaged:
            self.damaged.append(name)
        elif header.is_repaired or (body is not None and body.is_repaired):
            self.repaired.append(name)
        self.next_sequence = header.sequence + 1
        self.next_queue = max(self.next_queue, header.next_queue)
        self.next_record = max(self.next_record, header.next_record)
        if body is not None and header.sequence >= self.settled:
            self.batches.append(body.batch)
        return True
