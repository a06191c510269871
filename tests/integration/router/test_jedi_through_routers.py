"""JEDI through a site and a designated router: who reads, who does not, and what is counted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

import wavemq
from tests.support.routers import Ground, ground, running
from tests.support.waiting import until_answered
from wavemq.errors import InvalidJEDIGrantError
from wavemq.router.process import BoundAddresses
from wavemq.wave.hashes import JEDI_PERMISSION_SET

TAKE_SECONDS_MAX = 15.0
HOUR_NS = 3600 * 10**9
KEEP_S = 4 * 3600


@dataclass(frozen=True, slots=True)
class Tier:
    ground: Ground
    designated: BoundAddresses
    site: BoundAddresses

    def at_site(self, who: str) -> wavemq.Bus:
        return self.ground.bus(self.site.local, who)

    def at_designated(self, who: str) -> wavemq.Bus:
        return self.ground.bus(self.designated.local, who)


@pytest.fixture
async def tier(tmp_path: Path) -> AsyncIterator[Tier]:
    async with ground(tmp_path, "designated", "sensor", "reader", "blind") as made:
        world = made.world
        await world.grant("namespace", "sensor", "publish", "*")
        for name in ("reader", "blind"):
            await world.grant("namespace", name, "subscribe,query", "*")
        await world.grant(
            "namespace",
            "reader",
            "decrypt",
            "a/*",
            permission_set=JEDI_PERMISSION_SET,
            is_encrypted=True,
        )
        async with running(await made.designated_settings("designated"), made.clock) as cloud:
            site_settings = made.settings("site", uplink=str(cloud.peer))
            async with running(site_settings, made.clock) as site:
                yield Tier(made, cloud, site)


async def take(subscription: wavemq.Subscription, count: int) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    async with asyncio.timeout(TAKE_SECONDS_MAX):
        while len(found) < count:
            message = await anext(subscription)
            found.append((message.topic, message.payload))
    return found


async def wait_connected(bus: wavemq.Bus) -> None:
    async def is_so() -> bool:
        return (await bus.status()).uplinks_connected == 1

    await until_answered("the uplink is connected", is_so)


async def unreadable(address: object) -> int:
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"http://{address}/metrics")).text
    name = "localserver_failed_incoming_decryption "
    (value,) = (line for line in text.splitlines() if line.startswith(name))
    return int(float(value.removeprefix(name)))


async def test_only_the_granted_read_and_the_others_misses_are_counted(tier: Tier) -> None:
    """The publisher holds no right to decrypt; the topic and the hour decide who does."""
    async with (
        tier.at_site("sensor") as sensor,
        tier.at_site("reader") as near,
        tier.at_designated("reader") as far,
        tier.at_designated("blind") as blind,
        near.subscribe("*", keep_s=KEEP_S) as at_site,
        far.subscribe("*", keep_s=KEEP_S) as in_cloud,
        blind.subscribe("*", keep_s=KEEP_S) as by_blind,
    ):
        await wait_connected(sensor)
        await sensor.publish("a/b", b"one", encrypt_with_jedi=True)
        await sensor.publish("a/b", b"two", encrypt_with_jedi=True)
        await sensor.publish("b", b"for nobody", encrypt_with_jedi=True)
        tier.ground.clock.offset += HOUR_NS
        await sensor.publish("a/b", b"an hour later", encrypt_with_jedi=True)
        # The last on every topic: what was not delivered before it, never will be.
        await sensor.publish("a/b", b"clear")
        await sensor.publish("b", b"clear")
        expected = sorted(
            [
                ("a/b", b"one"),
                ("a/b", b"two"),
                ("a/b", b"an hour later"),
                ("a/b", b"clear"),
                ("b", b"clear"),
            ]
        )
        assert sorted(await take(at_site, 5)) == expected
        assert sorted(await take(in_cloud, 5)) == expected
        assert sorted(await take(by_blind, 2)) == [("a/b", b"clear"), ("b", b"clear")]
    assert await unreadable(tier.site.metrics) == 1
    assert await unreadable(tier.designated.metrics) == 1 + 4


async def test_retained_message_is_read_by_the_granted_only(tier: Tier) -> None:
    async with (
        tier.at_site("sensor") as sensor,
        tier.at_site("reader") as reader,
        tier.at_designated("blind") as blind,
    ):
        await wait_connected(sensor)
        await sensor.publish("a/b", b"kept", persist=True, encrypt_with_jedi=True)

        async def is_retained() -> bool:
            return [one.payload for one in await reader.query("a/*")] == [b"kept"]

        await until_answered("the message is retained", is_retained)
        assert await blind.query("a/*") == []


async def test_topic_that_jedi_cannot_express_is_refused(tier: Tier) -> None:
    async with tier.at_site("sensor") as sensor:
        with pytest.raises(InvalidJEDIGrantError, match="13 components"):
            await sensor.publish("x/" * 12 + "x", b"x", encrypt_with_jedi=True)
        await sensor.publish("x/" * 12 + "x", b"x")
