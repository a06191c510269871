"""A disk without room: publishers hear of it at once, what waits is delivered, and it passes.

The kernel's limit on the size of files stands for the file system's: it can be set and lifted while
the router runs, by anybody, and its writes fail in the same places.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import wavemq
from tests.support.fault_rig import LinkedTier, linked_tier
from tests.support.tier import Ground, wait_uplinks
from wavemq.errors import QueueError
from wavemq.testing import RouterProcess
from wavemq.testing.history import Fate

WAITING = 50
REFUSAL_SECONDS_MAX = 2.0
RECOVERY_SECONDS_MAX = 10.0
CATCH_UP_SECONDS_MAX = 60.0


@contextlib.contextmanager
def full_disk(router: RouterProcess) -> Iterator[None]:
    """Let none of a router's files be written for the duration of the block."""
    limit = resource.RLIMIT_FSIZE
    before = resource.prlimit(router.pid, limit)
    resource.prlimit(router.pid, limit, (0, before[1]))
    try:
        yield
    finally:
        resource.prlimit(router.pid, limit, before)


async def _refused_at_once(linked: LinkedTier, bus: wavemq.Bus, topic: str) -> None:
    publication = linked.history.sending("unlucky", topic)
    started = time.monotonic()
    with pytest.raises(QueueError):
        await bus.publish(topic, publication.payload, timeout_s=30.0)
    # The uplink may have had it: what is on its way need not be on disk.
    linked.history.settle(publication, Fate.UNKNOWN)
    assert time.monotonic() - started < REFUSAL_SECONDS_MAX


async def _accepted_again(linked: LinkedTier, bus: wavemq.Bus, topic: str) -> None:
    deadline = time.monotonic() + RECOVERY_SECONDS_MAX
    answered = linked.history.count(Fate.ANSWERED)
    while linked.history.count(Fate.ANSWERED) == answered:
        await linked.publish(bus, "patient", topic)
        assert time.monotonic() < deadline, "the disk has room again, and nobody noticed"
        await asyncio.sleep(0.1)


async def test_full_disk_of_a_site(ground: Ground, tmp_path: Path) -> None:
    async with (
        linked_tier(ground, tmp_path) as linked,
        linked.tier.at_designated("observer") as cloud,
        linked.tier.at_site("service") as site,
        linked.reading(cloud, "far", "full/*"),
    ):
        await wait_uplinks(site, 1)
        async with site.subscribe("full/*", name="near"):
            linked.history.joined("near", "full/*")
        for _ in range(WAITING):
            await linked.publish(site, "early", "full/a")
        with full_disk(linked.tier.site):
            await _refused_at_once(linked, site, "full/b")
            async with linked.reading(site, "near", "full/*"):
                await linked.wait(
                    lambda: linked.history.delivered("near") >= WAITING, "what waits comes", 10.0
                )
            for _ in range(5):
                await _refused_at_once(linked, site, "full/b")
        await _accepted_again(linked, site, "full/c")
        async with linked.reading(site, "near", "full/*"):
            await linked.settled(CATCH_UP_SECONDS_MAX, "near", "far")


async def test_full_disk_of_the_designated_router_is_waited_for(
    ground: Ground, tmp_path: Path
) -> None:
    async with (
        linked_tier(ground, tmp_path) as linked,
        linked.tier.at_designated("operator") as cloud,
        linked.tier.at_site("service") as site,
        linked.reading(cloud, "far", "full/*"),
    ):
        await wait_uplinks(site, 1)
        await linked.publish(site, "early", "full/a")
        with full_disk(linked.tier.designated):
            async with linked.publishing(site, "full/a", "full/b", "full/c"):
                await asyncio.sleep(3.0)
                await _refused_at_once(linked, cloud, "full/cloud")
                await asyncio.sleep(3.0)
            assert linked.history.outstanding("far") > 0
            assert linked.history.count(Fate.ANSWERED) > WAITING, "the site goes on"
        await _accepted_again(linked, cloud, "full/cloud")
        await linked.settled(CATCH_UP_SECONDS_MAX, "far")
