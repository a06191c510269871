"""Looking revocation options up: what is remembered, for how long, and what silence means."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.edges import entity
from tests.support.object_stores import LOCATION, MemoryObjectStore
from wavemq.authz.revocation import ASSUMPTION_SECONDS, RevocationChecker, Standing
from wavemq.authz.state import AuthorityState
from wavemq.clock import Instant, instant_from_seconds
from wavemq.errors import StorageError
from wavemq.wave.hashes import Hash
from wavemq.wave.location import Location
from wavemq.wave.revocation import RevocationOption

BLOB = b"r" * 32
NAME = Hash.of(BLOB)
OPTION = RevocationOption(NAME, LOCATION)
OTHER = RevocationOption(entity("never revoked"), LOCATION)
TTL_S = 3600.0
T0 = instant_from_seconds(1_000_000)


def at(seconds: float) -> Instant:
    return Instant(T0 + instant_from_seconds(seconds))


def checker(
    store: MemoryObjectStore,
    *,
    state: AuthorityState | None = None,
    default_to_unrevoked: bool = False,
) -> RevocationChecker:
    return RevocationChecker(
        store,
        state or AuthorityState(None),
        ttl_s=TTL_S,
        default_to_unrevoked=default_to_unrevoked,
    )


async def test_absent_option_is_unrevoked_for_the_time_to_live() -> None:
    store = MemoryObjectStore()
    checks = checker(store)
    finding = await checks.check([OPTION], now=T0)
    assert finding.standing is Standing.UNREVOKED
    assert finding.fresh_until == at(TTL_S)
    await checks.check([OPTION], now=at(TTL_S - 1))
    assert checks.lookups == 1
    await checks.check([OPTION], now=at(TTL_S))
    assert checks.lookups == 2


async def test_revocation_is_noticed_once_the_last_check_is_old() -> None:
    store = MemoryObjectStore()
    checks = checker(store)
    await checks.check([OPTION], now=T0)
    await store.put(LOCATION, BLOB)
    assert (await checks.check([OPTION], now=at(TTL_S - 1))).standing is Standing.UNREVOKED
    finding = await checks.check([OTHER, OPTION], now=at(TTL_S))
    assert finding.standing is Standing.REVOKED
    assert finding.revoked == OPTION


async def test_own_revocation_is_noticed_at_once() -> None:
    store = MemoryObjectStore()
    checks = checker(store)
    await checks.check([OPTION], now=T0)
    await store.put(LOCATION, BLOB)
    await checks.note_revoked(OPTION)
    assert (await checks.check([OPTION], now=at(1))).standing is Standing.REVOKED
    assert checks.lookups == 1


async def test_revocation_is_for_ever_even_when_storage_forgets_it(tmp_path: Path) -> None:
    store = MemoryObjectStore()
    await store.put(LOCATION, BLOB)
    state = AuthorityState(tmp_path)
    assert (await checker(store, state=state).check([OPTION], now=T0)).standing is Standing.REVOKED
    store.objects.clear()
    store.is_away = True
    again = checker(store, state=state, default_to_unrevoked=True)
    assert (await again.check([OPTION], now=at(1e6))).standing is Standing.REVOKED


async def test_checks_outlive_the_process(tmp_path: Path) -> None:
    store = MemoryObjectStore()
    state = AuthorityState(tmp_path)
    await checker(store, state=state).check([OPTION], now=T0)
    again = checker(store, state=state)
    finding = await again.check([OPTION], now=at(60))
    assert again.lookups == 0
    assert finding.fresh_until == at(TTL_S)


async def test_check_from_the_future_does_not_count() -> None:
    store = MemoryObjectStore()
    checks = checker(store)
    await checks.check([OPTION], now=at(10_000))
    await checks.check([OPTION], now=T0)
    assert checks.lookups == 2


async def test_silence_is_an_error_and_is_not_remembered() -> None:
    store = MemoryObjectStore()
    store.is_away = True
    checks = checker(store)
    with pytest.raises(StorageError):
        await checks.check([OPTION], now=T0)
    store.is_away = False
    assert (await checks.check([OPTION], now=T0)).standing is Standing.UNREVOKED


async def test_unserved_location_is_an_error_unless_the_operator_said_otherwise() -> None:
    nowhere = RevocationOption(Hash.of(BLOB), Location("http://nowhere/v1", 1))
    with pytest.raises(StorageError):
        await checker(MemoryObjectStore()).check([nowhere], now=T0)
    lenient = checker(MemoryObjectStore(), default_to_unrevoked=True)
    assert (await lenient.check([nowhere], now=T0)).standing is Standing.UNREVOKED


async def test_assumption_is_short_lived_and_never_on_disk() -> None:
    store = MemoryObjectStore()
    store.is_away = True
    state = AuthorityState(None)
    checks = checker(store, state=state, default_to_unrevoked=True)
    finding = await checks.check([OPTION], now=T0)
    assert finding.standing is Standing.UNREVOKED
    assert finding.fresh_until == at(ASSUMPTION_SECONDS)
    assert state.unrevoked_since(NAME, LOCATION) is None
    store.is_away = False
    await store.put(LOCATION, BLOB)
    found = await checks.check([OPTION], now=at(ASSUMPTION_SECONDS))
    assert found.standing is Standing.REVOKED


async def test_lenient_caller_is_not_held_up_but_the_next_strict_one_is() -> None:
    store = MemoryObjectStore()
    store.is_away = True
    checks = checker(store)
    finding = await checks.check([OPTION], now=T0, is_lenient=True)
    assert finding.standing is Standing.UNREVOKED
    with pytest.raises(StorageError):
        await checks.check([OPTION], now=T0)


async def test_found_revocation_counts_although_another_location_is_silent() -> None:
    away = Location("http://away/v1", 1)
    store = MemoryObjectStore(LOCATION, away)
    store.away_locations.add(away)
    await store.put(LOCATION, BLOB)
    silent = RevocationOption(OTHER.hash, away)
    finding = await checker(store).check([silent, OPTION], now=T0)
    assert finding.standing is Standing.REVOKED


async def test_lying_storage_is_no_answer() -> None:
    store = MemoryObjectStore()
    store.substitutes[NAME] = b"another object"
    with pytest.raises(StorageError):
        await checker(store).check([OPTION], now=T0)


async def test_one_lookup_serves_everybody_at_the_same_time() -> None:
    store = MemoryObjectStore()
    store.delay_s = 0.01
    checks = checker(store)
    await asyncio.gather(*(checks.check([OPTION], now=T0) for _ in range(20)))
    assert checks.lookups == 1


@pytest.mark.parametrize("is_critical", [True, False])
async def test_unknown_way_to_revoke_counts_as_used_if_critical(is_critical: bool) -> None:
    unknown = RevocationOption(None, None, is_critical, b"unknown scheme")
    store = MemoryObjectStore()
    finding = await checker(store).check([unknown], now=T0)
    assert (finding.standing is Standing.REVOKED) == is_critical
    assert store.gets == []


async def test_no_options_are_unrevoked() -> None:
    finding = await checker(MemoryObjectStore()).check([], now=T0)
    assert finding.standing is Standing.UNREVOKED
