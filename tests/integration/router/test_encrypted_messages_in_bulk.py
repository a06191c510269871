"""Many encrypted messages at a time: in order, readable by the granted, and in nobody's way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import wavemq
from tests.support.routers import Ground, ground, running
from wavemq.router.process import BoundAddresses

SECONDS_MAX = 60.0
COUNT = 300
BURST = 900


@dataclass(frozen=True, slots=True)
class Alone:
    ground: Ground
    router: BoundAddresses

    def bus(self, who: str = "service") -> wavemq.Bus:
        return self.ground.bus(self.router.local, who)


@pytest.fixture
async def alone(tmp_path: Path) -> AsyncIterator[Alone]:
    async with ground(tmp_path, "designated", "service", "observer") as made:
        await made.world.grant("namespace", "service", "publish,subscribe,query", "*")
        await made.world.grant("namespace", "observer", "subscribe", "*")
        await made.world.grant_decryption("service", "vault/*")
        settings = await made.designated_settings("designated")
        async with running(settings, made.clock) as router:
            yield Alone(made, router)


async def taken(subscription: wavemq.Subscription, count: int) -> list[bytes]:
    async with asyncio.timeout(SECONDS_MAX):
        return [(await anext(subscription)).payload for _ in range(count)]


async def test_bursts_of_two_topics_arrive_once_and_in_the_order_of_each(alone: Alone) -> None:
    async with alone.bus() as bus, bus.subscribe("vault/*") as readings:

        async def publish(number: int) -> None:
            # Some in clear between the encrypted, which take longer to form.
            partition = None if number % 7 == 0 else "vault/codes"
            await bus.publish(f"vault/{number % 2}", b"%d" % number, encryption_partition=partition)

        await asyncio.gather(*map(publish, range(COUNT)))
        found = [int(one) for one in await taken(readings, COUNT)]
    for topic in (0, 1):
        assert [one for one in found if one % 2 == topic] == list(range(topic, COUNT, 2))


async def test_nobody_without_a_key_reads_one_of_a_burst(alone: Alone) -> None:
    async with (
        alone.bus() as bus,
        alone.bus("observer") as observer,
        observer.subscribe("vault/*") as blind,
        bus.subscribe("vault/*") as granted,
    ):
        partitions = ["vault/codes"] * 20 + ["elsewhere"] * 20
        await asyncio.gather(
            *(
                bus.publish("vault/x", b"%d" % number, encryption_partition=partition)
                for number, partition in enumerate(partitions)
            )
        )
        await bus.publish("vault/x", b"clear")
        assert await taken(granted, 21) == [*(b"%d" % one for one in range(20)), b"clear"]
        assert await taken(blind, 1) == [b"clear"]


async def test_messages_in_clear_do_not_queue_behind_a_burst_of_encrypted_ones(
    alone: Alone,
) -> None:
    async with alone.bus() as bus, alone.bus() as other:
        await other.publish("open/door", b"known")
        answered_count = 0
        is_under_way = asyncio.Event()

        async def publish_encrypted() -> None:
            nonlocal answered_count
            await bus.publish("vault/x", b"x", encryption_partition="vault/codes")
            answered_count += 1
            is_under_way.set()

        async with asyncio.timeout(SECONDS_MAX), asyncio.TaskGroup() as group:
            for _ in range(BURST):
                group.create_task(publish_encrypted())
            await is_under_way.wait()
            for _ in range(5):
                await other.publish("open/door", b"x")
            assert answered_count < BURST
    assert answered_count == BURST
