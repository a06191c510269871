"""Bytes from strangers cost work in proportion to their length, and times stay writable."""

from __future__ import annotations

import pytest

from wavemq.errors import MalformedDERError, MalformedObjectError
from wavemq.wave import der
from wavemq.wave.jedi_delegation import read_delegation
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


def test_huge_delegations_are_read_in_linear_time() -> None:
    pattern = b"\x01" + (20).to_bytes(4, "little") + bytes(4)
    entry = len(pattern).to_bytes(4, "little") + pattern + bytes(4)
    params = (1297).to_bytes(4, "little") + bytes(1297)
    namespace = (34).to_bytes(4, "little") + b"\x1b\x20" + bytes(32)
    head = b"\x02" + namespace + params + (2048).to_bytes(4, "little")
    with pytest.raises(MalformedObjectError, match="behind its end"):
        read_delegation(head + 2048 * entry + bytes(64 * MIB))


@pytest.mark.parametrize("text", ["99991231235959-0800", "00010101000000+0800"])
def test_times_that_leave_the_calendar_in_utc_are_malformed(text: str) -> None:
    with pytest.raises(MalformedDERError):
        der.Reader(der.encode(der.GENERALIZED_TIME, text.encode())).moment()
