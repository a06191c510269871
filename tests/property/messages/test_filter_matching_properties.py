"""Filters against a second, deliberately simple definition, on a tiny alphabet."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wavemq.errors import InvalidParameterError
from wavemq.messages.topic import Topic, TopicFilter

LEVELS = st.sampled_from(["a", "b"])
TOPICS = st.lists(LEVELS, min_size=1, max_size=6).map("/".join)


@st.composite
def filters(draw: st.DrawFn) -> str:
    levels = draw(st.lists(st.sampled_from(["a", "b", "+"]), max_size=5))
    if draw(st.booleans()) or not levels:
        levels.insert(draw(st.integers(0, len(levels))), "*")
    return "/".join(levels)


def is_match(pattern: list[str], topic: list[str]) -> bool:
    """By the words of the specification, one level at a time."""
    if not pattern:
        return not topic
    if pattern[0] == "*":
        return any(is_match(pattern[1:], topic[count:]) for count in range(len(topic) + 1))
    return bool(topic) and pattern[0] in ("+", topic[0]) and is_match(pattern[1:], topic[1:])


@given(filters(), TOPICS)
def test_matching_is_the_specification_s(pattern: str, topic: str) -> None:
    expected = is_match(pattern.split("/"), topic.split("/"))
    assert TopicFilter(pattern).matches(Topic(topic)) is expected


@given(TOPICS)
def test_every_topic_as_a_filter_matches_itself_alone(topic: str) -> None:
    assert TopicFilter(topic).matches(Topic(topic))
    assert not TopicFilter(topic).matches(Topic(topic + "/a"))


@given(st.text(max_size=80))
def test_any_text_is_sound_or_refused(text: str) -> None:
    for kind in (Topic, TopicFilter):
        try:
            parsed = kind(text)
        except InvalidParameterError:
            continue
        assert "/".join(parsed.levels) == text
