"""Whole routers inside the test's process, over real sockets, disks and authority."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import cast

import wavemq
from tests.support.object_stores import MemoryObjectStore
from tests.support.worlds import NOW, World
from wavemq.clock import Instant
from wavemq.net.objects import LocationRouter
from wavemq.router.config import parse_config
from wavemq.router.process import BoundAddresses, run
from wavemq.testing import RouterSettings
from wavemq.wave.hashes import Hash
from wavemq.wave.pem import ENTITY_SECRET, encode_pem

METRICS = {"METRICS_ADDRESS": "127.0.0.1:0"}
READY_SECONDS_MAX = 20.0


class RunningClock:
    """Begins at the world's `NOW`, and goes on as time passes."""

    def __init__(self) -> None:
        self._started = time.monotonic_ns()
        self.offset = 0

    def now(self) -> Instant:
        return Instant(NOW + time.monotonic_ns() - self._started + self.offset)


@dataclass(slots=True)
class Ground:
    """A world whose objects are on disk, where routers find them."""

    folder: Path
    world: World
    storage: dict[str, dict[str, str]]
    clock: RunningClock = field(default_factory=RunningClock)

    @property
    def namespace(self) -> Hash:
        return self.world.hash("namespace")

    def settings(self, name: str, *, uplink: str | None = None) -> RouterSettings:
        """Settings of a router called `name`; its entity is the world's of that name, if any."""
        settings = RouterSettings(
            directory=self.folder / name,
            storage=self.storage,
            uplinks={} if uplink is None else {self.namespace.to_text(): uplink},
        )
        settings.directory.mkdir(exist_ok=True)
        if name in self.world.entities:
            secret = self.world[name].to_bytes()
            settings.entity_path.write_bytes(encode_pem(ENTITY_SECRET, secret))
        return settings

    async def designated_settings(self, name: str) -> RouterSettings:
        """Settings of the designated router, with a fresh routing proof for its entity."""
        grant = await self.world.grant("namespace", name, "route", "*")
        path = self.folder / f"{name}.routing"
        path.write_bytes(self.world.proof(grant))
        base = self.settings(name)
        return RouterSettings(
            directory=base.directory,
            storage=base.storage,
            routing_proofs=(path,),
            peer_listen="127.0.0.1:0",
        )

    def bus(self, address: object, who: str) -> wavemq.Bus:
        return wavemq.connect(
            str(address),
            entity=self.world[who].to_bytes(),
            namespace=self.namespace,
            reconnect=wavemq.ReconnectPolicy(ceiling_s=0.5),
        )


@contextlib.asynccontextmanager
async def ground(folder: Path, *names: str) -> AsyncIterator[Ground]:
    """A world with these entities, published in a storage on disk."""
    storage = {"default": {"provider": "local", "path": str(folder / "objects")}}
    async with LocationRouter.from_tables(storage) as store:
        # A world asks of its store no more than any store does.
        world = await World.create(*names, store=cast("MemoryObjectStore", store))
        yield Ground(folder, world, storage)


@contextlib.asynccontextmanager
async def running(settings: RouterSettings, clock: RunningClock) -> AsyncIterator[BoundAddresses]:
    """Run a router for the duration of the block, and stop it in order."""
    config = parse_config(settings.to_toml(), METRICS)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[BoundAddresses] = loop.create_future()
    serving = asyncio.ensure_future(
        run(config, clock=clock, random=Random(1), stopping=stopping, on_ready=ready.set_result)
    )
    try:
        waiting: set[asyncio.Future[object]] = {serving, ready}  # type: ignore[arg-type]  # invariance
        await asyncio.wait(waiting, timeout=READY_SECONDS_MAX, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            await serving
        yield ready.result()
    finally:
        stopping.set()
        await serving
