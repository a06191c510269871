"""Simulated routers: the real core, driver and doors, on a simulated disk and network.

Owns a router's lives. Refuses to decide what happens to it. Fault model: it dies at any moment,
with writes under way undone, and begins again from its disk; its wall clock is set at will.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import cast

from wavemq.authz.admission import Admission
from wavemq.clock import NANOSECONDS_PER_SECOND, Instant
from wavemq.net.peer_server import PeerService
from wavemq.net.uplink import Uplink
from wavemq.router.counts import DoorCounts
from wavemq.router.doorway import Doorway
from wavemq.router.driver import Driver
from wavemq.router.peer_door import PeerDoor
from wavemq.router.uplink_door import UplinkDoor
from wavemq.routing.config import RoutingConfig
from wavemq.routing.router import Router
from wavemq.testing.simulation.authority import SimulatedAuthority
from wavemq.testing.simulation.disk import SimulatedDisk
from wavemq.testing.simulation.machine import SimulatedMachine
from wavemq.testing.simulation.network import Network, PeerFinder, SimulatedUplink
from wavemq.wave.hashes import Hash


class SimulatedClock:
    """A wall clock that can be set.

    Args:
        start: what it tells when the simulation begins.
    """

    def __init__(self, start: Instant) -> None:
        self.offset_ns = start

    def now(self) -> Instant:
        """Return the present as this router sees it."""
        seconds = asyncio.get_running_loop().time()
        return Instant(self.offset_ns + round(seconds * NANOSECONDS_PER_SECOND))


class SimulatedRouter:
    """One router and its lives.

    Args:
        name: of the router.
        configure: makes its configuration, given its id.
        network: of the world.
        clock: its wall clock.
        upstream: where its designated router is found, by namespace.
        dice: draws its id.
    """

    def __init__(
        self,
        name: str,
        configure: Callable[[str], RoutingConfig],
        network: Network,
        clock: SimulatedClock,
        upstream: dict[Hash, PeerFinder],
        dice: Random,
    ) -> None:
        self.name = name
        self.clock = clock
        self.disk = SimulatedDisk()
        self.authority = SimulatedAuthority()
        self.finder = PeerFinder()
        self.uplinks: dict[Hash, SimulatedUplink] = {}
        self._dropped_before: Counter[str] = Counter()
        self.lives = 0
        self._configure = configure
        self._network = network
        self._upstream = upstream
        self._dice = dice
        self._life: asyncio.Task[None] | None = None

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._life is not None

    @property
    def dropped(self) -> Counter[str]:
        """Messages that it dropped in all its lives, by cause."""
        now = self.driver.statistics().dropped if self.is_alive else {}
        return self._dropped_before + Counter(now)

    async def start(self) -> None:
        """Begin a life."""
        self.lives += 1
        self._recorder = self.disk.recorder()
        make_id = lambda: str(uuid.UUID(int=self._dice.getrandbits(128)))  # noqa: E731 - a value
        self.router_id = self._recorder.router_id(make_id)
        core = Router(self._configure(self.router_id), self._recorder.snapshot(), self.clock.now())
        self.uplinks = {}
        uplinks = cast(dict[Hash, Uplink], self.uplinks)
        self.driver = Driver(core, self._recorder, uplinks, self.clock, SimulatedMachine())
        self.death: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        started = asyncio.Event()
        self._life = asyncio.ensure_future(self._live(started))
        await started.wait()

    async def _live(self, started: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            doorway = Doorway(
                self.driver,
                cast(Admission, self.authority),
                self.clock,
                group,
                DoorCounts(),
            )
            door = UplinkDoor(doorway)
            for namespace, finder in self._upstream.items():
                uplink = SimulatedUplink(namespace, door, self._network, finder)
                self.uplinks[namespace] = uplink
                group.create_task(uplink.run())
            self.finder.peer = (PeerService(PeerDoor(doorway)).handler(), self.death)
            group.create_task(self.driver.run())
            started.set()

    async def crash(self) -> None:
        """End this life without a word."""
        if self._life is None:
            return
        self._dropped_before = self.dropped
        self._recorder.is_over = True
        self.finder.peer = None
        life, self._life = self._life, None
        self.death.set_result(None)
        life.cancel()
        await asyncio.wait({life})
        if not life.cancelled() and life.exception() is not None:
            raise AssertionError(f"{self.name} failed by itself") from life.exception()
