"""Who has no authority gets an error that says so, and moves nothing."""

from __future__ import annotations

import pytest

import wavemq
from tests.support.tier import Tier, expect_silence, take
from wavemq.clock import SystemClock
from wavemq.errors import (
    AuthorizationError,
    InvalidParameterError,
    NoProofFoundError,
    ProofInvalidError,
    SubscriptionFailedError,
    WaveMQError,
)
from wavemq.testing.forgery import forge_proof


async def test_publisher_without_a_grant_is_refused(tier: Tier) -> None:
    async with (
        tier.at_site("service") as service,
        service.subscribe("*") as everything,
        tier.at_site("stranger") as stranger,
    ):
        with pytest.raises(NoProofFoundError):
            await stranger.publish("example/topic", b"x")
        with pytest.raises((SubscriptionFailedError, NoProofFoundError)):
            async with stranger.subscribe("example/*"):
                pass
        await expect_silence(everything)


async def test_grant_on_a_subtree_ends_at_its_edge(tier: Tier) -> None:
    async with tier.at_site("tenant") as tenant, tenant.subscribe("tenant/+") as own:
        await tenant.publish("tenant/a", b"mine")
        assert [one.payload for one in await take(own, 1)] == [b"mine"]
        with pytest.raises(NoProofFoundError):
            await tenant.publish("landlord/a", b"not mine")
        with pytest.raises(WaveMQError):
            async with tenant.subscribe("*"):
                pass


@pytest.mark.parametrize("door", ["site", "designated"])
async def test_forged_proof_is_refused_at_the_local_door(tier: Tier, door: str) -> None:
    address = tier.site.local if door == "site" else tier.designated.local
    secret = tier.world.path("stranger.pem").read_bytes()
    now = SystemClock().now()
    forged = {
        permission: forge_proof(
            secret, namespace=tier.namespace, resource="*", permission=permission, now=now
        ).der
        for permission in ("publish", "subscribe", "query")
    }
    async with (
        tier.at_site("service") as service,
        service.subscribe("*") as everything,
        wavemq.connect(address, entity=secret, namespace=tier.namespace) as stranger,
    ):
        with pytest.raises(ProofInvalidError):
            await stranger.publish("example/topic", b"x", proof=forged["publish"])
        with pytest.raises((SubscriptionFailedError, AuthorizationError)):
            async with stranger.subscribe("example/*", proof=forged["subscribe"]):
                pass
        with pytest.raises(AuthorizationError):
            await stranger.query("example/*", proof=forged["query"])
        await expect_silence(everything)


async def test_proof_of_another_entity_does_not_serve_a_stranger(tier: Tier) -> None:
    stolen = tier.ground.site_world.prove(
        "wavemq:publish@namespace.pem/example/*", subject="service", outfile="stolen.pem"
    )
    async with tier.at_site("service") as service:
        await service.publish("example/topic", b"x", proof=stolen.read_bytes())
    async with tier.at_site("stranger") as stranger:
        with pytest.raises(ProofInvalidError):
            await stranger.publish("example/topic", b"x", proof=stolen.read_bytes())


async def test_reader_without_the_key_gets_the_clear_messages_only(tier: Tier) -> None:
    async with (
        tier.at_site("service") as service,
        tier.at_site("auditor") as auditor,
        auditor.subscribe("audited/*") as audited,
    ):
        await service.publish("audited/a", b"secret", encryption_partition="audited/a")
        await service.publish("audited/a", b"clear")
        assert [one.payload for one in await take(audited, 1)] == [b"clear"]


async def test_namespace_without_a_designated_router_is_refused(tier: Tier) -> None:
    async with tier.at_site("service") as service:
        with pytest.raises(SubscriptionFailedError, match="no configured DR"):
            async with service.subscribe("a/*", namespace=tier.world.hash_of("stranger")):
                pass


@pytest.mark.parametrize("topic", ["", "a//b", "/a", "a/+/b", "a/*", "a/" + "b" * 1024])
async def test_bad_topic_is_refused_before_anything_is_sent(tier: Tier, topic: str) -> None:
    async with tier.at_site("service") as service:
        with pytest.raises(InvalidParameterError):
            await service.publish(topic, b"x")


async def test_name_in_use_for_another_filter_is_refused_and_names_it(tier: Tier) -> None:
    async with tier.at_site("service") as service:
        async with service.subscribe("bound/one/*", name="ingest"):
            pass
        with pytest.raises(SubscriptionFailedError, match="bound/one"):
            async with service.subscribe("bound/two/*", name="ingest"):
                pass
