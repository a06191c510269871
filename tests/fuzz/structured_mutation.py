"""Mutations that know the shape of DER: most of what they make gets past the outermost length.

Owns a tolerant parse into a tree, changes of the tree, and plain changes of bytes. Everything is
drawn from the `Random` that is passed in, so a run repeats from its seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

_DEPTH_MAX: Final = 12
_NODES_MAX: Final = 4000
_REPEATED_BYTES_MAX: Final = 32 << 10
"""How far repeating an element may blow up an input, each time."""
_CONSTRUCTED: Final = 0x20
_OCTETS: Final = 0x04
_TAGS: Final = bytes.fromhex("0102040506080c1317181e2830317fa0a1a2a3a4bf")
_ODD_CONTENTS: Final = (
    b"",
    b"\x00",
    b"\x7f",
    b"\x80",
    b"\xff",
    b"\x00\x80",
    b"\xff\x7f",
    bytes(8),
    b"\x7f" + b"\xff" * 7,
    b"\x80" + bytes(7),
    b"\x01" + bytes(8),
    b"20491231235959+9959",
    b"99991231235959Z",
    b"00000101000000Z",
    b"\xc3\x28",
    b"\xed\xa0\x80",
    b"a" * 200,
    bytes(32),
    b"\xff" * 33,
    b"\xc0" + bytes(47),
)


@dataclass
class Node:
    """One element; `children` is None where the content is not a list of elements."""

    tag: int
    content: bytes
    children: list[Node] | None

    def to_bytes(self) -> bytes:
        """Return the element with a correct length."""
        content = self.to_content()
        return header(self.tag, len(content)) + content

    def to_content(self) -> bytes:
        """Return what is inside."""
        if self.children is None:
            return self.content
        return b"".join(child.to_bytes() for child in self.children)


def header(tag: int, size: int) -> bytes:
    """Return tag and minimal length."""
    if size < 0x80:
        return bytes((tag, size))
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets


def parse(given: bytes, depth: int = 0) -> list[Node] | None:
    """Return the elements that `given` consists of, or None if it does not."""
    nodes: list[Node] = []
    place = 0
    while place < len(given):
        if place + 2 > len(given):
            return None
        tag, size = given[place], given[place + 1]
        place += 2
        if size >= 0x80:
            count = size & 0x7F
            if not 1 <= count <= 4 or place + count > len(given):
                return None
            size = int.from_bytes(given[place : place + count], "big")
            place += count
        if place + size > len(given) or len(nodes) >= _NODES_MAX:
            return None
        content = given[place : place + size]
        place += size
        is_list = tag & _CONSTRUCTED or (tag == _OCTETS and content[:1] in (b"\x28", b"\x30"))
        children = parse(content, depth + 1) if is_list and depth < _DEPTH_MAX else None
        nodes.append(Node(tag, content, children))
    return nodes


def _lists(nodes: list[Node]) -> list[list[Node]]:
    """Return every list of siblings, outermost first."""
    found = [nodes]
    for node in nodes:
        if node.children:
            found += _lists(node.children)
    return found


def _change_tree(roots: list[Node], random: Random) -> None:
    """Change one place of the tree."""
    siblings = random.choice(_lists(roots))
    if not siblings:
        return
    index = random.randrange(len(siblings))
    node = siblings[index]
    match random.randrange(9):
        case 0:
            del siblings[index]
        case 1:
            siblings.insert(index, node)
        case 2:
            room = _REPEATED_BYTES_MAX // (len(node.to_bytes()) or 1)
            siblings[index : index + 1] = [node] * min(random.choice((3, 20, 70)), room or 2)
        case 3:
            other = random.choice(random.choice([one for one in _lists(roots) if one]))
            siblings[index] = Node(other.tag, other.to_content(), None)
        case 4:
            siblings[index] = Node(random.choice(_TAGS), node.content, node.children)
        case 5:
            siblings[index] = Node(node.tag, random.choice(_ODD_CONTENTS), None)
        case 6:
            wrapped = node
            for _ in range(random.choice((1, 2, 40))):
                wrapped = Node(random.choice((0x30, 0x28, 0xA0)), b"", [wrapped])
            siblings[index] = wrapped
        case 7:
            siblings.append(Node(random.choice(_TAGS), random.choice(_ODD_CONTENTS), None))
        case _:
            siblings[index] = Node(node.tag, change_bytes(node.content, random), None)


def change_bytes(given: bytes, random: Random) -> bytes:
    """Change bytes without regard to any structure."""
    changed = bytearray(given)
    place = random.randrange(len(changed) + 1)
    match random.randrange(6):
        case 0 if changed:
            changed[place % len(changed)] ^= 1 << random.randrange(8)
        case 1 if changed:
            changed[place % len(changed)] = random.randrange(256)
        case 2:
            del changed[place:]
        case 3:
            del changed[place : place + random.choice((1, 2, 8, 48))]
        case 4:
            changed[place:place] = random.choice(_ODD_CONTENTS)
        case _:
            changed += changed[: random.randrange(64)] or b"\0"
    return bytes(changed)


def _tear_lengths(given: bytes, random: Random) -> bytes:
    """Damage the header of an element near the beginning, where the structure is."""
    changed = bytearray(given)
    place = random.randrange(min(len(changed), 200) or 1)
    damage = random.choice(
        (b"\x80", b"\x81\x00", b"\x82\x00\x01", b"\x84\xff\xff\xff\xff", b"\xff")
    )
    changed[place : place + random.randrange(3)] = damage
    return bytes(changed)


def mutate(given: bytes, random: Random, others: Sequence[bytes] = ()) -> bytes:
    """Return a changed input: its tree in most cases, else its bytes, else its headers."""
    choice = random.randrange(10)
    if choice == 0:
        return _tear_lengths(given, random)
    if choice == 1 and others:
        other = random.choice(others)
        return given[: random.randrange(len(given) + 1)] + other[random.randrange(len(other) + 1) :]
    roots = parse(given) if choice < 8 else None
    if roots:
        for _ in range(random.choice((1, 1, 1, 2, 4))):
            _change_tree(roots, random)
        return b"".join(root.to_bytes() for root in roots)
    changed = given
    for _ in range(random.choice((1, 1, 2, 5))):
        changed = change_bytes(changed, random)
    return changed
