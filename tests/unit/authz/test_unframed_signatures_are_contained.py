"""What a signature over a plain concatenation can be turned into, and what stops it.

The digests of wavemq.md 4 do not say where a field ends, so one signature fits every way to cut
its bytes into fields. That is kept, for the wire; these tests show what it is worth to whoever
sees a signed request, such as a router. Each begins with the two digests being equal: the door
alone stands between.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.worlds import NOW, World
from wavemq.authz.admission import Admission
from wavemq.errors import InvalidParameterError, InvalidSignatureError, ProofInvalidError
from wavemq.messages.message import (
    Message,
    PayloadObject,
    QueryRequest,
    SubscriptionRequest,
    message_digest,
    query_digest,
    subscription_digest,
)
from wavemq.messages.topic import Topic, TopicFilter
from wavemq.wave import signature
from wavemq.wire import mqpb_pb2 as mqpb
from wavemq.wire.convert import hash_from_wire, message_from_wire


@pytest.fixture
async def world() -> World:
    return await World.create("alice", "bob")


def message_of(world: World, topic: str, *payload: PayloadObject, proof: bytes) -> Message:
    """A message by alice, signed."""
    unsigned = Message(
        source=world.hash("alice"),
        source_location=world.location,
        namespace=world.hash("namespace"),
        topic=Topic(topic),
        payload=payload,
        origin_router="site",
        jedi_timestamp=None,
        proof=proof,
        signature=b"",
        encryption_partition=(),
        timestamps=(),
        drops=(),
        is_persisted=False,
    )
    return replace(unsigned, signature=signature.sign(world["alice"], message_digest(unsigned)))


async def test_bytes_moved_into_the_topic_need_a_proof_for_that_topic(world: World) -> None:
    grant = await world.grant("namespace", "alice", "publish", "room/1")
    honest = message_of(world, "room/1", PayloadObject("/door", b"open"), proof=world.proof(grant))
    moved = replace(honest, topic=Topic("room/1/door"), payload=(PayloadObject("", b"open"),))
    assert message_digest(moved) == message_digest(honest)
    async with world.engine() as engine:
        admission = Admission(engine)
        await admission.check_message(honest, NOW)
        with pytest.raises(ProofInvalidError, match="insufficient permissions"):
            await admission.check_message(moved, NOW)


async def test_bytes_moved_within_what_is_granted_are_believed(world: World) -> None:
    """The weakness itself: the security model tells users to grant narrowly because of it."""
    grant = await world.grant("namespace", "alice", "publish", "room/*")
    honest = message_of(world, "room/1", PayloadObject("0", b"open"), proof=world.proof(grant))
    moved = replace(honest, topic=Topic("room/10"), payload=(PayloadObject("", b"open"),))
    assert message_digest(moved) == message_digest(honest)
    async with world.engine() as engine:
        assert (await Admission(engine).check_message(moved, NOW)).value == moved


async def test_subscription_is_a_message_only_for_who_may_publish_there(world: World) -> None:
    subscribing = await world.grant("namespace", "alice", "subscribe", "room/*")
    unsigned = SubscriptionRequest(
        source=world.hash("alice"),
        source_location=None,
        namespace=world.hash("namespace"),
        topic_filter=TopicFilter("room/1"),
        identifier="mine",
        router_id="site",
        expiry_s=60,
        absolute_expiry=None,
        proof=world.proof(subscribing),
        signature=b"",
    )
    signed = signature.sign(world["alice"], subscription_digest(unsigned))
    shown = message_of(world, "room/1", PayloadObject("", b"mine"), proof=unsigned.proof)
    assert message_digest(shown) == subscription_digest(unsigned)
    async with world.engine() as engine:
        admission = Admission(engine)
        await admission.check_subscription(replace(unsigned, signature=signed), NOW)
        with pytest.raises(ProofInvalidError, match="insufficient permissions"):
            await admission.check_message(replace(shown, signature=signed), NOW)


async def test_signature_of_one_entity_says_nothing_of_another(world: World) -> None:
    """The digest of a query leaves its source out; the key that signed it is the source's."""
    grants = [await world.grant("namespace", who, "query", "room/*") for who in ("alice", "bob")]
    queries = [
        QueryRequest(
            source=world.hash(who),
            namespace=world.hash("namespace"),
            topic_filter=TopicFilter("room/*"),
            proof=world.proof(grant),
            signature=b"",
        )
        for who, grant in zip(("alice", "bob"), grants, strict=True)
    ]
    assert query_digest(queries[0]) == query_digest(queries[1])
    signed = signature.sign(world["alice"], query_digest(queries[0]))
    async with world.engine() as engine:
        admission = Admission(engine)
        await admission.check_query(replace(queries[0], signature=signed), NOW)
        with pytest.raises(InvalidSignatureError):
            await admission.check_query(replace(queries[1], signature=signed), NOW)


@pytest.mark.parametrize("begin", [b"\x1b\x20", b"\x16\x20"])
def test_query_is_no_message_because_no_filter_begins_like_a_hash(begin: bytes) -> None:
    """A query signs a namespace and a text; a message signs two hashes first."""
    second_hash = begin + bytes(range(65, 97))
    assert hash_from_wire(second_hash, "namespace").to_bytes() == second_hash
    text = second_hash.decode("latin-1")
    with pytest.raises(InvalidParameterError, match="control character"):
        TopicFilter(text + "room/1")


def test_topic_that_hides_a_hash_is_refused_at_the_door(world: World) -> None:
    """The other way round: a message shown as a query has a hash at the head of its filter."""
    wire = mqpb.Message(
        tbs=mqpb.MessageTBS(
            sourceEntity=world.hash("alice").to_bytes(),
            namespace=world.hash("namespace").to_bytes(),
            uri="\x1b room/1",
        )
    )
    with pytest.raises(InvalidParameterError, match="control character"):
        message_from_wire(wire)
