"""What authority keeps on disk: objects, positions, sealed keys; and what damage does to it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tests.support.edges import entity
from tests.support.object_stores import LOCATION
from wavemq.authz.sealing import Sealer
from wavemq.authz.state import (
    FILE_NAME,
    AuthorityState,
    EntryState,
    QueueEntry,
    QueuePosition,
)
from wavemq.clock import instant_from_seconds
from wavemq.errors import CorruptRecordError, StorageFaultError
from wavemq.wave.hashes import Hash
from wavemq.wave.location import Location

ALICE, BOB = entity("alice"), entity("bob")
ELSEWHERE = Location("http://elsewhere/v1", 1)


def test_directory_is_private(tmp_path: Path) -> None:
    directory = tmp_path / "state"
    directory.mkdir(mode=0o755)
    AuthorityState(directory).close()
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE((directory / FILE_NAME).stat().st_mode) == 0o600


def test_everything_outlives_the_process(tmp_path: Path) -> None:
    content = b"an object"
    found = Hash.of(content)
    entries = [
        QueueEntry(ALICE, LOCATION, EntryState.OPENED, b"sealed"),
        QueueEntry(BOB, ELSEWHERE, EntryState.MISSING),
    ]
    position = QueuePosition(ALICE, LOCATION, "17", 17)
    first = AuthorityState(tmp_path)
    first.remember_object(found, content)
    first.remember_unrevoked(BOB, LOCATION, instant_from_seconds(5))
    first.remember_revoked(ALICE)
    first.save_progress(ALICE, positions=[position], entries=entries)
    first.close()

    second = AuthorityState(tmp_path)
    assert second.object(found) == content
    assert second.unrevoked_since(BOB, LOCATION) == instant_from_seconds(5)
    assert second.unrevoked_since(BOB, ELSEWHERE) is None
    assert second.has_revocation(ALICE)
    assert not second.has_revocation(BOB)
    assert second.queue_positions(ALICE) == [position]
    assert sorted(second.entries(ALICE), key=lambda one: one.state) == sorted(
        entries, key=lambda one: one.state
    )
    assert second.entries(BOB) == []
    second.close()


def test_damaged_object_is_as_good_as_none(tmp_path: Path) -> None:
    state = AuthorityState(tmp_path)
    state.remember_object(ALICE, b"something else")
    assert state.object(ALICE) is None
    state.close()


def test_file_that_is_no_database_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"not a database at all" * 100)
    state = AuthorityState(tmp_path)
    assert state.entries(ALICE) == []
    state.close()
    assert list(tmp_path.glob("*.damaged"))


def test_unusable_directory_is_named_in_the_error(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(StorageFaultError, match="file"):
        AuthorityState(blocked)


def test_closed_state_raises_its_own_error() -> None:
    state = AuthorityState(None)
    state.close()
    with pytest.raises(StorageFaultError):
        state.object(ALICE)


def test_oldest_objects_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wavemq.authz.state.OBJECT_CACHE_BYTES_MAX", 3000)
    state = AuthorityState(None)
    contents = [bytes([n]) * 1000 for n in range(5)]
    for content in contents:
        state.remember_object(Hash.of(content), content)
    kept = [state.object(Hash.of(content)) is not None for content in contents]
    assert kept == [False, False, True, True, True]
    state.close()


def test_ancient_revocation_checks_are_swept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wavemq.authz.state.CHECKS_BETWEEN_SWEEPS", 2)
    state = AuthorityState(None)
    state.remember_unrevoked(ALICE, LOCATION, instant_from_seconds(0))
    state.remember_unrevoked(BOB, LOCATION, instant_from_seconds(10 * 24 * 3600))
    assert state.unrevoked_since(ALICE, LOCATION) is None
    assert state.unrevoked_since(BOB, LOCATION) is not None
    state.close()


def test_sealed_key_opens_only_in_its_place_and_for_its_perspective() -> None:
    mine, other = Sealer(b"m" * 64), Sealer(b"o" * 64)
    sealed = mine.seal(ALICE, b"prover key")
    assert b"prover key" not in sealed
    assert mine.open(ALICE, sealed) == b"prover key"
    for sealer, place, content in (
        (mine, BOB, sealed),
        (other, ALICE, sealed),
        (mine, ALICE, sealed[:-1]),
        (mine, ALICE, b""),
        (mine, ALICE, bytes([sealed[0] ^ 1]) + sealed[1:]),
    ):
        with pytest.raises(CorruptRecordError):
            sealer.open(place, content)
