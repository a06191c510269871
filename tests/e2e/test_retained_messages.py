"""Persist and Query: the designated router keeps the last persisted message of each topic."""

from __future__ import annotations

import pytest

import wavemq
from tests.support.tier import Tier, wait_uplinks, within
from wavemq.errors import DesignatedRouterLinkDownError, NoProofFoundError, UpstreamError


async def contents(bus: wavemq.Bus, topic_filter: str) -> dict[str, bytes]:
    return {answer.topic: answer.payload for answer in await bus.query(topic_filter)}


async def wait_retained(bus: wavemq.Bus, topic_filter: str, expected: dict[str, bytes]) -> None:
    async def is_so() -> bool:
        return await contents(bus, topic_filter) == expected

    await within(f"{expected} retained", is_so)


async def test_query_answers_the_last_persisted_message_of_each_matching_topic(tier: Tier) -> None:
    async with tier.at_site("service") as site, tier.at_designated("observer") as cloud:
        await wait_uplinks(site, 1)
        await site.publish("roof/temperature", b"20", persist=True)
        await site.publish("roof/temperature", b"21", persist=True)
        await site.publish("cellar/temperature", b"12", persist=True)
        await site.publish("cellar/humidity", b"80", persist=True)
        await site.publish("roof/temperature", b"not persisted")
        expected = {"roof/temperature": b"21", "cellar/temperature": b"12"}
        await wait_retained(cloud, "+/temperature", expected)
        assert await contents(site, "+/temperature") == expected
        assert await contents(site, "cellar/*") == {
            "cellar/temperature": b"12",
            "cellar/humidity": b"80",
        }
        assert await contents(site, "attic/*") == {}


async def test_encrypted_retained_message_opens_for_the_granted_only(tier: Tier) -> None:
    async with (
        tier.at_site("service") as service,
        tier.at_site("reader") as observer,
        tier.at_site("auditor") as auditor,
    ):
        await wait_uplinks(service, 1)
        await service.publish(
            "vault/code", b"1234", persist=True, encryption_partition="vault/code"
        )
        await wait_retained(observer, "vault/*", {"vault/code": b"1234"})
        assert await contents(auditor, "vault/*") == {}


async def test_retained_message_survives_a_killed_designated_router(tier: Tier) -> None:
    async with tier.at_site("service") as site:
        await wait_uplinks(site, 1)
        await site.publish("kept/value", b"7", persist=True)
        await wait_retained(site, "kept/*", {"kept/value": b"7"})
        tier.designated.kill()
        await wait_uplinks(site, 0)
        with pytest.raises((DesignatedRouterLinkDownError, UpstreamError)):
            await site.query("kept/*")
        tier.designated.start()
        await wait_uplinks(site, 1)
        assert await contents(site, "kept/*") == {"kept/value": b"7"}


async def test_query_without_a_grant_is_refused(tier: Tier) -> None:
    async with tier.at_site("tenant") as tenant:
        with pytest.raises(NoProofFoundError):
            await tenant.query("tenant/*")
