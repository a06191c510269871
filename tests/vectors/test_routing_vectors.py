"""Matching, queries and subscription identities, against what the original answers.

Where the file records that the original answers otherwise, what must be answered is in the entry
itself and the original's answer beside it.
"""

from __future__ import annotations

from tests.support.vectors import vectors
from wavemq.messages.message import subscription_id_of_bytes
from wavemq.messages.topic import Topic, TopicFilter
from wavemq.routing.trie import FilterTrie
from wavemq.storage.memory import MemoryRetained
from wavemq.storage.retained import RetainedRow

ROUTING = vectors("routing")
NAMESPACE = b"n" * 34


def test_filters_match_as_recorded() -> None:
    wrong = [
        entry
        for entry in ROUTING["match"]
        if TopicFilter(entry[0]).matches(Topic(entry[1])) is not entry[2]
    ]
    assert wrong == []


def test_the_tree_of_filters_matches_as_recorded() -> None:
    trie: FilterTrie[str] = FilterTrie()
    for pattern, _, *_ in ROUTING["match"]:
        trie.add(TopicFilter(pattern), pattern)
    wrong = [
        entry
        for entry in ROUTING["match"]
        if (entry[0] in trie.match(Topic(entry[1]))) is not entry[2]
    ]
    assert wrong == []


def test_the_original_differs_only_where_a_last_star_matches_zero_levels() -> None:
    differing = [entry for entry in ROUTING["match"] if len(entry) > 3]
    assert differing
    for pattern, topic, is_match, original in differing:
        assert original == {"original": False}
        assert is_match
        assert pattern.endswith("/*")
        assert len(TopicFilter(pattern).levels) == len(Topic(topic).levels) + 1


def test_queries_find_the_recorded_topics() -> None:
    store = MemoryRetained()
    store.write([RetainedRow(NAMESPACE, uri, b"", b"") for uri in ROUTING["query"]["stored"]])
    for entry in ROUTING["query"]["queries"]:
        wanted = TopicFilter(entry["pattern"])
        page = store.find(
            NAMESPACE,
            prefix="",
            is_wanted=lambda text, wanted=wanted: wanted.matches(Topic(text)),  # type: ignore[misc]  # bound now
        )
        assert [row.topic for row in page.rows] == entry["found"], entry["pattern"]


def test_subscriptions_have_the_recorded_identities() -> None:
    for entity, identifier, identity in ROUTING["subscription_id"]:
        # The entities are random bytes, not hashes of a known kind.
        assert subscription_id_of_bytes(bytes.fromhex(entity), identifier) == identity
