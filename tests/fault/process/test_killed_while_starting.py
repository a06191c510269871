"""A router killed at many instants of its start: what waited still waits, once and in order."""

from __future__ import annotations

import contextlib
import random
import threading
from pathlib import Path

from tests.support.fault_rig import LinkedTier, designated_router, site_settings
from tests.support.tier import Ground, Tier
from wavemq.testing import RouterProcess
from wavemq.testing.fault_proxy import FaultProxy
from wavemq.testing.processes import ProcessFailedError

KILLS = 25
START_SECONDS = 0.9
WAITING = 300


def _kill_while_starting(router: RouterProcess, after_s: float) -> None:
    timer = threading.Timer(after_s, router.kill)
    timer.start()
    with contextlib.suppress(ProcessFailedError):  # it was killed before it was ready
        router.start()
    timer.join()
    router.kill()


async def test_router_killed_while_it_starts_keeps_what_waits(
    ground: Ground, tmp_path: Path
) -> None:
    dice = random.Random(20_261_124)
    designated = designated_router(ground, tmp_path)
    site = RouterProcess(site_settings(ground, tmp_path, "127.0.0.1:9"), name="site")
    tier = Tier(ground=ground, designated=designated, site=site)
    with site:
        async with FaultProxy("127.0.0.1:9") as nowhere:
            linked = LinkedTier(tier, nowhere)
            async with tier.at_site("service") as bus:
                async with bus.subscribe("start/*", name="near"):
                    linked.history.joined("near", "start/*")
                for number in range(WAITING):
                    await linked.publish(bus, "pump", f"start/{number % 3}")
            site.kill()
            for number in range(KILLS):
                _kill_while_starting(site, START_SECONDS * (number + dice.random()) / KILLS)
            site.start()
            async with tier.at_site("service") as bus, linked.reading(bus, "near", "start/*"):
                await linked.publish(bus, "pump", "start/0")
                await linked.settled(30.0, "near")
            assert linked.history.delivered("near") == WAITING + 1
