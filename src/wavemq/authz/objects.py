"""What authority needs from object storage: four operations on bytes.

Owns the `ObjectStore` Protocol, the consumer's view of storage. Refuses to know HTTP, files and
configuration. Fault model: a store may be slow, away, or hostile; it raises `StorageError` (or
another `UnavailableError`) when it has no answer, and never hands over bytes that do not hash to
what was asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from wavemq.wave.hashes import Hash
    from wavemq.wave.location import Location


class ObjectStore(Protocol):
    """Reads and writes objects and queues at the locations that WAVE objects name (wave.md 8)."""

    async def get(self, location: Location, object_hash: Hash, /) -> bytes | None:
        """Return the object with that hash, already checked against it; None when not found.

        Raises:
            StorageError: the location gave no usable answer; nothing is known about the object.
            UnsupportedLocationSchemeError: no configured storage serves the location.
        """
        ...

    async def put(self, location: Location, content: bytes, /) -> Hash:
        """Store `content` and return its hash, checked against ours.

        Raises:
            StorageError: it is not known whether the object was stored.
            UnsupportedLocationSchemeError: no configured storage serves the location.
        """
        ...

    async def enqueue(self, location: Location, queue: Hash, entry: Hash, /) -> None:
        """Append `entry` to the queue of the entity with hash `queue`.

        Raises:
            StorageError: it is not known whether the entry was appended.
            UnsupportedLocationSchemeError: no configured storage serves the location.
        """
        ...

    async def iterate(
        self, location: Location, queue: Hash, token: str, /
    ) -> tuple[Hash, str] | None:
        """Return the entry at `token` and the token after it; None at the end of the queue.

        Args:
            location: where the queue is.
            queue: the hash of the entity whose queue is read.
            token: `""` for the first entry, else a token that an earlier call returned.

        Raises:
            StorageError: the location gave no usable answer.
            UnsupportedLocationSchemeError: no configured storage serves the location.
        """
        ...
