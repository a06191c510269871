"""The original's revocations: ours publish the same bytes there, and theirs count here."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.object_stores import MemoryObjectStore
from tests.support.vector_worlds import (
    engine_of,
    generated,
    hash_of,
    location_of,
    secret_of,
    store_of,
    vectors,
    without_revocations,
)
from wavemq.authz.engine import Engine, EngineConfig
from wavemq.authz.verdicts import ValidityState
from wavemq.errors import InvalidParameterError
from wavemq.wave.attestation import Attestation

AFTER = "storage_after_revocations"
REVOCATIONS: list[dict[str, Any]] = vectors("wave")["revocations"]
LOCATION = location_of("wave")


def label(vector: dict[str, Any]) -> str:
    return str(vector["label"])


def engine_over(store: MemoryObjectStore) -> Engine:
    return Engine(store, None, EngineConfig(LOCATION))


async def revoke(engine: Engine, vector: dict[str, Any], by: str) -> None:
    """Carry out a revocation of the vectors as the entity `by`."""
    perspective = await engine.perspective(secret_of("wave", by))
    if vector["entity"]:
        await engine.revoking.revoke_entity(perspective)
    if vector["attestation"] is not None:
        await engine.revoking.revoke_attestation(perspective, hash_of(vector["attestation"]))
    assert vector["name"] is None


async def test_our_revocations_leave_the_storage_that_theirs_left() -> None:
    store = without_revocations(store_of("wave", AFTER))
    async with engine_over(store) as engine:
        for vector in REVOCATIONS:
            await revoke(engine, vector, vector["by"])
    assert store.objects == store_of("wave", AFTER).objects


@pytest.mark.parametrize("vector", REVOCATIONS, ids=label)
async def test_each_revocation_publishes_one_blob_and_enqueues_nothing(
    vector: dict[str, Any],
) -> None:
    store = without_revocations(store_of("wave", AFTER))
    before, queues = dict(store.objects[LOCATION]), dict(store.queues[LOCATION])
    async with engine_over(store) as engine:
        await revoke(engine, vector, vector["by"])
    added = {
        name: content for name, content in store.objects[LOCATION].items() if name not in before
    }
    ((name, blob),) = added.items()
    assert len(blob) == 32
    assert store_of("wave", AFTER).objects[LOCATION][name] == blob
    assert dict(store.queues[LOCATION]) == queues


@pytest.mark.parametrize("vector", REVOCATIONS, ids=label)
async def test_their_revocations_count_here(vector: dict[str, Any]) -> None:
    store = without_revocations(store_of("wave", AFTER))
    now = generated("wave")
    for current, is_revoked in ((store, False), (store_of("wave", AFTER), True)):
        async with engine_over(current) as engine:
            if vector["entity"]:
                entity = secret_of("wave", vector["by"]).entity
                standing = await engine.entity_validity(entity, now=now)
            else:
                wire = current.objects[LOCATION][hash_of(vector["attestation"])]
                standing = await engine.attestation_validity(
                    Attestation.from_bytes(wire), None, now=now
                )
            assert (standing.state is ValidityState.REVOKED) is is_revoked


async def test_nobody_else_could_have_made_them() -> None:
    (vector,) = (one for one in REVOCATIONS if one["attestation"] is not None)
    others = [name for name in vectors("wave")["entities"] if name != vector["by"]]
    async with engine_of("wave", AFTER) as engine:
        for name in others:
            with pytest.raises(InvalidParameterError, match="not created by the given entity"):
                await revoke(engine, vector, name)
