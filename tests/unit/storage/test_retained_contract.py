"""What every retained store does; run on each of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from wavemq.storage.memory import MemoryRetained
from wavemq.storage.retained import PAGE_ROWS_MAX, RetainedRow, RetainedStore
from wavemq.storage.sqlite_retained import SqliteRetained

NAMESPACE, OTHER = b"namespace", b"other"


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RetainedStore]:
    opened: RetainedStore = (
        MemoryRetained() if request.param == "memory" else SqliteRetained(tmp_path)
    )
    yield opened
    opened.close()


def row(topic: str, body: bytes = b"body", namespace: bytes = NAMESPACE) -> RetainedRow:
    return RetainedRow(namespace, topic, body, b"proof")


def find(store: RetainedStore, prefix: str = "", namespace: bytes = NAMESPACE) -> list[RetainedRow]:
    """All pages."""
    rows: list[RetainedRow] = []
    after: str | None = None
    while True:
        page = store.find(namespace, prefix=prefix, is_wanted=lambda _: True, after=after)
        rows += page.rows
        if page.next_after is None:
            return rows
        after = page.next_after


def test_each_topic_keeps_its_last_row(store: RetainedStore) -> None:
    store.write([row("a", b"1"), row("b", b"1")])
    store.write([row("a", b"2")])
    assert find(store) == [row("a", b"2"), row("b", b"1")]
    assert store.statistics().topics == 2


def test_namespaces_are_apart(store: RetainedStore) -> None:
    store.write([row("a"), row("a", b"theirs", OTHER)])
    assert find(store) == [row("a")]
    assert find(store, namespace=OTHER) == [row("a", b"theirs", OTHER)]
    assert find(store, namespace=b"unknown") == []


def test_rows_come_in_the_order_of_their_bytes(store: RetainedStore) -> None:
    topics = ["b", "a/b", "a", "a!", "é", "Z", "\U0001f600", "\uffee"]
    store.write([row(topic) for topic in topics])
    assert [one.topic for one in find(store)] == sorted(topics, key=str.encode)


def test_prefix_bounds_what_is_looked_at(store: RetainedStore) -> None:
    store.write([row(topic) for topic in ("a", "a/b", "ab", "b", "a%", "a_")])
    looked_at: list[str] = []

    def is_wanted(topic: str) -> bool:
        looked_at.append(topic)
        return topic != "a"

    page = store.find(NAMESPACE, prefix="a", is_wanted=is_wanted)
    assert [one.topic for one in page.rows] == ["a%", "a/b", "a_", "ab"]
    assert "b" not in looked_at
    assert find(store, "a/b/c") == []


def test_pages_are_bounded_in_rows_and_bytes_and_give_everything_once(store: RetainedStore) -> None:
    rows = [row(f"a/{number:05}", b"x" * 100) for number in range(2 * PAGE_ROWS_MAX + 3)]
    store.write(rows)
    page = store.find(NAMESPACE, prefix="", is_wanted=lambda _: True)
    assert len(page.rows) == PAGE_ROWS_MAX
    assert find(store) == rows
    large = [row(f"b/{number}", b"x" * 700_000) for number in range(4)]
    store.write(large)
    page = store.find(NAMESPACE, prefix="b", is_wanted=lambda _: True)
    assert len(page.rows) < len(large)
    assert find(store, "b") == large


def test_nothing_to_find_is_an_empty_page(store: RetainedStore) -> None:
    page = store.find(NAMESPACE, prefix="a", is_wanted=lambda _: True)
    assert (list(page.rows), page.next_after) == ([], None)
