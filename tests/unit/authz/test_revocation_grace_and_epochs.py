"""What a running process does about revocations: epochs, looking ahead, silence and its grace.

Defect 3 of the original (wave.md 16.2): its daemon never looked a revocation up again.
"""

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
from wavemq.wave.revocation import RevocationOption

BLOB = b"r" * 32
OPTION = RevocationOption(Hash.of(BLOB), LOCATION)
OTHER = RevocationOption(entity("never revoked"), LOCATION)
UNKNOWN = RevocationOption(None, None, is_critical=True, unknown=b"\x05\x00")
TTL_S = 300.0
GRACE_S = 3600.0
T0 = instant_from_seconds(1_000_000)


def at(seconds: float) -> Instant:
    return Instant(T0 + instant_from_seconds(seconds))


def checker(
    store: MemoryObjectStore,
    *,
    state: AuthorityState | None = None,
    ttl_s: float = TTL_S,
    grace_s: float = GRACE_S,
    default_to_unrevoked: bool = False,
) -> RevocationChecker:
    return RevocationChecker(
        store,
        state or AuthorityState(None),
        ttl_s=ttl_s,
        grace_s=grace_s,
        default_to_unrevoked=default_to_unrevoked,
    )


# --- epochs ---------------------------------------------------------------------------------------


async def test_epoch_grows_with_each_revocation_that_is_news() -> None:
    store = MemoryObjectStore()
    checks = checker(store)
    assert (await checks.check([OTHER], now=T0)).epoch == checks.epoch == 0
    await store.put(LOCATION, BLOB)
    for seconds in (1, 2):
        finding = await checks.check([OPTION], now=at(seconds))
        assert finding.standing is Standing.REVOKED
        assert checks.epoch == 1
    await checks.note_revoked(OPTION)
    assert checks.epoch == 1
    await checks.note_revoked(OTHER)
    assert checks.epoch == 2


async def test_answer_is_of_the_epoch_in_which_it_was_asked_for() -> None:
    store = MemoryObjectStore()
    store.delay_s = 0.01
    checks = checker(store)
    asking = asyncio.ensure_future(checks.check([OTHER], now=T0))
    await asyncio.sleep(0)
    await checks.note_revoked(OPTION)
    assert (await asking).epoch < checks.epoch


async def test_lookup_on_its_way_does_not_undo_a_revocation() -> None:
    store = MemoryObjectStore()
    store.delay_s = 0.01
    checks = checker(store)
    asking = asyncio.ensure_future(checks.check([OPTION], now=T0))
    await asyncio.sleep(0)
    await checks.note_revoked(OPTION)
    assert (await asking).standing is Standing.REVOKED
    assert (await checks.check([OPTION], now=at(1))).standing is Standing.REVOKED


async def test_own_revocation_is_on_disk_too(tmp_path: Path) -> None:
    store = MemoryObjectStore()
    state = AuthorityState(tmp_path)
    checks = checker(store, state=state)
    await checks.check([OPTION], now=T0)
    await checks.note_revoked(OPTION)
    again = checker(store, state=state)
    assert (await again.check([OPTION], now=at(1))).standing is Standing.REVOKED
    assert again.lookups == 0


async def test_known_revocations_are_told_without_waiting() -> None:
    store = MemoryObjectStore()
    await store.put(LOCATION, BLOB)
    checks = checker(store)
    assert checks.known_revoked([OPTION, OTHER]) is None
    await checks.check([OPTION, OTHER], now=T0)
    assert checks.known_revoked([OTHER, OPTION]) == OPTION
    assert checks.known_revoked([OTHER, UNKNOWN]) == UNKNOWN


# --- looking ahead --------------------------------------------------------------------------------


async def test_looking_ahead_asks_again_after_half_the_time_to_live() -> None:
    store = MemoryObjectStore()
    checks = checker(store)
    await checks.check([OPTION], now=T0)
    await checks.check([OPTION], now=at(TTL_S / 2 - 1), is_ahead=True)
    assert checks.lookups == 1
    await checks.check([OPTION], now=at(TTL_S / 2), is_ahead=True)
    assert checks.lookups == 2
    await checks.check([OPTION], now=at(TTL_S * 1.5 - 1))
    assert checks.lookups == 2


async def test_revocation_is_seen_by_looking_ahead_before_the_time_to_live_is_over() -> None:
    store = MemoryObjectStore()
    checks = checker(store)
    await checks.check([OPTION], now=T0)
    await store.put(LOCATION, BLOB)
    finding = await checks.check([OPTION], now=at(TTL_S / 2), is_ahead=True)
    assert finding.standing is Standing.REVOKED


async def test_looking_anew_asks_again_about_all_but_what_is_revoked() -> None:
    store = MemoryObjectStore()
    checks = checker(store)
    await checks.check([OPTION, OTHER], now=T0)
    await store.put(LOCATION, BLOB)
    assert (await checks.check([OPTION], now=at(1))).standing is Standing.UNREVOKED
    assert (await checks.check([OPTION], now=at(1), is_anew=True)).standing is Standing.REVOKED
    lookups = checks.lookups
    await checks.check([OPTION, OTHER], now=at(2), is_anew=True)
    assert checks.lookups == lookups, "nothing can make it good again"
    await checks.check([OTHER], now=at(2), is_anew=True)
    assert checks.lookups == lookups + 1


