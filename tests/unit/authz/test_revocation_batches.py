"""Options that are asked about together are read from disk together and written together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.edges import entity
from tests.support.object_stores import LOCATION, MemoryObjectStore
from wavemq.authz import revocation
from wavemq.authz.revocation import RevocationChecker, Standing
from wavemq.authz.state import AuthorityState, PastCheck
from wavemq.clock import Instant, instant_from_seconds
from wavemq.errors import StorageError
from wavemq.wave.hashes import Hash
from wavemq.wave.location import Location
from wavemq.wave.revocation import RevocationOption

TTL_S = 3600.0
T0 = instant_from_seconds(1_000_000)
OPTIONS = tuple(RevocationOption(entity(f"option {number}"), LOCATION) for number in range(7))


def at(seconds: float) -> Instant:
    return Instant(T0 + instant_from_seconds(seconds))


class CountingState(AuthorityState):
    """A database that says how often it was read and written for checks."""

    def __init__(self, directory: Path | None) -> None:
        super().__init__(directory)
        self.reads: list[int] = []
        self.writes: list[int] = []

    def checks(self, options: Sequence[tuple[Hash, Location]]) -> list[PastCheck]:
        self.reads.append(len(options))
        return super().checks(options)

    def remember_all_unrevoked(self, checks: Sequence[tuple[Hash, Location, Instant]]) -> None:
        self.writes.append(len(checks))
        super().remember_all_unrevoked(checks)


def checker(store: MemoryObjectStore, state: AuthorityState) -> RevocationChecker:
    return RevocationChecker(store, state, ttl_s=TTL_S, default_to_unrevoked=False)


async def test_one_question_is_one_read_and_one_write(tmp_path: Path) -> None:
    state = CountingState(tmp_path)
    checks = checker(MemoryObjectStore(), state)
    finding = await checks.check(OPTIONS, now=T0)
    assert finding.standing is Standing.UNREVOKED
    assert (state.reads, state.writes) == ([7], [7])
    await checks.check(OPTIONS, now=at(1))
    assert (state.reads, state.writes) == ([7], [7])
    state.close()
    later = CountingState(tmp_path)
    store = MemoryObjectStore()
    finding = await checker(store, later).check(OPTIONS, now=at(2))
    assert finding.fresh_until == at(TTL_S)
    assert (later.reads, later.writes, store.gets) == ([7], [], [])
    later.close()


async def test_what_another_process_found_counts_at_the_next_question(tmp_path: Path) -> None:
    mine, other = AuthorityState(tmp_path), AuthorityState(tmp_path)
    store = MemoryObjectStore()
    checks = checker(store, mine)
    await checks.check(OPTIONS, now=T0)
    assert OPTIONS[3].hash is not None
    other.remember_revoked(OPTIONS[3].hash)
    finding = await checks.check(OPTIONS, now=at(TTL_S))
    assert finding.standing is Standing.REVOKED
    assert finding.revoked == OPTIONS[3]
    assert checks.epoch == 1
    mine.close()
    other.close()


async def test_answer_on_disk_that_is_older_than_memory_changes_nothing(tmp_path: Path) -> None:
    state = AuthorityState(tmp_path)
    checks = checker(MemoryObjectStore(), state)
    await checks.check(OPTIONS[:1], now=at(100))
    assert OPTIONS[0].hash is not None
    state.remember_unrevoked(OPTIONS[0].hash, LOCATION, T0)
    finding = await checks.check(OPTIONS, now=at(200))
    assert finding.fresh_until == at(100 + TTL_S)
    state.close()


async def test_answers_to_a_caller_that_gave_up_are_written_with_the_next(tmp_path: Path) -> None:
    state = CountingState(tmp_path)
    store = MemoryObjectStore()
    checks = checker(store, state)
    store.delay_s = 0.05
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await checks.check(OPTIONS[:3], now=T0)
    await checks.check(OPTIONS[:3], now=T0)  # joins the lookups, or finds their answers
    await checks.check(OPTIONS[3:], now=T0)
    assert sum(state.writes) == len(OPTIONS)
    assert len(store.gets) == len(OPTIONS)
    await checks.aclose()
    state.close()


async def test_answers_that_wait_to_be_written_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revocation, "UNWRITTEN_MAX", 2)
    state = CountingState(tmp_path)
    await checker(MemoryObjectStore(), state).check(OPTIONS, now=T0)
    assert state.writes == [2]
    state.close()


async def test_one_silent_place_does_not_lose_the_answers_of_others(tmp_path: Path) -> None:
    elsewhere = Location("http://127.0.0.1:9090/v1")
    store = MemoryObjectStore(LOCATION, elsewhere)
    store.away_locations.add(elsewhere)
    silent = RevocationOption(entity("silent"), elsewhere)
    state = CountingState(tmp_path)
    checks = checker(store, state)
    with pytest.raises(StorageError):
        await checks.check((*OPTIONS, silent), now=T0)
    assert state.writes == [len(OPTIONS)]
    state.close()
