"""Wall clocks that jump under real routers, and one that begins in 1970.

A gateway without a battery for its clock starts in 1970 and learns the time from the network, which
may come minutes later. Proofs are judged by that clock, so that only what needs none is promised
before: what was taken is kept, and delivered when the time is known.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.support.fault_rig import linked_tier
from tests.support.set_clock import SetClock
from tests.support.tier import Ground, wait_uplinks
from wavemq.clock import NANOSECONDS_PER_SECOND, SystemClock
from wavemq.testing.history import Fate

HOUR_S, DAY_S = 3_600, 86_400
CATCH_UP_SECONDS_MAX = 60.0


async def test_clocks_that_jump_under_load(ground: Ground, tmp_path: Path) -> None:
    clock = SetClock(tmp_path / "clock")
    async with (
        linked_tier(ground, tmp_path, clock.environment) as linked,
        linked.tier.at_designated("observer") as cloud,
        linked.tier.at_site("service") as site,
        linked.reading(cloud, "far", "clock/*"),
    ):
        await wait_uplinks(site, 1)
        # Nobody reads this one: it must not end because a day seems to have passed.
        async with site.subscribe("clock/*", name="near", keep_s=HOUR_S):
            linked.history.joined("near", "clock/*")
        async with linked.publishing(site, "clock/a", "clock/b"):
            for offset_s in (DAY_S, 0, HOUR_S, 2 * DAY_S, 3, 0):
                await asyncio.sleep(1.5)
                clock.set(offset_s)
            await asyncio.sleep(1.0)
        async with linked.reading(site, "near", "clock/*"):
            await linked.settled(CATCH_UP_SECONDS_MAX, "near", "far")
        assert linked.history.count(Fate.ANSWERED) > 100
        assert "clock_stepped" in linked.tier.site.log


async def test_site_that_starts_in_1970(ground: Ground, tmp_path: Path) -> None:
    """Goal: a queue from before survives a start in 1970, and drains once the time is known."""
    clock = SetClock(tmp_path / "clock")
    async with (
        linked_tier(ground, tmp_path, clock.environment) as linked,
        linked.tier.at_designated("observer") as cloud,
        linked.reading(cloud, "far", "clock/*"),
    ):
        site_process = linked.tier.site
        async with linked.tier.at_site("service") as site:
            await wait_uplinks(site, 1)
            async with site.subscribe("clock/*", name="near", keep_s=HOUR_S):
                linked.history.joined("near", "clock/*")
            linked.link.is_refusing = True
            linked.link.cut()
            for _ in range(20):
                await linked.publish(site, "early", "clock/a")
        site_process.kill()
        clock.set(60 - SystemClock().now() // NANOSECONDS_PER_SECOND)
        site_process.start()
        linked.link.heal()
        async with linked.tier.at_site("service") as site:
            for _ in range(3):  # refused or taken: either way it must be true
                await linked.publish(site, "timeless", "clock/b")
            clock.set(0)
            await wait_uplinks(site, 1)
            async with linked.reading(site, "near", "clock/*"):
                for _ in range(20):
                    await linked.publish(site, "late", "clock/a")
                await linked.settled(CATCH_UP_SECONDS_MAX, "near", "far")
