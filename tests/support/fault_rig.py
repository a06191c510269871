"""A site router behind a link that misbehaves, traffic over it, and what must hold in the end."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import wavemq
from tests.support.tier import FAST_RETURN, Ground, Tier
from wavemq.errors import WaveMQError
from wavemq.testing import RouterProcess, RouterSettings
from wavemq.testing.fault_proxy import FaultProxy
from wavemq.testing.history import Fate, History, Publication

SOCKET_BUFFER_BYTES = 8 * 1024
QUIET_SECONDS = 1.0
"""What comes twice comes within that time after the last message."""


@dataclass(slots=True)
class LinkedTier:
    """A designated router, a site router, and the link between them."""

    tier: Tier
    link: FaultProxy
    history: History = field(default_factory=History)

    @contextlib.asynccontextmanager
    async def reading(self, bus: wavemq.Bus, name: str, topic_filter: str) -> AsyncIterator[None]:
        """Note everything that a subscription gets, for the duration of the block."""
        async with bus.subscribe(topic_filter, name=name) as subscription:
            self.history.joined(name, topic_filter)
            task = asyncio.ensure_future(self._read(subscription, name))
            try:
                yield
            finally:
                task.cancel()
                await asyncio.wait({task})

    async def _read(self, subscription: wavemq.Subscription, name: str) -> None:
        async for message in subscription:
            self.history.received(
                name,
                message.topic,
                message.payload,
                origin=message.origin_router,
                drops=message.drops,
            )

    async def publish(
        self,
        bus: wavemq.Bus,
        publisher: str,
        topic: str,
        *,
        size_bytes: int = 64,
        timeout_s: float = 5.0,
    ) -> Publication:
        """Publish one message and note what became of it."""
        publication = self.history.sending(publisher, topic, size_bytes=size_bytes)
        try:
            await bus.publish(topic, publication.payload, timeout_s=timeout_s)
        except wavemq.PublishUnconfirmedError:
            self.history.settle(publication, Fate.UNKNOWN)
        except WaveMQError:
            self.history.settle(publication, Fate.REFUSED)
        else:
            self.history.settle(publication, Fate.ANSWERED)
        return publication

    @contextlib.asynccontextmanager
    async def publishing(
        self, bus: wavemq.Bus, *topics: str, pause_s: float = 0.01
    ) -> AsyncIterator[None]:
        """Publish on each topic, one message after the other, for the duration of the block."""
        is_over = False

        async def go_on(topic: str) -> None:
            while not is_over:
                await self.publish(bus, f"publisher-of-{topic}", topic)
                await asyncio.sleep(pause_s)

        async with asyncio.TaskGroup() as group:
            for topic in topics:
                group.create_task(go_on(topic))
            try:
                yield
            finally:
                is_over = True

    async def settled(self, seconds_max: float, *names: str) -> None:
        """Wait until these subscriptions have every answered message; then nothing more comes."""
        await self.wait(
            lambda: not any(self.history.outstanding(name) for name in names),
            "everything has arrived",
            seconds_max,
        )
        await asyncio.sleep(QUIET_SECONDS)
        verdict = self.history.verdict()
        assert verdict.is_kept, verdict.summary()

    async def wait(self, is_so: Callable[[], bool], what: str, seconds_max: float) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds_max
        while not is_so():
            assert loop.time() < deadline, (
                f"not within {seconds_max:g} s: {what}; {self.history.verdict().summary()}"
            )
            await asyncio.sleep(0.02)


def designated_router(
    ground: Ground, folder: Path, environment: dict[str, str] | None = None
) -> RouterProcess:
    """Return a designated router, not started."""
    settings = RouterSettings(
        directory=folder / "designated",
        storage={
            "default": ground.cloud_storage.location,
            "near": ground.site_storage.location,
        },
        routing_proofs=(ground.routing_proof,),
        peer_listen="127.0.0.1:0",
        queue_length_max=100_000,
    )
    settings.directory.mkdir(parents=True)
    shutil.copy(ground.world.path("router.pem"), settings.entity_path)
    return RouterProcess(settings, name="designated", environment=environment)


def site_settings(ground: Ground, folder: Path, uplink: str | None) -> RouterSettings:
    """Return the settings of a site router."""
    namespace = ground.world.hash_of("namespace").to_text()
    return RouterSettings(
        directory=folder / "site",
        storage={
            "default": ground.site_storage.location,
            "cloud": ground.cloud_storage.location,
        },
        uplinks={} if uplink is None else {namespace: uplink},
        queue_length_max=100_000,
    )


@contextlib.asynccontextmanager
async def linked_tier(
    ground: Ground, folder: Path, environment: dict[str, str] | None = None
) -> AsyncIterator[LinkedTier]:
    """Run both routers with a healthy link between them."""
    with contextlib.ExitStack() as stack:
        designated = stack.enter_context(designated_router(ground, folder, environment))
        async with FaultProxy(designated.peer, socket_buffer_bytes=SOCKET_BUFFER_BYTES) as link:
            settings = site_settings(ground, folder, link.address)
            site = stack.enter_context(
                RouterProcess(settings, name="site", environment=environment)
            )
            yield LinkedTier(Tier(ground=ground, designated=designated, site=site), link)


def bus_at(address: str, ground: Ground, who: str) -> wavemq.Bus:
    """Return a bus in the name of one of the ground's entities."""
    return wavemq.connect(
        address,
        entity=ground.world.path(f"{who}.pem"),
        namespace=ground.world.hash_of("namespace"),
        reconnect=FAST_RETURN,
    )
