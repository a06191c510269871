"""What the core knows comes back from the disk as it was, or counts as corrupt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.core_values import NAMESPACE, entity, message, query, subscription
from wavemq.clock import Instant
from wavemq.messages.message import Message, PayloadObject
from wavemq.messages.topic import Topic
from wavemq.messages.verified import Verified
from wavemq.router.recording import Recorder
from wavemq.routing.draft import Draft
from wavemq.routing.records import (
    ConsumerQueueDefinition,
    DownlinkPosition,
    Entry,
    LaneKey,
    QueueDefinition,
    QueueId,
    RecordId,
    Scope,
    UplinkQueueDefinition,
)
from wavemq.storage.journal import JournalBatch, QueueRow, RecordRow
from wavemq.storage.memory import MemoryJournal, MemoryRetained
from wavemq.storage.retained import PAGE_ROWS_MAX, RetainedRow
from wavemq.wave.location import Location

LOCATION = Location("https://storage.example/v1")
INSTANTS = st.integers(0, 2**63 - 1).map(Instant)


def recorder() -> Recorder:
    return Recorder(MemoryJournal(), MemoryRetained())


def write_message(target: Recorder, value: Verified[Message]) -> None:
    draft = Draft()
    draft.records[RecordId(1)] = value
    target.write(draft.changes())


@st.composite
def messages(draw: st.DrawFn) -> Verified[Message]:
    payload = st.builds(PayloadObject, st.text(max_size=5), st.binary(max_size=20))
    value = replace(
        message(
            "/".join(draw(st.lists(st.sampled_from(["a", "é"]), min_size=1, max_size=3)))
        ).value,
        source_location=draw(st.sampled_from([None, LOCATION])),
        payload=tuple(draw(st.lists(payload, max_size=3))),
        origin_router=draw(st.text("abc-", max_size=8)),
        jedi_timestamp=draw(st.none() | st.integers(0, 2**63 - 1)),
        proof=draw(st.binary(max_size=50)),
        signature=draw(st.binary(max_size=50)),
        encryption_partition=tuple(draw(st.lists(st.binary(max_size=5), max_size=3))),
        timestamps=tuple(draw(st.lists(INSTANTS, max_size=4))),
        drops=tuple(draw(st.lists(st.integers(0, 2**63 - 1), max_size=4))),
        is_persisted=draw(st.booleans()),
    )
    return Verified(value, draw(INSTANTS))


@given(messages())
def test_any_message_comes_back_as_it_was(value: Verified[Message]) -> None:
    target = recorder()
    write_message(target, value)
    assert target.read([RecordId(1)]) == [(RecordId(1), value)]


@pytest.mark.parametrize(
    "definition",
    [
        UplinkQueueDefinition(NAMESPACE),
        ConsumerQueueDefinition(subscription("a/*"), is_local=True),
        ConsumerQueueDefinition(subscription("+", absolute_expiry=Instant(5)), is_local=False),
        ConsumerQueueDefinition(subscription("a", "", proof=b"", router_id=""), is_local=False),
    ],
)
def test_queues_come_back_as_they_were(definition: QueueDefinition) -> None:
    target, draft = recorder(), Draft()
    queue = QueueId(4)
    draft.queues[queue] = definition
    draft.dropped_counts[queue] = 3
    draft.records[RecordId(8)] = message("a")
    entry = Entry(RecordId(8), 77, LaneKey(-(2**63)))
    draft.entries[queue, entry.record] = entry
    position = DownlinkPosition("journal-é", 2**64 - 1)
    draft.positions[queue] = position
    draft.identities[Scope(b"scope"), 2**64 - 1] = None
    target.write(draft.changes())
    snapshot = target.snapshot()
    (stored,) = snapshot.queues
    assert (stored.queue, stored.definition, stored.dropped_count) == (queue, definition, 3)
    assert stored.position == position
    assert list(stored.entries) == [entry]
    assert {scope: list(seen) for scope, seen in snapshot.identities.items()} == {
        b"scope": [2**64 - 1]
    }
    assert (snapshot.next_queue, snapshot.next_record, snapshot.corrupt_count) == (5, 9, 0)


def test_source_location_of_a_subscription_comes_back() -> None:
    target, draft = recorder(), Draft()
    wish = subscription("a")
    wish = Verified(replace(wish.value, source_location=LOCATION), wish.granted_until)
    definition = ConsumerQueueDefinition(wish, is_local=True)
    draft.queues[QueueId(1)] = definition
    target.write(draft.changes())
    assert target.snapshot().queues[0].definition == definition


def test_instants_after_2262_are_kept_as_the_latest_that_fits() -> None:
    target, draft = recorder(), Draft()
    latest, year_9999 = Instant(2**63 - 1), Instant(253_402_300_799 * 10**9)
    wish = subscription("a", absolute_expiry=year_9999, granted_until=year_9999)
    draft.queues[QueueId(1)] = ConsumerQueueDefinition(wish, is_local=True)
    draft.records[RecordId(1)] = Verified(message("a").value, year_9999)
    target.write(draft.changes())
    ((_, found),) = target.read([RecordId(1)])
    assert found is not None
    assert found.granted_until == latest
    definition = target.snapshot().queues[0].definition
    assert isinstance(definition, ConsumerQueueDefinition)
    assert definition.subscription.granted_until == latest
    assert definition.subscription.value.absolute_expiry == latest


def bad_contents() -> Iterator[bytes]:
    yield from (b"", b"\x00", b"\x01" * 9, b"\xff" * 60)
    target, draft = MemoryJournal(), Draft()
    draft.queues[QueueId(1)] = ConsumerQueueDefinition(subscription("a"), is_local=True)
    Recorder(target, MemoryRetained()).write(draft.changes())
    sound = target.contents().queues[0].definition
    yield b"\x02" + sound[1:]  # another format
    yield sound[:1] + b"\x09" + sound[2:]  # another kind
    yield sound[:-3]
    yield sound[:12]  # no request at all


@pytest.mark.parametrize("content", list(bad_contents()))
def test_queue_that_does_not_parse_counts_as_corrupt_and_the_rest_is_served(content: bytes) -> None:
    journal = MemoryJournal()
    target, draft = Recorder(journal, MemoryRetained()), Draft()
    draft.queues[QueueId(2)] = UplinkQueueDefinition(NAMESPACE)
    target.write(draft.changes())
    journal.write(JournalBatch(queues=[QueueRow(1, content, b"")]))
    snapshot = target.snapshot()
    assert [stored.queue for stored in snapshot.queues] == [2]
    assert snapshot.corrupt_count == 1


@given(st.binary(max_size=60))
def test_any_bytes_are_a_message_or_corrupt(content: bytes) -> None:
    journal = MemoryJournal()
    journal.write(JournalBatch(records=[RecordRow(1, b"\x01" + content, b"")]))
    ((record, found),) = Recorder(journal, MemoryRetained()).read([RecordId(1)])
    assert record == 1
    assert found is None or isinstance(found.value, Message)


def test_message_of_another_format_counts_as_corrupt() -> None:
    journal = MemoryJournal()
    target = Recorder(journal, MemoryRetained())
    write_message(target, message("a"))
    row = journal.read([1])[1]
    assert isinstance(row, RecordRow)
    journal.write(JournalBatch(records=[RecordRow(1, b"\x02" + row.body[1:], b"")]))
    assert target.read([RecordId(1), RecordId(9)]) == [(1, None), (9, None)]


def test_router_id_is_made_once_and_kept() -> None:
    target = recorder()
    assert target.router_id(lambda: "first") == "first"
    assert target.router_id(lambda: "second") == "first"


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*", ["a", "a/b", "ab", "b/c"]),
        ("a/*", ["a", "a/b"]),
        ("a/+", ["a/b"]),
        ("+", ["a", "ab"]),
        ("a", ["a"]),
        ("*/c", ["b/c"]),
        ("c/*", []),
    ],
)
def test_queries_find_retained_messages_by_filter(pattern: str, expected: list[str]) -> None:
    target, draft = recorder(), Draft()
    for text in ("a", "a/b", "ab", "b/c"):
        value = message(text, text.encode())
        draft.retained[NAMESPACE, Topic(text)] = value
        draft.retained[entity("other"), Topic(text)] = message(text, b"theirs")
    target.write(draft.changes())
    found = [
        one
        for batch in target.retained(NAMESPACE, query(pattern).value.topic_filter)
        for one in batch
    ]
    assert [one.topic.text for one in found] == expected
    assert all(one.payload[0].content == one.topic.text.encode() for one in found)
    assert all(one.proof == b"proof" for one in found)


def test_large_answers_come_in_batches_without_corrupt_ones() -> None:
    store = MemoryRetained()
    target, draft = Recorder(MemoryJournal(), store), Draft()
    for number in range(PAGE_ROWS_MAX + 10):
        draft.retained[NAMESPACE, Topic(f"a/{number:04}")] = message(f"a/{number:04}")
    target.write(draft.changes())
    store.write([RetainedRow(NAMESPACE.to_bytes(), "a/0003", b"?", b"")])
    batches = list(target.retained(NAMESPACE, query("a/*").value.topic_filter))
    assert len(batches) == 2
    assert sum(map(len, batches)) == PAGE_ROWS_MAX + 9
