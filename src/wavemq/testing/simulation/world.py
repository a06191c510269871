"""A topology, what befalls it, and whether it kept its promises; all of it from a seed.

Owns the plan of a run: a phase of faults, then calm, in which everything must arrive. Refuses to
know how routers work. Fault model: whatever the seed draws: crashes, cuts, partitions, full and
failing disks, clocks that are set, silent storage, thin links, crashing readers; the designated
router may be one that knows no calls of our own.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from random import Random
from typing import Final

import structlog

from wavemq.clock import NANOSECONDS_PER_SECOND, Instant
from wavemq.errors import StorageFaultError
from wavemq.routing.config import QueueLimits, RoutingConfig
from wavemq.testing.history import Fate, History
from wavemq.testing.simulation.clients import Publisher, Reader
from wavemq.testing.simulation.loop import VirtualLoop
from wavemq.testing.simulation.network import METHODS_OF_OUR_OWN, Network
from wavemq.testing.simulation.nodes import SimulatedClock, SimulatedRouter
from wavemq.wave.hashes import Hash

NAMESPACE: Final = Hash(blake2b(b"namespace", digest_size=32).digest())
STORM_SECONDS: Final = 12.0
CALM_SECONDS_MAX: Final = 240.0
AMPLE: Final = QueueLimits(100_000, 1 << 28)
SCARCE: Final = QueueLimits(12, 1 << 20)
RESIDENT_BYTES_MAX: Final = 20_000
MEMORY_BYTES_PER_MESSAGE: Final = 4_096


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended.

    Attributes:
        seed: of the run.
        violations: promises that were broken, a sentence each; none: all were kept.
        answered: messages whose publish was answered.
        dropped: messages dropped and counted.
        kills: lives of routers that ended without a word.
        seconds: virtual, until all had arrived.
    """

    seed: int
    violations: tuple[str, ...]
    answered: int
    dropped: int
    kills: int
    seconds: float


def run_seed(seed: int) -> Outcome:
    """Run the world of a seed to its end; takes some tenths of a second.

    Raises:
        AssertionError: a part of the program failed by itself.
    """
    dice = Random(seed)  # noqa: S311 - repeatable, no secret
    loop = VirtualLoop(_another(dice))
    with silence(), asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(World(seed, dice, loop).run())


def _another(dice: Random) -> Random:
    """Return dice that follow from others, and are independent of their further use."""
    return Random(dice.getrandbits(64))  # noqa: S311 - repeatable, no secret


@contextmanager
def silence() -> Iterator[None]:
    """Keep the routers' log lines off the terminal."""
    kept = structlog.get_config()
    structlog.configure(processors=[_drop])
    try:
        yield
    finally:
        structlog.configure(**kept)


def _drop(*_: object) -> str:
    raise structlog.DropEvent


