"""The prover's search over abstract edges: what it finds, what not, and how long it takes."""

from __future__ import annotations

import itertools
import time

import pytest

from tests.support.edges import NAMESPACE, edge, entity, statement
from wavemq.authz.prover import WISHES_MAX, Edge, find_chains
from wavemq.errors import InvalidParameterError, NoProofFoundError
from wavemq.wave.hashes import Hash
from wavemq.wave.policy import Statement

ALICE, BOB, CAROL, DAVE = (entity(name) for name in ("alice", "bob", "carol", "dave"))


def chains(edges: list[Edge], subject: Hash, *statements: Statement) -> list[list[str]]:
    found = find_chains(edges, namespace=NAMESPACE, subject=subject, statements=statements)
    return [[one.policy.statements[0].resource for one in chain] for chain in found]


def test_direct_grant_is_a_chain_of_one() -> None:
    edges = [edge(NAMESPACE, ALICE, statement("publish", "a/*"))]
    assert chains(edges, ALICE, statement("publish", "a/b")) == [["a/*"]]


def test_chain_goes_from_the_namespace_to_the_subject() -> None:
    edges = [
        edge(ALICE, BOB, statement("publish", "a/b/*")),
        edge(NAMESPACE, ALICE, statement("publish", "a/*"), indirections=1),
    ]
    assert chains(edges, BOB, statement("publish", "a/b/c")) == [["a/*", "a/b/*"]]


def test_grant_by_a_stranger_leads_nowhere() -> None:
    edges = [edge(ALICE, BOB, statement("publish", "*"), indirections=9)]
    with pytest.raises(NoProofFoundError):
        chains(edges, BOB, statement("publish", "x"))


def test_indirections_bound_the_length_of_a_chain() -> None:
    edges = [
        edge(NAMESPACE, ALICE, statement("publish", "*"), indirections=1),
        edge(ALICE, BOB, statement("publish", "*"), indirections=7),
        edge(BOB, CAROL, statement("publish", "*"), indirections=7),
    ]
    assert len(chains(edges, BOB, statement("publish", "x"))[0]) == 2
    with pytest.raises(NoProofFoundError):
        chains(edges, CAROL, statement("publish", "x"))


def test_longer_way_is_taken_when_the_short_one_may_not_be_extended() -> None:
    edges = [
        edge(NAMESPACE, BOB, statement("publish", "*"), indirections=0),
        edge(NAMESPACE, ALICE, statement("publish", "*"), indirections=5),
        edge(ALICE, BOB, statement("publish", "*"), indirections=5),
        edge(BOB, CAROL, statement("publish", "*")),
    ]
    assert len(chains(edges, CAROL, statement("publish", "x"))[0]) == 3


@pytest.mark.parametrize("count", [2, 3, 5, 70, 200])
def test_any_number_of_parallel_grants_is_combined(count: int) -> None:
    edges = [edge(NAMESPACE, ALICE, statement("publish", f"room{n}/*")) for n in range(count)]
    wanted = [statement("publish", f"room{n}/x") for n in range(count)]
    assert len(chains(edges, ALICE, *wanted)) == count


def test_one_missing_permission_among_many_is_no_proof() -> None:
    edges = [edge(NAMESPACE, ALICE, statement("publish", f"room{n}/*")) for n in range(9)]
    with pytest.raises(NoProofFoundError):
        chains(edges, ALICE, *(statement("publish", f"room{n}/x") for n in range(10)))


def test_one_attestation_is_preferred_to_several() -> None:
    edges = [
        edge(NAMESPACE, ALICE, statement("publish", "a/*")),
        edge(NAMESPACE, ALICE, statement("subscribe", "a/*")),
        edge(NAMESPACE, ALICE, statement("publish,subscribe", "*")),
    ]
    assert chains(edges, ALICE, statement("publish", "a/x"), statement("subscribe", "a/x")) == [
        ["*"]
    ]


def test_two_short_chains_are_preferred_to_one_long_chain() -> None:
    edges = [
        edge(NAMESPACE, BOB, statement("publish,subscribe", "*"), indirections=9),
        edge(BOB, CAROL, statement("publish,subscribe", "*"), indirections=9),
        edge(CAROL, ALICE, statement("publish,subscribe", "*")),
        edge(NAMESPACE, ALICE, statement("publish", "a/*")),
        edge(NAMESPACE, ALICE, statement("subscribe", "a/*")),
    ]
    found = chains(edges, ALICE, statement("publish", "a/x"), statement("subscribe", "a/x"))
    assert sorted(found) == [["a/*"], ["a/*"]]


def test_equal_grants_the_one_that_lasts_longest_wins() -> None:
    edges = [
        edge(NAMESPACE, ALICE, statement("publish", f"+/{n}"), expiry_s=expiry)
        for n, expiry in ((0, 10), (1, 30), (2, 20))
    ]
    edges += [
        edge(NAMESPACE, ALICE, statement("publish", "short/*"), expiry_s=5),
        edge(NAMESPACE, ALICE, statement("publish", "*"), expiry_s=50),
    ]
    assert chains(edges, ALICE, statement("publish", "short/x")) == [["*"]]


