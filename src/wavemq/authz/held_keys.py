"""The decryption keys that a perspective has been given, by whose system they belong to.

Owns which keys are held and which of them may open what (wave.md 4.9, 7.2). Refuses to know where
keys come from and does no cryptography. Fault model: anybody can send a perspective an
attestation with useless keys that pretend to belong to somebody else's system. So keys never
replace each other, those that the owner of the system granted himself are tried first, and the
number kept and the number tried are bounded.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from wavemq.authz.bounded import BoundedCache
from wavemq.wave.encrypted import ReaderKeys
from wavemq.wave.partition import matches

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wavemq.wave.bundle import ContentKey, LabelKey
    from wavemq.wave.entity import Entity
    from wavemq.wave.hashes import Hash
    from wavemq.wave.partition import Partition

K = TypeVar("K")

MATCHES_PER_OWNER_MAX: Final = 256
"""Partitions for which the matching content keys are remembered; each takes about 1 KiB."""

LABEL_KEYS_PER_OWNER_MAX: Final = 64
"""Label keys kept for one entity's system; half of the room is for the owner's own grants."""
CONTENT_KEYS_PER_OWNER_MAX: Final = 16_384
"""Content keys kept for one entity's system (one attestation brings up to about 300)."""
KEY_ATTEMPTS_MAX: Final = 32
"""Keys that are tried on one object before it is left alone until more keys come."""


class _Ranked(Generic[K]):
    """Keys of one kind; those from strangers cannot crowd out those from the owner."""

    __slots__ = ("_from_others", "_from_owner", "_room")

    def __init__(self, keys_max: int) -> None:
        self._room = keys_max // 2
        self._from_owner: dict[K, None] = {}
        self._from_others: dict[K, None] = {}

    def add(self, key: K, *, is_from_owner: bool) -> bool:
        """Keep `key` if there is room; return whether it is news."""
        if key in self._from_owner or (key in self._from_others and not is_from_owner):
            return False
        keys = self._from_owner if is_from_owner else self._from_others
        if len(keys) >= self._room:
            return False
        keys[key] = None
        is_news = not is_from_owner or key not in self._from_others
        if is_from_owner:
            self._from_others.pop(key, None)
        return is_news

    def snapshot(self) -> tuple[K, ...]:
        """Return the keys as they are now, the owner's first; safe beside `add`."""
        return (*tuple(self._from_owner), *tuple(self._from_others))


class _Shelf:
    """The keys of one entity's systems."""

    __slots__ = ("content_keys", "label_keys", "matching", "owner", "revision")

    def __init__(self, owner: Entity) -> None:
        self.owner = owner
        self.label_keys: _Ranked[LabelKey] = _Ranked(LABEL_KEYS_PER_OWNER_MAX)
        self.content_keys: _Ranked[ContentKey] = _Ranked(CONTENT_KEYS_PER_OWNER_MAX)
        self.revision = 0
        # The revision of the keys that were looked at goes with the answer.
        self.matching: BoundedCache[Partition, tuple[int, tuple[ContentKey, ...]]] = BoundedCache(
            MATCHES_PER_OWNER_MAX
        )


class HeldKeys:
    """All keys of one perspective but its own.

    Keys are added by the event loop alone; worker threads may read meanwhile.
    """

    __slots__ = ("_shelves",)

    def __init__(self) -> None:
        self._shelves: dict[Hash, _Shelf] = {}

    def add_label_key(self, owner: Entity, key: LabelKey, *, is_from_owner: bool) -> None:
        """Keep a key of `owner`'s identity-based system."""
        shelf = self._shelves.setdefault(owner.hash, _Shelf(owner))
        shelf.revision += shelf.label_keys.add(key, is_from_owner=is_from_owner)

    def add_content_keys(
        self, owner: Entity, keys: Iterable[ContentKey], *, is_from_owner: bool
    ) -> None:
        """Keep keys of `owner`'s attribute-based system."""
        shelf = self._shelves.setdefault(owner.hash, _Shelf(owner))
        for key in keys:
            shelf.revision += shelf.content_keys.add(key, is_from_owner=is_from_owner)

    def owner(self, owner: Hash) -> Entity | None:
        """Return the entity whose keys are held, or None when none are."""
        shelf = self._shelves.get(owner)
        return None if shelf is None else shelf.owner

    def revision(self, owner: Hash) -> int:
        """Return a number that grows whenever a key of `owner`'s systems is added; 0 for none."""
        shelf = self._shelves.get(owner)
        return 0 if shelf is None else shelf.revision

    def label_keys(self, owner: Hash) -> tuple[LabelKey, ...]:
        """Return label keys of `owner`'s system to try, the most credible first."""
        shelf = self._shelves.get(owner)
        return () if shelf is None else shelf.label_keys.snapshot()[:KEY_ATTEMPTS_MAX]

    def content_keys(self, owner: Hash) -> tuple[ContentKey, ...]:
        """Return all content keys of `owner`'s system, the most credible first."""
        shelf = self._shelves.get(owner)
        return () if shelf is None else shelf.content_keys.snapshot()

    def matching_content_keys(self, owner: Hash, partition: Partition) -> tuple[ContentKey, ...]:
        """Return content keys to try on an object of that partition, the most credible first."""
        shelf = self._shelves.get(owner)
        if shelf is None:
            return ()
        # Read before the keys are: what is added meanwhile makes the answer an old one.
        revision = shelf.revision
        known = shelf.matching.get(partition)
        if known is not None and known[0] == revision:
            return known[1]
        matching = (key for key in shelf.content_keys.snapshot() if matches(key.pattern, partition))
        found = tuple(islice(matching, KEY_ATTEMPTS_MAX))
        shelf.matching.put(partition, (revision, found))
        return found

    def reader_keys(self, namespace: Hash) -> ReaderKeys | None:
        """Return what may open messages encrypted to a namespace, or None when nothing may."""
        shelf = self._shelves.get(namespace)
        if shelf is None:
            return None
        return ReaderKeys(
            namespace=shelf.owner,
            label_keys=self.label_keys(namespace),
            content_keys=lambda partition: self.matching_content_keys(namespace, partition),
        )
