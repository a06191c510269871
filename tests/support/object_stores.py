"""Object stores for tests: one in memory, and one that misbehaves on demand.

`MemoryObjectStore` behaves like the real providers (decimal tokens, hashes its own content,
refuses locations it does not serve) and is held to the same contract tests. Faults are switched
on by name; nothing here is random.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict

from wavemq.errors import InvalidParameterError, StorageError, UnsupportedLocationSchemeError
from wavemq.limits import OBJECT_BYTES_MAX
from wavemq.wave.hashes import Hash
from wavemq.wave.location import Location

LOCATION = Location("http://127.0.0.1:8080/v1", 1)


class MemoryObjectStore:
    """Objects and queues in dictionaries, at one or more locations.

    Attributes:
        objects: what is stored, by location and hash.
        queues: entries in order, by location and queue.
        is_away: every call raises StorageError.
        away_locations: calls for these raise StorageError.
        delay_s: how long each call takes, in seconds of the event loop's clock.
        gets, iterations: how many calls were made, for tests of caching.
        substitutes: content that a lying server would hand over instead; the store notices, as
            the real ones do, and raises StorageError.
    """

    def __init__(self, *locations: Location) -> None:
        self.locations = locations or (LOCATION,)
        self.objects: defaultdict[Location, dict[Hash, bytes]] = defaultdict(dict)
        self.queues: defaultdict[Location, defaultdict[Hash, list[Hash]]] = defaultdict(
            lambda: defaultdict(list)
        )
        self.is_away = False
        self.away_locations: set[Location] = set()
        self.delay_s = 0.0
        self.gets: list[Hash] = []
        self.iterations = 0
        self.substitutes: dict[Hash, bytes] = {}

    async def get(self, location: Location, object_hash: Hash, /) -> bytes | None:
        await self._reach(location)
        self.gets.append(object_hash)
        content = self.objects[location].get(object_hash)
        content = self.substitutes.get(object_hash, content)
        if content is not None and Hash.of(content) != object_hash:
            raise StorageError("storage hash mismatch")
        return content

    async def put(self, location: Location, content: bytes, /) -> Hash:
        await self._reach(location)
        if not 0 < len(content) <= OBJECT_BYTES_MAX:
            raise InvalidParameterError(f"an object of {len(content)} bytes")
        object_hash = Hash.of(content)
        self.objects[location][object_hash] = content
        return object_hash

    async def enqueue(self, location: Location, queue: Hash, entry: Hash, /) -> None:
        await self._reach(location)
        self.queues[location][queue].append(entry)

    async def iterate(
        self, location: Location, queue: Hash, token: str, /
    ) -> tuple[Hash, str] | None:
        await self._reach(location)
        self.iterations += 1
        if token and not token.isdecimal():
            raise StorageError(f"the token {token!r} was not issued here")
        index = int(token) if token else 0
        entries = self.queues[location][queue]
        if index >= len(entries):
            return None
        return entries[index], str(index + 1)

    async def _reach(self, location: Location) -> None:
        if location not in self.locations:
            raise UnsupportedLocationSchemeError("no configured storage serves this location")
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        if self.is_away or location in self.away_locations:
            raise StorageError("storage does not answer")