class World:
    """Sites under one designated router, and their programs.

    Args:
        seed: for the report.
        dice: decides everything.
        loop: that everything runs on.
    """

    def __init__(self, seed: int, dice: Random, loop: VirtualLoop) -> None:
        self._seed = seed
        self._dice = dice
        self._loop = loop
        self._history = History()
        self._is_scarce = dice.random() < 0.15
        self._network = Network(_another(dice))
        self._is_original = dice.random() < 0.15
        if self._is_original:  # the designated router
            self._network.hidden_methods = METHODS_OF_OUR_OWN
        self._routers: list[SimulatedRouter] = []
        self._readers: list[Reader] = []
        self._kills = 0
        self._violations: list[str] = []

    async def run(self) -> Outcome:
        """Build, storm, calm down, judge."""
        self._build()
        for router in self._routers:
            await router.start()
        programs = self._programs()
        async with asyncio.TaskGroup() as group:
            readers = [group.create_task(one.run()) for one in self._readers]
            await asyncio.sleep(1.0)  # subscriptions are there before messages
            publishers = [group.create_task(one.run()) for one in programs]
            await self._storm()
            for task in publishers:
                task.cancel()
            await self._calm()
            seconds = self._loop.time()
            self._judge()
            for task in readers:
                task.cancel()
        dropped = self._dropped().total()
        for router in self._routers:
            await router.crash()
        return Outcome(
            self._seed,
            tuple(self._violations),
            self._history.count(Fate.ANSWERED),
            dropped,
            self._kills,
            seconds,
        )

    # --- the topology -----------------------------------------------------------------------

    def _build(self) -> None:
        dice = self._dice
        start = Instant(round(dice.choice([1_800_000_000, 1_800_000_000, 60.0])) * 10**9)
        limits = SCARCE if self._is_scarce else AMPLE
        window = dice.choice([1, 4, 64, 1024])

        def configure(
            router_id: str, *, uplinks: frozenset[Hash], designated: frozenset[Hash]
        ) -> RoutingConfig:
            return RoutingConfig(
                router_id=router_id,
                uplinks=uplinks,
                designated=designated,
                queue_expiry_s=10 * 86_400,
                consumer_queue=limits,
                uplink_queue=limits,
                uplink_window=window,
                resident_bytes_max=RESIDENT_BYTES_MAX,
            )

        own, none = frozenset({NAMESPACE}), frozenset[Hash]()
        cloud = SimulatedRouter(
            "cloud",
            partial(configure, uplinks=none, designated=own),
            self._network,
            SimulatedClock(start),
            {},
            dice,
        )
        self._routers.append(cloud)
        for number in range(dice.randint(1, 3)):
            self._routers.append(
                SimulatedRouter(
                    f"site{number}",
                    partial(configure, uplinks=own, designated=none),
                    self._network,
                    SimulatedClock(start),
                    {NAMESPACE: cloud.finder},
                    dice,
                )
            )

    def _programs(self) -> list[Publisher]:
        dice = self._dice
        programs: list[Publisher] = []
        intruders: set[Hash] = set()
        for router in self._routers:
            for number in range(dice.randint(1, 2)):
                name = f"{router.name}-p{number}"
                topics = [f"t/{name}/{topic}" for topic in range(dice.randint(1, 3))]
                pause_s = dice.choice([0.05, 0.2, 1.0])
                programs.append(self._publisher(name, router, topics, self._history, pause_s))
        intruder = self._publisher("intruder", self._routers[-1], ["t/intruder"], None, 0.5)
        intruders.add(intruder.entity)
        programs.append(intruder)
        self._routers[0].authority.revoked.add(intruder.entity)
        for router in self._routers:
            for number in range(dice.randint(1, 2)):
                wanted = dice.choice(["t/*", "*", "t/+/0"])
                if self._is_original and router is not self._routers[0]:
                    # What an original router has written to a link that breaks is gone.
                    wanted = f"t/{router.name}-p0/*"
                # At its own site nobody knows yet that the intruder is one.
                forbidden = intruders if router is not self._routers[-1] else set[Hash]()
                self._readers.append(
                    Reader(
                        f"{router.name}-r{number}",
                        router,
                        NAMESPACE,
                        wanted,
                        _Tolerant(self._history) if not forbidden else self._history,
                        forbidden,
                        _another(dice),
                    )
                )
        return programs

    def _publisher(
        self,
        name: str,
        router: SimulatedRouter,
        topics: list[str],
        history: History | None,
        pause_s: float,
    ) -> Publisher:
        dice = _another(self._dice)
        return Publisher(name, router, NAMESPACE, topics, history, dice, pause_s)

    # --- the storm --------------------------------------------------------------------------

    async def _storm(self) -> None:
        dice, end = self._dice, self._loop.time() + STORM_SECONDS
        pause_s = dice.choice([0.3, 1.0, 3.0])
        async with asyncio.TaskGroup() as faults:
            while self._loop.time() < end:
                await asyncio.sleep(dice.expovariate(1 / pause_s))
                router = dice.choice(self._routers)
                befalls = dice.choice(
                    [
                        self._crash,
                        self._crash,
                        self._cut,
                        self._cut,
                        self._part,
                        self._fail_disk,
                        self._set_clock,
                        self._silence_storage,
                        self._slow_down,
                    ]
                )
                faults.create_task(befalls(router))

    async def _crash(self, router: SimulatedRouter) -> None:
        if not router.is_alive:
            return
        self._kills += 1
        await router.crash()
        await asyncio.sleep(self._dice.choice([0.0, 0.1, 4.0]))
        await router.start()

    async def _cut(self, router: SimulatedRouter) -> None:
        for uplink in router.uplinks.values():
            uplink.cut()

    async def _part(self, router: SimulatedRouter) -> None:
        del router
        self._network.is_partitioned = True
        for one in self._routers:
            await self._cut(one)
        await asyncio.sleep(self._dice.uniform(0.5, 8.0))
        self._network.is_partitioned = False

    async def _fail_disk(self, router: SimulatedRouter) -> None:
        reason = self._dice.choice(["the disk is full", "input/output error"])
        router.disk.journal.fault = StorageFaultError(reason)
        await asyncio.sleep(self._dice.uniform(0.01, 3.0))
        router.disk.journal.fault = None

    async def _set_clock(self, router: SimulatedRouter) -> None:
        seconds = self._dice.choice([-3600.0, 5.0, 86_400.0 * 400, 1_800_000_000.0])
        by_ns = round(seconds * NANOSECONDS_PER_SECOND)
        if 0 < router.clock.now() + by_ns < 3_000_000_000 * 10**9:
            router.clock.offset_ns = Instant(router.clock.offset_ns + by_ns)

    async def _silence_storage(self, router: SimulatedRouter) -> None:
        router.authority.is_storage_silent = True
        await asyncio.sleep(self._dice.uniform(0.1, 5.0))
        router.authority.is_storage_silent = False

    async def _slow_down(self, router: SimulatedRouter) -> None:
        del router
        self._network.conditions.delay_s = self._dice.choice([0.002, 0.02, 0.3])
        self._network.conditions.bytes_per_second = self._dice.choice([None, 50_000.0, 6_250.0])

    # --- the calm ---------------------------------------------------------------------------

    async def _calm(self) -> None:
        self._network.is_partitioned = False
        self._network.conditions.delay_s = 0.01
        self._network.conditions.bytes_per_second = None
        for reader in self._readers:
            reader.is_calm = True
        end = self._loop.time() + CALM_SECONDS_MAX
        while self._loop.time() < end:
            await asyncio.sleep(0.5)
            if self._is_quiet():
                await asyncio.sleep(8.0)  # what comes twice would come now
                return
        waiting = {
            router.name: router.driver.statistics().queued_messages for router in self._routers
        }
        self._violations.append(f"not everything arrived within {CALM_SECONDS_MAX:g} s: {waiting}")

    def _is_quiet(self) -> bool:
        return all(
            router.is_alive
            and router.driver.statistics().queued_messages == 0
            and all(uplink.is_connected for uplink in router.uplinks.values())
            for router in self._routers
        )

    # --- the verdict ------------------------------------------------------------------------

    def _dropped(self) -> Counter[str]:
        """Return what all routers dropped, by cause."""
        return sum((router.dropped for router in self._routers), Counter[str]())

    def _judge(self) -> None:
        verdict = self._history.verdict()
        dropped = self._dropped()
        # What a full queue drops is counted once, and missed by every reader behind it.
        missed = (dropped["length"] + dropped["size"]) * len(self._readers)
        missed += dropped["unverifiable"]
        if verdict.lost > missed:
            self._violations.append(f"{verdict.lost} lost, but only {missed} dropped: {dropped}")
        self._violations += [
            complaint
            for complaint in verdict.complaints()
            if " lost, " not in complaint or verdict.lost > missed
        ]
        if not self._is_scarce and dropped["length"] + dropped["size"]:
            self._violations.append(f"dropped where there was room: {dropped}")
        for reader in self._readers:
            if reader.unauthorized_count:
                self._violations.append(f"{reader.unauthorized_count} came without authority")
        for router in self._routers:
            resident = router.driver.statistics().resident_bytes
            if resident > RESIDENT_BYTES_MAX + MEMORY_BYTES_PER_MESSAGE:
                self._violations.append(f"{router.name} holds {resident} bytes of nothing")


class _Tolerant(History):
    """A history for readers who rightly see what nobody has noted."""

    def __init__(self, history: History) -> None:
        super().__init__()
        self._noted = history

    def joined(self, subscriber: str, topic_filter: str) -> None:
        """Note it."""
        self._noted.joined(subscriber, topic_filter)

    def received(
        self,
        subscriber: str,
        topic: str,
        payload: bytes,
        *,
        origin: str = "",
        drops: object = (),
    ) -> None:
        """Note it, unless it is the intruder's."""
        del drops
        if topic != "t/intruder":
            self._noted.received(subscriber, topic, payload, origin=origin)
