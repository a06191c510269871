"""The kernel cuts and composes the same bytes that protobuf reads and writes."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from tests.property.wire.test_convert_round_trips import (
    INT64_MAX,
    hashes,
    locations,
    messages,
    texts,
    topics,
)
from wavemq._kernel import MessageSigner, PublishCutter, cut_frames, form_messages
from wavemq.clock import Instant
from wavemq.crypto import signing
from wavemq.crypto.signing import PUBLIC_BYTES, SIGNATURE_BYTES, SigningKey
from wavemq.messages.message import Message, PayloadObject, message_digest
from wavemq.messages.topic import Topic
from wavemq.wave import signature
from wavemq.wave.hashes import Hash
from wavemq.wave.location import Location
from wavemq.wire import mqpb_pb2 as mqpb
from wavemq.wire.convert import message_to_wire
from wavemq.wire.encoding import (
    encoded_deliveries,
    encoded_message,
    encoded_responses,
    head_of,
    parts_of,
)

PREFIX = signature.encode(bytes(SIGNATURE_BYTES))[:-SIGNATURE_BYTES]
KEY = SigningKey.generate()
payloads = st.lists(st.tuples(texts, st.binary(max_size=50)), max_size=5)


@given(messages, st.binary(max_size=40), st.binary(max_size=16))
def test_composed_message_is_what_protobuf_writes(
    message: Message, proof: bytes, reference: bytes
) -> None:
    wire = message_to_wire(message, proof=proof, proof_reference=reference)
    composed = encoded_message(message, proof=proof, proof_reference=reference)
    assert composed == wire.SerializeToString(deterministic=True)
    assert encoded_message(message.arrived(Instant(7)).dequeued(3)) == message_to_wire(
        message.arrived(Instant(7)).dequeued(3)
    ).SerializeToString(deterministic=True)


@given(st.lists(messages, max_size=3))
def test_composed_responses_are_what_protobuf_reads(several: list[Message]) -> None:
    parts = [parts_of(one) for one in several]
    responses = [mqpb.SubscriptionMessage.FromString(one) for one in encoded_responses(parts)]
    assert [one.message for one in responses] == [message_to_wire(one) for one in several]
    deliveries = encoded_deliveries([(9 + at, 2, one) for at, one in enumerate(parts)])
    found = mqpb.ConsumeResponse.FromString(deliveries).deliveries
    assert [(one.index, one.attempt, one.message) for one in found] == [
        (9 + at, 2, message_to_wire(one)) for at, one in enumerate(several)
    ]


@given(messages)
def test_changed_copy_of_a_message_has_a_head_of_its_own(message: Message) -> None:
    head_of(message)
    changed = replace(message, signature=message.signature + b"x")
    assert changed.head == b""
    assert head_of(changed) != head_of(message)
    assert message.arrived(Instant(1)).head == message.head


@given(hashes, locations, hashes, topics, payloads, texts)
def test_formed_message_is_signed_by_its_source_and_encoded_as_ever(
    source: Hash,
    location: Location,
    namespace: Hash,
    topic: Topic,
    payload: list[tuple[str, bytes]],
    origin_router: str,
) -> None:
    signer = MessageSigner(
        KEY.secret64[:PUBLIC_BYTES],
        source.to_bytes(),
        (location.url, location.version),
        origin_router,
        PREFIX,
    )
    draft = (signer, namespace.to_bytes(), topic.text, tuple(payload))
    formed = form_messages([draft] * 3)
    assert formed == form_messages([draft] * 40)[:3], "alone or side by side"
    signed, head = formed[0]
    message = Message(
        source=source,
        source_location=location,
        namespace=namespace,
        topic=topic,
        payload=tuple(PayloadObject(*one) for one in payload),
        origin_router=origin_router,
        jedi_timestamp=None,
        proof=b"",
        signature=signed,
        encryption_partition=(),
        timestamps=(),
        drops=(),
        is_persisted=False,
    )
    signing.verify(KEY.public, signature.decode(signed), message_digest(message))
    assert head_of(message) == head


# --- cutting --------------------------------------------------------------------------------------

perspectives = st.builds(
    mqpb.Perspective,
    entitySecret=st.builds(
        mqpb.EntitySecret,
        DER=st.binary(min_size=1, max_size=60),
        passphrase=st.none() | st.binary(max_size=5),
    ),
)
contents = st.lists(
    st.builds(mqpb.PayloadObject, schema=texts, content=st.binary(max_size=30)), max_size=4
)
plain = st.builds(
    mqpb.PublishParams,
    perspective=perspectives,
    namespace=st.binary(min_size=1, max_size=40),
    uri=st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
    content=contents,
    persist=st.booleans(),
)
not_plain = st.builds(
    mqpb.PublishParams,
    perspective=perspectives,
    namespace=st.binary(min_size=1, max_size=40),
    uri=st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
    encryptionPartition=st.just([b"a"]),
) | st.builds(mqpb.PublishParams, perspective=perspectives, encryptWithJEDI=st.just(True))


@given(st.lists(plain, min_size=1, max_size=4))
def test_plain_request_is_cut_into_what_protobuf_reads(requests: list[mqpb.PublishParams]) -> None:
    cutter = PublishCutter()
    for _ in range(2):  # the second time the perspectives are known by sight, or were others
        cuts = cutter.cut([(1, one.SerializeToString()) for one in requests])
        for request, cut in zip(requests, cuts, strict=True):
            assert cut is not None
            caller, namespace, topic, payload, size_bytes, is_persisted = cut
            shown = request.perspective.SerializeToString()
            assert caller == hashlib.sha256(shown).digest()
            assert (namespace, topic) == (request.namespace, request.uri)
            assert payload == tuple((one.schema, one.content) for one in request.content)
            assert size_bytes == sum(len(s.encode()) + len(c) for s, c in payload)
            assert is_persisted == request.persist


@given(not_plain)
def test_request_with_more_in_it_is_left_whole(request: mqpb.PublishParams) -> None:
    assert PublishCutter().cut([(1, request.SerializeToString())]) == [None]


@given(st.binary(max_size=200) | plain.map(lambda one: one.SerializeToString()[:-1]))
def test_any_bytes_are_cut_or_left(content: bytes) -> None:
    (cut,) = PublishCutter().cut([(1, content)])
    cut_frames(content)
    if cut is not None:  # then protobuf reads the same
        request = mqpb.PublishParams.FromString(content)
        assert (request.namespace, request.uri) == cut[1:3]


frames = st.builds(
    mqpb.PublishFrame,
    uri=st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
    content=contents,
    persist=st.booleans(),
    sequence=st.integers(0, INT64_MAX),
    customProofDER=st.none() | st.binary(min_size=1, max_size=5),
)


@given(plain, st.lists(frames, max_size=4))
def test_request_of_a_stream_is_cut_into_its_frames(
    opening: mqpb.PublishParams, several: list[mqpb.PublishFrame]
) -> None:
    request = mqpb.PublishFrames(opening=opening, frames=several).SerializeToString()
    cut = cut_frames(request)
    assert cut is not None
    shown, found = cut
    assert shown == opening.SerializeToString()
    for frame, (sequence, begin, end, parts) in zip(several, found, strict=True):
        assert sequence == frame.sequence
        assert mqpb.PublishFrame.FromString(request[begin:end]) == frame
        whole = mqpb.PublishParams()
        whole.MergeFromString(request[begin:end])
        assert whole.uri == frame.uri, "the numbers are those of a single request"
        if frame.customProofDER:
            assert parts is None
        else:
            assert parts is not None
            assert parts[0] == frame.uri
            assert parts[3] == frame.persist


def test_bytes_that_are_no_request_are_no_frames() -> None:
    assert cut_frames(b"\xff") is None
    try:
        mqpb.PublishFrames.FromString(b"\xff")
    except DecodeError:
        return
    raise AssertionError("protobuf reads it")
