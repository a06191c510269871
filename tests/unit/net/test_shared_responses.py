"""Responses that many readers share."""

from __future__ import annotations

from dataclasses import replace

from tests.support.core_values import message
from wavemq.limits import MIB
from wavemq.net import shared_responses
from wavemq.net.shared_responses import SharedResponses
from wavemq.wire import mqpb_pb2 as mqpb


def contents(responses: list[bytes]) -> list[bytes]:
    found = [mqpb.SubscriptionMessage.FromString(one).message for one in responses]
    return [one.tbs.payload[0].content for one in found]


def test_readers_of_one_message_get_the_same_bytes() -> None:
    shared = SharedResponses()
    one, other = message("a", b"one").value, message("a", b"other").value
    first = shared.of([one, other])
    assert contents(first) == [b"one", b"other"]
    again = shared.of([one])
    assert again[0] is first[0]
    assert contents(shared.of([other, one])) == [b"other", b"one"]


def test_an_equal_message_with_other_marks_of_its_way_gets_its_own_response() -> None:
    shared = SharedResponses()
    one = message("a", b"one").value
    late = replace(one, drops=(3,))
    assert shared.of([one]) != shared.of([late])
    assert list(mqpb.SubscriptionMessage.FromString(shared.of([late])[0]).message.drops) == [3]


def test_proofs_are_left_out() -> None:
    (response,) = SharedResponses().of([message("a", proof=b"proof").value])
    assert not mqpb.SubscriptionMessage.FromString(response).message.proofDER


def test_memory_of_responses_is_bounded_by_count_and_by_bytes() -> None:
    shared = SharedResponses()
    many = [
        message("a", number.to_bytes(4, "big")).value
        for number in range(2 * shared_responses.REMEMBERED_MAX + 1)
    ]
    for one in many:
        shared.of([one])
        assert len(shared._known) <= shared_responses.REMEMBERED_MAX
    large = [message("a", bytes([number]) * MIB).value for number in range(10)]
    for one in large:
        assert contents(shared.of([one])) == [one.payload[0].content]
        assert shared._size_bytes < shared_responses.REMEMBERED_BYTES_MAX + 2 * MIB
