"""Laws of the pattern algebra, by brute force over a small alphabet, and of object codecs."""

from __future__ import annotations

from functools import cache
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from wavemq.errors import MalformedDERError
from wavemq.wave import der
from wavemq.wave.pattern import is_valid_resource, is_within, restrict
from wavemq.wave.pem import decode_pem, encode_pem

TOPICS = ["/".join(levels) for size in range(1, 6) for levels in product("ab", repeat=size)]
elements = st.sampled_from(["a", "b", "+", "*"])
patterns = st.lists(elements, min_size=1, max_size=4).map("/".join).filter(is_valid_resource)


def matches(levels: tuple[str, ...], topic: tuple[str, ...]) -> bool:
    if not levels:
        return not topic
    if levels[0] == "*":
        return any(matches(levels[1:], topic[skip:]) for skip in range(len(topic) + 1))
    return bool(topic) and levels[0] in ("+", topic[0]) and matches(levels[1:], topic[1:])


@cache
def language(pattern: str) -> frozenset[str]:
    levels = tuple(pattern.split("/"))
    return frozenset(topic for topic in TOPICS if matches(levels, tuple(topic.split("/"))))


@given(patterns, patterns)
def test_an_intersection_never_grants_more_than_both(left: str, right: str) -> None:
    found = restrict(left, right)
    if found is not None:
        assert language(found) <= language(left) & language(right)


@given(patterns, patterns)
def test_without_two_wildcards_the_intersection_is_exact(left: str, right: str) -> None:
    if "*" in left and "*" in right:
        return
    found = restrict(left, right)
    assert (language(found) if found is not None else frozenset()) == (
        language(left) & language(right)
    )


@given(patterns, patterns)
def test_what_is_within_has_no_topic_outside(left: str, right: str) -> None:
    if is_within(left, right):
        assert language(left) <= language(right)
    assert is_within(left, left)
    assert is_within(left, "*")


@given(st.integers(-(2**63), 2**63 - 1))
def test_integers_survive_their_encoding(value: int) -> None:
    encoded = der.integer(value)
    assert der.Reader(encoded).integer() == value
    size = encoded[1]
    assert size == 1 or not -(2 ** (8 * size - 9)) <= value < 2 ** (8 * size - 9)


@given(st.binary(max_size=300))
def test_octets_survive_and_any_bytes_give_an_element_or_our_error(data: bytes) -> None:
    assert der.Reader(der.octets(data)).octets() == data
    reader = der.Reader(data)
    try:
        element = reader.element()
    except MalformedDERError:
        return
    assert data.startswith(element)


@given(st.binary(min_size=1, max_size=500), st.sampled_from(["WAVE ENTITY", "WAVE ATTESTATION"]))
def test_pem_survives(data: bytes, label: str) -> None:
    assert decode_pem(b"preamble\n" + encode_pem(label, data)) == (label, data)
