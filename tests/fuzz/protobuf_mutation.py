"""Mutations that know the fields of a protobuf message, and any message at all of a type.

Owns changes of single fields, nested ones included. Everything is drawn from the `Random` that is
passed in. Refuses to know what fields mean: values come from the message itself, from a pool, and
from a list of odd ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final, cast

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from tests.fuzz.structured_mutation import change_bytes, mutate

_DEPTH_MAX: Final = 5
_NUMBERS: Final = (0, 1, -1, 2, 60, 255, 1 << 31, -(1 << 31), (1 << 63) - 1, -(1 << 63), 10**18)
_TEXTS: Final = (
    "",
    "a",
    "*",
    "+",
    "a/*/b/*",
    "/".join("a" * 12),
    "a" * 5000,
    "\x00",
    "a.b",
    "acme\n",
    "wr1",
    "plaintext",
    "default",
    "decrypt",
    "http://127.0.0.1:1/v1",
    "\U0001f511",
)
_BYTES: Final = (b"", b"\x00", b"\x1b\x20" + bytes(32), bytes(34), b"\xff" * 28, bytes(84))
_RANGES: Final = {
    FieldDescriptor.CPPTYPE_INT32: (-(1 << 31), (1 << 31) - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(1 << 63), (1 << 63) - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, (1 << 32) - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, (1 << 64) - 1),
    FieldDescriptor.CPPTYPE_ENUM: (0, 7),
}
Pool = Sequence[bytes]
"""Honest values of fields that hold bytes."""


def changing(
    kind: type[Message], pool: Callable[[], Pool]
) -> Callable[[bytes, Random, Sequence[bytes]], bytes]:
    """Return a mutation of the messages of one type, given as bytes."""

    def change(given: bytes, random: Random, others: Sequence[bytes]) -> bytes:
        if random.randrange(5) == 0:
            return mutate(given, random, others)
        try:
            message = kind.FromString(given)
        except DecodeError:
            message = kind()
        for _ in range(random.choice((1, 1, 2, 4))):
            change_message(message, random, pool())
        return message.SerializeToString()

    return change


def change_message(message: Message, random: Random, pool: Pool, depth: int = 0) -> None:
    """Change one field, at any depth."""
    # The stubs also name the classes of one implementation; they have the same attributes.
    fields = cast("Sequence[FieldDescriptor]", message.DESCRIPTOR.fields)
    if not fields or depth > _DEPTH_MAX:
        return
    field = random.choice(fields)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return
    is_list = field.is_repeated
    if random.randrange(8) == 0:
        message.ClearField(field.name)
    elif field.message_type is not None:
        _change_nested(message, field, random, pool, depth, is_list=is_list)
    elif is_list:
        values = getattr(message, field.name)
        if values and random.randrange(2):
            values[random.randrange(len(values))] = _value(field, random, pool, values[0])
        else:
            count = random.choice((1, 1, 2, 25))
            values.extend(_value(field, random, pool, None) for _ in range(count))
    else:
        setattr(message, field.name, _value(field, random, pool, getattr(message, field.name)))


def _change_nested(
    message: Message,
    field: FieldDescriptor,
    random: Random,
    pool: Pool,
    depth: int,
    *,
    is_list: bool,
) -> None:
    if not is_list:
        nested = getattr(message, field.name)
        nested.SetInParent()
        change_message(nested, random, pool, depth + 1)
        return
    values = getattr(message, field.name)
    if not values or random.randrange(3) == 0:
        values.add()
    if random.randrange(8) == 0 and len(values) < 70:
        values.extend([values[0]] * random.choice((1, 12)))
    change_message(random.choice(values), random, pool, depth + 1)


def _value(field: FieldDescriptor, random: Random, pool: Pool, old: Any) -> Any:
    """Return a value for a field; `old` is the one that it has, if any."""
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_BOOL:
            return not old
        case FieldDescriptor.CPPTYPE_STRING if field.type == FieldDescriptor.TYPE_BYTES:
            choice = random.randrange(4)
            if choice == 0 and old:
                return mutate(old, random)
            if choice == 1:
                return random.choice(_BYTES)
            return random.choice(pool) if pool else b""
        case FieldDescriptor.CPPTYPE_STRING:
            if old and random.randrange(3) == 0:
                return change_bytes(old.encode(), random).decode("utf-8", "replace")
            return random.choice(_TEXTS)
        case FieldDescriptor.CPPTYPE_DOUBLE | FieldDescriptor.CPPTYPE_FLOAT:
            return random.choice((0.0, -1.0, 1e300))
        case kind:
            low, high = _RANGES[kind]
            return min(max(random.choice(_NUMBERS), low), high)
