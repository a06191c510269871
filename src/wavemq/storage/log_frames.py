"""A batch of changes as one frame of the append log, and back.

Owns the encoding of batches and the form of frames, which `append.rs` of the kernel writes: a
header, numbers, a table with length and CRC of each blob, the blobs. Refuses to know files and
where frames are. Fault model: bits flip and sectors are overwritten. A single flipped bit is turned
back, since the change of a CRC tells which it was; of a frame damaged beyond that, every blob that
has its CRC is used as long as the numbers and the table are sound.
"""

from __future__ import annotations

import struct
import zlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Final, NamedTuple, TypeVar

from wavemq._kernel import flipped_bit
from wavemq.storage.journal import JournalBatch, QueueRow, RecordRow

T = TypeVar("T")
HEADER: Final = struct.Struct("<8sQQQQIIIIII")
"""Magic, salt, sequence, next queue, next record; bytes of the body and of its numbers, blobs; CRCs
of the body, of numbers and table, and of the header before."""
MAGIC: Final = b"wmqframe"
_SUMMED_BYTES: Final = HEADER.size - 4
_COUNTS: Final = 12
_TABLE_ROW_BYTES: Final = 8
_NO_PROOF: Final = 0


class Header(NamedTuple):
    """The header of a frame, sound."""

    salt: int
    sequence: int
    next_queue: int
    next_record: int
    body_bytes: int
    meta_bytes: int
    blob_count: int
    body_sum: int
    outline_sum: int
    is_repaired: bool


@dataclass(slots=True)
class Proofs:
    """Proofs that the frames of one salt have named so far: each is written out once.

    It may name proofs that no frame on disk has, after an append that failed: `forget_since`.
    """

    indexes: dict[bytes, int] = field(default_factory=dict)
    contents: dict[int, bytes] = field(default_factory=dict)

    def forget_since(self, count: int) -> None:
        """Forget all but the first `count`."""
        while len(self.indexes) > count:
            self.indexes.popitem()


# --- to bytes -----------------------------------------------------------------------------------


def encoded(batch: JournalBatch, proofs: Proofs) -> tuple[bytes, list[bytes]]:
    """Return numbers and blobs of a frame; `proofs` learns those that it is the first to name."""
    indexes = proofs.indexes
    known_count = len(indexes)
    rows = [*batch.queues, *batch.records]
    blobs = [content for _, content, _ in rows]
    # Comparing the same object costs nothing, so most messages cost no comparison.
    named = [
        (number, indexes.get(proof) or indexes.setdefault(proof, len(indexes) + 1))
        if proof
        else (number, _NO_PROOF)
        for number, _, proof in rows
    ]
    identities: list[int] = []
    scopes: dict[bytes, int] = {}
    if batch.identities:
        for scope, identity in batch.identities:
            identities.append(scopes.setdefault(scope, len(scopes)))
            identities.append(identity - ((identity >> 63) << 64))  # as one with a sign
        blobs += scopes
    if batch.marks:
        blobs += batch.marks.values()
    if batch.removed_scopes:
        blobs += batch.removed_scopes
    new_proofs: Sequence[bytes] = ()
    if len(indexes) > known_count:
        new_proofs = list(indexes)[known_count:]
        blobs += new_proofs
    numbers = [
        len(batch.queues),
        len(batch.records),
        len(batch.identities),
        len(scopes),
        len(batch.marks),
        len(batch.removed_scopes),
        len(new_proofs),
        len(batch.dropped_counts),
        len(batch.entries),
        len(batch.removed_entries),
        len(batch.removed_queues),
        len(batch.removed_records),
        *chain.from_iterable(named),
        *identities,
        *batch.marks,
        *chain.from_iterable(batch.dropped_counts.items()),
        *chain.from_iterable(batch.entries),
        *chain.from_iterable(batch.removed_entries),
        *batch.removed_queues,
        *batch.removed_records,
    ]
    return array("q", numbers).tobytes(), blobs


# --- headers ------------------------------------------------------------------------------------


