"""A tier of real processes, and how tests wait for what they expect from it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import wavemq
from wavemq.testing import RouterProcess, StorageProcess, World
from wavemq.testing.processes import ServerProcess
from wavemq.wave.hashes import Hash

WAIT_SECONDS_MAX = 30.0
QUIET_SECONDS = 0.7
FAST_RETURN = wavemq.ReconnectPolicy(ceiling_s=0.5)


@dataclass(frozen=True, slots=True)
class Ground:
    """What every tier stands on.

    Args:
        world: the keys, with the cloud's storage as the default location.
        site_world: the same keys, with the site's storage as the default location.
        cloud_storage: holds the namespace and who lives in the cloud.
        site_storage: holds who lives at the site.
        routing_proof: makes the designated router one.
    """

    world: World
    site_world: World
    cloud_storage: StorageProcess
    site_storage: StorageProcess
    routing_proof: Path


@dataclass(frozen=True, slots=True)
class Tier:
    """A designated router and one site under it."""

    ground: Ground
    designated: RouterProcess
    site: RouterProcess

    @property
    def world(self) -> World:
        return self.ground.world

    @property
    def storages(self) -> tuple[StorageProcess, StorageProcess]:
        return (self.ground.cloud_storage, self.ground.site_storage)

    @property
    def servers(self) -> tuple[ServerProcess, ...]:
        return (self.designated, self.site, *self.storages)

    @property
    def namespace(self) -> Hash:
        return self.world.hash_of("namespace")

    def at_site(self, who: str) -> wavemq.Bus:
        return self._bus(self.site.local, who)

    def at_designated(self, who: str) -> wavemq.Bus:
        return self._bus(self.designated.local, who)

    def _bus(self, address: str, who: str) -> wavemq.Bus:
        return wavemq.connect(
            address,
            entity=self.world.path(f"{who}.pem"),
            namespace=self.namespace,
            reconnect=FAST_RETURN,
        )


async def take(subscription: wavemq.Subscription, count: int) -> list[wavemq.Received]:
    """Return the next `count` messages; fails with what arrived when they do not come in time."""
    found: list[wavemq.Received] = []
    try:
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while len(found) < count:
                found.append(await anext(subscription))
    except TimeoutError as error:
        seen = [one.payload for one in found]
        raise AssertionError(f"{len(found)} of {count} messages came in time: {seen}") from error
    return found


async def take_until(subscription: wavemq.Subscription, payload: bytes) -> list[wavemq.Received]:
    """Return the next messages up to and with the one that has this payload."""
    found = await take(subscription, 1)
    while found[-1].payload != payload:
        found += await take(subscription, 1)
    return found


async def expect_silence(subscription: wavemq.Subscription) -> None:
    """Fail if a message arrives within `QUIET_SECONDS`."""
    try:
        async with asyncio.timeout(QUIET_SECONDS):
            message = await anext(subscription)
    except TimeoutError:
        return
    raise AssertionError(f"unexpected message {message} with {message.payload!r}")


async def within(what: str, is_reached: Callable[[], Awaitable[bool]]) -> None:
    """Wait until `is_reached` answers true."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + WAIT_SECONDS_MAX
    while not await is_reached():
        assert loop.time() < deadline, f"{what}: not within {WAIT_SECONDS_MAX:g} s"
        await asyncio.sleep(0.05)


async def wait_uplinks(bus: wavemq.Bus, connected: int) -> None:
    """Wait until the router of `bus` holds that many uplinks."""

    async def is_so() -> bool:
        return (await bus.status()).uplinks_connected == connected

    await within(f"{connected} uplinks connected", is_so)
