"""The disk behind object storage: several processes, damage, overload, closing."""

from __future__ import annotations

import asyncio
import multiprocessing
import sqlite3
import stat
from pathlib import Path

import pytest

from wavemq.errors import StorageError, StorageFaultError
from wavemq.net.objects import LocationRouter
from wavemq.net.objects_shelf import (
    FILE_NAME,
    WRITES_PENDING_MAX,
    WRITES_PER_COMMIT_MAX,
    Shelf,
    token_position,
)
from wavemq.wave.hashes import Hash

QUEUE = Hash.of(b"queue")
WRITERS = 3
ENTRIES_PER_WRITER = 20


def write_entries(directory: str, writer: int) -> None:
    """One of several processes that begin together on a directory that does not exist."""

    async def write() -> None:
        shelf = Shelf(Path(directory))
        for number in range(ENTRIES_PER_WRITER):
            content = b"%d of %d" % (number, writer)
            await shelf.enqueue(QUEUE, await shelf.put(content))
        await shelf.aclose()

    asyncio.run(write())


async def test_several_processes_write_one_directory(tmp_path: Path) -> None:
    """Each entry must be there once, and in the order of its writer."""
    context = multiprocessing.get_context("spawn")
    directory = tmp_path / "objects"
    processes = [
        context.Process(target=write_entries, args=(str(directory), writer))
        for writer in range(WRITERS)
    ]
    for process in processes:
        process.start()
    for process in processes:
        await asyncio.to_thread(process.join, 60)
        assert process.exitcode == 0
    shelf = Shelf(directory)
    contents: list[bytes] = []
    for position in range(WRITERS * ENTRIES_PER_WRITER):
        entry = await shelf.entry(QUEUE, position)
        assert entry is not None
        contents.append(await shelf.get(entry) or b"")
    assert await shelf.entry(QUEUE, WRITERS * ENTRIES_PER_WRITER) is None
    await shelf.aclose()
    for writer in range(WRITERS):
        mine = [content for content in contents if content.endswith(b" of %d" % writer)]
        assert mine == [b"%d of %d" % (number, writer) for number in range(ENTRIES_PER_WRITER)]


async def test_directory_is_private(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "a" / "b")
    await shelf.aclose()
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700


async def test_everything_is_there_after_reopening(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    stored = await shelf.put(b"kept")
    await shelf.aclose()
    await shelf.aclose()
    shelf = Shelf(tmp_path)
    assert await shelf.get(stored) == b"kept"
    await shelf.aclose()


async def test_closed_shelf_refuses(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    await shelf.aclose()
    with pytest.raises(StorageFaultError, match="is closed"):
        await shelf.put(b"late")
    with pytest.raises(StorageFaultError, match="is closed"):
        await shelf.get(QUEUE)


async def test_too_many_waiting_writes_are_refused_and_the_others_kept(tmp_path: Path) -> None:
    """Hold the database from outside, so that writes wait; one beyond the bound is refused."""
    shelf = Shelf(tmp_path)
    blocker = sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    beyond_any_batch = WRITES_PENDING_MAX + WRITES_PER_COMMIT_MAX + 1
    writes = [asyncio.ensure_future(shelf.put(b"%d" % n)) for n in range(beyond_any_batch)]
    refused = next(write for write in asyncio.as_completed(writes))
    with pytest.raises(StorageFaultError, match="overloaded"):
        await refused
    blocker.execute("ROLLBACK")
    blocker.close()
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    for number, outcome in enumerate(outcomes):
        if isinstance(outcome, Hash):
            assert await shelf.get(outcome) == b"%d" % number
        else:
            assert isinstance(outcome, StorageFaultError)
    await shelf.aclose()


async def test_full_queue_is_refused_alone(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, queue_entries_max=2)
    outcomes = await asyncio.gather(
        *(shelf.enqueue(QUEUE, QUEUE) for _ in range(3)),
        shelf.put(b"in the same batch"),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [
        type(None),
        type(None),
        StorageFaultError,
        Hash,
    ]
    await shelf.aclose()


async def test_cancelled_write_leaves_the_shelf_usable(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(shelf.put(b"cancelled"))
        await asyncio.sleep(0)
        task.cancel()
    assert await shelf.get(await shelf.put(b"next")) == b"next"
    await shelf.aclose()


async def test_damaged_object_is_never_handed_over(tmp_path: Path) -> None:
    tables = {"default": {"provider": "local", "path": str(tmp_path)}}
    async with LocationRouter.from_tables(tables) as router:
        stored = await router.put(router.default_location, b"sound")
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        connection.execute("UPDATE object SET content = ?", (b"changed",))
    connection.close()
    async with LocationRouter.from_tables(tables) as router:
        with pytest.raises(StorageError, match="is damaged"):
            await router.get(router.default_location, stored)


async def test_database_of_another_program_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        connection.execute("CREATE TABLE recipes (name)")
    connection.close()
    with pytest.raises(StorageFaultError, match="is not an object storage"):
        Shelf(tmp_path)


async def test_unusable_directory_is_an_unavailable_storage(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    tables = {"default": {"provider": "local", "path": str(tmp_path / "file" / "below")}}
    async with LocationRouter.from_tables(tables) as router:
        with pytest.raises(StorageError, match=r"storage 'default': .* could not be opened"):
            await router.get(router.default_location, QUEUE)


@pytest.mark.parametrize(
    ("token", "position"),
    [("", 0), ("0", 0), ("17", 17), ("-1", None), ("1.0", None), ("x", None), ("\u0661", None)],
)
def test_only_our_own_tokens_are_positions(token: str, position: int | None) -> None:
    assert token_position(token) == position
    assert token_position("9" * 19) is None