def header_at(content: bytearray, at: int) -> Header | None:
    """Return the header at a place, after turning back a flipped bit; None if there is none."""
    if at + HEADER.size > len(content):
        return None
    change = zlib.crc32(content[at : at + _SUMMED_BYTES]) ^ _stored_sum(content, at)
    is_repaired = change != 0
    if is_repaired and change.bit_count() > 1:
        position = flipped_bit(_SUMMED_BYTES, change)
        if position is None:
            return None
        turned = bytearray(content[at : at + _SUMMED_BYTES])
        turned[position // 8] ^= 1 << position % 8
        if not turned.startswith(MAGIC):
            return None
        content[at : at + _SUMMED_BYTES] = turned
    magic, *rest = HEADER.unpack_from(content, at)
    if magic != MAGIC:
        return None
    return Header._make((*rest[:-1], is_repaired))


def _stored_sum(content: bytearray, at: int) -> int:
    return int.from_bytes(content[at + _SUMMED_BYTES : at + HEADER.size], "little")


# --- bodies -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Body:
    """What can be used of the body of a frame.

    Attributes:
        batch: without what is damaged.
        is_repaired: whether a bit was turned back.
        lost_count: blobs that are damaged beyond that.
    """

    batch: JournalBatch
    is_repaired: bool
    lost_count: int


def decoded(content: bytearray, at: int, header: Header, proofs: Proofs) -> Body | None:
    """Return the body of the frame at a place; None if nothing of it can be used.

    Args:
        content: of the log; a flipped bit in the body is turned back in it.
        at: of the frame.
        header: of the frame.
        proofs: that frames before it named; it learns those that this one has.
    """
    first = at + HEADER.size
    body = content[first : first + header.body_bytes]
    change = zlib.crc32(body) ^ header.body_sum
    is_repaired = False
    if change and len(body) == header.body_bytes:
        position = flipped_bit(len(body), change)
        if position is not None:
            turned = bytearray(body)
            turned[position // 8] ^= 1 << position % 8
            found = _parsed(turned, header)
            # More damage may look like one bit, once in some thousand times: the parts tell.
            if found is not None and None not in found[1]:
                content[first : first + header.body_bytes] = body = turned
                is_repaired = True
    found = _parsed(body, header)
    if found is None:
        return None
    numbers, blobs = found
    return Body(_batch(numbers, blobs, proofs), is_repaired, blobs.count(None))


def _parsed(body: bytearray, header: Header) -> tuple[array[int], list[bytes | None]] | None:
    """Return numbers and blobs, each None that does not have its CRC; None if all are in doubt."""
    outline_bytes = header.meta_bytes + _TABLE_ROW_BYTES * header.blob_count
    if zlib.crc32(body[:outline_bytes]) != header.outline_sum:
        return None
    numbers = array("q", bytes(body[: header.meta_bytes]))
    table = struct.iter_unpack("<II", body[header.meta_bytes : outline_bytes])
    blobs: list[bytes | None] = []
    at = outline_bytes
    for length, expected in table:
        blob = bytes(body[at : at + length])
        at += length
        blobs.append(blob if zlib.crc32(blob) == expected else None)
    return numbers, blobs


def _batch(numbers: array[int], blobs: list[bytes | None], proofs: Proofs) -> JournalBatch:
    counts, rest = numbers[:_COUNTS], iter(numbers[_COUNTS:])
    queue_count, record_count, identity_count, scope_count, mark_count = counts[:5]
    removed_scope_count, proof_count, dropped_count, entry_count, *removed = counts[5:]
    contents = iter(blobs)
    named = list(_rows(rest, 2, queue_count + record_count))
    named_contents = _taken(contents, len(named))
    identity_rows = list(_rows(rest, 2, identity_count))
    scopes = _taken(contents, scope_count)
    marks = dict(zip(_taken(rest, mark_count), _taken(contents, mark_count), strict=True))
    removed_scopes = _taken(contents, removed_scope_count)
    for proof in _taken(contents, proof_count):
        # A damaged one has a number, too.
        index = len(proofs.indexes) + 1
        proofs.indexes[proof if proof is not None else b"damaged %d" % index] = index
        if proof is not None:
            proofs.contents[index] = proof
    known = proofs.contents
    sound = [
        (number, content, known.get(index, b""))
        if content is not None and (index == _NO_PROOF or index in known)
        else None
        for (number, index), content in zip(named, named_contents, strict=True)
    ]
    return JournalBatch(
        queues=[QueueRow(*row) for row in sound[:queue_count] if row is not None],
        records=[RecordRow(*row) for row in sound[queue_count:] if row is not None],
        identities=[
            (scope, identity & 0xFFFF_FFFF_FFFF_FFFF)
            for index, identity in identity_rows
            if (scope := scopes[index]) is not None
        ],
        marks={queue: mark for queue, mark in marks.items() if mark is not None},
        removed_scopes=[scope for scope in removed_scopes if scope is not None],
        dropped_counts={row[0]: row[1] for row in _rows(rest, 2, dropped_count)},
        entries=[(row[0], row[1], row[2], row[3]) for row in _rows(rest, 4, entry_count)],
        removed_entries=[(row[0], row[1]) for row in _rows(rest, 2, removed[0])],
        removed_queues=_taken(rest, removed[1]),
        removed_records=_taken(rest, removed[2]),
    )


def _rows(numbers: Iterator[int], width: int, count: int) -> Iterator[tuple[int, ...]]:
    for _ in range(count):
        yield tuple(_taken(numbers, width))


def _taken(values: Iterator[T], count: int) -> list[T]:
    return [next(values) for _ in range(count)]
