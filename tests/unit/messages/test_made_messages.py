"""A message that was made the short way is a message like any."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields, replace

import pytest

from tests.support.ports import message
from wavemq.clock import Instant
from wavemq.messages.message import Message, made_message


def made(one: Message, head: bytes) -> Message:
    make: Callable[..., Message] = made_message
    return make(*[getattr(one, field.name) for field in fields(one) if field.init], head)


def test_made_message_is_equal_hashes_alike_and_can_be_copied() -> None:
    one = message(7)
    other = made(one, b"head")
    assert type(other) is Message
    assert (other, hash(other), repr(other)) == (one, hash(one), repr(one))
    assert other.head == b"head"
    assert replace(other, drops=()).head == b""
    assert copy.copy(other) == pickle.loads(pickle.dumps(other)) == one


def test_made_message_is_frozen() -> None:
    other = made(message(7), b"")
    with pytest.raises(FrozenInstanceError):
        other.proof = b"another"  # type: ignore[misc] # that is what is tested
    with pytest.raises(FrozenInstanceError):
        del other.proof


def test_message_that_passed_keeps_everything_but_the_marks_of_its_way() -> None:
    one = message(7)
    one.keep_head(b"head")
    passed = one.arrived(Instant(5)).dequeued(2)
    assert passed == replace(one, timestamps=(Instant(5),), drops=(3, 2))
    assert passed.head == b"head"
