"""Object storage by location: the `ObjectStore` of authority over configured storages.

Owns which storage serves which location, and the names that people give to them. Refuses to know
protocols, disks and the meaning of objects. Fault model: that of the storages, all told as
`StorageError`; a location that no table names is refused, never guessed and never contacted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Protocol, Self

from wavemq.errors import UnsupportedLocationSchemeError
from wavemq.net.objects_config import (
    DEFAULT_NAME,
    HttpStorage,
    LocalStorage,
    Storage,
    parse_storages,
)
from wavemq.wave.hashes import Hash
from wavemq.wave.location import Location

__all__ = ["HttpStorage", "LocalStorage", "LocationRouter", "Storage", "parse_storages"]


class Objects(Protocol):
    """One storage: what each provider implements."""

    async def get(self, object_hash: Hash) -> bytes | None:
        """Return the checked object, or None when it is not there."""
        ...

    async def put(self, content: bytes) -> Hash:
        """Store an object and return its hash."""
        ...

    async def enqueue(self, queue: Hash, entry: Hash) -> None:
        """Append an entry to a queue."""
        ...

    async def iterate(self, queue: Hash, token: str) -> tuple[Hash, str] | None:
        """Return the entry at a token and the next token, or None at the end."""
        ...

    async def aclose(self) -> None:
        """Let go of connections and files."""
        ...


class LocationRouter:
    """Serves every configured location; implements `wavemq.authz.objects.ObjectStore`.

    Providers open connections and files at their first use, so that one broken storage does not
    keep the others from working. Use it as an async context manager, or call `aclose`.

    Args:
        storages: as `parse_storages` returns them.
    """

    def __init__(self, storages: Sequence[Storage]) -> None:
        self.storages: tuple[Storage, ...] = tuple(storages)
        self._by_name = {storage.name: storage for storage in self.storages}
        self._by_location = {storage.location: storage for storage in self.storages}
        self._opened: dict[str, Objects] = {}

    @classmethod
    def from_tables(cls, tables: Mapping[str, object]) -> Self:
        """Build from the content of `[storage]`: name to table of strings.

        Raises:
            ConfigError: a table breaks a rule of wave.md 8.1.
        """
        return cls(parse_storages(tables))

    @property
    def default_location(self) -> Location:
        """The location named `default`."""
        return self._by_name[DEFAULT_NAME].location

    @property
    def locations(self) -> tuple[Location, ...]:
        """All configured locations, the default one first."""
        return tuple(storage.location for storage in self.storages)

    def location_of(self, name: str) -> Location:
        """Return the location that people call `name`; the empty name is the default one.

        Raises:
            UnsupportedLocationSchemeError: no table has that name (code 910).
        """
        storage = self._by_name.get(name or DEFAULT_NAME)
        if storage is None:
            raise UnsupportedLocationSchemeError(
                f"unknown location {name!r}: configured are {', '.join(sorted(self._by_name))}"
            )
        return storage.location

    def name_of(self, location: Location) -> str | None:
        """Return the name of a location, None for one that is not configured."""
        storage = self._by_location.get(location)
        return None if storage is None else storage.name

    async def get(self, location: Location, object_hash: Hash, /) -> bytes | None:
        """Return the object with that hash, checked against it; None when not found.

        Raises:
            StorageError: the storage gave no usable answer.
            UnsupportedLocationSchemeError: no configured storage serves the location.
        """
        return await self._objects(location).get(object_hash)

    async def put(self, location: Location, content: bytes, /) -> Hash:
        """Store an object and return its hash, checked against ours.

        Raises:
            InvalidParameterError: the object is empty or too large.
            StorageError: it is not known whether the object was stored.
            UnsupportedLocationSchemeError: no configured storage serves the location.
        """
        return await self._objects(location).put(content)

    async def enqueue(self, location: Location, queue: Hash, entry: Hash, /) -> None:
        """Append `entry` to the queue of the entity with hash `queue`.

        Raises:
            StorageError: it is not known whether the entry was appended.
            UnsupportedLocationSchemeError: no configured storage serves the location.
        """
        await self._objects(location).enqueue(queue, entry)

    async def iterate(
        self, location: Location, queue: Hash, token: str, /
    ) -> tuple[Hash, str] | None:
        """Return the entry at `token` and the next token; None at the end of the queue.

        Raises:
            StorageError: the storage gave no usable answer.
            UnsupportedLocationSchemeError: no configured storage serves the location.
        """
        return await self._objects(location).iterate(queue, token)

    async def aclose(self) -> None:
        """Close every storage that was opened."""
        opened, self._opened = self._opened, {}
        for objects in opened.values():
            await objects.aclose()

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        await self.aclose()

    def _objects(self, location: Location) -> Objects:
        storage = self._by_location.get(location)
        if storage is None:
            raise UnsupportedLocationSchemeError(
                f"unknown location {location.url!r}: no [storage] table names it"
            )
        opened = self._opened.get(storage.name)
        if opened is None:
            opened = self._opened[storage.name] = _open(storage)
        return opened


def _open(storage: Storage) -> Objects:
    # Imported when needed: an HTTP client costs a command a fifth of a second at its start.
    match storage:
        case HttpStorage():
            from wavemq.net.objects_http import HttpObjects

            return HttpObjects(storage)
        case LocalStorage():
            from wavemq.net.objects_local import LocalObjects

            return LocalObjects(storage)