def test_chain_whose_patterns_do_not_meet_is_not_found() -> None:
    edges = [
        edge(NAMESPACE, ALICE, statement("publish", "a/*"), indirections=1),
        edge(ALICE, BOB, statement("publish", "*/z")),
    ]
    # The intersection of a/* and */z is a/*/z: each alone covers what the chain does not.
    assert chains(edges, BOB, statement("publish", "a/b/z")) == [["a/*", "*/z"]]
    with pytest.raises(NoProofFoundError):
        chains(edges, BOB, statement("publish", "a"))


def test_intersection_that_loses_a_topic_is_avoided_by_another_way() -> None:
    edges = [
        edge(NAMESPACE, ALICE, statement("publish", "a/*"), indirections=1, expiry_s=99),
        edge(NAMESPACE, ALICE, statement("publish", "a"), indirections=1),
        edge(ALICE, BOB, statement("publish", "*/a")),
    ]
    # restrict(a/*, */a) = a/*/a does not contain "a", though both patterns do (wave.md 6.3).
    assert chains(edges, BOB, statement("publish", "a")) == [["a", "*/a"]]


def test_permission_set_and_namespace_must_be_the_same() -> None:
    foreign = edge(NAMESPACE, ALICE, statement("publish", "*", permission_set=entity("other")))
    elsewhere = edge(NAMESPACE, ALICE, statement("publish", "*"), namespace=BOB)
    with pytest.raises(NoProofFoundError):
        chains([foreign, elsewhere], ALICE, statement("publish", "x"))


def test_namespace_entity_itself_has_no_proof() -> None:
    edges = [edge(NAMESPACE, NAMESPACE, statement("publish", "*"), indirections=5)]
    with pytest.raises(NoProofFoundError):
        chains(edges, NAMESPACE, statement("publish", "x"))


def test_cycles_end() -> None:
    ring = [ALICE, BOB, CAROL, DAVE]
    edges = [edge(NAMESPACE, ALICE, statement("publish", "a/*"), indirections=200)]
    edges += [
        edge(one, other, statement("publish", "*"), indirections=200)
        for one, other in itertools.product(ring, ring)
    ]
    assert len(chains(edges, DAVE, statement("publish", "a/x"))[0]) == 2
    with pytest.raises(NoProofFoundError):
        chains(edges, DAVE, statement("publish", "b/x"))


def test_work_does_not_grow_with_the_number_of_paths() -> None:
    # 30 layers of 6 entities, completely connected: 6^30 paths.
    layers = [[entity(f"{layer}-{n}") for n in range(6)] for layer in range(30)]
    edges = [edge(NAMESPACE, one, statement("publish", "*"), indirections=255) for one in layers[0]]
    for upper, lower in itertools.pairwise(layers):
        edges += [
            edge(one, other, statement("publish,subscribe", "*"), indirections=255)
            for one in upper
            for other in lower
        ]
    edges.append(edge(layers[-1][0], ALICE, statement("publish", "*")))
    started = time.perf_counter()
    assert len(chains(edges, ALICE, statement("publish", "x"))[0]) == 31
    with pytest.raises(NoProofFoundError):
        chains(edges, ALICE, statement("subscribe", "x"))
    assert time.perf_counter() - started < 20


def test_many_overlapping_grants_do_not_hide_a_rare_one() -> None:
    # Each of many hops carries another pair of wishes; only one carries the last wish.
    wanted = [statement("publish", f"t{n}") for n in range(24)]
    edges = []
    for n in range(200):
        via = entity(f"via{n}")
        pair = [wanted[n % 23], wanted[(n * 7 + 1) % 23]]
        edges.append(edge(NAMESPACE, via, *pair, indirections=3))
        edges.append(edge(via, BOB, *pair, indirections=2))
    edges.append(edge(NAMESPACE, CAROL, wanted[23], indirections=3, expiry_s=1))
    edges.append(edge(CAROL, DAVE, wanted[23], indirections=3, expiry_s=1))
    edges.append(edge(DAVE, BOB, wanted[23], indirections=3, expiry_s=1))
    edges.append(edge(BOB, ALICE, *wanted, indirections=0))
    found = find_chains(edges, namespace=NAMESPACE, subject=ALICE, statements=wanted)
    covered = {
        one.resource
        for chain in found
        for one in set(wanted)
        if all(one in step.policy.statements for step in chain)
    }
    assert covered == {one.resource for one in wanted}


@pytest.mark.parametrize(
    "statements",
    [
        [],
        [statement("publish", "a//b")],
        [statement("publish", "")],
        [statement("publish", f"t{n}") for n in range(WISHES_MAX + 1)],
    ],
    ids=["nothing", "empty level", "empty resource", "too much"],
)
def test_bad_request_is_refused(statements: list[Statement]) -> None:
    with pytest.raises(InvalidParameterError):
        find_chains([], namespace=NAMESPACE, subject=ALICE, statements=statements)
