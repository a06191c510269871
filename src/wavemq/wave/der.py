"""A small strict DER codec for the objects of WAVE (wave.md 1).

Owns tags, lengths and the few types that WAVE uses. Refuses to know any object. Decoding is
canonical: minimal lengths and integers, exact tags, nothing left over; so what decodes re-encodes
to the same bytes. Every departure is `MalformedDERError`. Reading works on offsets and copies only
the octet strings that are asked for.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from wavemq.clock import Instant, datetime_from_instant, instant_from_datetime
from wavemq.errors import MalformedDERError
from wavemq.limits import DER_DEPTH_MAX

BOOLEAN: Final = 0x01
INTEGER: Final = 0x02
OCTETS: Final = 0x04
OID: Final = 0x06
UTF8: Final = 0x0C
UTC_TIME: Final = 0x17
GENERALIZED_TIME: Final = 0x18
EXTERNAL: Final = 0x28
SEQUENCE: Final = 0x30
SET: Final = 0x31
EXPLICIT: Final = 0xA0

_LENGTH_OCTETS_MAX: Final = 4
_INT64_BYTES: Final = 8
ARC: Final = bytes.fromhex("2b06010401838f55")
"""Content bytes of the OID 1.3.6.1.4.1.51157, under which WAVE numbers its kinds."""


# --- encoding -----------------------------------------------------------------------------------


def encode(tag: int, *parts: bytes) -> bytes:
    """Return the element with `tag` whose content is the concatenated parts."""
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


def sequence(*elements: bytes) -> bytes:
    """Return a SEQUENCE of complete elements."""
    return encode(SEQUENCE, *elements)


def octets(content: bytes) -> bytes:
    """Return an OCTET STRING."""
    return encode(OCTETS, content)


def text(content: str) -> bytes:
    """Return a UTF8String."""
    return encode(UTF8, content.encode())


def integer(value: int) -> bytes:
    """Return an INTEGER in minimal two's complement."""
    return encode(INTEGER, value.to_bytes(_integer_size(value), "big", signed=True))


def _integer_size(value: int) -> int:
    """Return the bytes of the shortest two's complement form."""
    return (value if value >= 0 else ~value).bit_length() // 8 + 1


def boolean(*, value: bool) -> bytes:
    """Return a BOOLEAN."""
    return encode(BOOLEAN, b"\xff" if value else b"\x00")


def set_of_integers(values: tuple[int, ...]) -> bytes:
    """Return a SET OF INTEGER in the order given (WAVE does not sort)."""
    return encode(SET, *(integer(value) for value in values))


def oid(arc: int, member: int) -> bytes:
    """Return the OBJECT IDENTIFIER `arc.member` under WAVE's arc."""
    return encode(OID, ARC, bytes((arc, member)))


def external(kind: tuple[int, int], value: bytes) -> bytes:
    """Return `EXT(kind, value)` of wave.md 1.2; `value` is a complete element."""
    return encode(EXTERNAL, oid(*kind), encode(EXPLICIT, value))


def explicit(number: int, content: bytes) -> bytes:
    """Return a context-specific explicit tag around complete elements."""
    return encode(EXPLICIT | number, content)


def moment(instant: Instant) -> bytes:
    """Return UTCTime for 1950..2049, else GeneralizedTime, always in UTC, whole seconds."""
    when = datetime_from_instant(instant)
    if 1950 <= when.year <= 2049:
        return encode(UTC_TIME, when.strftime("%y%m%d%H%M%SZ").encode())
    return encode(GENERALIZED_TIME, f"{when.year:04d}{when:%m%d%H%M%SZ}".encode())


# --- decoding -----------------------------------------------------------------------------------


