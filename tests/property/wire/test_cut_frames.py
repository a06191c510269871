"""What peers send is cut into what protobuf reads, and refused where protobuf refuses it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from google.protobuf.message import DecodeError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.property.wire.test_convert_round_trips import INT64_MAX, messages
from wavemq.crypto.signing import SigningKey
from wavemq.errors import WaveMQError
from wavemq.limits import PAYLOAD_OBJECTS_MAX, SIGNATURE_BYTES_MAX
from wavemq.messages.message import Message, message_digest
from wavemq.wave import signature
from wavemq.wave.hashes import Hash
from wavemq.wire import mqpb_pb2 as mqpb
from wavemq.wire.convert import (
    HOPS_MAX,
    PARTITION_BYTES_MAX,
    PARTITION_ELEMENTS_MAX,
    ROUTER_ID_BYTES_MAX,
    message_from_wire,
    message_to_wire,
    proof_reference_from_wire,
    raise_wire_error,
)
from wavemq.wire.cutting import CutMessage, deliveries_from_wire, frames_from_wire
from wavemq.wire.encoding import encoded_deliveries, encoded_frame, head_of, parts_of

references = st.binary(min_size=16, max_size=16)
sent = st.tuples(messages, st.just(b"") | references)
Outcome = tuple[Message, bytes] | tuple[type[WaveMQError], str]


def wire_of(message: Message, reference: bytes) -> mqpb.Message:
    if reference:
        return message_to_wire(message, proof_reference=reference)
    return message_to_wire(message, proof=message.proof)


def outcome(received: CutMessage | mqpb.Message) -> Outcome:
    """Return a message and the reference of its proof, or what is wrong with it."""
    if isinstance(received, CutMessage):
        return received.message(received.proof), received.reference
    try:
        return message_from_wire(received), proof_reference_from_wire(received)
    except WaveMQError as error:
        return type(error), error.reason


def read_by_protobuf(request: bytes) -> list[tuple[int, bool, Outcome]] | None:
    try:
        frames = mqpb.PeerPublishFrames.FromString(request).frames
    except DecodeError:
        return None
    return [(one.sequence, one.resumes, outcome(one.message)) for one in frames]


def cut(request: bytes) -> list[tuple[int, bool, Outcome]] | None:
    try:
        frames = frames_from_wire(request)
    except DecodeError:
        return None
    for one in frames:
        if isinstance(one.received, CutMessage):
            message = one.received.message(b"")
            assert head_of(replace(message)) == message.head, "the head is what we would write"
    return [(one.sequence, one.resumes, outcome(one.received)) for one in frames]


def deliveries_read_by_protobuf(response: bytes) -> object:
    try:
        whole = mqpb.ConsumeResponse.FromString(response)
        raise_wire_error(whole.error)
    except (DecodeError, WaveMQError) as error:
        return type(error)
    return [(one.index, outcome(one.message)) for one in whole.deliveries]


def deliveries_cut(response: bytes) -> object:
    try:
        deliveries = deliveries_from_wire(response)
    except (DecodeError, WaveMQError) as error:
        return type(error)
    return [(index, outcome(received)) for index, received in deliveries]


@given(st.lists(sent, max_size=4), st.booleans())
def test_plain_frames_are_cut_into_what_protobuf_reads(
    several: Sequence[tuple[Message, bytes]],
    resumes: bool,
) -> None:
    request = mqpb.PeerPublishFrames(
        frames=[
            mqpb.PeerPublishFrame(sequence=at, resumes=resumes, message=wire_of(*one))
            for at, one in enumerate(several)
        ]
    ).SerializeToString(deterministic=True)
    frames = frames_from_wire(request)
    assert cut(request) == read_by_protobuf(request)
    for at, (one, (message, reference)) in enumerate(zip(frames, several, strict=True)):
        assert isinstance(one.received, CutMessage)
        assert (one.sequence, one.resumes) == (at, resumes)
        assert one.size_bytes == mqpb.PeerPublishFrames.FromString(request).frames[at].ByteSize()
        assert one.received.message(message.proof) == message
        assert one.received.reference == reference


@given(st.lists(sent, max_size=4))
def test_composed_frames_are_what_protobuf_reads_and_are_cut(
    several: Sequence[tuple[Message, bytes]],
) -> None:
    request = b"".join(
        encoded_frame(
            INT64_MAX - at,
            at == 1,
            parts_of(one, proof=b"" if reference else one.proof, proof_reference=reference),
        )
        for at, (one, reference) in enumerate(several)
    )
    expected = [
        mqpb.PeerPublishFrame(sequence=INT64_MAX - at, resumes=at == 1, message=wire_of(*one))
        for at, one in enumerate(several)
    ]
    assert list(mqpb.PeerPublishFrames.FromString(request).frames) == expected
    assert all(isinstance(one.received, CutMessage) for one in frames_from_wire(request))
    assert cut(request) == read_by_protobuf(request)


@given(st.lists(messages, max_size=4))
def test_plain_deliveries_are_cut_into_what_protobuf_reads(several: Sequence[Message]) -> None:
    response = encoded_deliveries(
        [(at + 7, 2, parts_of(one, proof=one.proof)) for at, one in enumerate(several)]
    )
    found = deliveries_from_wire(response)
    assert all(isinstance(received, CutMessage) for _, received in found)
    assert deliveries_cut(response) == deliveries_read_by_protobuf(response)


# --- what is not plain ----------------------------------------------------------------------------


@st.composite
def changed(draw: st.DrawFn, contents: st.SearchStrategy[bytes]) -> bytes:
    """Return bytes of which some were changed, left out, repeated or put in."""
    content = draw(contents)
    for _ in range(draw(st.integers(1, 3))):
        begin = draw(st.integers(0, len(content)))
        end = draw(st.integers(begin, min(begin + 40, len(content))))
        middle = draw(
            st.sampled_from((b"", content[begin:end] * 2)) | st.binary(min_size=1, max_size=4)
        )
        content = content[:begin] + middle + content[end:]
    return content


requests = st.lists(sent, min_size=1, max_size=2).map(
    lambda several: mqpb.PeerPublishFrames(
        frames=[
            mqpb.PeerPublishFrame(sequence=at, message=wire_of(*one))
            for at, one in enumerate(several)
        ]
    ).SerializeToString(deterministic=True)
)
responses = st.lists(messages, min_size=1, max_size=2).map(
    lambda several: encoded_deliveries([(1, 1, parts_of(one, proof=b"p")) for one in several])
)


@settings(max_examples=500)
@given(st.binary(max_size=60) | changed(requests))
@example(b"\x0a\x00")
@example(b"\x0a\x02\x1a\x00")
def test_frames_of_any_bytes_get_the_outcomes_of_protobuf(request: bytes) -> None:
    assert cut(request) == read_by_protobuf(request)


@settings(max_examples=500)
@given(st.binary(max_size=60) | changed(responses))
@example(b"\x0a\x00")
@example(b"\x0a\x02\x08\x01\x12\x00")
def test_deliveries_of_any_bytes_get_the_outcomes_of_protobuf(response: bytes) -> None:
    assert deliveries_cut(response) == deliveries_read_by_protobuf(response)


def _plain() -> mqpb.Message:
    return mqpb.Message(
        tbs=mqpb.MessageTBS(
            sourceEntity=Hash(bytes(32)).to_bytes(),
            namespace=Hash(bytes(32)).to_bytes(),
            uri="a/b",
            payload=[mqpb.PayloadObject(schema="text", content=b"x")],
            originRouter="router",
        ),
        signature=b"s",
        proofHash=bytes(16),
    )


CHANGES: dict[str, Callable[[mqpb.Message], object]] = {
    "no message": lambda one: one.Clear(),
    "no source": lambda one: one.tbs.ClearField("sourceEntity"),
    "a source of another size": lambda one: setattr(one.tbs, "sourceEntity", b"\x1b\x20"),
    "a topic with a wildcard": lambda one: setattr(one.tbs, "uri", "a/*"),
    "an unpacked proof": lambda one: one.proof.SetInParent(),
    "a reference of another size": lambda one: setattr(one, "proofHash", bytes(15)),
    "a negative count of drops": lambda one: one.drops.append(-1),
    "too many hops": lambda one: one.timestamps.extend(range(HOPS_MAX + 1)),
    "a long signature": lambda one: setattr(one, "signature", bytes(SIGNATURE_BYTES_MAX + 1)),
    "a long router": lambda one: setattr(one.tbs, "originRouter", "x" * (ROUTER_ID_BYTES_MAX + 1)),
    "many contents": lambda one: one.tbs.payload.extend(
        [mqpb.PayloadObject()] * PAYLOAD_OBJECTS_MAX
    ),
    "many elements": lambda one: one.encryptionPartition.extend(
        [b""] * (PARTITION_ELEMENTS_MAX + 1)
    ),
    "large elements": lambda one: one.encryptionPartition.append(bytes(PARTITION_BYTES_MAX + 1)),
}


def test_message_that_breaks_a_rule_gets_the_error_of_protobufs_way() -> None:
    for name, change in CHANGES.items():
        wire = _plain()
        change(wire)
        frames = [
            mqpb.PeerPublishFrame(sequence=at, message=one)
            for at, one in enumerate([_plain(), wire, _plain()])
        ]
        request = mqpb.PeerPublishFrames(frames=frames).SerializeToString(deterministic=True)
        found = frames_from_wire(request)
        assert [isinstance(one.received, CutMessage) for one in found] == [True, False, True], name
        assert cut(request) == read_by_protobuf(request), name


# --- signatures -----------------------------------------------------------------------------------

KEYS = [SigningKey.generate() for _ in range(2)]
OFTEN = 20
"""Checks after which the multiples of a key are kept."""


@settings(max_examples=60, deadline=None)
@given(
    messages,
    st.sampled_from(KEYS),
    st.none() | st.integers(0, 511),
    st.booleans(),
    st.sampled_from((1, 40)),
)
def test_bulk_checks_of_heads_say_what_single_checks_say(
    message: Message,
    key: SigningKey,
    bit: int | None,
    is_malformed: bool,
    count: int,
) -> None:
    raw = bytearray(key.sign(message_digest(message)))
    if bit is not None:
        raw[bit // 8] ^= 1 << bit % 8
    encoded = signature.encode(bytes(raw))
    signed = replace(message, signature=encoded + b"\x00" if is_malformed else encoded)
    verifier = signature.head_verifier()
    expected = None if is_malformed else bit is None
    for _ in range(OFTEN // min(count, OFTEN) + 1):
        assert verifier.verify([(key.public, head_of(signed))] * count) == [expected] * count
    other = KEYS[1 - KEYS.index(key)].public
    assert verifier.verify([(other, head_of(signed))]) == [None if is_malformed else False]
