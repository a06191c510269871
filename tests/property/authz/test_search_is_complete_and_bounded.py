"""The prover finds a proof wherever there is one, and its work never runs away.

What brute force finds is judged by the verifier's own combination of policies, not by the search's
idea of it; so a lossy intersection (wave.md 6.3) is lost to both or to neither.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import reduce
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.edges import NAMESPACE, edge, entity, statement
from wavemq.authz import search
from wavemq.authz.prover import Edge, find_chains
from wavemq.authz.search import Budget
from wavemq.authz.verifier import PATHS_MAX
from wavemq.errors import InvalidParameterError, NoProofFoundError
from wavemq.wave.hashes import Hash
from wavemq.wave.policy import RTreePolicy, Statement, intersect, is_subset, union_of

PEOPLE = tuple(entity(name) for name in "abcde")
SUBJECT = PEOPLE[0]
ROOT = {"namespace": NAMESPACE, "subject": SUBJECT}
unhurried = settings(
    deadline=None, derandomize=True, suppress_health_check=[HealthCheck.filter_too_much]
)


def folded(chain: Sequence[Edge]) -> RTreePolicy | None:
    """Return what a verifier makes of a chain."""
    try:
        return reduce(intersect, (one.policy for one in chain))
    except InvalidParameterError:
        return None


def grants(policy: RTreePolicy | None, wish: Statement) -> bool:
    return policy is not None and is_subset(replace(policy, statements=(wish,)), policy)


def every_chain(known: Sequence[Edge], at: Hash, length: int) -> Iterator[tuple[Edge, ...]]:
    """Enumerate the chains from the namespace to an entity, cycles and all."""
    for last in known:
        if last.subject != at:
            continue
        if last.attester == NAMESPACE:
            yield (last,)
        elif length > 1:
            for chain in every_chain(known, last.attester, length - 1):
                yield (*chain, last)


def exists(known: Sequence[Edge], wish: Statement, *, length: int = 6) -> bool:
    return any(grants(folded(chain), wish) for chain in every_chain(known, SUBJECT, length))


def found(
    known: Sequence[Edge], *wanted: Statement, budget: Budget | None = None
) -> tuple[tuple[Edge, ...], ...]:
    try:
        return find_chains(known, **ROOT, statements=wanted, budget=budget)
    except NoProofFoundError:
        return ()


# --- found iff it exists ----------------------------------------------------------------------

LOSSY = ("*", "a", "a/*", "*/a", "a/+", "+/a", "a/a", "+/*", "*/+", "a/*/a", "+/+")
TOPICS = ("a", "a/a", "a/b/a", "a/+", "a/*")


def edges_of(patterns: Sequence[str], *, people: int, statements_max: int) -> st.SearchStrategy:
    statements = st.builds(statement, st.sampled_from(("p", "q", "p,q")), st.sampled_from(patterns))
    return st.builds(
        lambda attester, subject, granted, indirections: edge(
            attester, subject, *granted, indirections=indirections
        ),
        st.sampled_from((NAMESPACE, *PEOPLE[:people])),
        st.sampled_from(PEOPLE[:people]),
        st.lists(statements, min_size=1, max_size=statements_max),
        st.integers(0, 5),
    )


def lossy_graphs() -> st.SearchStrategy[list[Edge]]:
    """Graphs of few people and many grants, in which ways abound and patterns often meet badly."""

    def graph(chance: random.Random) -> list[Edge]:
        names = (NAMESPACE, NAMESPACE, *PEOPLE[:3])
        return [
            edge(
                chance.choice(names),
                chance.choice(PEOPLE[:3]),
                *(
                    statement(chance.choice(("p", "q", "p,q")), chance.choice(LOSSY))
                    for _ in range(chance.randrange(1, 4))
                ),
                indirections=chance.randrange(1, 6),
            )
            for _ in range(chance.randrange(3, 11))
        ]

    return st.integers(0, 2**32).map(lambda seed: graph(random.Random(seed)))


wishes = st.builds(statement, st.sampled_from(("p", "q")), st.sampled_from(TOPICS))


@settings(unhurried, max_examples=400)
@given(
    st.one_of(st.lists(edges_of(LOSSY, people=4, statements_max=3), max_size=10), lossy_graphs()),
    st.lists(wishes, min_size=1, max_size=5),
)
def test_a_proof_is_found_if_and_only_if_there_is_one(
    known: list[Edge], wanted: list[Statement]
) -> None:
    chains = found(known, *wanted)
    assert bool(chains) == all(exists(known, wish) for wish in wanted)
    if chains:
        together = union_of([policy for chain in chains if (policy := folded(chain))])
        assert all(grants(together, wish) for wish in wanted)


@settings(unhurried, max_examples=400)
@given(lossy_graphs(), wishes)
def test_bounds_far_too_small_cost_no_proof_in_small_graphs(
    known: list[Edge], wish: Statement
) -> None:
    """With one label for each entity, what the usual walk loses, the exact walk finds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "LABELS_PER_ENTITY_MAX", 1)
        patch.setattr(search, "PATTERNS_PER_WISH_MAX", 1)
        assert bool(found(known, wish)) == exists(known, wish)