async def test_silence_ahead_of_time_leaves_the_answer_as_it_was() -> None:
    store = MemoryObjectStore()
    checks = checker(store)
    await checks.check([OPTION], now=T0)
    store.is_away = True
    finding = await checks.check([OPTION], now=at(TTL_S / 2), is_ahead=True)
    assert finding.fresh_until == at(TTL_S)


# --- silence --------------------------------------------------------------------------------------


async def test_earlier_answer_outlives_silence_for_its_grace() -> None:
    store = MemoryObjectStore()
    checks = checker(store)
    await checks.check([OPTION], now=T0)
    store.is_away = True
    for seconds in (TTL_S, GRACE_S - 1):
        finding = await checks.check([OPTION], now=at(seconds))
        assert finding.standing is Standing.UNREVOKED
        assert finding.fresh_until == min(at(seconds + ASSUMPTION_SECONDS), at(GRACE_S))
    with pytest.raises(StorageError):
        await checks.check([OPTION], now=at(GRACE_S))


async def test_grace_counts_from_the_last_answer_and_not_from_the_last_use() -> None:
    store = MemoryObjectStore()
    checks = checker(store)
    await checks.check([OPTION], now=T0)
    store.is_away = True
    for seconds in range(int(TTL_S), int(GRACE_S), 60):
        await checks.check([OPTION], now=at(seconds))
    with pytest.raises(StorageError):
        await checks.check([OPTION], now=at(GRACE_S))


async def test_grace_is_kept_over_a_restart(tmp_path: Path) -> None:
    store = MemoryObjectStore()
    state = AuthorityState(tmp_path)
    await checker(store, state=state).check([OPTION], now=T0)
    store.is_away = True
    again = checker(store, state=state)
    finding = await again.check([OPTION], now=at(GRACE_S - 1))
    assert finding.standing is Standing.UNREVOKED
    with pytest.raises(StorageError):
        await checker(store, state=state).check([OPTION], now=at(GRACE_S))


async def test_there_is_no_grace_for_what_was_never_asked() -> None:
    store = MemoryObjectStore()
    store.is_away = True
    with pytest.raises(StorageError):
        await checker(store).check([OPTION], now=T0)


async def test_there_is_no_grace_for_a_clock_set_back() -> None:
    store = MemoryObjectStore()
    checks = checker(store)
    await checks.check([OPTION], now=at(100))
    store.is_away = True
    with pytest.raises(StorageError):
        await checks.check([OPTION], now=T0)


async def test_without_grace_silence_is_an_error_at_once() -> None:
    store = MemoryObjectStore()
    checks = checker(store, grace_s=0)
    await checks.check([OPTION], now=T0)
    store.is_away = True
    with pytest.raises(StorageError):
        await checks.check([OPTION], now=at(TTL_S))


@pytest.mark.parametrize("default_to_unrevoked", [True, False])
async def test_revocation_found_after_a_silence_counts(default_to_unrevoked: bool) -> None:
    store = MemoryObjectStore()
    checks = checker(store, default_to_unrevoked=default_to_unrevoked)
    await checks.check([OPTION], now=T0)
    store.is_away = True
    await checks.check([OPTION], now=at(TTL_S))
    store.is_away = False
    await store.put(LOCATION, BLOB)
    finding = await checks.check([OPTION], now=at(TTL_S + ASSUMPTION_SECONDS))
    assert finding.standing is Standing.REVOKED


async def test_assumptions_never_outlast_a_short_time_to_live() -> None:
    store = MemoryObjectStore()
    store.is_away = True
    checks = checker(store, ttl_s=2, default_to_unrevoked=True)
    assert (await checks.check([OPTION], now=T0)).fresh_until == at(2)


async def test_default_to_unrevoked_has_no_end() -> None:
    store = MemoryObjectStore()
    store.is_away = True
    checks = checker(store, default_to_unrevoked=True)
    for seconds in (0, TTL_S, 10 * GRACE_S):
        finding = await checks.check([OPTION], now=at(seconds))
        assert finding.standing is Standing.UNREVOKED


async def test_lenient_caller_does_not_wait_for_the_same_silence_twice() -> None:
    store = MemoryObjectStore()
    store.is_away = True
    checks = checker(store)
    for seconds in (0, 1, ASSUMPTION_SECONDS - 1):
        await checks.check([OPTION], now=at(seconds), is_lenient=True)
    assert checks.lookups == 1
    await checks.check([OPTION], now=at(ASSUMPTION_SECONDS), is_lenient=True)
    assert checks.lookups == 2
    with pytest.raises(StorageError):
        await checks.check([OPTION], now=at(ASSUMPTION_SECONDS + 1))


async def test_impatient_caller_does_not_wait_for_the_same_slowness_twice() -> None:
    store = MemoryObjectStore()
    store.delay_s = 30.0
    checks = checker(store)
    assert await checks.first_revoked([OPTION], now=T0, patience_s=0.01) is None
    assert await checks.first_revoked([OPTION], now=at(1), patience_s=1000) is None
    assert checks.lookups == 1
    await checks.aclose()


async def test_slow_answer_counts_as_soon_as_it_is_there() -> None:
    store = MemoryObjectStore()
    await store.put(LOCATION, BLOB)
    store.delay_s = 0.05
    checks = checker(store)
    assert await checks.first_revoked([OPTION], now=T0, patience_s=0.001) is None
    await asyncio.sleep(0.15)
    assert await checks.first_revoked([OPTION], now=at(1), patience_s=0) == OPTION
    assert checks.epoch == 1
