"""Texts as the original prints and reads them: quotes, times, durations, statements.

Owns these forms (wave.md 13.1). Refuses to know files, storage and engines. Fault model: what a
person typed may be anything; a bad text is a `UsageFaultError` with the original's words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import TYPE_CHECKING, Final

from wavemq.clock import (
    NANOSECONDS_PER_SECOND,
    Instant,
    datetime_from_instant,
    instant_from_milliseconds,
    milliseconds_from_instant,
)

if TYPE_CHECKING:
    from wavemq.errors import WaveMQError

SECONDS_PER_MINUTE: Final = 60
SECONDS_PER_HOUR: Final = 3600
SECONDS_PER_DAY: Final = 86_400
SECONDS_PER_YEAR: Final = 365 * SECONDS_PER_DAY
LATEST: Final = Instant(2**63 - 1)
"""The last instant that the original can hold, in the year 2262."""
MILLISECONDS_PER_SECOND: Final = 1000
INDIRECTIONS_MAX: Final = 2**31 - 1

_DURATION: Final = re.compile(
    r"(?:(\d{1,9})y)?(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?", re.ASCII
)
_UNIT_SECONDS: Final = (SECONDS_PER_YEAR, SECONDS_PER_DAY, SECONDS_PER_HOUR, SECONDS_PER_MINUTE, 1)
_STATEMENT_FORM: Final = "expected arguments of form permset:perm[,perm,perm...]@namespace/resource"
_ESCAPES: Final = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    "\\": "\\\\",
    '"': '\\"',
}


class UsageFaultError(Exception):
    """What was typed cannot be carried out; the text is printed as it is, the status is 1.

    Args:
        text: what is printed.
        code: of the error behind it, for programs.
    """

    def __init__(self, text: str, *, code: int | None = None) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class TypedStatement:
    """`permset:perm,...@namespace/resource` with its names still to be resolved."""

    permission_set: str
    permissions: tuple[str, ...]
    namespace: str
    resource: str


def parse_duration(text: str) -> int:
    """Return the nanoseconds of a duration such as `1y30d` (years of 365 days).

    Raises:
        UsageFaultError: it is empty or not of that form.
    """
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        raise UsageFaultError("Invalid duration")
    counts = (int(count or 0) for count in match.groups())
    seconds = sum(count * unit for count, unit in zip(counts, _UNIT_SECONDS, strict=True))
    return seconds * NANOSECONDS_PER_SECOND


def instant_after(now: Instant, duration: str) -> Instant:
    """Return the instant `duration` after `now`.

    Raises:
        UsageFaultError: the duration is malformed or ends after the year 2261.
    """
    until = Instant(now + parse_duration(duration))
    if until > LATEST:
        raise UsageFaultError("Invalid duration")
    return until


def parse_statements(arguments: Sequence[str]) -> tuple[TypedStatement, ...]:
    """Return the statements that were typed.

    Raises:
        UsageFaultError: there is none, or one breaks the form.
    """
    if not arguments:
        raise UsageFaultError("need to specify some statements")
    return tuple(_parse_statement(argument) for argument in arguments)


def _parse_statement(argument: str) -> TypedStatement:
    parts = argument.split("@")
    if len(parts) != 2:
        raise UsageFaultError(f"[{' '.join(parts)}]\nerr 1 {_STATEMENT_FORM}")
    left = parts[0].split(":")
    if len(left) != 2:
        raise UsageFaultError(f"err 2 {_STATEMENT_FORM}")
    namespace, slash, resource = parts[1].partition("/")
    if not slash:
        raise UsageFaultError(f"err 3 {_STATEMENT_FORM}")
    return TypedStatement(left[0], tuple(left[1].split(",")), namespace, resource)


def parse_indirections(text: str) -> int:
    """Return a count as the original reads it: decimal, `0x` or octal; anything else is 0.

    Raises:
        UsageFaultError: it is negative or beyond any use.
    """
    plain = text.removeprefix("+").replace("_", " ")
    if not plain.isascii():
        return 0
    is_octal = re.fullmatch(r"0[0-7]+", plain) is not None
    try:
        count = int(plain, 8 if is_octal else 0)
    except ValueError:
        return 0
    if not 0 <= count <= INDIRECTIONS_MAX:
        raise UsageFaultError(f"indirections are from 0 to {INDIRECTIONS_MAX}, not {text}")
    return count


def quote(text: str | bytes) -> str:
    """Return text in double quotes with Go's escapes (its `%q`)."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    return '"' + "".join(_escape(character) for character in text) + '"'


def _escape(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    point = ord(character)
    if 0xDC80 <= point <= 0xDCFF:  # a byte that is no UTF-8
        return f"\\x{point - 0xDC00:02x}"
    if point < 0x80:
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point <= 0xFFFF else f"\\U{point:08x}"


def format_time(instant: Instant, zone: tzinfo | None = None) -> str:
    """Return `2026-12-23 18:32:56.5 +0000 UTC`: to the millisecond, in the local zone.

    Args:
        instant: what is printed.
        zone: instead of the local one.
    """
    milliseconds = milliseconds_from_instant(instant)
    moment = datetime_from_instant(instant_from_milliseconds(milliseconds)).astimezone(zone)
    rest = milliseconds % MILLISECONDS_PER_SECOND
    fraction = f".{rest:03d}".rstrip("0") if rest else ""
    return f"{moment:%Y-%m-%d %H:%M:%S}{fraction} {moment:%z} {moment:%Z}"


def format_rfc3339(instant: Instant, zone: tzinfo | None = None) -> str:
    """Return `2026-11-23T18:33:22Z` or with an offset, in the local zone, whole seconds."""
    moment = datetime_from_instant(instant).astimezone(zone)
    offset = f"{moment:%z}"
    suffix = "Z" if offset == "+0000" else f"{offset[:3]}:{offset[3:5]}"
    return f"{moment:%Y-%m-%dT%H:%M:%S}{suffix}"


def format_bool(is_true: bool) -> str:  # noqa: FBT001 - the value is what is formatted
    """Return `true` or `false`."""
    return "true" if is_true else "false"


def bracketed(prefix: str, error: WaveMQError) -> UsageFaultError:
    """Return an error in the form `error: [910] (910: ...)`."""
    return UsageFaultError(f"{prefix}: [{int(error.code)}] {error}", code=int(error.code))


def printable(text: str) -> str:
    """Return text that a stranger chose, harmless to a terminal and to other programs."""
    return text if text.isprintable() else quote(text)
