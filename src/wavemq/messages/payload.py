"""A payload as one run of bytes, as it is encrypted as a whole (wavemq.md 6.3).

Owns the encoding of `Payload { repeated PayloadObject objects = 1 }` with `PayloadObject { string
schema = 1; bytes content = 2 }` in protobuf, both ways; the rows below the wire need no more of it.
Refuses to know encryption. Fault model: decrypted bytes are what somebody chose, or noise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from wavemq.errors import MalformedObjectError
from wavemq.limits import PAYLOAD_OBJECTS_MAX
from wavemq.messages.message import PayloadObject

_OBJECTS: Final = 1
_SCHEMA: Final = 1
_CONTENT: Final = 2
_VARINT: Final = 0
_FIXED64: Final = 1
_DELIMITED: Final = 2
_FIXED32: Final = 5
_FIXED_BYTES: Final = {_FIXED64: 8, _FIXED32: 4}
_VARINT_BYTES_MAX: Final = 10
_FIELD_MAX: Final = (1 << 29) - 1


def encode_payload(payload: Iterable[PayloadObject]) -> bytes:
    """Return the objects as one protobuf message, as every protobuf encoder writes it."""
    return b"".join(
        _delimited(
            _OBJECTS, _delimited(_SCHEMA, one.schema.encode()) + _delimited(_CONTENT, one.content)
        )
        or _EMPTY_OBJECT
        for one in payload
    )


def decode_payload(encoded: bytes) -> tuple[PayloadObject, ...]:
    """Return the objects; fields of later versions are passed over.

    Raises:
        MalformedObjectError: this is no payload, or it has too many objects.
    """
    found: list[PayloadObject] = []
    for field, value in _fields(encoded):
        if field != _OBJECTS:
            continue
        if value is None:
            raise MalformedObjectError("a payload holds something else than objects")
        if len(found) == PAYLOAD_OBJECTS_MAX:
            raise MalformedObjectError(f"a payload has more than {PAYLOAD_OBJECTS_MAX} objects")
        found.append(_object(value))
    return tuple(found)


def _object(encoded: bytes) -> PayloadObject:
    schema, content = "", b""
    for field, value in _fields(encoded):
        if field not in (_SCHEMA, _CONTENT):
            continue
        if value is None:
            raise MalformedObjectError("a payload object's field is of another kind")
        if field == _CONTENT:
            content = value
        else:
            try:
                schema = value.decode()
            except UnicodeDecodeError as error:
                raise MalformedObjectError("a payload object's schema is not UTF-8") from error
    return PayloadObject(schema, content)


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _delimited(field: int, value: bytes) -> bytes:
    """Return a field; one that is empty is left out."""
    return _tagged(field, value) if value else b""


def _tagged(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | _DELIMITED) + _varint(len(value)) + value


_EMPTY_OBJECT: Final = _tagged(_OBJECTS, b"")


def _fields(encoded: bytes) -> Iterator[tuple[int, bytes | None]]:
    """Yield number and bytes of each field; None for one that is not delimited."""
    place = 0
    while place < len(encoded):
        tag, place = _read_varint(encoded, place)
        field, kind = tag >> 3, tag & 7
        if not 0 < field <= _FIELD_MAX:
            raise MalformedObjectError("a payload has a field without a proper number")
        if kind == _VARINT:
            _, place = _read_varint(encoded, place)
            yield field, None
            continue
        if kind == _DELIMITED:
            size, place = _read_varint(encoded, place)
        elif kind in _FIXED_BYTES:
            size = _FIXED_BYTES[kind]
        else:
            raise MalformedObjectError("a payload has a field of an unknown kind")
        end = place + size
        if end > len(encoded):
            raise MalformedObjectError("a payload ends within a field")
        yield field, encoded[place:end] if kind == _DELIMITED else None
        place = end


def _read_varint(encoded: bytes, place: int) -> tuple[int, int]:
    number = 0
    for index, byte in enumerate(encoded[place : place + _VARINT_BYTES_MAX]):
        number |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return number, place + index + 1
    raise MalformedObjectError("a payload has a number without an end")
