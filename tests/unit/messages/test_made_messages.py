"""A value that was made the short way is a value like any."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, dataclass, field, fields, replace
from typing import Any, Generic, TypeVar

import pytest

from tests.support.ports import message
from wavemq.clock import Instant
from wavemq.messages.message import Message, made_message
from wavemq.quickly import quickly

T = TypeVar("T")


def made(one: Message) -> Message:
    given: list[Any] = [getattr(one, field.name) for field in fields(one) if field.init]
    return made_message(*given)


def test_made_message_is_equal_hashes_alike_and_can_be_copied() -> None:
    one = message(7)
    other = made(one)
    other.keep_head(b"head")
    assert type(other) is Message
    assert (other, hash(other), repr(other)) == (one, hash(one), repr(one))
    assert other.head == b"head"
    assert replace(other, drops=()).head == b""
    assert copy.copy(other) == pickle.loads(pickle.dumps(other)) == one


def test_made_message_is_frozen() -> None:
    other = made(message(7))
    assert other.head == b"", "what is not given has its default"
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


@dataclass(frozen=True, slots=True)
class Pair(Generic[T]):
    left: T
    right: int = 5


def test_short_way_takes_what_the_class_takes() -> None:
    make = quickly(Pair)
    assert make("a") == Pair("a")
    assert make("a", 6) == make(right=6, left="a") == Pair("a", 6)
    assert type(make("a")) is Pair
    for arguments in ((), ("a", 6, 7)):
        with pytest.raises(TypeError):
            make(*arguments)


@dataclass(frozen=True, slots=True)
class Checked:
    number: int

    def __post_init__(self) -> None:
        assert self.number


@dataclass(frozen=True)
class WithoutSlots:
    number: int


@dataclass(frozen=True, slots=True)
class WithFactory:
    numbers: list[int] = field(default_factory=list)


@pytest.mark.parametrize("cls", [Checked, WithoutSlots, WithFactory])
def test_classes_that_do_more_when_they_are_made_have_no_short_way(cls: type) -> None:
    with pytest.raises(TypeError, match=cls.__name__):
        quickly(cls)
