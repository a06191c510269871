"""Routers killed at random instants under load: what was answered arrives, in order, once.

Two killers work at the same time, one on the site router and one on the designated router, while
publishers go on at both. Every message is accounted for by its content in the end.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest

import wavemq
from tests.support.tier import Tier, within
from wavemq.errors import WaveMQError
from wavemq.testing import RouterProcess
from wavemq.testing.history import Fate, History

SITE_KILLS = 120
DESIGNATED_KILLS = 85
ALIVE_SECONDS_MAX = 0.35
PUBLISHERS = 4


async def kill_again_and_again(router: RouterProcess, count: int, dice: random.Random) -> None:
    for _ in range(count):
        await asyncio.sleep(dice.uniform(0.0, ALIVE_SECONDS_MAX))
        router.kill()
        await asyncio.to_thread(router.start)


async def publish_on(
    bus: wavemq.Bus, history: History, publisher: str, topic: str, is_over: Callable[[], bool]
) -> None:
    """Publish one after the other, and note what became of each."""
    while not is_over():
        publication = history.sending(publisher, topic)
        try:
            await bus.publish(topic, publication.payload, timeout_s=2.0)
        except WaveMQError:
            # It may have been taken or not: a killed router does not say.
            history.settle(publication, Fate.UNKNOWN)
            await asyncio.sleep(0.02)
        else:
            history.settle(publication, Fate.ANSWERED)


async def read_on(subscription: wavemq.Subscription, history: History, name: str) -> None:
    async for message in subscription:
        history.received(
            name,
            message.topic,
            message.payload,
            origin=message.origin_router,
            drops=message.drops,
        )


@pytest.mark.timeout(900)
async def test_nothing_answered_is_lost_or_doubled_by_two_hundred_kills(tier: Tier) -> None:
    history = History()
    dice = random.Random(20_261_124)
    assert SITE_KILLS + DESIGNATED_KILLS >= 200
    async with (
        tier.at_site("service") as site,
        tier.at_designated("observer") as cloud,
        site.subscribe("kill/*", name="near") as near,
        cloud.subscribe("kill/*", name="far") as far,
        asyncio.TaskGroup() as readers,
    ):
        reading = []
        for name, subscription in (("near", near), ("far", far)):
            history.joined(name, "kill/*")
            reading.append(readers.create_task(read_on(subscription, history, name)))
        is_over = False
        async with asyncio.TaskGroup() as publishers:
            for number in range(PUBLISHERS):
                publishers.create_task(
                    publish_on(site, history, f"p{number}", f"kill/p{number}", lambda: is_over)
                )
            async with asyncio.TaskGroup() as killers:
                for router, count in (
                    (tier.site, SITE_KILLS),
                    (tier.designated, DESIGNATED_KILLS),
                ):
                    own_dice = random.Random(dice.random())
                    killers.create_task(kill_again_and_again(router, count, own_dice))
            is_over = True

        async def is_all_there() -> bool:
            return not any(history.outstanding(name) for name in ("near", "far"))

        await within(f"the rest arrives: {history.verdict().summary()}", is_all_there)
        await asyncio.sleep(1.0)  # what comes twice would come now
        for task in reading:
            task.cancel()
    verdict = history.verdict()
    assert verdict.is_kept, verdict.complaints()
    assert verdict.answered >= 200, "the routers lived long enough to do something"
    assert history.delivered("near") >= verdict.answered
    assert history.delivered("far") >= verdict.answered
