"""The name declarations that one perspective can read, by whose word they are.

Owns the index by attester and name, and its bounds. Refuses to know validity, the order of
candidates and the disk. Fault model: anybody may declare any number of names and put them into
anybody's queue; no attester has room for more than his share, and the perspective's own always
have room.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from wavemq.wave.hashes import Hash
    from wavemq.wave.name import NameBody, NameDeclaration
    from wavemq.wave.partition import Partition

NAMES_MAX: Final = 32_768
"""Declarations kept for one perspective, about 2 KiB each; its own are not counted."""
NAMES_PER_ATTESTER_MAX: Final = 4096
"""Declarations kept of one attester."""


@dataclass(frozen=True, slots=True)
class KnownName:
    """A declaration that is open and genuine; whether it is valid depends on the time.

    Attributes:
        declaration: the public part; the attester has signed it.
        body: what it says.
        partition: the twenty slots of its key; None for a public one.
    """

    declaration: NameDeclaration
    body: NameBody
    partition: Partition | None


class KnownNames:
    """Declarations by attester.

    Args:
        own: the perspective, whose own declarations always have room.
    """

    def __init__(self, own: Hash) -> None:
        self._own = own
        self._by_attester: defaultdict[Hash, dict[Hash, KnownName]] = defaultdict(dict)
        self._by_name: defaultdict[tuple[Hash, str], dict[Hash, KnownName]] = defaultdict(dict)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, name: KnownName) -> bool:
        """Keep a declaration if there is room; return whether it is kept."""
        declaration = name.declaration
        theirs = self._by_attester.get(declaration.attester, {})
        if declaration.hash in theirs:
            return True
        if len(theirs) >= NAMES_PER_ATTESTER_MAX:
            return False
        if self._count >= NAMES_MAX and declaration.attester != self._own:
            return False
        self._by_attester[declaration.attester][declaration.hash] = name
        key = (declaration.attester, name.body.name)
        self._by_name[key][declaration.hash] = name
        self._count += 1
        return True

    def candidates(self, attester: Hash, name: str) -> list[KnownName]:
        """Return the attester's declarations of exactly this name."""
        return list(self._by_name.get((attester, name), {}).values())

    def by(self, attester: Hash) -> list[KnownName]:
        """Return all declarations of one attester."""
        return list(self._by_attester.get(attester, {}).values())

    def forget(self, declaration: Hash, attester: Hash) -> None:
        """Drop a declaration."""
        name = self._by_attester[attester].pop(declaration)
        key = (attester, name.body.name)
        del self._by_name[key][declaration]
        if not self._by_name[key]:
            del self._by_name[key]
        if not self._by_attester[attester]:
            del self._by_attester[attester]
        self._count -= 1

    def all(self) -> list[KnownName]:
        """Return every declaration."""
        return [name for theirs in self._by_attester.values() for name in theirs.values()]
