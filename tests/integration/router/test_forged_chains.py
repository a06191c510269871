"""A chain of grants that does not begin at the namespace is refused at every door of a router.

It is the attack that broke the original completely: anybody grants himself anything.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import grpc.aio
import pytest

from tests.support.routers import Ground, ground, running
from tests.support.stubs import LocalClient, PeerClient
from tests.support.worlds import forge
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
from wavemq.router.process import BoundAddresses
from wavemq.testing.spliced_link import CHANNEL_OPTIONS, dial_link
from wavemq.wave import signature
from wavemq.wire import mqpb_pb2 as mqpb
from wavemq.wire.convert import message_to_wire, query_to_wire, subscription_to_wire
from wavemq.wire.handshake import RouterClaim


@dataclass(frozen=True, slots=True)
class Attack:
    """A stranger before a designated router, and what he may send."""

    ground: Ground
    addresses: BoundAddresses

    def forged(self, permission: str) -> bytes:
        """A proof for the stranger, granted by the stranger, in our namespace."""
        world = self.ground.world
        stranger = world["stranger"]
        return world.proof(forge(stranger, stranger, world.policy(permission, "*")))

    def sign(self, digest: bytes) -> bytes:
        return signature.sign(self.ground.world["stranger"], digest)

    @contextlib.asynccontextmanager
    async def local(self) -> AsyncIterator[LocalClient]:
        async with grpc.aio.insecure_channel(str(self.addresses.local)) as channel:
            yield LocalClient(channel)

    @contextlib.asynccontextmanager
    async def peer(self) -> AsyncIterator[PeerClient]:
        async def trust(claim: RouterClaim, certificate_signature: bytes) -> None:
            del claim, certificate_signature

        assert self.addresses.peer is not None
        async with (
            dial_link(self.addresses.peer, self.ground.namespace, trust) as link,
            grpc.aio.insecure_channel(link.target, options=CHANNEL_OPTIONS) as channel,
        ):
            yield PeerClient(channel)


@pytest.fixture
async def attack(tmp_path: Path) -> AsyncIterator[Attack]:
    async with ground(tmp_path, "designated", "stranger") as made:
        settings = await made.designated_settings("designated")
        async with running(settings, made.clock) as addresses:
            yield Attack(made, addresses)


async def test_local_door_refuses_it(attack: Attack) -> None:
    secret = attack.ground.world["stranger"].to_bytes()
    perspective = mqpb.Perspective(entitySecret=mqpb.EntitySecret(DER=secret))
    namespace = attack.ground.namespace.to_bytes()
    async with attack.local() as client:
        published = await client.publish(
            mqpb.PublishParams(
                perspective=perspective,
                namespace=namespace,
                uri="a",
                customProofDER=attack.forged("publish"),
            ),
            timeout=15,
        )
        assert published.error.code == Code.PROOF_INVALID
        subscribe = mqpb.SubscribeParams(
            perspective=perspective,
            namespace=namespace,
            uri="a",
            customProofDER=attack.forged("subscribe"),
        )
        responses = [one async for one in client.subscribe(subscribe, timeout=15)]
        assert [one.error.code for one in responses] == [Code.PROOF_INVALID]
        query = mqpb.QueryParams(
            perspective=perspective,
            namespace=namespace,
            uri="a",
            customProofDER=attack.forged("query"),
        )
        answers = [one async for one in client.query(query, timeout=15)]
        assert [one.error.code for one in answers] == [Code.PROOF_INVALID]


async def test_peering_door_refuses_its_messages(attack: Attack) -> None:
    unsigned = Message(
        source=attack.ground.world.hash("stranger"),
        source_location=None,
        namespace=attack.ground.namespace,
        topic=Topic("a"),
        payload=(PayloadObject("text", b"x"),),
        origin_router="stranger's router",
        jedi_timestamp=None,
        proof=attack.forged("publish"),
        signature=b"",
        encryption_partition=(),
        timestamps=(),
        drops=(),
        is_persisted=True,
    )
    message = replace(unsigned, signature=attack.sign(message_digest(unsigned)))
    async with attack.peer() as peer:
        wire = message_to_wire(message, proof=message.proof)
        assert await peer.code_of_publish(wire) == Code.PROOF_INVALID


async def test_peering_door_refuses_its_subscriptions(attack: Attack) -> None:
    unsigned = SubscriptionRequest(
        source=attack.ground.world.hash("stranger"),
        source_location=None,
        namespace=attack.ground.namespace,
        topic_filter=TopicFilter("*"),
        identifier="i",
        router_id="stranger's router",
        expiry_s=60,
        absolute_expiry=None,
        proof=attack.forged("subscribe"),
        signature=b"",
    )
    request = replace(unsigned, signature=attack.sign(subscription_digest(unsigned)))
    async with attack.peer() as peer:
        stream = peer.subscribe(subscription_to_wire(request), timeout=15)
        assert [one.error.code async for one in stream] == [Code.PROOF_INVALID]


async def test_peering_door_refuses_its_queries(attack: Attack) -> None:
    unsigned = QueryRequest(
        source=attack.ground.world.hash("stranger"),
        namespace=attack.ground.namespace,
        topic_filter=TopicFilter("*"),
        proof=attack.forged("query"),
        signature=b"",
    )
    request = replace(unsigned, signature=attack.sign(query_digest(unsigned)))
    async with attack.peer() as peer:
        stream = peer.query(query_to_wire(request), timeout=15)
        assert [one.error.code async for one in stream] == [Code.PROOF_INVALID]