def test_a_pattern_that_crowds_out_the_better_one_costs_no_proof() -> None:
    """The first way to `via` carries a/*, which loses the topic `a` at the next hop."""
    via = entity("via")
    known = [
        edge(NAMESPACE, via, statement("p", "a/*"), indirections=1, expiry_s=99),
        edge(NAMESPACE, via, statement("p", "a"), indirections=1, expiry_s=1),
        edge(via, SUBJECT, statement("p", "*/a")),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "LABELS_PER_ENTITY_MAX", 1)
        assert found(known, statement("p", "a")) == ((known[1], known[2]),)


def test_a_pattern_that_verifiers_drop_as_contained_in_another_is_not_relied_upon() -> None:
    """They keep a/* of a and a/*, and then lose the topic `a`; a longer way does not."""
    one, two, three = PEOPLE[1:4]
    short = [
        edge(NAMESPACE, one, statement("p", "a"), statement("p", "a/*"), indirections=9),
        edge(one, two, statement("p", "*"), indirections=9),
        edge(two, SUBJECT, statement("p", "*/a")),
    ]
    longer = [
        edge(NAMESPACE, three, statement("p", "a"), indirections=9),
        edge(three, two, statement("p", "*"), indirections=9),
        short[2],
    ]
    detour = [longer[0], edge(three, PEOPLE[4], statement("p", "*"), indirections=9)]
    detour += [edge(PEOPLE[4], two, statement("p", "*"), indirections=9), short[2]]
    assert not found(short, statement("p", "a"))
    assert found([*short, *longer[:2]], statement("p", "a")) == (tuple(longer),)
    assert found([*short, *detour[:3]], statement("p", "a")) == (tuple(detour),)


@settings(unhurried, max_examples=150)
@given(st.data(), st.integers(1, 12))
def test_any_number_of_parallel_paths_is_combined(data: st.DataObject, count: int) -> None:
    """Every wish has a path of its own, of its own length, among grants of no use."""
    known: list[Edge] = []
    wanted = [statement(f"p{number}", f"room{number}/x") for number in range(count)]
    for number, wish in enumerate(wanted):
        length = data.draw(st.integers(1, 4))
        via = [entity(f"{number} {hop}") for hop in range(length - 1)]
        for hop, (attester, subject) in enumerate(pairwise([NAMESPACE, *via, SUBJECT])):
            granted = replace(wish, resource=f"room{number}/*")
            known.append(edge(attester, subject, granted, indirections=length - hop - 1))
    noise = data.draw(st.lists(edges_of(LOSSY, people=5, statements_max=2), max_size=8))
    chains = found([*noise, *known], *wanted)
    assert len(chains) == count
    lost = data.draw(st.sampled_from(known))
    fewer = [one for one in known if one is not lost]
    assert not found([*noise, *fewer], *wanted)
    index = next(
        n
        for n, wish in enumerate(wanted)
        if wish.permissions == lost.policy.statements[0].permissions
    )
    others = [wish for number, wish in enumerate(wanted) if number != index]
    assert not others or len(found([*noise, *fewer], *others)) == count - 1


@settings(unhurried, max_examples=60)
@given(st.integers(1, 40), st.integers(0, 39), st.randoms(use_true_random=False))
def test_removing_any_edge_of_the_only_path_leaves_no_proof(
    length: int, removed: int, shuffle: random.Random
) -> None:
    via = [entity(f"hop {hop}") for hop in range(length - 1)]
    path = [
        edge(attester, subject, statement("p", "a/*"), indirections=length)
        for attester, subject in pairwise([NAMESPACE, *via, SUBJECT])
    ]
    known = path[:]
    # Dead ends, strangers, and ways back change nothing.
    known += [edge(one, entity(f"dead {n}"), statement("p", "*")) for n, one in enumerate(via)]
    known += [edge(entity(f"stranger {n}"), one, statement("p", "*")) for n, one in enumerate(via)]
    known += [edge(via[-1], one, statement("p", "*"), indirections=9) for one in via]
    shuffle.shuffle(known)
    assert found(known, statement("p", "a/x")) == (tuple(path),)
    gone = path[removed % length]
    assert not found([one for one in known if one is not gone], statement("p", "a/x"))


