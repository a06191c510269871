"""Which texts are topics and filters, and what the errors say."""

from __future__ import annotations

import pytest

from wavemq.errors import InvalidParameterError
from wavemq.limits import TOPIC_BYTES_MAX, TOPIC_LEVELS_MAX
from wavemq.messages.topic import Topic, TopicFilter


@pytest.mark.parametrize("text", ["a", "a/b", "a.b-c_d/x", "..", "é/ü", "a b", "(x),y"])
def test_plain_text_is_a_topic_and_a_filter(text: str) -> None:
    assert Topic(text).levels == tuple(text.split("/"))
    assert TopicFilter(text).matches(Topic(text))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("/a", "empty level"),
        ("a/", "empty level"),
        ("a//b", "empty level"),
        ("/", "empty level"),
        ("a\x00b", "control character"),
        ("a\nb", "control character"),
        ("a\x7f", "control character"),
        ("\ud800", "not Unicode"),
        ("é" * (TOPIC_BYTES_MAX // 2) + "a", "1025 bytes"),
        ("/".join(["a"] * (TOPIC_LEVELS_MAX + 1)), "65 levels"),
    ],
)
def test_text_that_breaks_a_rule_is_neither(text: str, reason: str) -> None:
    for kind in (Topic, TopicFilter):
        with pytest.raises(InvalidParameterError, match=reason):
            kind(text)


def test_limits_are_the_last_that_pass() -> None:
    assert Topic("é" * (TOPIC_BYTES_MAX // 2)).text
    assert len(Topic("/".join(["a"] * TOPIC_LEVELS_MAX)).levels) == TOPIC_LEVELS_MAX


@pytest.mark.parametrize("text", ["+", "*", "a/+", "a/*/b", "a+", "a*b"])
def test_topic_has_no_wildcard(text: str) -> None:
    with pytest.raises(InvalidParameterError, match="wildcard"):
        Topic(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a+", "inside the level"),
        ("a/*b", "inside the level"),
        ("++", "inside the level"),
        ("**", "inside the level"),
        ("*/*", "more than one"),
        ("*/a/*", "more than one"),
    ],
)
def test_filter_has_whole_wildcards_and_one_star(text: str, reason: str) -> None:
    with pytest.raises(InvalidParameterError, match=reason):
        TopicFilter(text)


@pytest.mark.parametrize(
    ("pattern", "topic", "is_match"),
    [
        ("*", "a", True),
        ("*", "a/b/c", True),
        ("a/*", "a", True),
        ("a/*", "a/b/c", True),
        ("a/*", "b", False),
        ("a/*", "ab", False),
        ("*/a", "a", True),
        ("*/a", "b/c/a", True),
        ("*/a", "a/b", False),
        ("a/*/a", "a", False),
        ("a/*/a", "a/a", True),
        ("a/*/+", "a", False),
        ("a/*/+", "a/b", True),
        ("+", "a", True),
        ("+", "a/b", False),
        ("a/+/c", "a/b/c", True),
        ("a/+/c", "a/c", False),
        ("A", "a", False),
    ],
)
def test_wildcards_match_their_levels(pattern: str, topic: str, is_match: bool) -> None:
    assert TopicFilter(pattern).matches(Topic(topic)) is is_match


def test_equal_texts_are_equal_values() -> None:
    assert Topic("a/b") == Topic("a/b")
    assert hash(TopicFilter("a/*")) == hash(TopicFilter("a/*"))
    assert str(Topic("a/b")) == "a/b"
    assert str(TopicFilter("a/+")) == "a/+"
