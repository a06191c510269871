"""The tree of filters finds what asking every filter finds, whatever came and went before."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wavemq.messages.topic import Topic, TopicFilter
from wavemq.routing.trie import FilterTrie

LEVELS = st.sampled_from(["a", "b", "+"])
TOPICS = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=6).map("/".join)


@st.composite
def filters(draw: st.DrawFn) -> str:
    levels = draw(st.lists(LEVELS, max_size=4))
    if draw(st.booleans()) or not levels:
        levels.insert(draw(st.integers(0, len(levels))), "*")
    return "/".join(levels)


FILED = st.tuples(filters(), st.integers(0, 3))


@given(st.lists(FILED, max_size=30), st.lists(FILED, max_size=15), st.lists(TOPICS, max_size=8))
def test_tree_matches_as_a_list_does(
    added: list[tuple[str, int]], removed: list[tuple[str, int]], topics: list[str]
) -> None:
    trie: FilterTrie[tuple[str, int]] = FilterTrie()
    filed = set()
    for one in added:
        trie.add(TopicFilter(one[0]), one)
        filed.add(one)
    for one in [*removed, *added[::3]]:
        trie.remove(TopicFilter(one[0]), one)
        filed.discard(one)
    assert len(trie) == len(filed)
    for text in topics:
        topic = Topic(text)
        found = trie.match(topic)
        assert sorted(found) == sorted(one for one in filed if TopicFilter(one[0]).matches(topic))
    for one in filed:
        trie.remove(TopicFilter(one[0]), one)
    assert len(trie) == 0
    assert trie._root.is_empty, "nothing of what was removed stays in memory"
