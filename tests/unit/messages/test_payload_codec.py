"""The payload as one run of bytes: the same as protobuf's, and errors for anything else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavemq.errors import MalformedObjectError
from wavemq.limits import PAYLOAD_OBJECTS_MAX
from wavemq.messages.message import PayloadObject
from wavemq.messages.payload import decode_payload, encode_payload
from wavemq.wire import mqpb_pb2 as mqpb

objects = st.builds(PayloadObject, st.text(max_size=300), st.binary(max_size=300))


def by_protobuf(payload: list[PayloadObject]) -> bytes:
    listed = [mqpb.PayloadObject(schema=one.schema, content=one.content) for one in payload]
    return mqpb.Payload(objects=listed).SerializeToString()


@given(st.lists(objects, max_size=5))
def test_encoding_is_protobuf_s(payload: list[PayloadObject]) -> None:
    encoded = by_protobuf(payload)
    assert encode_payload(payload) == encoded
    assert decode_payload(encoded) == tuple(payload)


@given(st.binary(max_size=60))
def test_noise_is_read_as_protobuf_reads_it_or_refused(noise: bytes) -> None:
    try:
        found = decode_payload(noise)
    except MalformedObjectError:
        return
    parsed = mqpb.Payload.FromString(noise)
    assert [(one.schema, one.content) for one in parsed.objects] == [
        (one.schema, one.content) for one in found
    ]


def test_fields_of_later_versions_are_passed_over() -> None:
    later = b"\x10\x96\x01" + b"\x1a\x02zz" + b"\x25abcd" + b"\x29abcdefgh"
    inner = b"\x0a\x01s" + later.replace(b"\x10", b"\x20", 1) + b"\x12\x01c"
    encoded = later + b"\x0a" + bytes((len(inner),)) + inner
    assert decode_payload(encoded) == (PayloadObject("s", b"c"),)
    assert mqpb.Payload.FromString(encoded).objects[0].content == b"c"


@pytest.mark.parametrize(
    "encoded",
    [
        b"\x0a",
        b"\x0a\x05ab",
        b"\x08\x01",  # the objects as a number
        b"\x0a\x02\x08\x01",  # a schema as a number
        b"\x0a\x03\x0a\x01\xff",  # a schema that is not UTF-8
        b"\x00",
        b"\x0b",
        b"\x0a" + b"\xff" * 10,
        b"\x0a" + b"\xff" * 30,
    ],
    ids=repr,
)
def test_what_is_no_payload_is_refused(encoded: bytes) -> None:
    with pytest.raises(MalformedObjectError):
        decode_payload(encoded)


def test_a_payload_of_too_many_objects_is_refused() -> None:
    one = PayloadObject("s", b"")
    assert len(decode_payload(encode_payload([one] * PAYLOAD_OBJECTS_MAX))) == PAYLOAD_OBJECTS_MAX
    with pytest.raises(MalformedObjectError, match="more than"):
        decode_payload(encode_payload([one] * (PAYLOAD_OBJECTS_MAX + 1)))
