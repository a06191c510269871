"""Attestations that a perspective is handed, instead of finding them in a queue."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.object_stores import LOCATION
from tests.support.worlds import NOW, World, forge, make_entity
from wavemq.authz import graph as graph_module
from wavemq.authz.engine import Engine
from wavemq.authz.perspective import Perspective
from wavemq.errors import (
    BodySchemeError,
    InvalidParameterError,
    InvalidSignatureError,
    LookupFailureError,
    MalformedDERError,
    NoProofFoundError,
    ObjectError,
    UnexpectedObjectError,
)
from wavemq.wave.pem import encode_pem


async def can_publish(engine: Engine, perspective: Perspective, world: World) -> bool:
    try:
        await engine.prove(
            perspective,
            namespace=world.hash("namespace"),
            statements=world.policy("publish", "x").statements,
            now=NOW,
        )
    except NoProofFoundError:
        return False
    return True


@pytest.mark.parametrize("has_key", [False, True], ids=["as subject", "with its key"])
async def test_grant_that_was_never_published_can_be_handed_over(
    tmp_path: Path, has_key: bool
) -> None:
    world = await World.create("a")
    made = await world.grant(
        "namespace", "a", "publish", "*", is_encrypted=True, is_published=False
    )
    async with world.engine(state_dir=tmp_path) as engine:
        perspective = await world.perspective(engine, "a")
        assert not await can_publish(engine, perspective, world)
        key = made.prover_key if has_key else b""
        await engine.add_attestation(perspective, made.attestation.wire, key, now=NOW)
        assert await can_publish(engine, perspective, world)
    async with world.engine(state_dir=tmp_path) as engine:  # it is there for good
        assert await can_publish(engine, await engine.perspective(world["a"], LOCATION), world)


async def test_foreign_grant_opens_with_its_prover_key_only() -> None:
    world = await World.create("a", "b", "c")
    made = await world.grant("namespace", "a", "publish", "*", is_encrypted=True)
    async with world.engine() as engine:
        perspective = await world.perspective(engine, "c")
        await engine.add_attestation(perspective, made.attestation.wire, now=NOW)
        assert len(perspective.state.graph.locked()) == 1
        await engine.add_attestation(perspective, made.attestation.wire, made.prover_key, now=NOW)
        assert [one.hash for one in perspective.state.graph.grants()] == [made.attestation.hash]


async def test_taking_in_twice_is_taking_in() -> None:
    """The original's daemon dies of it (wave.md 12.2)."""
    world = await World.create("a")
    made = await world.grant("namespace", "a", "publish", "*", is_encrypted=True)
    async with world.engine() as engine:
        perspective = await world.perspective(engine, "a")
        for key in (b"", made.prover_key, b"", made.prover_key):
            await engine.add_attestation(perspective, made.attestation.wire, key, now=NOW)
            await engine.add_attestation(
                perspective,
                encode_pem("WAVE ATTESTATION", made.attestation.wire),
                key,
                now=NOW,
            )
        assert len(perspective.state.graph.grants()) == 1
        assert await can_publish(engine, perspective, world)


async def test_plain_grant_is_taken_in_too() -> None:
    world = await World.create("a")
    made = await world.grant("namespace", "a", "publish", "*", is_published=False)
    async with world.engine() as engine:
        perspective = await world.perspective(engine, "a")
        await engine.add_attestation(perspective, made.attestation.wire, now=NOW)
        assert await can_publish(engine, perspective, world)


async def test_what_is_no_sound_attestation_is_refused_and_leaves_nothing() -> None:
    world = await World.create("a", "mallory")
    made = await world.grant(
        "namespace", "a", "publish", "*", is_encrypted=True, is_published=False
    )
    wire, key = made.attestation.wire, made.prover_key
    forged = forge(
        world["mallory"],
        world["a"],
        world.policy("publish", "*"),
        claimed_attester=world.hash("namespace"),
    ).attestation.wire
    broken = bytearray(wire)
    broken[-1] ^= 1
    async with world.engine() as engine:
        perspective = await world.perspective(engine, "a")
        refusals: list[tuple[bytes, bytes, type[ObjectError]]] = [
            (b"", b"", MalformedDERError),
            (b"garbage", b"", MalformedDERError),
            (world["a"].entity.wire, b"", UnexpectedObjectError),
            (bytes(broken), b"", InvalidSignatureError),
            (bytes(broken), key, InvalidSignatureError),
            (wire, key[:-1], BodySchemeError),
            (wire, bytes(len(key)), ObjectError),
        ]
        for content, given, error in refusals:
            with pytest.raises(error):
                await engine.add_attestation(perspective, content, given, now=NOW)
        await engine.add_attestation(perspective, forged, now=NOW)  # signed, by the wrong one
        assert perspective.state.graph.grants() == []
        assert perspective.state.graph.locked() == []
        # A wrong key must not spoil what the right one would open.
        await engine.add_attestation(perspective, wire, key, now=NOW)
        assert await can_publish(engine, perspective, world)


async def test_attester_that_is_nowhere_is_said() -> None:
    world = await World.create("a")
    made = forge(make_entity(), world["a"], world.policy("publish", "*"))
    async with world.engine() as engine:
        perspective = await world.perspective(engine, "a")
        with pytest.raises(LookupFailureError):
            await engine.add_attestation(perspective, made.attestation.wire, bytes(84), now=NOW)


async def test_full_perspective_says_that_it_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    world = await World.create("a")
    made = await world.grant("namespace", "a", "publish", "*", is_published=False)
    async with world.engine() as engine:
        perspective = await world.perspective(engine, "a")
        monkeypatch.setattr(graph_module, "ENTRIES_MAX", 0)
        with pytest.raises(InvalidParameterError, match="as many objects as it may"):
            await engine.add_attestation(perspective, made.attestation.wire, now=NOW)


async def test_grant_that_opens_by_hand_brings_its_attesters_queue() -> None:
    world = await World.create("a", "b")
    await world.grant("namespace", "b", "publish", "*", indirections=1, is_encrypted=True)
    made = await world.grant("b", "a", "publish", "*", is_encrypted=True, is_published=False)
    async with world.engine() as engine:
        perspective = await world.perspective(engine, "a")
        await engine.add_attestation(perspective, made.attestation.wire, now=NOW)
        assert not await can_publish(engine, perspective, world)
        await engine.resync(perspective, now=NOW)
        assert await can_publish(engine, perspective, world)
