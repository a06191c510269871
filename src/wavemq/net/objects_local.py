"""Object storage in a directory of this machine: the provider `local`.

Owns the view of a `Shelf` that the router of locations expects: opaque tokens, contents checked
against their hash. Refuses to know HTTP. Fault model: that of the shelf, told as `StorageError`;
content that the disk has changed is an error too, never an answer.
"""

from __future__ import annotations

from wavemq.errors import StorageError, StorageFaultError
from wavemq.net.objects_config import LocalStorage
from wavemq.net.objects_shelf import Shelf, token_position
from wavemq.wave.hashes import Hash


class LocalObjects:
    """Objects and queues in one directory, which is made at the first use.

    Args:
        storage: the directory.
    """

    def __init__(self, storage: LocalStorage) -> None:
        self._storage = storage
        self._opened: Shelf | None = None

    async def get(self, object_hash: Hash) -> bytes | None:
        """Return the object with that hash, checked; None when it is not here.

        Raises:
            StorageError: the disk failed or has changed the object.
        """
        try:
            content = await self._shelf().get(object_hash)
        except StorageFaultError as error:
            raise self._unavailable(error) from error
        if content is not None and Hash.of(content) != object_hash:
            raise StorageError(
                f"storage {self._storage.name!r} in {self._storage.path}: the stored object "
                f"{object_hash.to_text()} is damaged"
            )
        return content

    async def put(self, content: bytes) -> Hash:
        """Store an object and return its hash; durable on return.

        Raises:
            InvalidParameterError: it is empty or larger than `OBJECT_BYTES_MAX`.
            StorageError: the disk failed.
        """
        try:
            return await self._shelf().put(content)
        except StorageFaultError as error:
            raise self._unavailable(error) from error

    async def enqueue(self, queue: Hash, entry: Hash) -> None:
        """Append an entry to a queue; durable on return.

        Raises:
            StorageError: the disk failed or the queue is full.
        """
        try:
            await self._shelf().enqueue(queue, entry)
        except StorageFaultError as error:
            raise self._unavailable(error) from error

    async def iterate(self, queue: Hash, token: str) -> tuple[Hash, str] | None:
        """Return the entry at a token and the next token; None at the end.

        Raises:
            StorageError: the disk failed, or the token is not one of ours.
        """
        position = token_position(token)
        if position is None:
            raise StorageError(f"storage {self._storage.name!r} did not issue the token {token!r}")
        try:
            entry = await self._shelf().entry(queue, position)
        except StorageFaultError as error:
            raise self._unavailable(error) from error
        return None if entry is None else (entry, str(position + 1))

    async def aclose(self) -> None:
        """Let go of the directory."""
        if self._opened is not None:
            await self._opened.aclose()

    def _shelf(self) -> Shelf:
        if self._opened is None:
            self._opened = Shelf(self._storage.path)
        return self._opened

    def _unavailable(self, error: StorageFaultError) -> StorageError:
        return StorageError(f"storage {self._storage.name!r}: {error.reason}")
