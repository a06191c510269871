"""Objects by hash: from memory, from disk, else from the storage where they should be.

Owns the order of looking (wave.md 7.5) and what is kept. Refuses to know validity, authority and
keys: an entity that comes from here is genuine (its hash and signature hold), not yet valid.
Fault model: storage may be away or not have the object; the two are told apart, since only the
second is an answer, and neither is remembered.
"""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING, Final

import structlog

from wavemq.authz.bounded import BoundedCache, CacheStatistics
from wavemq.authz.single_flight import SingleFlight
from wavemq.errors import (
    LookupFailureError,
    StorageError,
    UnavailableError,
    UnsupportedLocationSchemeError,
)
from wavemq.wave.entity import Entity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wavemq.authz.objects import ObjectStore
    from wavemq.authz.state import AuthorityState
    from wavemq.wave.hashes import Hash
    from wavemq.wave.location import Location

_log = structlog.get_logger(__name__)

ENTITIES_REMEMBERED_MAX: Final = 4096
"""Parsed entities in memory, about 4 KiB each."""
PLACES_MAX: Final = 16
"""Locations of one object that are tried; references of strangers may name any number."""
FETCHES_AT_ONCE_MAX: Final = 16
"""Objects asked of storage at one time, over all callers."""


class Library:
    """Finds objects and keeps what it found; objects are immutable, so for ever.

    Args:
        store: object storage.
        state: the disk.
        locations: where objects of unknown place are looked for, in this order.
    """

    def __init__(
        self, store: ObjectStore, state: AuthorityState, locations: tuple[Location, ...]
    ) -> None:
        self._store = store
        self._state = state
        self._locations = locations
        self._entities: BoundedCache[Hash, Entity] = BoundedCache(ENTITIES_REMEMBERED_MAX)
        self._flights: SingleFlight[tuple[Hash, tuple[Location, ...]], bytes | None] = (
            SingleFlight()
        )
        self._slots = asyncio.Semaphore(FETCHES_AT_ONCE_MAX)

    async def aclose(self) -> None:
        """Cancel fetches in flight."""
        await self._flights.aclose()

    def statistics(self) -> CacheStatistics:
        """Return how the memory of entities fares."""
        return self._entities.statistics()

    def known_entity(self, entity_hash: Hash) -> Entity | None:
        """Return the entity if it is in memory; never waits."""
        return self._entities.get(entity_hash)

    @property
    def locations(self) -> tuple[Location, ...]:
        """Every configured storage."""
        return self._locations

    @property
    def memory(self) -> BoundedCache[Hash, Entity]:
        """The entities in memory, for the verifier."""
        return self._entities

    def remember_entity(self, entity: Entity) -> None:
        """Keep an entity that came by another way, for instance inside a proof."""
        self._entities.put(entity.hash, entity)

    async def keep_entity(self, entity: Entity) -> None:
        """As `remember_entity`, and on disk too: grants by it must open again without storage."""
        self.remember_entity(entity)
        if await self.remembered(entity.hash) is None:
            await asyncio.to_thread(self._state.remember_object, entity.hash, entity.wire)

    async def object(
        self, object_hash: Hash, locations: Iterable[Location | None] = ()
    ) -> bytes | None:
        """Return the object; None when no location that is served here has it.

        Args:
            object_hash: which one.
            locations: where it should be; None entries are ignored, and no more than `PLACES_MAX`
                are tried. Without any, all configured locations are.

        Raises:
            StorageError: no location has it, but at least one did not answer.
        """
        named = dict.fromkeys(place for place in locations if place is not None)
        places = tuple(islice(named, PLACES_MAX)) or self._locations
        return await self._flights.run(
            (object_hash, places), lambda: self._find(object_hash, places)
        )

    async def remembered(self, object_hash: Hash) -> bytes | None:
        """Return the object if it is on disk; storage is not asked."""
        return await asyncio.to_thread(self._state.object, object_hash)

    async def entity(
        self,
        entity_hash: Hash,
        locations: Iterable[Location | None] = (),
        *,
        is_offline: bool = False,
    ) -> Entity | None:
        """Return the entity, decoded and its signature checked; None when no location has it.

        With `is_offline`, storage is not asked.

        Raises:
            StorageError: no location has it, but at least one did not answer.
            ObjectError: the object with that hash is not a sound entity.
        """
        entity = self._entities.get(entity_hash)
        if entity is not None:
            return entity
        if is_offline:
            content = await self.remembered(entity_hash)
        else:
            content = await self.object(entity_hash, locations)
        if content is None:
            return None
        entity = Entity.from_bytes(content)
        self._entities.put(entity_hash, entity)
        return entity

    async def required_entity(
        self, entity_hash: Hash, locations: Iterable[Location | None] = ()
    ) -> Entity:
        """Return the entity like `entity`, which must exist.

        Raises:
            LookupFailureError: no location has it.
            StorageError: no location has it, but at least one did not answer.
            ObjectError: the object with that hash is not a sound entity.
        """
        entity = await self.entity(entity_hash, locations)
        if entity is None:
            raise LookupFailureError(f"the entity {entity_hash.to_text()} is not in storage")
        return entity

    async def _find(self, object_hash: Hash, places: tuple[Location, ...]) -> bytes | None:
        content = await asyncio.to_thread(self._state.object, object_hash)
        if content is not None:
            return content
        failure: UnavailableError | None = None
        for place in places:
            try:
                async with self._slots:
                    content = await self._store.get(place, object_hash)
            except UnsupportedLocationSchemeError:
                _log.info("object_location_not_served", location=place.url)
                continue
            except UnavailableError as error:
                failure = error
                _log.warning("object_fetch_failed", location=place.url, reason=error.reason)
                continue
            if content is not None:
                await asyncio.to_thread(self._state.remember_object, object_hash, content)
                return content
        if failure is not None:
            raise StorageError(
                f"the object {object_hash.to_text()} could not be fetched", cause=failure
            )
        return None
