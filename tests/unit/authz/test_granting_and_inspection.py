"""Making grants in a perspective's name, and finding objects for people to look at."""

from __future__ import annotations

from dataclasses import replace
from typing import TypedDict

import pytest

from tests.support.object_stores import LOCATION, MemoryObjectStore
from tests.support.worlds import DAY_S, NOW, World, after, forge, make_entity
from wavemq.authz.engine import Engine, EngineConfig, FoundAttestation, FoundEntity
from wavemq.authz.verdicts import ValidityState
from wavemq.clock import Instant
from wavemq.errors import (
    BodySchemeError,
    InvalidParameterError,
    InvalidSignatureError,
    LookupFailureError,
    MissingParameterError,
    NoProofFoundError,
    ObjectError,
    ProofInvalidError,
    StorageError,
)
from wavemq.wave.attestation import Attestation
from wavemq.wave.hashes import WAVE_PERMISSION_SET, Hash
from wavemq.wave.location import Location
from wavemq.wave.policy import RTreePolicy, Statement, TrustLevelPolicy


class Period(TypedDict):
    valid_from: Instant
    valid_until: Instant


YEAR: Period = {"valid_from": after(-DAY_S), "valid_until": after(365 * DAY_S)}


def decrypt_policy(world: World, resource: str) -> RTreePolicy:
    statement = Statement(WAVE_PERMISSION_SET, ("decrypt",), resource)
    return replace(world.policy("publish", "*"), statements=(statement,))


# --- granting ---------------------------------------------------------------------------------


async def test_grant_is_found_by_its_subject() -> None:
    world = await World.create("a")
    async with world.engine() as engine:
        granting = await engine.perspective(world.namespace)
        created = await engine.grant(
            granting,
            subject=world.hash("a"),
            subject_location=LOCATION,
            policy=world.policy("publish", "x/*"),
            now=NOW,
            **YEAR,
        )
        published = await engine.publish_attestation(created.attestation)
        assert world.store.queues[LOCATION][world.hash("a")] == [published]
        perspective = await world.perspective(engine, "a")
        await engine.prove(
            perspective,
            namespace=world.hash("namespace"),
            statements=world.policy("publish", "x/y").statements,
            now=NOW,
        )


async def test_grant_needs_a_valid_subject_and_namespace() -> None:
    world = await World.create("a", "gone")
    await world.add("old", not_after=after(-1))
    await world.add("unpublished", is_published=False)
    await world.revoke_entity("gone")
    async with world.engine() as engine:
        granting = await engine.perspective(world.namespace)

        async def grant(subject: str, namespace: str = "namespace") -> None:
            await engine.grant(
                granting,
                subject=world.hash(subject),
                subject_location=LOCATION,
                policy=world.policy("publish", "*", namespace=namespace),
                now=NOW,
                **YEAR,
            )

        for subject, error in (
            ("gone", MissingParameterError),
            ("old", MissingParameterError),
            ("unpublished", LookupFailureError),
        ):
            with pytest.raises(error):
                await grant(subject)
        for namespace, namespace_error in (
            ("gone", InvalidParameterError),
            ("unpublished", LookupFailureError),
        ):
            with pytest.raises(namespace_error):
                await grant("a", namespace)
        world.store.is_away = True
        with pytest.raises(StorageError):
            await grant("a")


async def test_namespace_is_found_wherever_it_is() -> None:
    elsewhere = Location("http://elsewhere/v1", 1)
    store = MemoryObjectStore(LOCATION, elsewhere)
    world = await World.create("a", "b", "gone", store=store)
    await world.revoke_entity("gone")
    async with Engine(store, None, EngineConfig(LOCATION, (LOCATION, elsewhere))) as engine:
        granting = await engine.perspective(world["b"])
        for namespace in ("namespace", "gone"):
            policy = world.policy("publish", "*", namespace=namespace)
            making = engine.grant(
                granting,
                subject=world.hash("a"),
                subject_location=LOCATION,
                policy=replace(policy, namespace_location=elsewhere),
                now=NOW,
                **YEAR,
            )
            if namespace == "namespace":
                await making
            else:
                with pytest.raises(InvalidParameterError, match="revoked"):
                    await making


async def test_keys_that_are_not_held_are_not_promised() -> None:
    world = await World.create("a", "b")
    async with world.engine() as engine:
        granting = await world.perspective(engine, "a")
        with pytest.raises(BodySchemeError, match="could find namespace visibility key"):
            await engine.grant(
                granting,
                subject=world.hash("b"),
                subject_location=LOCATION,
                policy=decrypt_policy(world, "plant/*"),
                now=NOW,
                **YEAR,
            )


async def test_publishing_a_changed_attestation_is_refused() -> None:
    world = await World.create("a")
    created = await world.grant("namespace", "a", "publish", "*", is_published=False)
    wire = bytearray(created.attestation.wire)
    wire[-1] ^= 1
    async with world.engine() as engine:
        with pytest.raises(InvalidSignatureError):
            await engine.publish_attestation(Attestation.from_bytes(bytes(wire)))


async def test_published_entity_is_stored_without_its_secret() -> None:
    world = await World.create()
    fresh = make_entity()
    async with world.engine() as engine:
        stored = await engine.publish_entity(fresh.entity, LOCATION)
    assert stored == fresh.entity.hash
    assert world.store.objects[LOCATION][stored] == fresh.entity.wire


# --- resolving --------------------------------------------------------------------------------


