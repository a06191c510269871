"""A designated router that is dead for a day: its site's memory stays flat, and it catches up."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from functools import partial
from random import Random

from wavemq.clock import Instant
from wavemq.routing.config import QueueLimits, RoutingConfig
from wavemq.testing.history import Fate, History
from wavemq.testing.simulation.clients import Publisher, Reader
from wavemq.testing.simulation.loop import VirtualLoop
from wavemq.testing.simulation.network import Network
from wavemq.testing.simulation.nodes import SimulatedClock, SimulatedRouter
from wavemq.testing.simulation.world import NAMESPACE, silence
from wavemq.wave.hashes import Hash

HOUR_S = 3_600.0
LIMIT = 200
PAUSE_S = 20.0
GROWTH_BYTES_MAX = 200_000
"""Over 22 hours; a hundred bytes for each message would be 400,000."""


def configure(router_id: str, *, is_site: bool) -> RoutingConfig:
    own, none = frozenset({NAMESPACE}), frozenset[Hash]()
    return RoutingConfig(
        router_id=router_id,
        uplinks=own if is_site else none,
        designated=none if is_site else own,
        queue_expiry_s=10 * 86_400,
        consumer_queue=QueueLimits(LIMIT, 1 << 24),
        uplink_queue=QueueLimits(LIMIT, 1 << 24),
        resident_bytes_max=20_000,
    )


def sent_count(history: History) -> int:
    return sum(history.count(fate) for fate in Fate)


async def live_through_a_day() -> None:
    dice = Random(20_261_124)
    network, clock = Network(dice), SimulatedClock(Instant(1_800_000_000 * 10**9))
    cloud = SimulatedRouter("cloud", partial(configure, is_site=False), network, clock, {}, dice)
    site = SimulatedRouter(
        "site", partial(configure, is_site=True), network, clock, {NAMESPACE: cloud.finder}, dice
    )
    await cloud.start()
    await site.start()
    history = History()
    reader = Reader("far", cloud, NAMESPACE, "t/*", history, set(), dice)
    reading = asyncio.ensure_future(reader.run())
    await asyncio.sleep(10.0)
    reader.is_calm = True
    topics = [f"t/{number}" for number in range(5)]
    publisher = Publisher("p", site, NAMESPACE, topics, history, dice, PAUSE_S)
    publishing = asyncio.ensure_future(publisher.run())
    await cloud.crash()
    await asyncio.sleep(2 * HOUR_S)  # the queue is full, and everything has its size
    statistics = site.driver.statistics()
    assert statistics.queued_messages == LIMIT
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    sent_before = sent_count(history)
    await asyncio.sleep(22 * HOUR_S)
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    statistics = site.driver.statistics()
    assert sent_count(history) - sent_before > 3_000
    assert statistics.queued_messages == LIMIT
    assert statistics.records == LIMIT
    assert statistics.dropped["length"] == statistics.published_count - LIMIT
    test_s_own = 400 * (sent_count(history) - sent_before)
    assert after - before < GROWTH_BYTES_MAX + test_s_own, "memory grows with the outage"
    publishing.cancel()
    await cloud.start()
    await asyncio.sleep(120.0)
    assert site.driver.statistics().queued_messages == 0
    assert history.delivered("far") >= LIMIT
    reading.cancel()
    await asyncio.wait({reading, publishing})
    await site.crash()
    await cloud.crash()


def test_site_whose_designated_router_is_dead_for_a_day() -> None:
    loop = VirtualLoop(Random(1))
    with silence(), asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(live_through_a_day())
