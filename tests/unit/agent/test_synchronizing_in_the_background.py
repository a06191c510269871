"""Synchronizations that callers start and watch: every one ends, and none is missed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from structlog.testing import capture_logs

from tests.support.object_stores import LOCATION
from tests.support.waiting import until
from tests.support.worlds import NOW, World
from wavemq.agent.service import AgentService
from wavemq.authz.discovery import SyncProgress, SyncReport
from wavemq.authz.engine import Engine
from wavemq.authz.perspective import Perspective
from wavemq.clock import FixedClock, Instant
from wavemq.errors import StorageFaultError
from wavemq.net.objects import LocationRouter
from wavemq.wire import wave_pb2 as pb

WAIT_SECONDS_MAX = 20.0


@dataclass
class Rig:
    """An agent whose synchronizations go on when the test says so."""

    world: World
    engine: Engine
    agent: AgentService
    begun: int = 0

    @property
    def alice(self) -> pb.Perspective:
        secret = pb.EntitySecret(DER=self.world["alice"].to_bytes())
        return pb.Perspective(entitySecret=secret)

    async def resync(self) -> None:
        request = pb.ResyncPerspectiveGraphParams(perspective=self.alice)
        assert not (await self.agent.resync(request)).HasField("error")

    async def watch(self) -> list[pb.SyncResponse]:
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            request = pb.SyncParams(perspective=self.alice)
            return [state async for state in self.agent.wait_for_sync(request)]


@asynccontextmanager
async def rig() -> AsyncIterator[Rig]:
    world = await World.create("alice")
    tables = {"default": {"provider": "http_v1", "url": LOCATION.url}}
    async with (
        world.engine() as engine,
        LocationRouter.from_tables(tables) as storages,
        AgentService(engine, storages, FixedClock(NOW)) as agent,
    ):
        yield Rig(world, engine, agent)


async def test_numbers_grow_over_all_synchronizations() -> None:
    async with rig() as made:
        totals = []
        for _ in range(3):
            await made.resync()
            states = await made.watch()
            assert states[-1].totalSyncRequests == states[-1].completedSyncs
            totals.append(states[-1].totalSyncRequests)
        assert totals == sorted(set(totals))


async def test_resync_during_a_synchronization_is_followed_by_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with rig() as made:
        gates = [asyncio.Event(), asyncio.Event(), asyncio.Event()]
        original = made.engine.resync

        async def gated(
            perspective: Perspective,
            *,
            now: Instant,
            progress: Callable[[SyncProgress], None] | None = None,
        ) -> SyncReport:
            report = await original(perspective, now=now, progress=progress)
            made.begun += 1
            await gates[made.begun - 1].wait()
            return report

        monkeypatch.setattr(made.engine, "resync", gated)
        await made.resync()
        await until("the first has read the queue", lambda: made.begun == 1)
        first = asyncio.ensure_future(made.watch())
        await asyncio.sleep(0)
        grant = await made.world.grant("namespace", "alice", "publish", "a/*")
        for _ in range(5):  # all share one more
            await made.resync()
        second = asyncio.ensure_future(made.watch())
        gates[0].set()
        states = await first
        assert not states[-1].HasField("error")
        gates[1].set()
        assert (await second)[-1].totalSyncRequests == (await second)[-1].completedSyncs
        assert made.begun == 2
        lookup = pb.LookupAttestationsParams(
            perspective=made.alice, toEntity=made.world.hash("alice").to_bytes()
        )
        found = await made.agent.lookup_attestations(lookup)
        assert [one.hash for one in found.results] == [grant.attestation.hash.to_bytes()]


async def test_waiting_ends_though_storage_is_away() -> None:
    async with rig() as made:
        await made.resync()
        await made.watch()
        made.world.store.is_away = True
        await made.resync()
        last = (await made.watch())[-1]
        assert last.totalSyncRequests == last.completedSyncs
        assert not last.storageStatus["default"].operational
        made.world.store.is_away = False
        await made.resync()
        assert (await made.watch())[-1].storageStatus["default"].operational


@pytest.mark.parametrize("failure", [StorageFaultError("the disk is full"), ZeroDivisionError()])
async def test_waiting_ends_though_the_synchronization_broke(
    monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    async with rig() as made:

        async def broken(*_: object, **__: object) -> SyncReport:
            raise failure

        monkeypatch.setattr(made.engine, "resync", broken)
        with capture_logs() as lines:
            await made.resync()
            last = (await made.watch())[-1]
            await asyncio.sleep(0)
        assert last.totalSyncRequests == last.completedSyncs
        assert {line["event"] for line in lines} & {
            "synchronization_failed",
            "synchronization_broke",
        }


async def test_closing_ends_a_synchronization_that_hangs() -> None:
    async with rig() as made:
        made.world.store.delay_s = 3600.0
        await made.resync()
        watching = asyncio.ensure_future(made.watch())
        await asyncio.sleep(0)
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            await made.agent.aclose()
            assert not (await watching)[-1].HasField("error")
