"""Why somebody can or cannot do a thing, over graphs written by hand."""

from __future__ import annotations

import pytest

from wavemq.cli.wv.explaining import Explanation, Wish, explain
from wavemq.cli.wv.known_graph import Grant, KnownGraph, Statement
from wavemq.wave.hashes import WAVEMQ_PERMISSION_SET, Hash

SET = WAVEMQ_PERMISSION_SET.to_bytes()


def one(name: str) -> bytes:
    return Hash.of(name.encode()).to_bytes()


NAMESPACE = one("namespace")


def grant(
    attester: str,
    subject: str,
    resource: str = "a/*",
    *,
    hops: int = 0,
    state: str = "valid",
    permissions: tuple[str, ...] = ("publish",),
) -> Grant:
    return Grant(
        attestation=one(f"{attester} {subject} {resource} {state}"),
        attester=one(attester),
        subject=one(subject),
        namespace=NAMESPACE,
        statements=(Statement(SET, permissions, resource),),
        indirections=hops,
        until_ms=0,
        state=state,
    )


def ask(*grants: Grant, subject: str = "carol", resource: str = "a/b") -> Explanation:
    graph = KnownGraph(one(subject), grants, {}, is_whole=True)
    return explain(graph, Wish(NAMESPACE, SET, "publish", resource, one(subject)))


def test_chain_is_shown() -> None:
    chain = (grant("namespace", "alice", hops=1), grant("alice", "carol", "a/b"))
    found = ask(*chain)
    assert found.is_granted
    assert found.reach == chain


def test_shortest_of_two_chains_is_shown() -> None:
    direct = grant("namespace", "carol")
    found = ask(grant("namespace", "alice", hops=1), grant("alice", "carol"), direct)
    assert found.reach == (direct,)


def test_way_with_enough_hops_is_found_beside_a_shorter_one() -> None:
    short = grant("namespace", "bob")
    long = (grant("namespace", "alice", hops=2), grant("alice", "bob", hops=1))
    last = grant("bob", "carol")
    found = ask(short, *long, last)
    assert found.is_granted
    assert found.reach == (*long, last)


def test_nothing_known_needs_a_grant_from_the_namespace() -> None:
    found = ask()
    assert not found.is_granted
    assert (found.granter, found.receiver) == (NAMESPACE, one("carol"))
    assert found.reach == found.rest == ()
    assert found.obstacles == ()


def test_missing_grant_is_next_to_the_one_who_has_it_and_may_pass_it_on() -> None:
    first = grant("namespace", "alice", hops=1)
    found = ask(first)
    assert (found.granter, found.receiver) == (one("alice"), one("carol"))
    assert found.reach == (first,)


def test_missing_link_in_the_middle_is_named() -> None:
    rest = grant("bob", "carol")
    found = ask(grant("namespace", "alice", hops=2), rest)
    assert (found.granter, found.receiver) == (one("alice"), one("bob"))
    assert found.rest == (rest,)


def test_granter_without_hops_left_is_passed_over() -> None:
    found = ask(grant("namespace", "alice"), grant("alice", "carol"))
    assert found.granter == NAMESPACE
    assert [hurdle.reason for hurdle in found.obstacles] == [
        "its granter may not pass the permission on: no more hops"
    ]


@pytest.mark.parametrize(
    ("obstacle", "reason"),
    [
        (grant("namespace", "carol", state="revoked"), "is revoked"),
        (grant("namespace", "carol", state="expired"), "is expired"),
        (grant("namespace", "carol", "a/c"), "does not cover a/b"),
        (grant("namespace", "carol", permissions=("query",)), "does not grant publish"),
        (grant("bob", "carol", hops=1), "its granter does not have the permission"),
    ],
)
def test_obstacle_is_named(obstacle: Grant, reason: str) -> None:
    found = ask(obstacle)
    assert not found.is_granted
    assert [(hurdle.grant, hurdle.reason) for hurdle in found.obstacles] == [(obstacle, reason)]


def test_cycles_and_many_ways_end() -> None:
    """Twenty diamonds one after the other have a million ways, and a grant back to each start."""
    grants = []
    for level in range(20):
        start, end = f"n{level}", f"n{level + 1}"
        for middle in (f"left{level}", f"right{level}"):
            grants.append(grant("namespace" if level == 0 else start, middle, hops=200))
            grants.append(grant(middle, end, hops=200))
        grants.append(grant(end, start, hops=200))
    found = ask(*grants, subject="n20")
    assert found.is_granted
    assert len(found.reach) == 40
    assert not ask(*grants).is_granted


def test_namespace_has_no_chain_to_itself() -> None:
    found = ask(grant("namespace", "namespace"), subject="namespace")
    assert not found.is_granted