# --- the work is bounded ----------------------------------------------------------------------


def tangled(levels: int, people: int, statements: int) -> list[Edge]:
    """A complete graph in which every grant carries the wish by patterns of its own."""
    chance = random.Random(7)
    names = [NAMESPACE, *(entity(f"tangled {number}") for number in range(people))]

    def resource() -> str:
        parts = [f"e{n}" if chance.random() < 0.6 else "+" for n in range(levels)]
        if chance.random() < 0.4:
            start = chance.randrange(levels + 1)
            parts[start : chance.randrange(start, levels + 1)] = ["*"]
        return "/".join(parts)

    return [
        edge(
            attester,
            subject,
            *(statement("p", resource()) for _ in range(statements)),
            indirections=chance.choice((0, 1, 2, 5, 20, 200)),
        )
        for attester in names
        for subject in names[1:]
        if attester != subject
    ]


TOPIC = "/".join(f"e{level}" for level in range(8))


def test_a_short_way_is_found_beside_any_maze() -> None:
    maze = tangled(8, 24, 10)
    last = edge(entity("tangled 23"), SUBJECT, statement("p", "*"))
    budget = Budget()
    chains = found([*maze, last], statement("p", TOPIC), budget=budget)
    assert [len(chain) for chain in chains] == [2]
    assert budget.work < budget.work_max // 10


@pytest.mark.parametrize("work_max", [30, 3_000, 30_000])
def test_a_maze_without_a_way_ends_with_its_budget(work_max: int) -> None:
    maze = [one for one in tangled(8, 24, 10) if one.attester != NAMESPACE]
    maze.append(edge(NAMESPACE, entity("tangled 0"), statement("p", "e0/*"), indirections=255))
    # The intersection of e0/* and */e0 loses the topic e0, which each of them grants.
    maze.append(edge(entity("tangled 23"), SUBJECT, statement("p", "*/e0")))
    budget = Budget(work_max)
    assert not found(maze, statement("p", "e0"), budget=budget)
    one_step_max = 2 * 64 * 10 * (search._WORK_PER_MEETING + 8)
    assert budget.work <= work_max + 3 * one_step_max


def test_many_wishes_share_one_budget() -> None:
    maze = [one for one in tangled(8, 12, 10) if one.attester != NAMESPACE]
    maze.append(edge(NAMESPACE, entity("tangled 0"), statement("p", "e0/*"), indirections=255))
    maze.append(edge(entity("tangled 11"), SUBJECT, statement("p", "*/e0")))
    wanted = [statement("p", "e0"), *(statement("p", f"e0/{n}/e0") for n in range(20))]
    budget = Budget(200_000)
    assert not found(maze, *wanted, budget=budget)
    assert budget.work <= 1.5 * budget.work_max


@pytest.mark.parametrize("count", [20, 40, 80])
def test_work_grows_with_the_edges_of_a_chain_of_diamonds_and_not_with_its_paths(
    count: int,
) -> None:
    """2^count paths; the two sides of each diamond carry different patterns."""
    known: list[Edge] = []
    at = NAMESPACE
    for number in range(count):
        onward = SUBJECT if number == count - 1 else entity(f"joint {number}")
        for side, resource in (("left", "a/*"), ("right", "a/+/c")):
            via = entity(f"{side} {number}")
            known.append(edge(at, via, statement("p", resource), indirections=255))
            known.append(edge(via, onward, statement("p", "*"), indirections=255))
        at = onward
    budget = Budget()
    chains = found(known, statement("p", "a/b/c"), budget=budget)
    assert [len(chain) for chain in chains] == [2 * count]
    assert budget.work < 200 * len(known)


def test_as_many_parallel_paths_are_built_as_a_verifier_takes() -> None:
    known = [
        edge(NAMESPACE, SUBJECT, statement("p", f"room{number}/*")) for number in range(PATHS_MAX)
    ]
    wanted = [statement("p", f"room{number}/x") for number in range(PATHS_MAX)]
    assert len(found(known, *wanted)) == PATHS_MAX
