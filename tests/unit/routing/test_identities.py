"""What tells messages and lanes apart, and what is remembered of those that came."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.core_values import message
from wavemq.errors import RemoteProtocolError
from wavemq.messages.message import Message
from wavemq.routing.identities import (
    REMEMBERED_PER_ORIGIN,
    REMEMBERED_PER_QUEUE,
    Repeats,
    lane_key,
    message_identity,
    origin_scope,
    queue_scope,
)
from wavemq.routing.records import DownlinkPosition, QueueId, Scope

SITE = origin_scope("site")
OTHER = origin_scope("other")


def a_message(topic: str = "a", formed: int = 7, origin: str = "site") -> Message:
    return message(topic, b"1", timestamps=[formed], origin=origin).value


def test_messages_are_told_apart_by_origin_signature_and_time_of_forming() -> None:
    one = a_message()
    others = [a_message("b"), a_message(formed=8), a_message(origin="other")]
    assert len({message_identity(each) for each in (one, *others)}) == 4
    on_its_way = replace(one, timestamps=(*one.timestamps, one.timestamps[0]), drops=(3,))
    assert message_identity(on_its_way) == message_identity(one)


def test_message_without_timestamp_has_no_identity() -> None:
    assert message_identity(message("a").value) is None


def test_lanes_are_told_apart_by_origin_and_topic() -> None:
    assert len({lane_key(*one) for one in (("s", "a"), ("s", "b"), ("t", "a"), ("sa", ""))}) == 4
    assert lane_key("s", "a") == lane_key("s", "a")
    assert all(-(2**63) <= lane_key("s", f"{number}") < 2**63 for number in range(100))


@pytest.mark.parametrize(
    ("scope", "kept"),
    [(SITE, REMEMBERED_PER_ORIGIN), (queue_scope(QueueId(7)), REMEMBERED_PER_QUEUE)],
)
def test_newest_of_a_scope_are_remembered(scope: Scope, kept: int) -> None:
    repeats = Repeats({})
    for number in range(kept + 1):
        assert repeats.note(scope, number) == []
    assert not repeats.knows(scope, 0)
    assert all(repeats.knows(scope, number) for number in range(1, kept + 1))
    assert len(repeats) == kept


def test_quiet_scopes_are_forgotten_first() -> None:
    repeats = Repeats({SITE: [1, 2], OTHER: [3]}, remembered_max=3)
    assert repeats.note(SITE, 4) == [OTHER]
    assert not repeats.knows(OTHER, 3)
    assert [repeats.knows(SITE, number) for number in (1, 2, 4)] == [True, True, True]
    assert repeats.note(SITE, 5) == [], "the only scope is not forgotten"


def test_forgotten_messages_are_new_again() -> None:
    repeats = Repeats({SITE: [1, 2]})
    repeats.forget(SITE, 1)
    repeats.forget(OTHER, 1)
    assert (repeats.knows(SITE, 1), repeats.knows(SITE, 2), len(repeats)) == (False, True, 1)
    assert repeats.forget_scope(SITE)
    assert not repeats.forget_scope(SITE)
    assert len(repeats) == 0


@pytest.mark.parametrize(("journal", "index"), [("é" * 25, 1), ("a", -1), ("a", 2**64)])
def test_positions_that_cannot_be_kept_are_refused(journal: str, index: int) -> None:
    with pytest.raises(RemoteProtocolError):
        DownlinkPosition(journal, index)