async def test_entity_is_resolved_with_how_it_stands() -> None:
    world = await World.create("a", "gone")
    await world.revoke_entity("gone")
    await world.add("old", not_after=after(-1))
    await world.add("young", not_before=after(61))
    async with world.engine() as engine:
        for name, state in (
            ("a", ValidityState.VALID),
            ("gone", ValidityState.REVOKED),
            ("old", ValidityState.EXPIRED),
            ("young", ValidityState.NOT_YET_VALID),
        ):
            found = await engine.resolve(world.hash(name), now=NOW)
            assert isinstance(found, FoundEntity)
            assert found.entity == world[name].entity
            assert found.location == LOCATION
            assert found.validity.state is state


async def test_attestation_is_resolved_as_far_as_its_reader_can_see() -> None:
    world = await World.create("a", "b")
    created = await world.grant("namespace", "a", "publish", "*", is_encrypted=True)
    async with world.engine() as engine:
        readers = [None, await engine.perspective(world["b"]), await engine.perspective(world["a"])]
        found = [
            await engine.resolve(created.attestation.hash, now=NOW, perspective=reader)
            for reader in readers
        ]
    states = []
    for one in found:
        assert isinstance(one, FoundAttestation)
        states.append((one.validity.state, one.body is not None, one.verifier_key))
    locked = (ValidityState.NOT_DECRYPTED, False, None)
    assert states == [locked, locked, (ValidityState.VALID, True, created.verifier_key)]


@pytest.mark.parametrize(
    ("spoil", "state"),
    [
        ("attestation", ValidityState.REVOKED),
        ("subject", ValidityState.SUBJECT_INVALID),
        ("attester", ValidityState.ATTESTER_INVALID),
        ("late", ValidityState.EXPIRED),
        ("early", ValidityState.NOT_YET_VALID),
    ],
)
async def test_attestation_stands_as_all_its_parts_do(spoil: str, state: ValidityState) -> None:
    world = await World.create("a")
    created = await world.grant(
        "namespace", "a", "publish", "*", not_before=after(0), not_after=after(60)
    )
    match spoil:
        case "attestation":
            await world.revoke_grant("namespace", created)
        case "subject":
            await world.revoke_entity("a")
        case "attester":
            await world.revoke_entity("namespace")
    now = after({"late": 61, "early": -61}.get(spoil, 0))
    async with world.engine() as engine:
        perspective = await world.perspective(engine, "a")
        found = await engine.lookup(perspective, now=now, subject=world.hash("a"))
        assert [one.validity.state for one in found] == [state]
        with pytest.raises(ProofInvalidError):
            await engine.verify(world.proof(created), now=now)
        with pytest.raises(NoProofFoundError):
            await engine.prove(
                perspective,
                namespace=world.hash("namespace"),
                statements=world.policy("publish", "x").statements,
                now=now,
            )


async def test_unknown_objects_and_silence_are_told_apart() -> None:
    world = await World.create()
    garbage = await world.store.put(LOCATION, b"garbage")
    async with world.engine() as engine:
        with pytest.raises(LookupFailureError):
            await engine.resolve(Hash.of(b"nothing"), now=NOW)
        with pytest.raises(LookupFailureError):
            await engine.entity(Hash.of(b"nothing"))
        with pytest.raises(ObjectError):
            await engine.resolve(garbage, now=NOW)
        with pytest.raises(ObjectError):
            await engine.entity(garbage)
        world.store.is_away = True
        with pytest.raises(StorageError):
            await engine.resolve(Hash.of(b"nothing"), now=NOW)
        with pytest.raises(StorageError):
            await engine.entity(Hash.of(b"nothing"))


async def test_object_is_found_although_the_first_location_errs() -> None:
    away = Location("http://away/v1", 1)
    unserved = Location("http://unserved/v1", 1)
    store = MemoryObjectStore(LOCATION, away)
    store.away_locations.add(away)
    world = await World.create("a", store=store)
    config = EngineConfig(away, (unserved, away, LOCATION), default_to_unrevoked=True)
    async with Engine(store, None, config) as engine:
        found = await engine.resolve(world.hash("a"), now=NOW)
        assert found.location == LOCATION
        assert (await engine.entity(world.hash("a"))).hash == world.hash("a")


async def test_valid_entity_is_valid_or_an_error() -> None:
    world = await World.create("a", "gone")
    await world.revoke_entity("gone")
    async with world.engine() as engine:
        assert (await engine.valid_entity(world.hash("a"), now=NOW)).hash == world.hash("a")
        with pytest.raises(ProofInvalidError, match="revoked"):
            await engine.valid_entity(world.hash("gone"), now=NOW)


async def test_nothing_is_encrypted_to_whom_it_must_not_be() -> None:
    world = await World.create("a", "gone")
    await world.revoke_entity("gone")
    await world.add("old", not_after=after(-1))
    async with world.engine() as engine:
        for name in ("gone", "old"):
            with pytest.raises(LookupFailureError):
                await engine.encrypt(b"x", now=NOW, recipient=world.hash(name))
        sealed = await engine.encrypt(b"x", now=NOW, recipient=world.hash("a"))
        assert await engine.decrypt(await engine.perspective(world["a"]), sealed) == b"x"


async def test_trust_level_attestations_are_known_and_grant_nothing() -> None:
    world = await World.create("a")
    await world.publish(forge(world.namespace, world["a"], TrustLevelPolicy(3)))
    async with world.engine() as engine:
        perspective = await world.perspective(engine, "a")
        assert len(await engine.lookup(perspective, now=NOW)) == 1
        with pytest.raises(NoProofFoundError):
            await engine.prove(
                perspective,
                namespace=world.hash("namespace"),
                statements=world.policy("publish", "x").statements,
                now=NOW,
            )
