"""Topics, and filters that match them.

Owns which texts are topics and filters, and when a filter matches (wavemq.md 1): `+` stands for
exactly one level, `*` for zero or more levels, anywhere, at most once. Refuses to know namespaces
and who may use a topic. Fault model: texts come from anybody; what breaks a rule is an
`InvalidParameterError`, and an object that exists is sound.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from wavemq.errors import InvalidParameterError
from wavemq.limits import TOPIC_BYTES_MAX, TOPIC_LEVELS_MAX

ONE_LEVEL: Final = "+"
ANY_LEVELS: Final = "*"
SEPARATOR: Final = "/"
_DELETE: Final = "\x7f"


@dataclass(frozen=True, slots=True)
class Topic:
    """What a message is about: levels joined by `/`, without wildcards.

    Args:
        text: at most `TOPIC_BYTES_MAX` bytes of UTF-8 and `TOPIC_LEVELS_MAX` levels; no level is
            empty or holds a wildcard or a control character.

    Raises:
        InvalidParameterError: the text is no topic.
    """

    text: str
    levels: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        levels = _parse_levels(self.text, "topic")
        if ONE_LEVEL in self.text or ANY_LEVELS in self.text:
            raise InvalidParameterError(
                f"the topic {_quoted(self.text)} has a wildcard; only filters may"
            )
        object.__setattr__(self, "levels", levels)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class TopicFilter:
    """Which topics are asked for: levels joined by `/`, some of which may be wildcards.

    Args:
        text: as of a topic, and a level may be `+` (exactly one level) or, once, `*` (zero or more
            levels).

    Raises:
        InvalidParameterError: the text is no filter.
    """

    text: str
    levels: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        levels = _parse_levels(self.text, "topic filter")
        for level in levels:
            if len(level) > 1 and (ONE_LEVEL in level or ANY_LEVELS in level):
                raise InvalidParameterError(
                    f"the topic filter {_quoted(self.text)} has a wildcard inside the level "
                    f"{_quoted(level)}; a wildcard stands alone"
                )
        if levels.count(ANY_LEVELS) > 1:
            raise InvalidParameterError(
                f"the topic filter {_quoted(self.text)} has more than one {ANY_LEVELS}"
            )
        object.__setattr__(self, "levels", levels)

    def __str__(self) -> str:
        return self.text

    def matches(self, topic: Topic) -> bool:
        """Return whether a topic is asked for."""
        wanted, found = self.levels, topic.levels
        if ANY_LEVELS not in wanted:
            return len(wanted) == len(found) and _all_match(wanted, found)
        before = wanted.index(ANY_LEVELS)
        after = len(wanted) - before - 1
        if len(found) < before + after:
            return False
        return _all_match(wanted[:before], found) and (
            after == 0 or _all_match(wanted[-after:], found[-after:])
        )


def _all_match(wanted: tuple[str, ...], found: tuple[str, ...]) -> bool:
    """Compare levels pairwise, as far as `wanted` goes."""
    return all(level in (ONE_LEVEL, other) for level, other in zip(wanted, found, strict=False))


def _parse_levels(text: str, what: str) -> tuple[str, ...]:
    """Return the levels of a text.

    Raises:
        InvalidParameterError: it is too long or too deep, or has an empty level or characters
            that no topic has.
    """
    if not text:
        raise InvalidParameterError(f"the {what} is empty")
    try:
        size_bytes = len(text.encode())
    except UnicodeEncodeError as error:
        raise InvalidParameterError(f"the {what} is not Unicode text") from error
    if size_bytes > TOPIC_BYTES_MAX:
        raise InvalidParameterError(
            f"the {what} has {size_bytes} bytes; the limit is {TOPIC_BYTES_MAX}"
        )
    if any(character < " " or character == _DELETE for character in text):
        raise InvalidParameterError(f"the {what} {_quoted(text)} has a control character")
    levels = tuple(text.split(SEPARATOR))
    if len(levels) > TOPIC_LEVELS_MAX:
        raise InvalidParameterError(
            f"the {what} has {len(levels)} levels; the limit is {TOPIC_LEVELS_MAX}"
        )
    if "" in levels:
        raise InvalidParameterError(f"the {what} {_quoted(text)} has an empty level")
    return levels


def _quoted(text: str) -> str:
    """Return a text as it may stand in an error."""
    return ascii(text)
