"""A flapping link, shown live: what was answered arrives, in order, once; exits with 1 otherwise.

Starts object storage, a designated router and a site router joined by a link that this program
cuts and heals, with publishers and acknowledging subscribers on both sides. The site router is
killed once on the way. Everything lives in a temporary folder and ends with this program.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from demo import DifferenceError, Report, make_cloud, make_site, within
from rich.console import Console
from rich.live import Live
from rich.table import Table

import wavemq
from wavemq.errors import WaveMQError
from wavemq.testing import RouterProcess, World
from wavemq.testing.fault_proxy import FaultProxy
from wavemq.testing.history import Fate, History

SECONDS_DEFAULT = 300.0
READY_SECONDS_MAX = 30.0
CALM_SECONDS_MAX = 90.0
PUBLISH_PAUSE_SECONDS = 0.1
"""A topic goes up one message at a time, and the link is up for a quarter of the time: some ten
messages a second and topic are what it carries without a queue that grows until it is full."""
FILTER = "example/*"


@dataclass(slots=True)
class Scene:
    """Who plays, and what is known of it."""

    site: RouterProcess
    designated: RouterProcess
    world: World
    link: FaultProxy
    history: History
    is_over: bool = False
    link_state: str = "up"

    def bus(self, router: RouterProcess, who: str) -> wavemq.Bus:
        """Return a connection of an entity to a router."""
        return wavemq.connect(
            router.local,
            entity=self.world.path(f"{who}.pem"),
            namespace=self.world.hash_of("namespace"),
            reconnect=wavemq.ReconnectPolicy(ceiling_s=0.5),
        )


async def publish(scene: Scene, bus: wavemq.Bus, publisher: str) -> None:
    """Publish on a topic of its own until the end."""
    topic = f"example/{publisher}"
    while not scene.is_over:
        publication = scene.history.sending(publisher, topic)
        try:
            await bus.publish(topic, publication.payload, timeout_s=2.0)
        except WaveMQError:
            scene.history.settle(publication, Fate.UNKNOWN)  # a killed router does not answer
        else:
            scene.history.settle(publication, Fate.ANSWERED)
        await asyncio.sleep(PUBLISH_PAUSE_SECONDS)


async def read(scene: Scene, subscription: wavemq.Subscription, name: str) -> None:
    """Note everything that arrives."""
    async for message in subscription:
        scene.history.received(
            name,
            message.topic,
            message.payload,
            origin=message.origin_router,
            drops=message.drops,
        )


async def flap(scene: Scene, seconds: float) -> None:
    """Cut and heal the link, and kill the site router in the middle."""
    loop, dice = asyncio.get_running_loop(), random.Random(1)
    end, middle = loop.time() + seconds, loop.time() + seconds / 2
    is_killed = False
    while loop.time() < end:
        await asyncio.sleep(min(dice.uniform(2.0, 10.0), seconds / 6))
        scene.link_state, scene.link.is_refusing = "down", True
        scene.link.cut()
        if loop.time() > middle and not is_killed:
            is_killed = True
            scene.link_state = "down; site killed"
            scene.site.kill()
            await asyncio.to_thread(scene.site.start)
        await asyncio.sleep(min(dice.uniform(2.0, 12.0), seconds / 6))
        scene.link.heal()
        scene.link_state = "up"


def status_of(router: RouterProcess) -> dict[str, object]:
    """Return what a router says of itself; nothing while it is dead."""
    if not router.is_running or "metrics" not in router.ready:
        return {}
    try:
        with urllib.request.urlopen(f"http://{router.metrics}/status", timeout=1) as page:
            found: dict[str, object] = json.loads(page.read())
            return found
    except (OSError, ValueError):
        return {}


async def knows_readers(scene: Scene, count: int) -> bool:
    """Return whether the designated router has so many subscriptions."""
    status = await asyncio.to_thread(status_of, scene.designated)
    found = status.get("subscriptions")
    return isinstance(found, int) and found >= count


def rows_of(scene: Scene, statuses: dict[str, dict[str, object]]) -> list[list[str]]:
    """Return one row for each tier."""
    rows = []
    for tier, reader in (("site", "at the site"), ("designated", "in the cloud")):
        status = statuses[tier]
        dropped = status.get("dropped_messages")
        count = sum(dropped.values()) if isinstance(dropped, dict) else "-"
        rows.append(
            [
                tier,
                str(status.get("queued_messages", "-")),
                str(scene.history.delivered(reader)),
                str(count),
            ]
        )
    return rows


async def show(scene: Scene, console: Console) -> None:
    """Show the state of the tiers every second."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    with Live(console=console, auto_refresh=False, transient=False) as live:
        while True:
            statuses = {
                "site": await asyncio.to_thread(status_of, scene.site),
                "designated": await asyncio.to_thread(status_of, scene.designated),
            }
            rows = rows_of(scene, statuses)
            seconds = f"{loop.time() - start:.0f} s"
            answered = scene.history.count(Fate.ANSWERED)
            if console.is_terminal:
                table = Table(title=f"{seconds}   link {scene.link_state}   answered {answered}")
                for heading in ("tier", "waiting", "delivered", "dropped"):
                    table.add_column(heading, justify="right")
                for row in rows:
                    table.add_row(*row)
                live.update(table, refresh=True)
            else:
                tiers = "; ".join(
                    f"{tier} waiting {waiting} delivered {delivered} dropped {dropped}"
                    for tier, waiting, delivered, dropped in rows
                )
                console.print(f"{seconds}: link {scene.link_state}; answered {answered}; {tiers}")
            await asyncio.sleep(1.0)


