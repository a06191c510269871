"""A chain that does not begin at the namespace, shown over a real link to a running router.

The original accepts each of these. The intruder holds sound keys, signs everything properly, and
even routes through a proper link; only the root of its proofs is its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import grpc.aio

from tests.support.tier import Tier, expect_silence
from wavemq.clock import SystemClock
from wavemq.errors import Code
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
from wavemq.net.addresses import Address
from wavemq.testing.forgery import forge_proof
from wavemq.testing.spliced_link import CHANNEL_OPTIONS, dial_link
from wavemq.wave import signature
from wavemq.wave.keyring import EntitySecret
from wavemq.wire import mqpb_pb2 as mqpb
from wavemq.wire.convert import message_to_wire, query_to_wire, subscription_to_wire
from wavemq.wire.handshake import RouterClaim

SERVICE = "/mqpb.WAVEMQPeering/"


async def believe(_claim: RouterClaim, _certificate_signature: bytes) -> None:
    """Take the router for what it says it is: here it is the one that must doubt."""


@asynccontextmanager
async def peering_channel(tier: Tier) -> AsyncIterator[grpc.aio.Channel]:
    async with (
        dial_link(Address.parse(tier.designated.peer), tier.namespace, believe) as link,
        grpc.aio.insecure_channel(link.target, options=CHANNEL_OPTIONS) as channel,
    ):
        yield channel


def intruder(tier: Tier) -> EntitySecret:
    return EntitySecret.from_bytes(tier.world.path("stranger.pem").read_bytes())


def forged(tier: Tier, permission: str) -> bytes:
    return forge_proof(
        tier.world.path("stranger.pem").read_bytes(),
        namespace=tier.namespace,
        resource="*",
        permission=permission,
        now=SystemClock().now(),
    ).der


async def test_forged_message_is_refused_and_reaches_nobody(tier: Tier) -> None:
    secret = intruder(tier)
    message = Message(
        source=secret.entity.hash,
        source_location=None,
        namespace=tier.namespace,
        topic=Topic("example/topic"),
        payload=(PayloadObject("text", b"forged"),),
        origin_router="intruder",
        jedi_timestamp=None,
        proof=forged(tier, "publish"),
        signature=b"",
        encryption_partition=(),
        timestamps=(),
        drops=(),
        is_persisted=True,
    )
    message = replace(message, signature=signature.sign(secret, message_digest(message)))
    async with (
        tier.at_site("service") as service,
        service.subscribe("*") as everything,
        peering_channel(tier) as channel,
    ):
        publish = channel.unary_unary(
            SERVICE + "PeerPublish",
            request_serializer=mqpb.PeerPublishParams.SerializeToString,
            response_deserializer=mqpb.PeerPublishResponse.FromString,
        )
        wire = message_to_wire(message, proof=message.proof)
        for _ in range(2):  # the second time from what was remembered
            answer = await publish(mqpb.PeerPublishParams(msg=wire))
            assert answer.error.code == Code.PROOF_INVALID
            assert "namespace" in answer.error.message
        await expect_silence(everything)
        assert await service.query("example/topic") == []


async def test_forged_subscription_is_refused(tier: Tier) -> None:
    secret = intruder(tier)
    request = SubscriptionRequest(
        source=secret.entity.hash,
        source_location=None,
        namespace=tier.namespace,
        topic_filter=TopicFilter("*"),
        identifier="ears",
        router_id="intruder",
        expiry_s=60,
        absolute_expiry=None,
        proof=forged(tier, "subscribe"),
        signature=b"",
    )
    request = replace(request, signature=signature.sign(secret, subscription_digest(request)))
    async with peering_channel(tier) as channel, tier.at_site("service") as service:
        subscribe = channel.unary_stream(
            SERVICE + "PeerSubscribe",
            request_serializer=mqpb.PeerSubscribeParams.SerializeToString,
            response_deserializer=mqpb.SubscriptionMessage.FromString,
        )
        call = subscribe(subscription_to_wire(request))
        await service.publish("example/topic", b"not for intruders")
        answers = [answer async for answer in call]
    assert [answer.HasField("message") for answer in answers] == [False]
    assert answers[0].error.code in (Code.PROOF_INVALID, Code.SUBSCRIPTION_FAILED)
    assert "namespace" in answers[0].error.message


async def test_forged_query_is_refused(tier: Tier) -> None:
    secret = intruder(tier)
    request = QueryRequest(
        source=secret.entity.hash,
        namespace=tier.namespace,
        topic_filter=TopicFilter("*"),
        proof=forged(tier, "query"),
        signature=b"",
    )
    request = replace(request, signature=signature.sign(secret, query_digest(request)))
    async with peering_channel(tier) as channel, tier.at_site("service") as service:
        await service.publish("example/kept", b"not for intruders", persist=True)
        query = channel.unary_stream(
            SERVICE + "PeerQueryRequest",
            request_serializer=mqpb.PeerQueryParams.SerializeToString,
            response_deserializer=mqpb.QueryMessage.FromString,
        )
        answers = [answer async for answer in query(query_to_wire(request))]
    assert [answer.HasField("message") for answer in answers] == [False]
    assert answers[0].error.code == Code.PROOF_INVALID
    assert "namespace" in answers[0].error.message
