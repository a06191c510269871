"""What the verifier refuses, rule by rule (wave.md 9.3); each forgery differs in one thing only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest

from tests.support.worlds import DAY_S, NOW, World, after, forge, reference_to
from wavemq.authz import verifier
from wavemq.authz.verdicts import MissingObjectsError, ProofUnresolvedError
from wavemq.authz.verifier import PATHS_MAX, ProofWorld, verify_proof
from wavemq.errors import ProofInvalidError
from wavemq.limits import PROOF_BYTES_MAX
from wavemq.wave.hashes import WAVEMQ_PERMISSION_SET, Hash
from wavemq.wave.policy import Policy, RTreePolicy, Statement, TrustLevelPolicy
from wavemq.wave.proof import ExplicitProof


@pytest.fixture
async def world() -> World:
    return await World.create("alice", "bob", "carol", "mallory")


def refuse(proof: bytes, match: str) -> None:
    with pytest.raises(ProofInvalidError, match=match) as caught:
        verify_proof(proof, ProofWorld(), now=NOW)
    assert caught.value.code == 912


async def test_honest_chain_holds(world: World) -> None:
    first = await world.grant("namespace", "alice", "publish", "a/*", indirections=1)
    second = await world.grant("alice", "bob", "publish,query", "*/x")
    verdict = verify_proof(world.proof(first, second), ProofWorld(), now=NOW)
    assert verdict.subject == world.hash("bob")
    assert verdict.policy == replace(world.policy("publish", "a/*/x"), indirections=0)
    assert verdict.expiry == first.attestation.content.body.validity.not_after  # type: ignore[union-attr]  # plain
    assert verdict.attestations == (first.attestation.hash, second.attestation.hash)


# --- the root ---------------------------------------------------------------------------------


async def test_stranger_cannot_grant_himself_anything(world: World) -> None:
    forged = await world.grant("mallory", "mallory", "publish,subscribe,query,route", "*")
    refuse(world.proof(forged), "does not begin at the namespace")


async def test_chain_below_a_stranger_is_refused(world: World) -> None:
    first = await world.grant("mallory", "alice", "publish", "*", indirections=5)
    second = await world.grant("alice", "bob", "publish", "*")
    refuse(world.proof(first, second), "does not begin at the namespace")


async def test_every_path_must_begin_at_the_namespace(world: World) -> None:
    honest = await world.grant("namespace", "mallory", "publish", "a")
    forged = await world.grant("mallory", "mallory", "publish", "*")
    refuse(world.proof(honest, forged, paths=[[0], [1]]), "does not begin at the namespace")


async def test_rest_of_an_honest_chain_is_no_chain(world: World) -> None:
    first = await world.grant("namespace", "alice", "publish", "*", indirections=5)
    second = await world.grant("alice", "bob", "publish", "*")
    refuse(world.proof(first, second, paths=[[1]]), "does not begin at the namespace")


async def test_claiming_to_be_the_namespace_does_not_help(world: World) -> None:
    policy = world.policy("publish", "*")
    claimed = forge(
        world["mallory"], world["mallory"], policy, claimed_attester=world.hash("namespace")
    )
    refuse(world.proof(claimed), "could not parse attestation 0")


async def test_namespace_may_not_change_along_a_path(world: World) -> None:
    own = await world.grant("mallory", "mallory", "publish", "*", namespace="mallory")
    foreign = await world.grant("mallory", "mallory", "publish", "*")
    refuse(world.proof(own, foreign), "different authority domain")


async def test_parallel_paths_of_two_namespaces_are_refused(world: World) -> None:
    own = await world.grant("mallory", "bob", "publish", "*", namespace="mallory")
    honest = await world.grant("namespace", "bob", "publish", "a")
    refuse(world.proof(own, honest, paths=[[0], [1]]), "different authority domain")


# --- links, ends, depth -----------------------------------------------------------------------


async def test_links_must_join(world: World) -> None:
    first = await world.grant("namespace", "alice", "publish", "*", indirections=5)
    second = await world.grant("bob", "carol", "publish", "*")
    refuse(world.proof(first, second), "broken links")


@pytest.mark.parametrize("paths", [[[0], [1]], [[1], [0]], [[0], [0], [1]], [[0], [1], [0]]])
async def test_all_paths_must_end_at_one_entity(world: World, paths: list[list[int]]) -> None:
    to_alice = await world.grant("namespace", "alice", "publish", "a")
    to_bob = await world.grant("namespace", "bob", "publish", "b")
    refuse(world.proof(to_alice, to_bob, paths=paths), "terminate at same entity")


@pytest.mark.parametrize(("first", "second", "holds"), [(0, 0, False), (1, 0, True), (5, 5, True)])
async def test_hops_are_bounded_by_indirections(
    world: World, first: int, second: int, holds: bool
) -> None:
    one = await world.grant("namespace", "alice", "publish", "*", indirections=first)
    two = await world.grant("alice", "bob", "publish", "*", indirections=second)
    proof = world.proof(one, two)
    if holds:
        verdict = verify_proof(proof, ProofWorld(), now=NOW)
        assert verdict.policy.indirections == min(first - 1, second)
    else:
        refuse(proof, "insufficient permitted indirections")


# --- shape ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("paths", "match"),
    [
        ([], "no path"),
        ([[]], "length 0"),
        ([[0], []], "length 0"),
        ([[1]], "non-included"),
        ([[-1]], "non-included"),
        ([[0, 2**40]], "non-included"),
        ([[0]] * (verifier.PATHS_MAX + 1), "paths; the limit"),
        ([[0] * (verifier.PATH_LENGTH_MAX + 1)], "on a path; the limit"),
    ],
    ids=["none", "empty", "second empty", "beyond", "negative", "huge", "many", "long"],
)
async def test_malformed_paths_are_refused(
    world: World, paths: list[list[int]], match: str
) -> None:
    grant = await world.grant("namespace", "alice", "publish", "*")
    refuse(world.proof(grant, paths=paths), match)


async def test_too_many_references_are_refused(world: World) -> None:
    grant = await world.grant("namespace", "alice", "publish", "*")
    proof = world.proof(*[grant] * (verifier.REFERENCES_MAX + 1), paths=[[0]])
    refuse(proof, "attestations; the limit")


@pytest.mark.parametrize(
    "proof",
    [b"", b"hello world", b"\x28\x00", bytes(100), bytes(PROOF_BYTES_MAX + 1)],
    ids=["empty", "text", "external", "zeros", "oversized"],
)
def test_what_is_no_proof_is_refused(proof: bytes) -> None:
    refuse(proof, "proof|malformed")


async def test_entity_and_attestation_are_no_proofs(world: World) -> None:
    grant = await world.grant("namespace", "alice", "publish", "*")
    refuse(world.namespace.entity.wire, "malformed")
    refuse(grant.attestation.wire, "malformed")


async def test_trailing_and_missing_bytes_are_refused(world: World) -> None:
    proof = world.proof(await world.grant("namespace", "alice", "publish", "*"))
    verify_proof(proof, ProofWorld(), now=NOW)
    refuse(proof + b"\0", "malformed")
    refuse(proof[:-1], "malformed")


# --- contents ---------------------------------------------------------------------------------


async def test_reference_must_name_the_content_that_it_carries(world: World) -> None:
    one = await world.grant("namespace", "alice", "publish", "*")
    other = await world.grant("namespace", "bob", "publish", "*")
    swapped = replace(reference_to(one), hash=other.attestation.hash)
    proof = ExplicitProof(
        (swapped,), ((0,),), (world.namespace.entity.wire, world["alice"].entity.wire)
    )
    refuse(proof.to_bytes(), "not the object that its hash names")


async def test_key_of_one_reference_does_not_open_the_next(world: World) -> None:
    one = await world.grant("namespace", "alice", "publish", "*", indirections=1, is_encrypted=True)
    two = await world.grant("alice", "bob", "publish", "*", is_encrypted=True)
    keyless = replace(reference_to(two), verifier_key=None)
    proof = ExplicitProof(
        (reference_to(one), keyless),
        ((0, 1),),
        tuple(world[name].entity.wire for name in ("namespace", "alice", "bob")),
    )
    refuse(proof.to_bytes(), "could not parse attestation 1")


async def test_wrong_verifier_key_is_refused(world: World) -> None:
    grant = await world.grant("namespace", "alice", "publish", "*", is_encrypted=True)
    refuse(world.proof(replace(grant, verifier_key=bytes(28))), "could not parse attestation 0")


async def test_binding_by_another_key_is_refused(world: World) -> None:
    forged = forge(
        world.namespace, world["mallory"], world.policy("publish", "*"), binder=world["mallory"]
    )
    refuse(world.proof(forged), "could not parse attestation 0")


async def test_body_moved_under_another_outer_key_is_refused(world: World) -> None:
    honest = await world.grant("namespace", "alice", "publish", "*")
    wire = bytearray(honest.attestation.wire)
    at = wire.rindex(honest.attestation.ephemeral_key)
    wire[at : at + 32] = world["mallory"].signing_key.public
    changed = replace(honest, attestation=type(honest.attestation).from_bytes(bytes(wire)))
    refuse(world.proof(changed), "could not parse attestation 0")


def statements(count: int, permissions: int = 1) -> tuple[Statement, ...]:
    names = tuple(f"p{n}" for n in range(permissions))
    return tuple(Statement(WAVEMQ_PERMISSION_SET, names, f"t{n}") for n in range(count))


@pytest.mark.parametrize(
    "make",
    [
        lambda policy: TrustLevelPolicy(1),
        lambda policy: replace(policy, statements=statements(11)),
        lambda policy: replace(policy, statements=statements(5, 13)),
        lambda policy: replace(
            policy, statements=(Statement(WAVEMQ_PERMISSION_SET, ("publish",), "a//b"),)
        ),
        lambda policy: replace(
            policy, statements=(Statement(WAVEMQ_PERMISSION_SET, ("publish",), "*/a/*"),)
        ),
    ],
    ids=["trust level", "11 statements", "65 permissions", "empty element", "two stars"],
)
async def test_policy_must_be_one_that_may_be_granted(
    world: World, make: Callable[[RTreePolicy], Policy]
) -> None:
    forged = forge(world.namespace, world["alice"], make(world.policy("publish", "*")))
    refuse(world.proof(forged), "RTree|could not parse attestation 0")


async def test_included_entity_must_be_genuine(world: World) -> None:
    grant = await world.grant("namespace", "alice", "publish", "*")
    spoiled = bytearray(world["bob"].entity.wire)
    spoiled[-1] ^= 1
    proof = ExplicitProof(
        (reference_to(grant),),
        ((0,),),
        (world.namespace.entity.wire, world["alice"].entity.wire, bytes(spoiled)),
    )
    refuse(proof.to_bytes(), "could not parse included entity")


async def test_work_of_folding_is_bounded(world: World) -> None:
    """Patterns of 32 levels, half of them `+`: hop by hop they multiply without end."""

    def tangled(hop: int) -> list[Statement]:
        found = []
        for number in range(10):
            bits = int.from_bytes(Hash.of(f"{hop} {number}".encode()).digest[:4])
            levels = (f"e{level}" if bits >> level & 1 else "+" for level in range(32))
            found.append(Statement(WAVEMQ_PERMISSION_SET, ("publish",), "/".join(levels)))
        return found

    people = ("namespace", "alice", "bob", "carol", "mallory", "alice", "bob", "carol")
    grants = [
        await world.grant_statements(attester, subject, tangled(hop), indirections=9)
        for hop, (attester, subject) in enumerate(pairwise(people))
    ]
    refuse(world.proof(*grants), "bad policy intersection")


async def test_beginning_that_many_paths_share_is_folded_once(world: World) -> None:
    wide = [
        Statement(
            WAVEMQ_PERMISSION_SET, ("publish",), "/".join(["+"] * n + ["*"] + ["x"] * (9 - n))
        )
        for n in range(10)
    ]
    grants = [
        await world.grant_statements(attester, subject, wide, indirections=9)
        for attester, subject in pairwise(("namespace", "alice", "bob", "carol", "mallory"))
    ]
    once = verify_proof(world.proof(*grants, paths=[[0, 1, 2, 3]]), ProofWorld(), now=NOW)
    often = verify_proof(world.proof(*grants, paths=[[0, 1, 2, 3]] * 200), ProofWorld(), now=NOW)
    assert set(often.policy.statements) == set(once.policy.statements)


async def test_as_many_parallel_paths_as_a_proof_may_have_are_folded(world: World) -> None:
    grants = [
        await world.grant("namespace", "alice", "publish", f"room{number}/*")
        for number in range(PATHS_MAX)
    ]
    proof = world.proof(*grants, paths=[[index] for index in range(PATHS_MAX)])
    verdict = verify_proof(proof, ProofWorld(), now=NOW)
    assert len(verdict.policy.statements) == PATHS_MAX


# --- claims -----------------------------------------------------------------------------------


async def test_proof_must_be_for_the_subject_and_cover_what_is_required(world: World) -> None:
    proof = world.proof(await world.grant("namespace", "alice", "publish", "a/*"))

    def check(required: RTreePolicy | None, subject: Hash | None) -> None:
        verify_proof(proof, ProofWorld(), now=NOW, required=required, subject=subject)

    check(world.policy("publish", "a/b"), world.hash("alice"))
    check(world.policy("publish", "a/*"), None)
    for required, subject in (
        (world.policy("publish", "a/b"), world.hash("bob")),
        (world.policy("subscribe", "a/b"), None),
        (world.policy("publish", "b"), None),
        (world.policy("publish", "*"), None),
        (world.policy("publish", "a/b", namespace="alice"), None),
    ):
        with pytest.raises(ProofInvalidError):
            check(required, subject)


async def test_permissions_of_one_requirement_must_be_in_one_statement(world: World) -> None:
    publish = await world.grant("namespace", "alice", "publish", "a/*")
    subscribe = await world.grant("namespace", "alice", "subscribe", "a/*")
    proof = world.proof(publish, subscribe, paths=[[0], [1]])
    separate = replace(
        world.policy("publish", "a/b"),
        statements=(
            *world.policy("publish", "a/b").statements,
            *world.policy("subscribe", "a/b").statements,
        ),
    )
    verify_proof(proof, ProofWorld(), now=NOW, required=separate)
    with pytest.raises(ProofInvalidError, match="insufficient permissions"):
        verify_proof(
            proof, ProofWorld(), now=NOW, required=world.policy("publish,subscribe", "a/b")
        )


# --- time -------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["attester", "subject", "grant"])
@pytest.mark.parametrize(
    ("from_s", "until_s", "holds"),
    [
        (0, DAY_S, True),
        (-DAY_S, 0, True),
        (60, DAY_S, True),
        (61, DAY_S, False),
        (-DAY_S, -1, False),
    ],
    ids=["begins now", "ends now", "begins within the skew", "not yet", "expired"],
)
async def test_everybody_must_be_valid_now(
    who: str, from_s: float, until_s: float, holds: bool
) -> None:
    world = await World.create()
    for name, role in (("router", "attester"), ("alice", "subject")):
        await world.add(
            name,
            not_before=after(from_s) if who == role else None,
            not_after=after(until_s) if who == role else None,
        )
    first = await world.grant(
        "namespace", "router", "publish", "*", indirections=1, not_after=after(9 * DAY_S)
    )
    second = await world.grant(
        "router",
        "alice",
        "publish",
        "*",
        not_before=after(from_s if who == "grant" else -DAY_S),
        not_after=after(until_s if who == "grant" else 9 * DAY_S),
    )
    proof = world.proof(first, second)
    if holds:
        assert verify_proof(proof, ProofWorld(), now=NOW).expiry >= NOW
    else:
        refuse(proof, "expired")


async def test_reference_outside_every_path_counts_too(world: World) -> None:
    used = await world.grant("namespace", "alice", "publish", "*")
    unused = await world.grant("namespace", "bob", "publish", "*", not_after=after(-1))
    refuse(world.proof(used, unused, paths=[[0]]), "expired")


async def test_verdict_names_the_revocations_of_everything(world: World) -> None:
    used = await world.grant("namespace", "alice", "publish", "*")
    unused = await world.grant("namespace", "bob", "publish", "*")
    verdict = verify_proof(world.proof(used, unused, paths=[[0]]), ProofWorld(), now=NOW)
    assert verdict.revocations == {
        *used.attestation.revocations,
        *unused.attestation.revocations,
        *world.namespace.entity.revocations,
        *world["alice"].entity.revocations,
        *world["bob"].entity.revocations,
    }


# --- what is missing --------------------------------------------------------------------------


async def test_missing_objects_are_named_all_at_once(world: World) -> None:
    first = await world.grant("namespace", "alice", "publish", "*", indirections=1)
    second = await world.grant("alice", "bob", "publish", "*")
    with pytest.raises(MissingObjectsError) as caught:
        verify_proof(world.proof(first, second, entities=[]), ProofWorld(), now=NOW)
    assert {need.hash for need in caught.value.needs} == {
        world.hash(name) for name in ("namespace", "alice", "bob")
    }


async def test_absent_object_is_unresolved_and_not_a_verdict(world: World) -> None:
    grant = await world.grant("namespace", "alice", "publish", "*")
    nobody = ProofWorld(absent=frozenset((world.hash("alice"),)))
    with pytest.raises(ProofUnresolvedError):
        verify_proof(world.proof(grant, entities=["namespace"]), nobody, now=NOW)


async def test_object_under_a_wrong_name_is_not_believed(world: World) -> None:
    grant = await world.grant("namespace", "alice", "publish", "*")
    lying = ProofWorld(objects={world.hash("alice"): world["bob"].entity.wire})
    with pytest.raises(MissingObjectsError):
        verify_proof(world.proof(grant, entities=["namespace"]), lying, now=NOW)
