"""Routers that stand still for a while (SIGSTOP) and go on: nothing is lost, doubled or re-ordered.

So does a machine that swaps, a virtual one that is moved, or a laptop whose lid is closed.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.support.fault_rig import LinkedTier, linked_tier
from tests.support.tier import Ground, wait_uplinks
from wavemq.testing import RouterProcess

PAUSES_S = (0.2, 1.0, 3.0, 0.2, 6.0)
CATCH_UP_SECONDS_MAX = 90.0


async def _stand_still(router: RouterProcess, linked: LinkedTier, other: str) -> None:
    """Pause a router again and again; the readers at the other one get on meanwhile."""
    for pause_s in PAUSES_S:
        await asyncio.sleep(0.5)
        before = linked.history.delivered(other)
        router.pause()
        await asyncio.sleep(pause_s)
        moved_on = linked.history.delivered(other)
        router.unpause()
        if pause_s >= 1.0:
            assert moved_on > before, f"{other} waits for a router that is not its own"


async def _run(ground: Ground, folder: Path, *, is_site: bool) -> None:
    async with (
        linked_tier(ground, folder) as linked,
        linked.tier.at_designated("operator") as cloud,
        linked.tier.at_site("service") as site,
        linked.reading(cloud, "far", "pause/*"),
        linked.reading(site, "near", "pause/*"),
    ):
        await wait_uplinks(site, 1)
        async with (
            linked.publishing(site, "pause/up/a", "pause/up/b"),
            linked.publishing(cloud, "pause/down/a", "pause/down/b"),
        ):
            # What is published before the site's subscription is known above is not owed to it.
            await asyncio.sleep(1.0)
            linked.history.joined("near", "pause/*")
            router, other = (
                (linked.tier.site, "far") if is_site else (linked.tier.designated, "near")
            )
            await _stand_still(router, linked, other)
        await linked.settled(CATCH_UP_SECONDS_MAX, "near", "far")


async def test_site_router_that_stands_still(ground: Ground, tmp_path: Path) -> None:
    await _run(ground, tmp_path, is_site=True)


async def test_designated_router_that_stands_still(ground: Ground, tmp_path: Path) -> None:
    await _run(ground, tmp_path, is_site=False)
