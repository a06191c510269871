"""Synchronizing an entity with 200 grants from a storage server on this machine.

The server is a process of its own. In one world all grants are by one entity, in the other each is
by another, so that 202 queues are read each time.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import structlog

from bench.measurement import Measurement
from wavemq.authz.engine import Engine, EngineConfig
from wavemq.clock import NANOSECONDS_PER_SECOND, Instant, SystemClock
from wavemq.net.objects import LocationRouter
from wavemq.testing import StorageProcess
from wavemq.wave.attestation_create import create_attestation
from wavemq.wave.hashes import WAVEMQ_PERMISSION_SET
from wavemq.wave.keyring import EntitySecret
from wavemq.wave.policy import RTreePolicy, Statement

GRANTS = 200
VALID_DAYS = 30
AGAIN = 5
_DAY_NS = 86_400 * NANOSECONDS_PER_SECOND


def measurements() -> list[Measurement]:
    """Return the figures of both worlds."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    found = []
    for attesters, bound in ((1, 100.0), (GRANTS, None)):
        with tempfile.TemporaryDirectory() as directory:
            place = Path(directory)
            with StorageProcess(place / "objects") as server:
                url = f"http://{server.ready['http']}/v1"
                found += asyncio.run(_measure(url, place / "state", attesters, bound))
    return found


async def _measure(url: str, state: Path, attesters: int, bound: float | None) -> list[Measurement]:
    tables = {"default": {"provider": "http_v1", "url": url}}
    async with LocationRouter.from_tables(tables) as storages:
        reader = await _make_world(storages, attesters)
        clock = SystemClock()
        config = EngineConfig(storages.default_location, storages.locations)
        async with Engine(storages, state, config) as engine:
            perspective = await engine.perspective(reader)
            started = time.perf_counter()
            report = await engine.resync(perspective, now=clock.now())
            first_s = time.perf_counter() - started
            assert report.opened == GRANTS
            again = []
            for _ in range(AGAIN):
                started = time.perf_counter()
                report = await engine.resync(perspective, now=clock.now())
                again.append((time.perf_counter() - started) * 1e3)
    by = f"{GRANTS} grants by {attesters}, {report.requested} queues"
    return [
        Measurement("first synchronization", first_s, "s", 10.0, by),
        Measurement("again, nothing new", statistics.median(again), "ms", bound, by),
    ]


async def _make_world(storages: LocationRouter, attesters: int) -> EntitySecret:
    """Publish a namespace, attesters, and grants with encrypted bodies; return who has them."""
    home = storages.default_location
    begin = SystemClock().now()
    end = Instant(begin + VALID_DAYS * _DAY_NS)

    def make() -> EntitySecret:
        return EntitySecret.create(not_before=begin, not_after=end, revocation_location=home)

    reader, namespace = make(), make()
    granters = [make() for _ in range(attesters)]
    for secret in (reader, namespace, *granters):
        await storages.put(home, secret.entity.wire)
    for number in range(GRANTS):
        statement = Statement(WAVEMQ_PERMISSION_SET, ("publish",), f"place{number}/*")
        created = create_attestation(
            granters[number % attesters],
            home,
            reader.entity,
            home,
            RTreePolicy(namespace.entity.hash, home, 0, (statement,)),
            not_before=begin,
            not_after=end,
        )
        stored = await storages.put(home, created.attestation.wire)
        await storages.enqueue(home, reader.entity.hash, stored)
    return reader
