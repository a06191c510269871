"""Which of many filters match a topic, without asking each.

Owns a tree of filter levels. Refuses to know namespaces, queues and messages: values are whatever
the caller files under a filter. Fault model: filters come from anybody who may subscribe. A match
visits at most the branches that filters made, so one topic costs no more than asking every filter
would, and mostly far less.

The levels of a filter up to its `*` go down the tree from the topic's front. The levels after `*`
hang below it in reverse and are walked from the topic's end, since they must be its last ones.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

from wavemq.messages.topic import ANY_LEVELS, ONE_LEVEL, Topic, TopicFilter

ValueT = TypeVar("ValueT", bound=Hashable)


class _Node(Generic[ValueT]):
    """One level of filters; `after_any` is the reversed tree behind a `*`."""

    __slots__ = ("after_any", "children", "one_level", "values")

    def __init__(self) -> None:
        self.children: dict[str, _Node[ValueT]] = {}
        self.one_level: _Node[ValueT] | None = None
        self.after_any: _Node[ValueT] | None = None
        # A dict instead of a set, since its order is that of filing: equal runs are equal.
        self.values: dict[ValueT, None] = {}

    @property
    def is_empty(self) -> bool:
        return not (self.children or self.values or self.one_level or self.after_any)

    def branch(self, level: str) -> _Node[ValueT] | None:
        """Return the node of a level of a filter."""
        if level == ONE_LEVEL:
            return self.one_level
        if level == ANY_LEVELS:
            return self.after_any
        return self.children.get(level)

    def grow(self, level: str) -> _Node[ValueT]:
        """Return the node of a level of a filter, made if it is not there."""
        found = self.branch(level)
        if found is None:
            found = _Node()
            self._set(level, found)
        return found

    def cut(self, level: str) -> None:
        """Remove the node of a level of a filter."""
        if level in (ONE_LEVEL, ANY_LEVELS):
            self._set(level, None)
        else:
            del self.children[level]

    def _set(self, level: str, node: _Node[ValueT] | None) -> None:
        if level == ONE_LEVEL:
            self.one_level = node
        elif level == ANY_LEVELS:
            self.after_any = node
        elif node is not None:
            self.children[level] = node


class FilterTrie(Generic[ValueT]):
    """Values filed under topic filters; found by topic."""

    def __init__(self) -> None:
        self._root: _Node[ValueT] = _Node()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, topic_filter: TopicFilter, value: ValueT) -> None:
        """File a value under a filter; the same pair is filed once."""
        node = self._root
        for level in _path(topic_filter):
            node = node.grow(level)
        if value not in node.values:
            node.values[value] = None
            self._count += 1

    def remove(self, topic_filter: TopicFilter, value: ValueT) -> None:
        """Take a value from a filter; nothing happens if it is not there."""
        path = _path(topic_filter)
        nodes = [self._root]
        for level in path:
            node = nodes[-1].branch(level)
            if node is None:
                return
            nodes.append(node)
        if value not in nodes[-1].values:
            return
        del nodes[-1].values[value]
        self._count -= 1
        for level in reversed(path):
            if not nodes.pop().is_empty:
                break
            nodes[-1].cut(level)

    def match(self, topic: Topic) -> list[ValueT]:
        """Return the values of all filters that match a topic, each filter once."""
        levels = topic.levels
        last = len(levels)
        found: list[ValueT] = []
        pending = [(self._root, 0)]
        while pending:
            node, index = pending.pop()
            if node.after_any is not None:
                _match_backwards(node.after_any, levels, index, found)
            if index == last:
                found += node.values
                continue
            child = node.children.get(levels[index])
            if child is not None:
                pending.append((child, index + 1))
            if node.one_level is not None:
                pending.append((node.one_level, index + 1))
        return found


def _match_backwards(
    root: _Node[ValueT], levels: tuple[str, ...], first: int, found: list[ValueT]
) -> None:
    """Walk what hangs below a `*` from the topic's end down to its level `first`."""
    pending = [(root, len(levels))]
    while pending:
        node, end = pending.pop()
        found += node.values
        if end == first:
            continue
        child = node.children.get(levels[end - 1])
        if child is not None:
            pending.append((child, end - 1))
        if node.one_level is not None:
            pending.append((node.one_level, end - 1))


def _path(topic_filter: TopicFilter) -> tuple[str, ...]:
    """Return the levels of a filter in the order in which the tree has them."""
    levels = topic_filter.levels
    if ANY_LEVELS not in levels:
        return levels
    turn = levels.index(ANY_LEVELS) + 1
    return levels[:turn] + levels[turn:][::-1]
