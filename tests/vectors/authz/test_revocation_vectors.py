"""The original's revocations: ours publish the same bytes there, and theirs count here."""

from __future__ import annotations

from base64 import b64decode
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
from wavemq.wave.keyring import EntitySecret
from wavemq.wave.name import NameDeclaration

AFTER = "storage_after_revocations"
REVOCATIONS: list[dict[str, Any]] = vectors("wave")["revocations"]
OBJECTS = vectors("objects")
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


@pytest.mark.parametrize("kind", sorted(OBJECTS["name_declarations"]))
async def test_names_are_revoked_with_the_blob_of_the_original(kind: str) -> None:
    known = OBJECTS["name_declarations"][kind]
    declaration = NameDeclaration.from_bytes(b64decode(known["der"]))
    secret = EntitySecret.from_bytes(b64decode(OBJECTS["entities"][known["attester"]]["secret"]))
    (option,) = declaration.revocations
    assert option.location is not None
    store = MemoryObjectStore(option.location)
    await store.put(option.location, declaration.wire)
    config = EngineConfig(option.location)
    async with Engine(store, None, config) as engine:
        perspective = await engine.perspective(secret)
        await engine.revoking.revoke_name(perspective, declaration.hash)
    assert option.hash is not None
    assert store.objects[option.location][option.hash] == b64decode(known["revocation_blob"])


@pytest.mark.parametrize("vector", vectors("wave")["names"], ids=lambda one: str(one["name"]))
async def test_names_can_be_revoked_by_their_attester_alone(vector: dict[str, Any]) -> None:
    store = store_of("wave", AFTER)
    declaration = NameDeclaration.from_bytes(b64decode(vector["der"]))
    await store.put(LOCATION, declaration.wire)
    async with engine_over(store) as engine:
        for name in vectors("wave")["entities"]:
            perspective = await engine.perspective(secret_of("wave", name))
            if name == vector["attester"]:
                await engine.revoking.revoke_name(perspective, declaration.hash)
                assert engine.revocations.known_revoked(declaration.revocations)
            else:
                with pytest.raises(InvalidParameterError, match="not created by the given entity"):
                    await engine.revoking.revoke_name(perspective, declaration.hash)