async def play(scene: Scene, console: Console, seconds: float) -> None:
    """Publish and read through the storm, then wait until all has arrived."""
    async with (
        scene.bus(scene.site, "service") as near,
        scene.bus(scene.designated, "service") as far,
        scene.bus(scene.designated, "observer") as observer,
        near.subscribe(FILTER, name="demo") as at_site,
        observer.subscribe(FILTER, name="demo") as in_cloud,
    ):
        # A subscription at a site is effective there at once, above as soon as the link has it.
        await within(
            "the cloud knows both readers", lambda: knows_readers(scene, 2), READY_SECONDS_MAX
        )
        scene.history.joined("at the site", FILTER)
        scene.history.joined("in the cloud", FILTER)
        async with asyncio.TaskGroup() as group:
            watching = [
                group.create_task(read(scene, at_site, "at the site")),
                group.create_task(read(scene, in_cloud, "in the cloud")),
                group.create_task(show(scene, console)),
            ]
            async with asyncio.TaskGroup() as publishers:
                for publisher in ("boiler", "meter", "door"):
                    publishers.create_task(publish(scene, near, publisher))
                publishers.create_task(publish(scene, far, "forecast"))
                await flap(scene, seconds)
                scene.is_over = True

            async def is_all_there() -> bool:
                names = ("at the site", "in the cloud")
                return not any(scene.history.outstanding(name) for name in names)

            try:
                await within("everything has arrived", is_all_there, CALM_SECONDS_MAX)
            except DifferenceError as error:
                console.print(str(error))  # the verdict says what is missing
            await asyncio.sleep(1.5)  # what comes twice would come now
            for task in watching:
                task.cancel()


async def run(console: Console, folder: Path, seconds: float) -> int:
    """Set the scene, play, judge; 0 if every promise was kept."""
    quiet = Report(Console(quiet=True))
    with ExitStack() as stack:
        console.print("setting up object storage, keys, a designated router and a site router ...")
        storage, designated, world = await asyncio.to_thread(make_cloud, stack, quiet, folder)
        async with FaultProxy(designated.peer) as link:
            site = await asyncio.to_thread(
                make_site, stack, quiet, folder, storage, world, link.address
            )
            console.print("the link between them will be cut and healed; the site is killed once")
            scene = Scene(site, designated, world, link, History())
            await play(scene, console, seconds)
    verdict = scene.history.verdict()
    readers = verdict.subscribers.values()
    delivered = min(one.delivered for one in readers)
    console.print(
        f"answered {verdict.answered}, delivered {delivered}, "
        f"out of order {verdict.out_of_order}, duplicates {verdict.duplicates}"
    )
    for complaint in verdict.complaints():
        console.print(complaint)
    return 0 if verdict.is_kept and delivered == verdict.answered else 1


def main() -> int:
    """Run the demonstration; the exit status says whether the promises were kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS_DEFAULT, help="of flapping")
    arguments = parser.parse_args()
    console = Console(highlight=False, soft_wrap=True)
    with tempfile.TemporaryDirectory(prefix="wavemq-outage-") as folder:
        return asyncio.run(run(console, Path(folder), arguments.seconds))


if __name__ == "__main__":
    sys.exit(main())
