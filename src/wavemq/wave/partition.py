"""Partitions: the twenty slots that decide which keys open what (wave.md 4.3, 4.6, 10.2).

Owns the mapping from resources and periods to slots, and the list of partitions whose keys cover a
grant. Refuses to know cryptography. Times are unix nanoseconds; arithmetic is on integers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from wavemq.clock import Instant
from wavemq.errors import InvalidE2EEGrantError, InvalidParameterError, MalformedPartitionError

SLOTS: Final = 20
URI_SLOTS_MAX: Final = 11
PREFIX_SLOTS: Final = 12
BODY_TAG: Final = b"\x00attestation"
E2EE_TAG: Final = b"\x00e2ee"
WEEK_NS: Final = 604_800 * 1_000_000_000
TIERS: Final = (64 * WEEK_NS, 16 * WEEK_NS, 4 * WEEK_NS, WEEK_NS)
THREE_YEARS_NS: Final = 3 * 365 * 24 * 3600 * 1_000_000_000
_TERMINATOR: Final = b"\x00"

Partition = tuple[bytes, ...]
"""Twenty components; `b""` is an empty slot."""


def check_partition(partition: Sequence[bytes]) -> Partition:
    """Return the partition as a tuple.

    Raises:
        MalformedPartitionError: it has not exactly twenty slots.
    """
    if len(partition) != SLOTS:
        raise MalformedPartitionError(f"a partition has {SLOTS} slots, not {len(partition)}")
    return tuple(bytes(part) for part in partition)


def _range(not_before: int, not_after: int) -> tuple[int, int]:
    """Return the covered range in whole weeks; its end is always one week past."""
    return not_before // WEEK_NS * WEEK_NS, not_after // WEEK_NS * WEEK_NS + WEEK_NS


def _slot(value: int) -> bytes:
    if not 0 <= value < 1 << 16:
        raise InvalidParameterError("a time is outside the range that partitions can express")
    return value.to_bytes(2, "big")


def prefix(tag: bytes, components: Sequence[bytes]) -> Partition:
    """Return slots 0 to 11: a tag and up to eleven components.

    Raises:
        MalformedPartitionError: there are more.
    """
    if len(components) > URI_SLOTS_MAX:
        raise MalformedPartitionError(
            f"a visibility URI has at most {URI_SLOTS_MAX} components, not {len(components)}"
        )
    return (tag, *components, *(b"",) * (URI_SLOTS_MAX - len(components)))


def wr1_partition(start: Partition, not_before: Instant, not_after: Instant) -> Partition:
    """Return the partition of a ciphertext (wave.md 4.3).

    Args:
        start: slots 0 to 11, as from `prefix`.
        not_before: first instant, not rounded.
        not_after: last instant, not rounded.
    """
    first, last = _range(not_before, not_after)
    begin = tuple(_slot(first // tier) for tier in TIERS)
    end = tuple(_slot(last // tier) for tier in TIERS)
    return check_partition((*start, *begin, *end))


class _Block(NamedTuple):
    path: tuple[int, int, int, int]
    edge: int


def _tiles(start: int, limit: int, direction: int) -> list[_Block]:
    """Tile the way from `start` to `limit` with the widest blocks that fit (wave.md 4.6)."""
    current, tier = start, 0
    path = [current // TIERS[0], 0, 0, 0]
    blocks = []
    while current * direction < limit * direction and tier < len(TIERS):
        following = current + direction * TIERS[tier]
        if following * direction <= limit * direction:
            emitted = path if direction > 0 else [part - 1 if part else 0 for part in path]
            blocks.append(_Block((emitted[0], emitted[1], emitted[2], emitted[3]), following))
            current = following
            path[tier] = current // TIERS[tier]
        else:
            tier += 1
            if tier < len(TIERS):
                path[tier] = current // TIERS[tier]
    return blocks


def bundle_partitions(start: Partition, not_before: Instant, not_after: Instant) -> list[Partition]:
    """Return the partitions whose keys together cover a grant, in the original's order.

    Args:
        start: slots 0 to 11.
        not_before: first instant of the grant.
        not_after: last instant.
    """
    first, last = _range(not_before, not_after)
    left = _tiles((first - THREE_YEARS_NS) // TIERS[0] * TIERS[0], last, 1)
    right = _tiles((last + THREE_YEARS_NS) // TIERS[0] * TIERS[0] + TIERS[0], first, -1)
    found = []
    for begin in left:
        for end in right:
            if begin.edge + THREE_YEARS_NS < end.edge:
                continue
            times = tuple(_slot(part) if part else b"" for part in (*begin.path, *end.path))
            found.append(check_partition((*start, *times)))
    return found


def e2ee_prefix(resource: str, *, is_message: bool) -> Partition:
    """Return slots 0 to 11 for end-to-end encryption under `resource` (wave.md 10.2).

    Raises:
        InvalidE2EEGrantError: the resource breaks a rule; messages may have no wildcards.
    """
    elements = resource.split("/")
    if len(elements) > URI_SLOTS_MAX:
        raise InvalidE2EEGrantError("a wave:decrypt resource can not be more than 11 elements long")
    components: list[bytes] = []
    is_open = False
    for index, element in enumerate(elements):
        if not element:
            raise InvalidE2EEGrantError("a wave:decrypt resource may not have empty elements")
        if element in ("+", "*") and is_message:
            raise InvalidE2EEGrantError(
                f"a wave:decrypt resource should not have '{element}' in it when used for "
                "encryption"
            )
        if element == "*":
            if index != len(elements) - 1:
                raise InvalidE2EEGrantError(
                    "a wave:decrypt resource may only have a * as the last element"
                )
            is_open = True
        elif element == "+":
            components.append(b"")
        else:
            components.append(_encoded(element))
    if not is_open:
        components += [_TERMINATOR] * (URI_SLOTS_MAX - len(components))
    return prefix(E2EE_TAG, components)


def _encoded(element: str) -> bytes:
    try:
        return element.encode()
    except UnicodeEncodeError as error:
        raise InvalidE2EEGrantError("a wave:decrypt resource is not Unicode text") from error


def matches(held: Partition, wanted: Partition) -> bool:
    """Whether a key for `held` can be qualified to `wanted`."""
    return all(not mine or mine == theirs for mine, theirs in zip(held, wanted, strict=True))
