"""Which held keys are tried and in what order, and the bounds inside prover and builder."""

from __future__ import annotations

import pytest

from tests.support.edges import NAMESPACE, edge, entity, statement
from tests.support.object_stores import LOCATION
from tests.support.worlds import DAY_S, NOW, World, after, forge
from wavemq.authz import held_keys, prover, proving, search
from wavemq.authz.held_keys import HeldKeys
from wavemq.errors import NoProofFoundError, StorageError
from wavemq.wave.attestation_create import NamespaceKeys, create_attestation
from wavemq.wave.bundle import ContentKey, LabelKey
from wavemq.wave.hashes import WAVE_PERMISSION_SET
from wavemq.wave.policy import RTreePolicy, Statement

FREE = (b"",) * 20


def content_key(name: str, slot: bytes = b"") -> ContentKey:
    return ContentKey((slot, *FREE[1:]), name.encode())


def label_key(name: str) -> LabelKey:
    return LabelKey(b"params", b"point", name.encode(), b"secret")


@pytest.fixture
async def world() -> World:
    return await World.create("a", "b", "reader")


async def test_owners_keys_come_first_and_keep_their_room(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held_keys, "CONTENT_KEYS_PER_OWNER_MAX", 8)
    owner = world["a"].entity
    held = HeldKeys()
    held.add_content_keys(
        owner, [content_key(f"stranger{n}") for n in range(100)], is_from_owner=False
    )
    held.add_content_keys(owner, [content_key(f"owner{n}") for n in range(100)], is_from_owner=True)
    names = [key.secret.decode() for key in held.content_keys(owner.hash)]
    assert names == [
        *(f"owner{n}" for n in range(4)),
        *(f"stranger{n}" for n in range(4)),
    ]


async def test_key_that_a_stranger_sent_first_is_promoted_by_its_owner(world: World) -> None:
    owner = world["a"].entity
    held = HeldKeys()
    for name, is_from_owner in (("x", False), ("y", False), ("y", True), ("y", False)):
        held.add_label_key(owner, label_key(name), is_from_owner=is_from_owner)
    assert [key.identity for key in held.label_keys(owner.hash)] == [b"y", b"x"]
    assert held.revision(owner.hash) == 2


async def test_only_matching_keys_are_tried_and_not_too_many(world: World) -> None:
    owner = world["a"].entity
    held = HeldKeys()
    held.add_content_keys(owner, [content_key("no", b"other")], is_from_owner=True)
    held.add_content_keys(
        owner, [content_key(f"{n}", b"tag") for n in range(100)], is_from_owner=True
    )
    found = held.matching_content_keys(owner.hash, (b"tag", *FREE[1:]))
    assert [key.secret for key in found] == [b"%d" % n for n in range(held_keys.KEY_ATTEMPTS_MAX)]


def test_nothing_is_held_for_an_unknown_owner() -> None:
    held = HeldKeys()
    assert held.label_keys(entity("x")) == ()
    assert held.content_keys(entity("x")) == ()
    assert held.owner(entity("x")) is None
    assert held.reader_keys(entity("x")) is None
    assert held.revision(entity("x")) == 0


async def test_useless_key_of_one_grant_does_not_hide_the_right_one_of_another(
    world: World,
) -> None:
    """Both delegates are strangers to the namespace; one of them sends garbage keys, first."""
    policy = RTreePolicy(
        world.hash("namespace"),
        LOCATION,
        0,
        (Statement(WAVE_PERMISSION_SET, ("decrypt",), "plant/*"),),
    )
    for attester, master in (("a", world["a"]), ("b", world.namespace)):
        await world.publish(
            create_attestation(
                world[attester],
                LOCATION,
                world["reader"].entity,
                LOCATION,
                policy,
                not_before=after(-DAY_S),
                not_after=after(30 * DAY_S),
                namespace_keys=NamespaceKeys(world.namespace.entity, master=master),
            )
        )
    async with world.engine() as engine:
        perspective = await world.perspective(engine, "reader")
        sealed = await engine.encrypt(
            b"x", now=NOW, namespace=world.hash("namespace"), resource="plant/x"
        )
        assert await engine.decrypt(perspective, sealed) == b"x"


# --- prover and builder -----------------------------------------------------------------------


def test_patterns_carried_for_one_wish_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "PATTERNS_PER_WISH_MAX", 2)
    wide = [statement("publish", pattern) for pattern in ("*", "a/*", "a/+", "+/b", "a/b", "*/b")]
    edges = [
        edge(NAMESPACE, entity("via"), *wide, indirections=1),
        edge(entity("via"), entity("end"), *wide),
    ]
    found = prover.find_chains(
        edges,
        namespace=NAMESPACE,
        subject=entity("end"),
        statements=[statement("publish", "a/b")],
    )
    assert len(found[0]) == 2


def test_redundant_chains_are_left_out() -> None:
    wanted = [statement("publish", f"t{n}") for n in range(4)]
    edges = [
        edge(NAMESPACE, entity("end"), wanted[0], wanted[1]),
        edge(NAMESPACE, entity("end"), wanted[1], wanted[2]),
        edge(NAMESPACE, entity("end"), wanted[2], wanted[3]),
    ]
    found = prover.find_chains(edges, namespace=NAMESPACE, subject=entity("end"), statements=wanted)
    assert len(found) == 2


async def test_search_is_not_repeated_for_ever_over_revoked_grants(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proving, "REVOKED_GRANTS_MAX", 3)
    for name in ("one", "two", "three", "four"):
        await world.add(name)
        await world.grant("namespace", name, "publish", "*", indirections=1)
        await world.revoke_grant(name, await world.grant(name, "a", "publish", "*"))
    async with world.engine() as engine:
        perspective = await world.perspective(engine, "a")
        with pytest.raises(NoProofFoundError, match="too many"):
            await engine.prove(
                perspective,
                namespace=world.hash("namespace"),
                statements=world.policy("publish", "x").statements,
                now=NOW,
            )


async def test_grant_that_no_verifier_would_take_is_not_used(world: World) -> None:
    bad = RTreePolicy(
        world.hash("namespace"),
        LOCATION,
        0,
        (*world.policy("publish", "*").statements, *world.policy("query", "a//b").statements),
    )
    await world.publish(forge(world.namespace, world["a"], bad))
    async with world.engine() as engine:
        perspective = await world.perspective(engine, "a")
        with pytest.raises(NoProofFoundError):
            await engine.prove(
                perspective,
                namespace=world.hash("namespace"),
                statements=world.policy("publish", "x").statements,
                now=NOW,
            )


async def test_forgotten_attestation_is_fetched_again_or_asked_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wavemq.authz.state.OBJECT_CACHE_BYTES_MAX", 1)
    await world.grant("namespace", "a", "publish", "*")
    async with world.engine() as engine:
        perspective = await world.perspective(engine, "a")

        async def prove() -> bytes:
            built = await engine.prove(
                perspective,
                namespace=world.hash("namespace"),
                statements=world.policy("publish", "x").statements,
                now=NOW,
            )
            return built.der

        assert await prove()
        world.store.is_away = True
        with pytest.raises(StorageError):
            await prove()
        world.store.is_away = False
        world.store.objects.clear()
        with pytest.raises(StorageError, match="no longer"):
            await prove()
