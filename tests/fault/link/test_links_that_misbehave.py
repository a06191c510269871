"""What is promised over bad links between real routers: latency, cuts, silence, resets, thinness.

The link is a TCP proxy whose faults are switched while it runs: kernels without the module for
network emulation, and users without privileges, run these tests as well.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from pathlib import Path

import wavemq
from tests.support.fault_rig import LinkedTier, linked_tier
from tests.support.tier import Ground, wait_uplinks
from wavemq.testing.fault_proxy import FaultProxy, LaneFaults

CATCH_UP_SECONDS_MAX = 60.0
SILENT = LaneFaults(is_silent=True)
TOPICS = ("link/a", "link/b", "link/c")
MANY_TOPICS = tuple(f"link/{number}" for number in range(20))
"""A topic passes one message for each round trip, so that a slow link needs many to be busy."""


async def _wait_joined(linked: LinkedTier, cloud: wavemq.Bus) -> None:
    """Return once what the cloud publishes reaches the site; it is owed from then on."""
    while linked.history.delivered("near") == 0:
        await linked.publish(cloud, "prober", "command/probe")
        await asyncio.sleep(0.1)
    linked.history.joined("near", "command/*")


async def test_latency_and_short_cuts_lose_and_reorder_nothing(
    ground: Ground, tmp_path: Path
) -> None:
    async with linked_tier(ground, tmp_path) as linked:
        linked.link.set_faults(LaneFaults(latency_s=0.15))
        async with (
            linked.tier.at_designated("operator") as cloud,
            linked.tier.at_site("service") as site,
            linked.reading(cloud, "far", "link/*"),
            linked.reading(site, "near", "command/*"),
        ):
            await wait_uplinks(site, 1)
            await _wait_joined(linked, cloud)
            async with (
                linked.publishing(site, *MANY_TOPICS, pause_s=0.5),
                linked.publishing(cloud, "command/a", "command/b", pause_s=0.05),
            ):
                for _ in range(3):
                    await asyncio.sleep(1.0)
                    linked.link.cut()
                    await wait_uplinks(site, 0)
                    await wait_uplinks(site, 1)
            await linked.settled(CATCH_UP_SECONDS_MAX, "far", "near")


async def test_large_packets_that_vanish_stop_only_what_needs_the_link(
    ground: Ground, tmp_path: Path
) -> None:
    async with (
        linked_tier(ground, tmp_path) as linked,
        linked.tier.at_designated("observer") as cloud,
        linked.tier.at_site("service") as site,
        linked.reading(cloud, "far", "link/*"),
        linked.reading(site, "near", "link/*"),
    ):
        await wait_uplinks(site, 1)
        linked.link.set_faults(LaneFaults(chunk_bytes_max=1_400))
        for number in range(20):
            await linked.publish(site, "pump", TOPICS[0], size_bytes=200 * number)
        linked.link.cut()
        for _ in range(20):
            await linked.publish(site, "pump", TOPICS[0], size_bytes=4_000)
        assert linked.history.outstanding("far") > 0
        await linked.wait(lambda: linked.history.outstanding("near") == 0, "the site goes on", 5.0)
        linked.link.heal()
        await linked.settled(CATCH_UP_SECONDS_MAX, "far", "near")


async def test_link_that_is_silent_one_way_delivers_once_when_it_heals(
    ground: Ground, tmp_path: Path
) -> None:
    async with (
        linked_tier(ground, tmp_path) as linked,
        linked.tier.at_designated("observer") as cloud,
        linked.tier.at_site("service") as site,
        linked.reading(cloud, "far", "link/*"),
    ):
        await wait_uplinks(site, 1)
        for lane in (linked.link.up, linked.link.down):
            async with linked.publishing(site, *TOPICS):
                await asyncio.sleep(0.5)
                lane.faults = SILENT
                await asyncio.sleep(1.5)
                linked.link.cut()  # the silent end has seen messages whose answers are gone
                linked.link.heal()
                await wait_uplinks(site, 1)
            await linked.settled(CATCH_UP_SECONDS_MAX, "far")


async def test_site_that_returns_while_its_old_link_seems_alive_gets_everything_once(
    ground: Ground, tmp_path: Path
) -> None:
    """The site dies behind a silent link: the other end sends into the void, and knows nothing."""
    async with (
        linked_tier(ground, tmp_path) as linked,
        FaultProxy(linked.tier.designated.peer) as other_link,
        linked.tier.at_designated("operator") as cloud,
        linked.tier.at_site("service") as site,
        linked.reading(site, "near", "command/*"),
    ):
        await wait_uplinks(site, 1)
        await _wait_joined(linked, cloud)
        async with linked.publishing(cloud, "command/a", "command/b"):
            await asyncio.sleep(0.5)
            linked.link.set_faults(SILENT)
            await asyncio.sleep(0.5)
            linked.tier.site.kill()
            uplinks = dict.fromkeys(linked.tier.site.settings.uplinks, other_link.address)
            linked.tier.site.settings = replace(linked.tier.site.settings, uplinks=uplinks)
            await asyncio.to_thread(linked.tier.site.start)
            await wait_uplinks(site, 1)
            await asyncio.sleep(1.0)
        assert linked.link.connection_count == 1, "the old link still seems alive"
        await linked.settled(CATCH_UP_SECONDS_MAX, "near")
        linked.link.heal()
        await linked.settled(CATCH_UP_SECONDS_MAX, "near")


async def test_storm_of_resets_loses_nothing(ground: Ground, tmp_path: Path) -> None:
    dice = random.Random(20_261_124)
    async with (
        linked_tier(ground, tmp_path) as linked,
        linked.tier.at_designated("observer") as cloud,
        linked.tier.at_site("service") as site,
        linked.reading(cloud, "far", "link/*"),
    ):
        await wait_uplinks(site, 1)
        async with linked.publishing(site, *TOPICS):
            resets = 0
            while resets < 60 or linked.link.accepted_count < 4:
                await asyncio.sleep(dice.uniform(0.0, 0.4))
                linked.link.reset()
                resets += 1
        await linked.settled(CATCH_UP_SECONDS_MAX, "far")
