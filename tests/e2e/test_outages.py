"""What is promised when a router dies without warning and returns."""

from __future__ import annotations

import time

import wavemq
from tests.support.tier import Tier, expect_silence, take, take_until, wait_uplinks

COUNT = 40


def numbered(prefix: str) -> list[bytes]:
    return [f"{prefix} {number}".encode() for number in range(COUNT)]


async def publish_all(bus: wavemq.Bus, topic: str, payloads: list[bytes]) -> None:
    for payload in payloads:
        await bus.publish(topic, payload)


async def test_site_goes_on_while_the_designated_router_is_dead_and_it_catches_up_in_order(
    tier: Tier,
) -> None:
    async with (
        tier.at_designated("observer") as cloud,
        cloud.subscribe("outage/*") as far,
        tier.at_site("service") as site,
        site.subscribe("outage/*") as near,
    ):
        await wait_uplinks(site, 1)
        await publish_all(site, "outage/a", [b"before"])
        assert [one.payload for one in await take(far, 1)] == [b"before"]
        await take(near, 1)
        tier.designated.kill()
        await wait_uplinks(site, 0)
        await publish_all(site, "outage/a", numbered("during"))
        assert [one.payload for one in await take(near, COUNT)] == numbered("during")
        await expect_silence(far)
        tier.designated.start()
        caught_up = await take_until(far, numbered("during")[-1])
        # What was under way when the router was killed may come again (docs/durability.md).
        fresh = [one for one in caught_up if one.payload != b"before"]
        assert [one.payload for one in fresh] == numbered("during")
        assert not any(any(one.drops) for one in fresh)
        await expect_silence(far)
        await expect_silence(near)
        assert far.resumed_count == 1


async def test_answered_messages_survive_a_killed_site_router(tier: Tier) -> None:
    async with tier.at_designated("observer") as cloud, cloud.subscribe("crash/*") as far:
        async with tier.at_site("service") as site, site.subscribe("crash/*", name="kept") as near:
            await wait_uplinks(site, 1)
            tier.designated.kill()
            await wait_uplinks(site, 0)
            await near.close()
            await publish_all(site, "crash/a", numbered("queued"))
            tier.site.kill()
        tier.designated.start()
        tier.site.start()
        assert [one.payload for one in await take(far, COUNT)] == numbered("queued")
        await expect_silence(far)
        async with tier.at_site("service") as site, site.subscribe("crash/*", name="kept") as near:
            assert [one.payload for one in await take(near, COUNT)] == numbered("queued")
            await expect_silence(near)


async def test_subscription_resumes_after_a_clean_restart_of_its_router(tier: Tier) -> None:
    changes: list[wavemq.ConnectionChange] = []
    bus = wavemq.connect(
        tier.site.local,
        entity=tier.world.path("service.pem"),
        namespace=tier.namespace,
        reconnect=wavemq.ReconnectPolicy(ceiling_s=0.5),
        on_change=changes.append,
    )
    async with bus, bus.subscribe("restart/*") as readings:
        await bus.publish("restart/a", b"1")
        await take(readings, 1)
        assert tier.site.stop() == 0
        tier.site.start()
        await expect_silence(readings)
        await bus.publish("restart/a", b"2")
        assert [one.payload for one in await take(readings, 1)] == [b"2"]
    assert [changes[0].state, changes[-1].state] == ["lost", "resumed"]


async def test_publishing_goes_on_with_the_storage_unreachable(tier: Tier) -> None:
    async with tier.at_site("service") as site:
        await site.publish("storage/a", b"warm")
    for storage in tier.storages:
        storage.kill()
    try:
        tier.site.stop()
        tier.site.start()
        async with tier.at_site("service") as site, site.subscribe("storage/*") as near:
            started = time.monotonic()
            await site.publish("storage/a", b"cold")
            elapsed_s = time.monotonic() - started
            assert [one.payload for one in await take(near, 1)] == [b"cold"]
        assert elapsed_s < 1.0, "a driver's first publish has a deadline of 1 s"
    finally:
        for storage in tier.storages:
            storage.start()
