"""Counts of references to messages on disk, against a plain counter."""

from __future__ import annotations

from array import array
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from wavemq.routing.stored import StoredReferences

RECORDS = st.integers(1, 12)
QUEUES = st.lists(st.sets(RECORDS).map(sorted), max_size=5)


@given(QUEUES, st.lists(st.tuples(st.sampled_from(["take", "release", "add"]), RECORDS)))
def test_counts_are_those_of_a_plain_counter(
    queues: list[list[int]], steps: list[tuple[str, int]]
) -> None:
    model = Counter(record for queue in queues for record in queue)
    stored = StoredReferences([array("Q", queue) for queue in queues])
    for step, record in steps:
        if step == "add" and record not in model:
            model[record] = record % 3 + 1
            stored.add(record, model[record])
        elif step == "take" and record in model:
            assert stored.take(record) == model.pop(record)
        elif step == "release" and record in model:
            model[record] -= 1
            assert stored.release(record) is (model[record] == 0)
            model += Counter()  # those at zero are gone
        assert len(stored) == len(model)
    assert {record: stored.take(record) for record in list(model)} == dict(model)
    assert len(stored) == 0
