"""Conversion loses nothing, and whatever bytes a peer sends end in a value or in our error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from wavemq.clock import Instant
from wavemq.errors import ProofNotCachedError, RequestError, WaveMQError, error_from_wire
from wavemq.messages.message import Message, PayloadObject, QueryRequest, SubscriptionRequest
from wavemq.messages.topic import Topic, TopicFilter
from wavemq.wave.hashes import Hash
from wavemq.wave.location import Location
from wavemq.wire import mqpb_pb2 as mqpb
from wavemq.wire.calls import (
    publish_call_from_wire,
    query_call_from_wire,
    subscribe_call_from_wire,
)
from wavemq.wire.convert import (
    error_to_wire,
    message_from_wire,
    message_to_wire,
    proof_reference_from_wire,
    query_from_wire,
    query_to_wire,
    raise_wire_error,
    subscription_from_wire,
    subscription_to_wire,
)

INT64_MAX = 2**63 - 1
texts = st.text(st.characters(codec="utf-8"), max_size=30)
hashes = st.binary(min_size=32, max_size=32).map(Hash)
locations = st.builds(Location, texts, st.integers(-(2**31), 2**31 - 1))
levels = st.text(
    st.characters(codec="utf-8", exclude_characters="/+*", exclude_categories=["Cc"]),
    min_size=1,
    max_size=8,
)
topics = st.lists(levels, min_size=1, max_size=6).map(lambda parts: Topic("/".join(parts)))
filters = st.lists(levels | st.just("+"), min_size=1, max_size=6).flatmap(
    lambda parts: st.integers(0, len(parts)).map(
        lambda at: TopicFilter("/".join([*parts[:at], "*", *parts[at:]]))
    )
)
payloads = st.lists(st.builds(PayloadObject, texts, st.binary(max_size=50)), max_size=5).map(tuple)
instants = st.integers(-(2**63), INT64_MAX).map(Instant)
positive_instants = st.integers(1, INT64_MAX).map(Instant)
messages = st.builds(
    Message,
    source=hashes,
    source_location=st.none() | locations,
    namespace=hashes,
    topic=topics,
    payload=payloads,
    origin_router=texts,
    jedi_timestamp=st.none() | st.integers(-(2**63), INT64_MAX),
    proof=st.binary(max_size=100),
    signature=st.binary(max_size=100),
    encryption_partition=st.lists(st.binary(max_size=20), max_size=5).map(tuple),
    timestamps=st.lists(instants, max_size=5).map(tuple),
    drops=st.lists(st.integers(0, INT64_MAX), max_size=5).map(tuple),
    is_persisted=st.booleans(),
)
subscriptions = st.builds(
    SubscriptionRequest,
    source=hashes,
    source_location=st.none(),
    namespace=hashes,
    topic_filter=filters,
    identifier=texts,
    router_id=texts,
    expiry_s=st.integers(0, 10**8),
    absolute_expiry=st.none() | positive_instants,
    proof=st.binary(max_size=100),
    signature=st.binary(max_size=100),
)
queries = st.builds(
    QueryRequest,
    source=hashes,
    namespace=hashes,
    topic_filter=filters,
    proof=st.binary(max_size=100),
    signature=st.binary(max_size=100),
)


READERS: tuple[Callable[[bytes], object], ...] = (
    lambda content: message_from_wire(mqpb.Message.FromString(content)),
    lambda content: proof_reference_from_wire(mqpb.Message.FromString(content)),
    lambda content: subscription_from_wire(mqpb.PeerSubscribeParams.FromString(content)),
    lambda content: query_from_wire(mqpb.PeerQueryParams.FromString(content)),
    lambda content: publish_call_from_wire(mqpb.PublishParams.FromString(content)),
    lambda content: subscribe_call_from_wire(mqpb.SubscribeParams.FromString(content)),
    lambda content: query_call_from_wire(mqpb.QueryParams.FromString(content)),
    lambda content: raise_wire_error(mqpb.Error.FromString(content)),
)


@given(messages)
def test_message_survives_the_wire(message: Message) -> None:
    content = message_to_wire(message, proof=message.proof).SerializeToString()
    wire = mqpb.Message.FromString(content)
    assert message_from_wire(wire) == message
    assert proof_reference_from_wire(wire) == b""


@given(messages, st.binary(min_size=16, max_size=16))
def test_message_survives_the_wire_with_a_reference_for_its_proof(
    message: Message, reference: bytes
) -> None:
    content = message_to_wire(message, proof_reference=reference).SerializeToString()
    wire = mqpb.Message.FromString(content)
    assert message_from_wire(wire) == replace(message, proof=b"")
    assert proof_reference_from_wire(wire) == reference


@given(subscriptions)
def test_subscription_survives_the_wire(request: SubscriptionRequest) -> None:
    content = subscription_to_wire(request).SerializeToString()
    assert subscription_from_wire(mqpb.PeerSubscribeParams.FromString(content)) == request


@given(queries)
def test_query_survives_the_wire(request: QueryRequest) -> None:
    content = query_to_wire(request).SerializeToString()
    assert query_from_wire(mqpb.PeerQueryParams.FromString(content)) == request


@given(st.sampled_from([ProofNotCachedError, RequestError]), texts)
def test_error_survives_the_wire(kind: type[WaveMQError], reason: str) -> None:
    content = error_to_wire(kind(reason)).SerializeToString()
    wire = mqpb.Error.FromString(content)
    found = error_from_wire(wire.code, wire.message)
    assert (found.code, found.reason) == (kind.code, reason)


@given(st.binary(max_size=400))
def test_any_bytes_end_in_a_value_or_in_our_error(content: bytes) -> None:
    for read in READERS:
        try:
            read(content)
        except (DecodeError, WaveMQError):
            continue


@given(messages, st.integers(0, 10**6), st.integers(0, 255))
def test_damaged_message_ends_in_a_value_or_in_our_error(
    message: Message, position: int, value: int
) -> None:
    content = bytearray(message_to_wire(message, proof=message.proof).SerializeToString())
    content[position % len(content)] = value
    try:
        message_from_wire(mqpb.Message.FromString(bytes(content)))
    except (DecodeError, WaveMQError):
        return
