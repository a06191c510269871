"""A built proof has nothing too much: without any of its parts it proves nothing any more."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.edges import statement
from tests.support.worlds import NOW, World
from wavemq.authz.verdicts import MissingObjectsError
from wavemq.authz.verifier import ProofWorld, verify_proof
from wavemq.errors import NoProofFoundError, ProofInvalidError
from wavemq.wave.policy import RTreePolicy, Statement
from wavemq.wave.proof import ExplicitProof

PEOPLE = ("one", "two", "three")
Path = tuple[str, ...]


@pytest.fixture(scope="module")
def cast() -> World:
    """The same entities for all examples: making them is what costs."""
    return asyncio.run(World.create(*PEOPLE, "subject"))


paths = st.lists(
    st.permutations(PEOPLE).flatmap(
        lambda order: st.integers(0, len(PEOPLE)).map(lambda count: tuple(order[:count]))
    ),
    min_size=1,
    max_size=4,
    unique=True,
)
"""Who stands between the namespace and the subject on each of several paths."""


async def granted(cast: World, between: list[Path], *, is_encrypted: bool) -> World:
    """Return a world in which each path carries a permission that no other carries."""
    world = World(type(cast.store)(), cast.namespace, cast.entities)
    for name in ("namespace", *cast.entities):
        await world.store.put(world.location, world[name].entity.wire)
    for number, via in enumerate(between):
        for attester, subject in pairwise(("namespace", *via, "subject")):
            await world.grant(
                attester,
                subject,
                f"p{number}",
                "plant/*",
                indirections=len(via),
                is_encrypted=is_encrypted,
            )
    return world


async def built(world: World, wanted: tuple[Statement, ...]) -> bytes:
    async with world.engine() as engine:
        perspective = await world.perspective(engine, "subject")
        found = await engine.prove(
            perspective, namespace=world.hash("namespace"), statements=wanted, now=NOW
        )
    return found.der


def lesser(proof: ExplicitProof) -> Iterator[ExplicitProof]:
    """Yield the proof without each of its references, paths, links and entities."""
    for index in range(len(proof.attestations)):
        kept = proof.attestations[:index] + proof.attestations[index + 1 :]
        moved = tuple(
            tuple(step - (step > index) for step in path if step != index) for path in proof.paths
        )
        yield replace(proof, attestations=kept)
        yield replace(proof, attestations=kept, paths=moved)
        unread = replace(proof.attestations[index], content=None)
        yield replace(
            proof,
            attestations=(
                *proof.attestations[:index],
                unread,
                *proof.attestations[index + 1 :],
            ),
        )
    for index, path in enumerate(proof.paths):
        yield replace(proof, paths=proof.paths[:index] + proof.paths[index + 1 :])
        for place in range(len(path)):
            shorter = path[:place] + path[place + 1 :]
            yield replace(proof, paths=(*proof.paths[:index], shorter, *proof.paths[index + 1 :]))
            reversed_path = (*path[:place], *reversed(path[place:]))
            if reversed_path != path:
                yield replace(
                    proof, paths=(*proof.paths[:index], reversed_path, *proof.paths[index + 1 :])
                )
    for index in range(len(proof.entities)):
        yield replace(proof, entities=proof.entities[:index] + proof.entities[index + 1 :])


@settings(max_examples=10, deadline=None, derandomize=True)
@given(between=paths, is_encrypted=st.booleans())
def test_a_built_proof_without_any_of_its_parts_does_not_verify(
    cast: World, between: list[Path], is_encrypted: bool
) -> None:
    world = asyncio.run(granted(cast, between, is_encrypted=is_encrypted))
    wanted = tuple(statement(f"p{number}", "plant/x") for number in range(len(between)))
    required = RTreePolicy(world.hash("namespace"), world.location, 0, wanted)
    der = asyncio.run(built(world, wanted))

    def verify(proof: bytes) -> None:
        verify_proof(proof, ProofWorld(), now=NOW, required=required, subject=world.hash("subject"))

    verify(der)
    whole = ExplicitProof.from_bytes(der)
    assert whole.to_bytes() == der
    assert len(whole.paths) == len(between)
    for less in lesser(whole):
        # An object that is missing altogether is no verdict: storage would have to be asked.
        with pytest.raises((ProofInvalidError, MissingObjectsError)):
            verify(less.to_bytes())


@settings(max_examples=6, deadline=None, derandomize=True)
@given(between=paths)
def test_no_path_is_built_once_a_grant_of_it_is_revoked(cast: World, between: list[Path]) -> None:
    for number, via in enumerate(between):
        world = asyncio.run(granted(cast, between, is_encrypted=False))
        wanted = (statement(f"p{number}", "plant/x"),)
        asyncio.run(built(world, wanted))
        victim = via[0] if via else "subject"
        asyncio.run(world.revoke_entity(victim))
        with pytest.raises(NoProofFoundError):
            asyncio.run(built(world, wanted))
