"""Revocations and silent storage under real processes: storage, designated router, site."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import wavemq
from tests.support.tier import FAST_RETURN, expect_silence, take, wait_uplinks
from wavemq.authz.engine import Engine, EngineConfig
from wavemq.clock import SystemClock
from wavemq.errors import NoProofFoundError, UnsubscribedError
from wavemq.net.objects import LocationRouter
from wavemq.testing import RouterProcess, RouterSettings, StorageProcess, World
from wavemq.wave.keyring import EntitySecret

INTERVAL_S = 2
SLACK_SECONDS = 10.0
"""For a machine that is busy with other tests; the bound itself is `INTERVAL_S`."""
ROUTE = "wavemq:route@namespace.pem/*"


@dataclass(frozen=True, slots=True)
class Ground:
    """Keys, and the only storage there is."""

    storage: StorageProcess
    world: World
    routing_proof: Path

    def bus(self, router: RouterProcess, who: str) -> wavemq.Bus:
        return wavemq.connect(
            router.local,
            entity=self.world.path(f"{who}.pem"),
            namespace=self.world.hash_of("namespace"),
            reconnect=FAST_RETURN,
        )

    @asynccontextmanager
    async def authority(self) -> AsyncIterator[Engine]:
        """An engine of somebody else, anywhere."""
        async with LocationRouter.from_tables({"default": self.storage.location}) as store:
            config = EngineConfig(store.default_location, store.locations)
            async with Engine(store, None, config) as engine:
                yield engine

    async def revoke_grant_to(self, subject: str) -> None:
        """Have the namespace revoke its only grant to somebody."""
        now = SystemClock().now()
        async with self.authority() as engine:
            reader = await engine.perspective(self.secret(subject))
            await engine.resync(reader, now=now)
            (found,) = await engine.lookup(
                reader, now=now, attester=self.world.hash_of("namespace"), subject=reader.hash
            )
            owner = await engine.perspective(self.secret("namespace"))
            await engine.revoking.revoke_attestation(owner, found.attestation.hash)

    async def revoke_entity(self, name: str) -> None:
        async with self.authority() as engine:
            await engine.revoking.revoke_entity(await engine.perspective(self.secret(name)))

    def secret(self, name: str) -> EntitySecret:
        return EntitySecret.from_bytes(self.world.path(f"{name}.pem").read_bytes())


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    with StorageProcess(tmp_path / "objects") as storage:
        world = World(tmp_path / "keys", {"default": storage.location})
        for name in ("namespace", "router", "sensor", "reader", "deputy"):
            world.entity(name)
        world.grant("wavemq:publish@namespace.pem/*", attester="namespace", subject="sensor")
        world.grant("wavemq:subscribe@namespace.pem/*", attester="namespace", subject="reader")
        world.grant(ROUTE, attester="namespace", subject="router")
        yield Ground(storage, world, world.prove(ROUTE, subject="router", outfile="routing.pem"))


@dataclass(frozen=True, slots=True)
class Tier:
    designated: RouterProcess
    site: RouterProcess


def start(
    ground: Ground,
    folder: Path,
    stack: ExitStack,
    *,
    is_default_unrevoked: bool = False,
    grace_s: int = 0,
) -> Tier:
    """Start a designated router and a site under it."""
    common = RouterSettings(
        directory=folder / "designated",
        storage={"default": ground.storage.location},
        is_default_unrevoked=is_default_unrevoked,
        revocation_interval_s=INTERVAL_S,
        revocation_grace_s=grace_s,
    )
    common.directory.mkdir()
    common.entity_path.write_bytes(ground.world.path("router.pem").read_bytes())
    common.entity_path.chmod(0o600)
    designated = stack.enter_context(
        RouterProcess(
            replace(common, routing_proofs=(ground.routing_proof,), peer_listen="127.0.0.1:0"),
            name="designated",
        )
    )
    namespace = ground.world.hash_of("namespace").to_text()
    site = stack.enter_context(
        RouterProcess(
            replace(common, directory=folder / "site", uplinks={namespace: designated.peer}),
            name="site",
        )
    )
    return Tier(designated, site)


async def ended(subscription: wavemq.Subscription) -> float:
    """Return the time at which the router ended the subscription."""
    async with asyncio.timeout(INTERVAL_S + SLACK_SECONDS):
        while True:
            try:
                await anext(subscription)
            except UnsubscribedError:
                return time.monotonic()


async def refused(bus: wavemq.Bus) -> float:
    """Return the time at which a publish was refused."""
    async with asyncio.timeout(INTERVAL_S + SLACK_SECONDS):
        while True:
            try:
                await bus.publish("t", b"again")
            except NoProofFoundError:
                return time.monotonic()
            await asyncio.sleep(0.05)


async def test_live_publisher_and_subscriber_end_within_the_interval_and_another_path_goes_on(
    ground: Ground, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        tier = start(ground, tmp_path, stack)
        async with (
            ground.bus(tier.site, "sensor") as sensor,
            ground.bus(tier.site, "reader") as near,
            ground.bus(tier.designated, "reader") as far,
            near.subscribe("t") as at_site,
            far.subscribe("t") as in_cloud,
        ):
            await wait_uplinks(sensor, 1)
            await sensor.publish("t", b"before")
            for subscription in (at_site, in_cloud):
                assert [one.payload for one in await take(subscription, 1)] == [b"before"]
            await ground.revoke_grant_to("sensor")
            began = time.monotonic()
            assert await refused(sensor) - began < INTERVAL_S + SLACK_SECONDS
            await ground.revoke_grant_to("reader")
            await asyncio.gather(ended(at_site), ended(in_cloud))
        # The publisher has another grant now, by another path.
        ground.world.grant(
            "wavemq:publish@namespace.pem/*",
            attester="namespace",
            subject="deputy",
            indirections=1,
        )
        ground.world.grant("wavemq:publish@namespace.pem/*", attester="deputy", subject="router")
        async with ground.bus(tier.site, "router") as other:
            await other.publish("t", b"by another path")


@pytest.mark.parametrize(
    ("is_default_unrevoked", "grace_s", "goes_on"),
    [(True, 0, True), (False, 0, False), (False, 3600, True)],
    ids=["default to unrevoked", "strict", "within the grace"],
)
async def test_known_publisher_while_storage_is_silent(
    ground: Ground, tmp_path: Path, is_default_unrevoked: bool, grace_s: int, goes_on: bool
) -> None:
    with ExitStack() as stack:
        tier = start(
            ground, tmp_path, stack, is_default_unrevoked=is_default_unrevoked, grace_s=grace_s
        )
        async with (
            ground.bus(tier.site, "sensor") as sensor,
            ground.bus(tier.site, "reader") as near,
            ground.bus(tier.designated, "reader") as far,
            near.subscribe("t") as at_site,
            far.subscribe("t") as in_cloud,
        ):
            await wait_uplinks(sensor, 1)
            await sensor.publish("t", b"before")
            for subscription in (at_site, in_cloud):
                assert [one.payload for one in await take(subscription, 1)] == [b"before"]
            ground.storage.stop()
            await asyncio.sleep(INTERVAL_S + 1)
            began = time.monotonic()
            await sensor.publish("t", b"during")
            assert time.monotonic() - began < 1.0, "wavemq.md 11a: also without storage"
            # A site serves its own without storage, whatever is configured.
            assert [one.payload for one in await take(at_site, 1)] == [b"during"]
            if not goes_on:
                await expect_silence(in_cloud)
                ground.storage.start()
            assert [one.payload for one in await take(in_cloud, 1)] == [b"during"]


@pytest.mark.parametrize("is_default_unrevoked", [True, False])
async def test_revocation_during_an_outage_counts_when_storage_is_back(
    ground: Ground, tmp_path: Path, is_default_unrevoked: bool
) -> None:
    with ExitStack() as stack:
        tier = start(
            ground, tmp_path, stack, is_default_unrevoked=is_default_unrevoked, grace_s=3600
        )
        async with (
            ground.bus(tier.site, "reader") as bus,
            bus.subscribe("t") as subscription,
            ground.bus(tier.site, "sensor") as sensor,
        ):
            await sensor.publish("t", b"before")
            assert [one.payload for one in await take(subscription, 1)] == [b"before"]
            ground.storage.stop()
            await asyncio.sleep(INTERVAL_S + 1)
            await sensor.publish("t", b"during")
            assert [one.payload for one in await take(subscription, 1)] == [b"during"]
            ground.storage.start()
            await ground.revoke_entity("reader")
            await ended(subscription)
