"""What every object store keeps, whatever stands behind it: one suite for all of them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.object_stores import MemoryObjectStore
from tests.support.storage_server import http_table, storage_server
from wavemq.authz.objects import ObjectStore
from wavemq.errors import InvalidParameterError, StorageError, UnsupportedLocationSchemeError
from wavemq.limits import OBJECT_BYTES_MAX
from wavemq.net.objects import LocationRouter
from wavemq.testing.processes import ServerProcess
from wavemq.wave.hashes import Hash
from wavemq.wave.location import Location

Place = tuple[ObjectStore, Location]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with storage_server(tmp_path_factory.mktemp("server") / "data") as running:
        yield running


@pytest.fixture(params=["memory", "local", "http"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    if request.param == "memory":
        here = Location("memory://here")
        yield MemoryObjectStore(here), here
        return
    if request.param == "local":
        table = {"provider": "local", "path": str(tmp_path / "objects")}
    else:
        table = http_table(request.getfixturevalue("server"))
    async with LocationRouter.from_tables({"default": table}) as router:
        yield router, router.default_location


def some_hash() -> Hash:
    return Hash.of(secrets.token_bytes(16))


async def read_queue(place: Place, queue: Hash, token: str = "") -> tuple[list[Hash], str]:
    store, location = place
    entries: list[Hash] = []
    while (found := await store.iterate(location, queue, token)) is not None:
        entry, token = found
        entries.append(entry)
    return entries, token


async def test_object_comes_back_as_it_was_put(place: Place) -> None:
    store, location = place
    content = b"an object " + secrets.token_bytes(300)
    stored = await store.put(location, content)
    assert stored == Hash.of(content)
    assert await store.get(location, stored) == content


async def test_unknown_object_is_not_found(place: Place) -> None:
    store, location = place
    assert await store.get(location, some_hash()) is None


async def test_putting_twice_is_putting_once(place: Place) -> None:
    store, location = place
    content = secrets.token_bytes(50)
    assert await store.put(location, content) == await store.put(location, content)
    assert await store.get(location, Hash.of(content)) == content


async def test_queue_gives_entries_in_order_and_then_ends(place: Place) -> None:
    store, location = place
    queue, entries = some_hash(), [some_hash() for _ in range(5)]
    for entry in entries:
        await store.enqueue(location, queue, entry)
    read, token = await read_queue(place, queue)
    assert read == entries
    assert await store.iterate(location, queue, token) is None


async def test_queue_goes_on_from_a_kept_token(place: Place) -> None:
    store, location = place
    queue, early, late = some_hash(), some_hash(), some_hash()
    await store.enqueue(location, queue, early)
    _, token = await read_queue(place, queue)
    assert await store.iterate(location, queue, token) is None
    await store.enqueue(location, queue, late)
    assert (await read_queue(place, queue, token))[0] == [late]


async def test_queue_keeps_duplicates(place: Place) -> None:
    store, location = place
    queue, entry = some_hash(), some_hash()
    await store.enqueue(location, queue, entry)
    await store.enqueue(location, queue, entry)
    assert (await read_queue(place, queue))[0] == [entry, entry]


async def test_empty_queue_has_no_entries(place: Place) -> None:
    assert (await read_queue(place, some_hash()))[0] == []


async def test_queues_do_not_mix(place: Place) -> None:
    store, location = place
    one, other, entry = some_hash(), some_hash(), some_hash()
    await store.enqueue(location, one, entry)
    assert (await read_queue(place, other))[0] == []


async def test_concurrent_writers_lose_nothing(place: Place) -> None:
    store, location = place
    queue, entries = some_hash(), [some_hash() for _ in range(40)]
    async with asyncio.TaskGroup() as group:
        for entry in entries:
            group.create_task(store.enqueue(location, queue, entry))
            group.create_task(store.put(location, entry.to_bytes()))
    assert sorted(entry.to_bytes() for entry in (await read_queue(place, queue))[0]) == sorted(
        entry.to_bytes() for entry in entries
    )
    for entry in entries:
        assert await store.get(location, Hash.of(entry.to_bytes())) == entry.to_bytes()


@pytest.mark.parametrize("size_bytes", [0, OBJECT_BYTES_MAX + 1])
async def test_empty_and_oversized_objects_are_refused(place: Place, size_bytes: int) -> None:
    store, location = place
    with pytest.raises(InvalidParameterError):
        await store.put(location, bytes(size_bytes))


async def test_largest_object_is_kept(place: Place) -> None:
    store, location = place
    content = secrets.token_bytes(1024) * (OBJECT_BYTES_MAX // 1024)
    assert await store.get(location, await store.put(location, content)) == content


async def test_token_of_another_store_is_refused(place: Place) -> None:
    store, location = place
    with pytest.raises(StorageError):
        await store.iterate(location, some_hash(), "not-a-token")


async def test_unknown_location_is_refused(place: Place) -> None:
    store, _ = place
    elsewhere = Location("https://elsewhere.example/v1")
    with pytest.raises(UnsupportedLocationSchemeError):
        await store.get(elsewhere, some_hash())
