"""Bytes from strangers cost work in proportion to their length, and times stay writable."""

from __future__ import annotations

import pytest

from wavemq.errors import MalformedDERError
from wavemq.wave import der
from wavemq.wave.pattern import restrict
from wavemq.wave.pem import decode_pem, decode_pem_or_der

MIB = 1 << 20


# Quadratic work on these sizes takes minutes: the runner's time limit is what fails then.
@pytest.mark.parametrize("line", [b"-----BEGIN A-----\n", b"-----BEGIN A-----\n-----END B-----\n"])
def test_blocks_that_never_end_are_passed_over_in_linear_time(line: bytes) -> None:
    data = line * (2 * MIB // len(line))
    assert decode_pem(data) is None
    assert decode_pem_or_der(data) == data


def test_huge_resources_intersect_in_linear_time() -> None:
    size = MIB
    long = "/".join(["a"] * size)
    assert restrict(long, long) == long
    assert restrict(long, long + "/b") is None
    assert restrict(long + "/*", "+/" * size + "b") == long + "/b"


@pytest.mark.parametrize("text", ["99991231235959-0800", "00010101000000+0800"])
def test_times_that_leave_the_calendar_in_utc_are_malformed(text: str) -> None:
    with pytest.raises(MalformedDERError):
        der.Reader(der.encode(der.GENERALIZED_TIME, text.encode())).moment()
