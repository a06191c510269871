"""Laws of authority: what is built verifies, what is verified was granted, less grants no more."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import reduce
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.edges import NAMESPACE, edge, entity, statement
from tests.support.worlds import DAY_S, NOW, World, after
from wavemq.authz.admission import Admission
from wavemq.authz.held_keys import HeldKeys
from wavemq.authz.opening import Discarded, Locked, Opened, try_to_open
from wavemq.authz.prover import Edge, find_chains
from wavemq.authz.verdict_cache import Claim
from wavemq.authz.verdicts import MissingObjectsError
from wavemq.authz.verifier import ProofWorld, verify_proof
from wavemq.errors import InvalidParameterError, NoProofFoundError, ProofInvalidError
from wavemq.wave.attestation_create import CreatedAttestation
from wavemq.wave.hashes import Hash
from wavemq.wave.policy import RTreePolicy, Statement, intersect, is_subset

PEOPLE = tuple(entity(name) for name in "abcd")
PERMISSIONS = ("publish", "subscribe", "publish,subscribe")
PATTERNS = ("*", "a", "a/*", "*/a", "a/+", "+/a", "a/a", "+", "a/*/a")
TOPICS = ("a", "a/a", "b/a", "a/b/a", "b", "a/*", "+/a")

statements = st.builds(statement, st.sampled_from(PERMISSIONS), st.sampled_from(PATTERNS))
edges = st.builds(
    lambda attester, subject, granted, indirections: edge(
        attester, subject, *granted, indirections=indirections
    ),
    st.sampled_from((NAMESPACE, *PEOPLE)),
    st.sampled_from(PEOPLE),
    st.lists(statements, min_size=1, max_size=2),
    st.integers(0, 4),
)
wishes = st.builds(statement, st.sampled_from(("publish", "subscribe")), st.sampled_from(TOPICS))


def every_chain(known: Sequence[Edge], at: Hash, depth: int = 5) -> Iterator[tuple[Edge, ...]]:
    """Enumerate all chains from the namespace to an entity, by brute force."""
    for last in known:
        if last.subject != at:
            continue
        if last.attester == NAMESPACE:
            yield (last,)
        elif depth > 1:
            for chain in every_chain(known, last.attester, depth - 1):
                yield (*chain, last)


def folded(chain: Sequence[Edge]) -> RTreePolicy | None:
    try:
        return reduce(intersect, (one.policy for one in chain))
    except InvalidParameterError:
        return None


def covers(policy: RTreePolicy | None, wish: Statement) -> bool:
    return policy is not None and is_subset(replace(policy, statements=(wish,)), policy)


def search(known: Sequence[Edge], wanted: Sequence[Statement]) -> tuple[tuple[Edge, ...], ...]:
    try:
        return find_chains(known, namespace=NAMESPACE, subject=PEOPLE[0], statements=wanted)
    except NoProofFoundError:
        return ()


@given(st.lists(edges, max_size=9), st.lists(wishes, min_size=1, max_size=4))
def test_prover_finds_exactly_what_brute_force_finds(
    known: list[Edge], wanted: list[Statement]
) -> None:
    possible = [folded(chain) for chain in every_chain(known, PEOPLE[0])]
    expected = all(any(covers(policy, wish) for policy in possible) for wish in wanted)
    found = search(known, wanted)
    assert bool(found) == expected
    for wish in wanted if found else ():
        assert any(covers(folded(chain), wish) for chain in found)


@given(st.lists(edges, min_size=1, max_size=9), wishes, st.data())
def test_fewer_grants_never_give_more(
    known: list[Edge], wish: Statement, data: st.DataObject
) -> None:
    removed = data.draw(st.sampled_from(known))
    fewer = [one for one in known if one is not removed]
    if search(fewer, [wish]):
        assert search(known, [wish])


@given(st.lists(edges, min_size=1, max_size=7), wishes)
def test_what_the_prover_returns_are_chains(known: list[Edge], wish: Statement) -> None:
    for chain in search(known, [wish]):
        assert chain[0].attester == NAMESPACE
        assert chain[-1].subject == PEOPLE[0]
        for upper, lower in pairwise(chain):
            assert upper.subject == lower.attester


# --- with real objects ------------------------------------------------------------------------

NAMES = ("alice", "bob", "carol")
grants = st.tuples(
    st.sampled_from(("namespace", *NAMES)),
    st.sampled_from(NAMES),
    st.sampled_from(PERMISSIONS),
    st.sampled_from(PATTERNS),
    st.integers(0, 3),
)
Grant = tuple[str, str, str, str, int]


@pytest.fixture(scope="module")
def cast() -> World:
    """The same entities for all examples: making them is what costs."""
    return asyncio.run(World.create(*NAMES))


@pytest.fixture(scope="module")
def chain(cast: World) -> list[CreatedAttestation]:
    """Two hops, the second with an encrypted body."""

    async def grant() -> list[CreatedAttestation]:
        first = await cast.grant("namespace", "carol", "publish", "*", indirections=1)
        return [first, await cast.grant("carol", "alice", "publish", "a/*", is_encrypted=True)]

    return asyncio.run(grant())


async def built_and_verified(
    cast: World, chosen: Sequence[Grant], wish: Statement
) -> tuple[World, list[CreatedAttestation], bytes] | None:
    world = World(type(cast.store)(), cast.namespace, cast.entities)
    for name in ("namespace", *NAMES):
        await world.store.put(world.location, world[name].entity.wire)
    made = [
        await world.grant(attester, subject, permissions, resource, indirections=indirections)
        for attester, subject, permissions, resource, indirections in chosen
    ]
    async with world.engine() as engine:
        perspective = await world.perspective(engine, "alice")
        try:
            built = await engine.prove(
                perspective, namespace=world.hash("namespace"), statements=(wish,), now=NOW
            )
        except NoProofFoundError:
            return None
    return world, made, built.der


@settings(max_examples=25, deadline=None)
@given(chosen=st.lists(grants, max_size=6), wish=wishes)
def test_whatever_is_built_verifies_with_nothing_but_itself(
    cast: World, chosen: list[Grant], wish: Statement
) -> None:
    outcome = asyncio.run(built_and_verified(cast, chosen, wish))
    if outcome is None:
        return
    world, _, der = outcome
    required = RTreePolicy(world.hash("namespace"), world.location, 0, (wish,))
    verdict = verify_proof(
        der, ProofWorld(), now=NOW, required=required, subject=world.hash("alice")
    )
    assert is_subset(required, verdict.policy)
    for moment in (after(-2 * DAY_S), after(400 * DAY_S)):
        with pytest.raises(ProofInvalidError):
            verify_proof(der, ProofWorld(), now=moment)


@settings(max_examples=25, deadline=None)
@given(length=st.integers(1, 3), removed=st.integers(0, 2))
def test_chain_without_one_of_its_links_proves_nothing(
    cast: World, length: int, removed: int
) -> None:
    path = ["namespace", "carol", "bob", "alice"][3 - length :]
    path[0] = "namespace"
    hops = [(attester, subject, "publish", "*", length) for attester, subject in pairwise(path)]
    wish = statement("publish", "a")
    assert asyncio.run(built_and_verified(cast, hops, wish)) is not None
    fewer = [hop for index, hop in enumerate(hops) if index != removed % length]
    assert asyncio.run(built_and_verified(cast, fewer, wish)) is None


changes = st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 255)), min_size=1, max_size=4)


def changed(content: bytes, edits: Sequence[tuple[int, int]]) -> bytes:
    """Overwrite, insert or remove bytes somewhere."""
    result = bytearray(content)
    for position, value in edits:
        at = position % len(result)
        match position % 3:
            case 0:
                result[at] = value
            case 1:
                result[at:at] = bytes([value])
            case _:
                del result[at]
    return bytes(result)


@settings(max_examples=300, deadline=None)
@given(edits=changes)
def test_changed_proof_is_refused_or_means_the_same(
    cast: World, chain: list[CreatedAttestation], edits: list[tuple[int, int]]
) -> None:
    honest = cast.proof(*chain)
    try:
        verdict = verify_proof(changed(honest, edits), ProofWorld(), now=NOW)
    except (ProofInvalidError, MissingObjectsError):
        return
    meaning = verify_proof(honest, ProofWorld(), now=NOW)
    assert verdict.subject == meaning.subject
    assert is_subset(verdict.policy, meaning.policy)


@settings(max_examples=300, deadline=None)
@given(edits=changes, index=st.integers(0, 1), is_keyed=st.booleans())
def test_changed_attestation_is_an_outcome_and_never_a_crash(
    cast: World,
    chain: list[CreatedAttestation],
    edits: list[tuple[int, int]],
    index: int,
    is_keyed: bool,
) -> None:
    created = chain[index]
    attempt = try_to_open(
        changed(created.attestation.wire, edits),
        created.prover_key if is_keyed else None,
        cast["alice"],
        HeldKeys(),
    )
    assert isinstance(attempt, Opened | Locked | Discarded)


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_remembered_verdict_is_what_a_fresh_door_would_say(
    cast: World, data: st.DataObject
) -> None:
    asyncio.run(_compare_doors(cast, data))


async def _compare_doors(cast: World, data: st.DataObject) -> None:
    world = World(type(cast.store)(), cast.namespace, cast.entities)
    proofs = [
        world.proof(
            await world.grant(
                attester, subject, "publish", resource, not_after=after(lasting), is_published=False
            )
        )
        for attester, subject, resource, lasting in (
            ("namespace", "alice", "a/*", 100),
            ("namespace", "bob", "*", 10_000),
            ("carol", "carol", "*", 10_000),
        )
    ]
    async with world.engine() as engine:
        old = Admission(engine)
        seconds = 0
        for _ in range(12):
            seconds += data.draw(st.integers(0, 120))
            claim = Claim(
                world.hash("namespace"),
                world.hash(data.draw(st.sampled_from(NAMES))),
                "publish",
                data.draw(st.sampled_from(("a", "a/b", "b"))),
            )
            proof = data.draw(st.sampled_from(proofs))
            said = [await _answer(door, claim, proof, seconds) for door in (old, Admission(engine))]
            assert said[0] == said[1]


async def _answer(door: Admission, claim: Claim, proof: bytes, seconds: int) -> bool:
    try:
        await door.check_claim(claim, proof, after(seconds))
    except ProofInvalidError:
        return False
    return True
