"""A link that is away for long, or so thin that it would take half an hour to catch up."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.support.fault_rig import LinkedTier, linked_tier
from tests.support.tier import Ground, wait_uplinks
from wavemq.testing.fault_proxy import LaneFaults

CUT_SECONDS = 30.0
BACKLOG_MESSAGES, BACKLOG_MESSAGE_BYTES = 1_000, 10_000
THIN = LaneFaults(bytes_per_s=6_250, latency_s=0.1)
PROGRESS_SECONDS_MAX = 20.0
LIVE_SECONDS_MAX = 25.0
CATCH_UP_SECONDS_MAX = 90.0


async def test_link_that_is_cut_for_thirty_seconds(ground: Ground, tmp_path: Path) -> None:
    async with (
        linked_tier(ground, tmp_path) as linked,
        linked.tier.at_designated("operator") as cloud,
        linked.tier.at_site("service") as site,
        linked.reading(cloud, "far", "long/*"),
        linked.reading(site, "near", "long/*"),
    ):
        await wait_uplinks(site, 1)
        async with (
            linked.publishing(site, "long/up/a", "long/up/b"),
            linked.publishing(cloud, "long/down/a", "long/down/b", pause_s=0.05),
        ):
            await asyncio.sleep(1.0)
            linked.history.joined("near", "long/*")  # its subscription is known above by now
            linked.link.is_refusing = True
            linked.link.cut()
            await asyncio.sleep(CUT_SECONDS)
            linked.link.heal()
            await asyncio.sleep(1.0)
        await linked.settled(CATCH_UP_SECONDS_MAX, "near", "far")


async def _arrived(linked: LinkedTier, more: int, seconds_max: float) -> None:
    wanted = linked.history.delivered("far") + more
    await linked.wait(
        lambda: linked.history.delivered("far") >= wanted, "the backlog shrinks", seconds_max
    )


async def test_thin_link_with_ten_megabytes_waiting_makes_progress(
    ground: Ground, tmp_path: Path
) -> None:
    async with (
        linked_tier(ground, tmp_path) as linked,
        linked.tier.at_designated("observer") as cloud,
        linked.tier.at_site("service") as site,
        linked.reading(cloud, "far", "thin/*"),
        linked.reading(cloud, "live", "live/*"),
    ):
        await wait_uplinks(site, 1)
        linked.link.is_refusing = True
        linked.link.cut()
        for number in range(BACKLOG_MESSAGES):
            topic = f"thin/{number % 4}"
            await linked.publish(site, topic, topic, size_bytes=BACKLOG_MESSAGE_BYTES)
        linked.link.set_faults(THIN)
        linked.link.is_refusing = False
        await _arrived(linked, 1, 60.0)  # the link and the first proof
        links = linked.link.accepted_count
        for _ in range(3):
            await _arrived(linked, 3, PROGRESS_SECONDS_MAX)
        await linked.publish(site, "live", "live/a")
        await linked.wait(
            lambda: linked.history.outstanding("live") == 0,
            "a live message does not wait behind the backlog",
            LIVE_SECONDS_MAX,
        )
        assert linked.history.outstanding("far") > BACKLOG_MESSAGES / 2
        await _arrived(linked, 3, PROGRESS_SECONDS_MAX)
        assert (await site.status()).uplinks_connected == 1
        assert linked.link.accepted_count == links, "no link was given up for being slow"
        linked.link.heal()
        await linked.settled(CATCH_UP_SECONDS_MAX, "far", "live")
