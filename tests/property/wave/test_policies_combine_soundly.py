"""What combining policies may and may not give, against brute force over a small alphabet."""

from __future__ import annotations

from functools import cache, reduce
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.edges import NAMESPACE, entity, statement
from tests.support.object_stores import LOCATION
from wavemq.errors import InvalidParameterError
from wavemq.wave.pattern import is_valid_resource, is_within, restrict
from wavemq.wave.policy import (
    COMBINED_STATEMENTS_MAX,
    Effort,
    RTreePolicy,
    Statement,
    intersect,
    is_subset,
    union,
    union_of,
)

TOPICS = tuple("/".join(levels) for size in range(1, 7) for levels in product("ab", repeat=size))
PATTERNS = tuple(
    resource
    for size in range(1, 5)
    for levels in product(("a", "b", "+", "*"), repeat=size)
    if is_valid_resource(resource := "/".join(levels))
)
unhurried = settings(deadline=None, derandomize=True)


@cache
def language(pattern: str) -> frozenset[str]:
    """Return the topics that a pattern means, by the definition of its wildcards."""

    def matches(levels: tuple[str, ...], topic: tuple[str, ...]) -> bool:
        if not levels:
            return not topic
        if levels[0] == "*":
            return any(matches(levels[1:], topic[skip:]) for skip in range(len(topic) + 1))
        return bool(topic) and levels[0] in ("+", topic[0]) and matches(levels[1:], topic[1:])

    levels = tuple(pattern.split("/"))
    return frozenset(topic for topic in TOPICS if matches(levels, tuple(topic.split("/"))))


def test_no_intersection_of_any_two_patterns_is_wider_than_the_true_one() -> None:
    for left, right in product(PATTERNS, repeat=2):
        found = restrict(left, right)
        if found is not None:
            assert language(found) <= language(left) & language(right), (left, right)
            assert is_valid_resource(found)


def test_containment_is_decided_as_the_intersection_decides_it_and_never_too_widely() -> None:
    for left, right in product(PATTERNS, repeat=2):
        contained = is_within(left, right)
        assert contained == (restrict(left, right) == left), (left, right)
        assert not contained or language(left) <= language(right), (left, right)


# --- policies ---------------------------------------------------------------------------------

statements = st.builds(
    statement,
    st.sampled_from(("p", "q", "p,q", "q,p")),
    st.sampled_from(("*", "a", "a/*", "*/a", "a/+", "+/a", "a/a", "+/*", "a/*/a", "b")),
)
policies = st.builds(
    lambda granted, indirections: RTreePolicy(NAMESPACE, LOCATION, indirections, tuple(granted)),
    st.lists(statements, min_size=0, max_size=5),
    st.integers(1, 5),
)


def meaning(policy: RTreePolicy) -> frozenset[tuple[str, str]]:
    """Return every (permission, topic) that a policy grants."""
    return frozenset(
        (permission, topic)
        for granted in policy.statements
        for permission in granted.permissions
        for topic in language(granted.resource)
    )


@settings(unhurried, max_examples=200)
@given(policies, policies)
def test_a_further_hop_grants_no_more_than_either_side(
    left: RTreePolicy, right: RTreePolicy
) -> None:
    both = intersect(left, right)
    assert meaning(both) <= meaning(left) & meaning(right)
    assert both.indirections == min(left.indirections - 1, right.indirections)


@settings(unhurried, max_examples=200)
@given(st.lists(policies, min_size=1, max_size=6))
def test_parallel_paths_grant_exactly_what_each_grants(paths: list[RTreePolicy]) -> None:
    together = union_of(paths)
    assert meaning(together) == frozenset().union(*(meaning(path) for path in paths))
    assert together.indirections == min(path.indirections for path in paths)
    assert all(is_subset(path, together) for path in paths)


@settings(unhurried, max_examples=300)
@given(st.lists(policies, min_size=1, max_size=8))
def test_uniting_all_paths_is_uniting_them_one_by_one(paths: list[RTreePolicy]) -> None:
    """To the statement and its place: verdicts are shown, and compared between versions."""
    assert union_of(paths) == reduce(union, paths)


@settings(unhurried, max_examples=200)
@given(policies, policies)
def test_what_is_a_subset_grants_nothing_else(left: RTreePolicy, right: RTreePolicy) -> None:
    if is_subset(left, right):
        assert meaning(left) <= meaning(right)


def distinct(count: int, first: int = 0) -> RTreePolicy:
    granted = tuple(statement("p", f"room{number}") for number in range(first, first + count))
    return RTreePolicy(NAMESPACE, LOCATION, 1, granted)


def test_a_union_of_as_many_statements_as_allowed_is_made_and_not_of_one_more() -> None:
    half = COMBINED_STATEMENTS_MAX // 2
    assert len(union(distinct(half), distinct(half, half)).statements) == COMBINED_STATEMENTS_MAX
    with pytest.raises(InvalidParameterError, match="too many combinations"):
        union(distinct(half), distinct(half + 1, half))


def test_comparisons_are_counted_over_combinations_and_end() -> None:
    effort = Effort(comparisons_max=100)
    union_of((distinct(5), distinct(5, 5)), effort=effort)
    assert effort.comparisons == 90
    with pytest.raises(InvalidParameterError, match="too many combinations"):
        union_of((distinct(5), distinct(5, 5)), effort=effort)
    with pytest.raises(InvalidParameterError, match="too many combinations"):
        intersect(distinct(20), distinct(20), effort=Effort(comparisons_max=100))


def test_policies_of_different_namespaces_do_not_combine() -> None:
    foreign = RTreePolicy(entity("other"), LOCATION, 1, (Statement(NAMESPACE, ("p",), "*"),))
    with pytest.raises(InvalidParameterError, match="authority domain"):
        union(distinct(1), foreign)
    with pytest.raises(InvalidParameterError, match="authority domain"):
        intersect(distinct(1), foreign)
