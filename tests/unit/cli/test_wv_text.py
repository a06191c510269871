"""The texts of `wv`: durations, statements, quotes and times as the original has them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from wavemq.cli.wv.text import (
    LATEST,
    TypedStatement,
    UsageFaultError,
    format_rfc3339,
    format_time,
    instant_after,
    parse_duration,
    parse_indirections,
    parse_statements,
    quote,
)
from wavemq.clock import Instant, instant_from_datetime

SECOND = 1_000_000_000
NOW = instant_from_datetime(datetime(2026, 11, 23, 18, 32, 56, tzinfo=UTC))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30d", 30 * 86400),
        ("1y", 365 * 86400),
        ("0s", 0),
        ("90s", 90),
        ("2h5m", 7500),
        ("1y2d3h4m5s", 365 * 86400 + 2 * 86400 + 3 * 3600 + 4 * 60 + 5),
        ("007m", 420),
    ],
)
def test_duration_has_its_length(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds * SECOND


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "30",
        "d",
        "1d1y",
        "1w",
        "-1d",
        "1.5h",
        "1d ",
        "1D",
        "1d\n",
        "\u0661d",
        "1d2d",
        "9" * 10 + "y",
    ],
)
def test_bad_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageFaultError, match=r"^Invalid duration$"):
        parse_duration(text)


def test_duration_ends_within_the_times_that_objects_can_carry() -> None:
    assert instant_after(Instant(LATEST - SECOND), "1s") == LATEST
    with pytest.raises(UsageFaultError, match="Invalid duration"):
        instant_after(Instant(LATEST - SECOND + 1), "1s")


def test_statement_is_cut_into_its_parts() -> None:
    assert parse_statements(["wavemq:publish,subscribe@ns.pem/a/*", "p.pem:read@x/"]) == (
        TypedStatement("wavemq", ("publish", "subscribe"), "ns.pem", "a/*"),
        TypedStatement("p.pem", ("read",), "x", ""),
    )


FORM = "expected arguments of form permset:perm[,perm,perm...]@namespace/resource"


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ("", f"[]\nerr 1 {FORM}"),
        ("wave:decrypt", f"[wave:decrypt]\nerr 1 {FORM}"),
        ("a:b@c/d@e", f"[a:b c/d e]\nerr 1 {FORM}"),
        ("a@b/c", f"err 2 {FORM}"),
        ("a:b:c@d/e", f"err 2 {FORM}"),
        ("a:b@c", f"err 3 {FORM}"),
    ],
)
def test_bad_statement_is_answered_in_the_words_of_the_original(argument: str, says: str) -> None:
    with pytest.raises(UsageFaultError) as refused:
        parse_statements([argument])
    assert str(refused.value) == says


def test_no_statement_is_refused() -> None:
    with pytest.raises(UsageFaultError, match="need to specify some statements"):
        parse_statements([])


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("5", 5),
        ("0x10", 16),
        ("010", 8),
        ("0o10", 8),
        ("0", 0),
        ("00", 0),
        ("09", 0),
        ("five", 0),
        ("1.5", 0),
        ("\u0665", 0),
    ],
)
def test_indirections_are_read_as_the_original_reads_them(text: str, count: int) -> None:
    assert parse_indirections(text) == count


@pytest.mark.parametrize("text", ["-1", "2147483648", "-0x1"])
def test_impossible_indirections_are_refused(text: str) -> None:
    with pytest.raises(UsageFaultError, match="indirections are from 0"):
        parse_indirections(text)


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("plain", '"plain"'),
        (b"\x00attestation", r'"\x00attestation"'),
        ('say "no"\\', r'"say \"no\"\\"'),
        ("\t\n\r\a\b\f\v", r'"\t\n\r\a\b\f\v"'),
        ("\x1b[31m", r'"\x1b[31m"'),
        ("é 日本", '"é 日本"'),
        ("\u200b", r'"\u200b"'),
        ("\U000e0001", r'"\U000e0001"'),
        (b"\xff\x00", r'"\xff\x00"'),
        ("\x7f", r'"\x7f"'),
        ("\u00a0", r'"\u00a0"'),
    ],
)
def test_quotes_are_those_of_go(text: str | bytes, quoted: str) -> None:
    assert quote(text) == quoted


@pytest.mark.parametrize(
    ("nanoseconds", "zone", "text"),
    [
        (0, UTC, "2026-11-23 18:32:56 +0000 UTC"),
        (500_000_000, UTC, "2026-11-23 18:32:56.5 +0000 UTC"),
        (120_999_999, UTC, "2026-11-23 18:32:56.12 +0000 UTC"),
        (7_000_000, UTC, "2026-11-23 18:32:56.007 +0000 UTC"),
        (999_999, UTC, "2026-11-23 18:32:56 +0000 UTC"),
        (0, timezone(timedelta(hours=-8), "PST"), "2026-11-23 10:32:56 -0800 PST"),
    ],
)
def test_times_look_as_in_the_original(nanoseconds: int, zone: timezone, text: str) -> None:
    assert format_time(Instant(NOW + nanoseconds), zone) == text


def test_file_times_carry_their_offset() -> None:
    assert format_rfc3339(NOW, UTC) == "2026-11-23T18:32:56Z"
    assert format_rfc3339(NOW, timezone(timedelta(hours=5, minutes=30))) == (
        "2026-11-24T00:02:56+05:30"
    )