class Reader:
    """Reads the elements of one constructed content, in order.

    Args:
        data: the whole object.
        start: where the content begins.
        end: where it ends.
        depth: how deeply it is nested.
    """

    __slots__ = ("_data", "_depth", "_end", "_place")

    def __init__(self, data: bytes, start: int = 0, end: int | None = None, depth: int = 0) -> None:
        if depth > DER_DEPTH_MAX:
            raise MalformedDERError(f"nested deeper than {DER_DEPTH_MAX} levels")
        self._data = data
        self._place = start
        self._end = len(data) if end is None else end
        self._depth = depth

    @property
    def is_at_end(self) -> bool:
        """Whether nothing is left."""
        return self._place == self._end

    def finish(self) -> None:
        """Require that nothing is left.

        Raises:
            MalformedDERError: something is.
        """
        if self._place != self._end:
            raise MalformedDERError("trailing bytes")

    def peek(self) -> int | None:
        """Return the next tag, or None at the end."""
        return self._data[self._place] if self._place < self._end else None

    def _enter(self, tag: int | None) -> tuple[int, int, int]:
        """Move past the next element; return where it starts, its content starts, and it ends."""
        data, start = self._data, self._place
        if start + 2 > self._end:
            raise MalformedDERError("an element is cut off")
        if tag is not None and data[start] != tag:
            raise MalformedDERError(f"expected tag 0x{tag:02x}, found 0x{data[start]:02x}")
        size, content = data[start + 1], start + 2
        if size >= 0x80:
            count = size & 0x7F
            if not 1 <= count <= _LENGTH_OCTETS_MAX or content + count > self._end:
                raise MalformedDERError("an element has an impossible length")
            size = int.from_bytes(data[content : content + count], "big")
            content += count
            if size < 0x80 or size.bit_length() <= 8 * (count - 1):
                raise MalformedDERError("a length is not minimal")
        end = content + size
        if end > self._end:
            raise MalformedDERError("an element is cut off")
        self._place = end
        return start, content, end

    def _content(self, tag: int) -> bytes:
        _, start, end = self._enter(tag)
        return self._data[start:end]

    def enter(self, tag: int) -> Reader:
        """Return a reader of the content of the next element, which must have `tag`."""
        _, start, end = self._enter(tag)
        return Reader(self._data, start, end, self._depth + 1)

    def element(self, tag: int | None = None) -> bytes:
        """Return the next element complete with tag and length."""
        start, _, end = self._enter(tag)
        return self._data[start:end]

    def sequence(self) -> Reader:
        """Return a reader of the next SEQUENCE."""
        return self.enter(SEQUENCE)

    def octets(self, size: int | None = None) -> bytes:
        """Return the next OCTET STRING, of exactly `size` bytes if given."""
        content = self._content(OCTETS)
        if size is not None and len(content) != size:
            raise MalformedDERError(f"an octet string has {len(content)} bytes instead of {size}")
        return content

    def text(self) -> str:
        """Return the next UTF8String."""
        try:
            return self._content(UTF8).decode()
        except UnicodeDecodeError as error:
            raise MalformedDERError("a string is not UTF-8") from error

    def integer(self) -> int:
        """Return the next INTEGER; it must be minimal and fit 64 bits."""
        content = self._content(INTEGER)
        if not 1 <= len(content) <= _INT64_BYTES:
            raise MalformedDERError("an integer does not fit 64 bits")
        value = int.from_bytes(content, "big", signed=True)
        if len(content) != _integer_size(value):
            raise MalformedDERError("an integer is not minimal")
        return value

    def boolean(self) -> bool:
        """Return the next BOOLEAN."""
        content = self._content(BOOLEAN)
        if content not in (b"\x00", b"\xff"):
            raise MalformedDERError("a boolean is neither 00 nor ff")
        return content == b"\xff"

    def integers(self) -> tuple[int, ...]:
        """Return the next SET OF INTEGER, in its order."""
        inner = self.enter(SET)
        values = []
        while not inner.is_at_end:
            values.append(inner.integer())
        return tuple(values)

    def kind(self) -> tuple[int, int] | None:
        """Return the next OBJECT IDENTIFIER as (arc, member), or None when it is not WAVE's."""
        content = self._content(OID)
        if len(content) == len(ARC) + 2 and content.startswith(ARC) and max(content[-2:]) < 0x80:
            return content[-2], content[-1]
        return None

    def external(self) -> tuple[tuple[int, int] | None, Reader]:
        """Return the kind of the next EXTERNAL and a reader of its one value."""
        inner = self.enter(EXTERNAL)
        kind = inner.kind()
        value = inner.enter(EXPLICIT)
        inner.finish()
        return kind, value

    def moment(self) -> Instant:
        """Return the next time; zone offsets are accepted (wave.md 1.3)."""
        tag = self.peek()
        if tag not in (UTC_TIME, GENERALIZED_TIME):
            raise MalformedDERError("expected a time")
        raw = self._content(tag)
        try:
            return _parse_moment(raw.decode("ascii"), is_utc_time=tag == UTC_TIME)
        except (ValueError, OverflowError) as error:
            raise MalformedDERError("a time is malformed") from error


def _parse_moment(raw: str, *, is_utc_time: bool) -> Instant:
    digits = raw.rstrip("Z") if raw.endswith("Z") else raw[:-5]
    zone = raw[len(digits) :]
    if not digits.isdigit():
        raise ValueError(raw)
    if is_utc_time:
        if len(digits) == 10:
            digits += "00"
        if len(digits) != 12:
            raise ValueError(raw)
        digits = ("20" if int(digits[:2]) < 50 else "19") + digits
    elif len(digits) != 14:
        raise ValueError(raw)
    offset: timezone = UTC
    if zone != "Z":
        if len(zone) != 5 or zone[0] not in "+-" or not zone[1:].isdigit():
            raise ValueError(raw)
        minutes = int(zone[1:3]) * 60 + int(zone[3:])
        offset = timezone(timedelta(minutes=minutes if zone[0] == "+" else -minutes))
    fields = [int(digits[:4]), *(int(digits[i : i + 2]) for i in range(4, 14, 2))]
    year, month, day, hour, minute, second = fields
    when = datetime(year, month, day, hour, minute, second, tzinfo=offset)
    # In UTC the year must still be one of 1 to 9999, or the time could not be written again.
    return instant_from_datetime(when.astimezone(UTC))
