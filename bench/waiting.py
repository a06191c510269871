"""Queues that wait, in real routers: memory, the start with a million messages, and the drain.

A site router is filled while its designated router is away: its journal is written with messages
that are signed and proved as real ones are, since publishing a million would take an hour. Then the
designated router comes, with a subscription that takes everything, and the time is taken until the
site has nothing left; order is checked there with a reader. Payloads have 128 bytes.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import wavemq
from bench.measurement import Measurement
from wavemq.clock import Instant
from wavemq.messages.message import Message, PayloadObject, message_digest
from wavemq.messages.topic import Topic
from wavemq.messages.verified import Verified
from wavemq.router.recording import Recorder
from wavemq.routing.identities import lane_key
from wavemq.routing.records import Entry, JournalChanges, QueueId, RecordId, UplinkQueueDefinition
from wavemq.storage.logged_journal import LoggedJournal
from wavemq.storage.sqlite_retained import SqliteRetained
from wavemq.testing import RouterProcess, RouterSettings, World
from wavemq.wave.keyring import EntitySecret
from wavemq.wave.signature import sign

PAYLOAD_BYTES: Final = 128
DRAINED: Final = 100_000
MILLION: Final = 1_000_000
SUBSCRIPTIONS: Final = 10_000
STREAMS: Final = 1_000
ROWS_AT_ONCE: Final = 2048
WAIT_SECONDS_MAX: Final = 300.0
MIB: Final = 1 << 20
URL: Final = "http://bench.invalid/v1"
"""The location that objects name; a local provider serves it without a server."""


def measurements() -> list[Measurement]:
    """Return rates, times and memory, with the bounds that this project set for itself."""
    found: list[Measurement] = []
    with _tier() as tier:
        found += [_idle(tier), *_drain(tier, topics=50)]
    with _tier() as tier:
        found += asyncio.run(_subscriptions(tier))
    with _tier() as tier:
        found += _drain(tier, topics=1)
    with _tier() as tier:
        found += _start_with_a_million(tier)
    return found


@dataclass(frozen=True, slots=True)
class _Tier:
    """A designated router and a site router; neither runs."""

    world: World
    designated: RouterProcess
    site: RouterProcess

    def bus(self, router: RouterProcess) -> wavemq.Bus:
        return wavemq.connect(
            router.local,
            entity=self.world.path("service.pem"),
            namespace=self.world.hash_of("namespace"),
        )


@contextmanager
def _tier() -> Iterator[_Tier]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wavemq-bench-")))
        location = {"default": {"provider": "local", "path": str(folder / "objects"), "url": URL}}
        world = World(folder / "keys", location)
        for name in ("namespace", "service", "router"):
            world.entity(name)
        route = "wavemq:route@namespace.pem/*"
        world.grant(
            "wavemq:publish,subscribe@namespace.pem/*", attester="namespace", subject="service"
        )
        world.grant(route, attester="namespace", subject="router")
        world.prove(route, subject="router", outfile="routing.pem")
        settings = RouterSettings(
            directory=folder / "designated",
            storage=location,
            peer_listen="127.0.0.1:0",
            routing_proofs=(world.path("routing.pem"),),
            queue_length_max=2 * MILLION,
        )
        settings.directory.mkdir()
        settings.entity_path.write_bytes(world.path("router.pem").read_bytes())
        designated = RouterProcess(settings, name="designated")
        with designated:
            address = designated.peer
        namespace = world.hash_of("namespace").to_text()
        site = RouterProcess(
            RouterSettings(
                directory=folder / "site",
                storage=location,
                uplinks={namespace: address},
                queue_length_max=2 * MILLION,
            ),
            name="site",
        )
        try:
            yield _Tier(world, designated, site)
        finally:
            site.kill()
            designated.kill()


# --- filling ------------------------------------------------------------------------------------


def _fill(tier: _Tier, count: int, *, topics: int, is_signed: bool = True) -> None:
    """Put messages into the uplink queue of a site that does not run."""
    with tier.site:
        asyncio.run(_publish_one(tier))
    state = tier.site.settings.directory / "state"
    journal, retained = LoggedJournal(state / "queue"), SqliteRetained(state / "persist")
    try:
        recorder = Recorder(journal, retained)
        snapshot = recorder.snapshot()
        (queue,) = (
            one for one in snapshot.queues if isinstance(one.definition, UplinkQueueDefinition)
        )
        ((_, sample),) = recorder.read([queue.entries.ahead(1)[0].record])
        assert sample is not None
        secret = EntitySecret.from_bytes(tier.world.path("service.pem").read_bytes())
        messages = (
            _numbered(sample.value, number, topics, secret if is_signed else None)
            for number in range(1, count)
        )
        record = snapshot.next_record
        while batch := list(itertools.islice(messages, ROWS_AT_ONCE)):
            recorder.write(_changes(queue.queue, record, batch, sample.granted_until))
            record = RecordId(record + len(batch))
    finally:
        journal.close()
        retained.close()


async def _publish_one(tier: _Tier) -> None:
    async with tier.bus(tier.site) as bus:
        await bus.publish("bench/0", (0).to_bytes(8, "big").ljust(PAYLOAD_BYTES, b"."))


def _numbered(sample: Message, number: int, topics: int, secret: EntitySecret | None) -> Message:
    content = number.to_bytes(8, "big").ljust(PAYLOAD_BYTES, b".")
    message = replace(
        sample,
        topic=Topic(f"bench/{number % topics}"),
        payload=(PayloadObject(sample.payload[0].schema, content),),
        timestamps=(Instant(sample.timestamps[0] + number),),
    )
    if secret is None:
        return message
    return replace(message, signature=sign(secret, message_digest(message)))


def _changes(
    queue: QueueId, first: RecordId, messages: list[Message], until: Instant
) -> JournalChanges:
    records = {
        RecordId(first + index): Verified(message, until) for index, message in enumerate(messages)
    }
    entries = {
        (queue, record): Entry(
            record,
            one.value.size_bytes,
            lane_key(one.value.origin_router, one.value.topic.text),
        )
        for record, one in records.items()
    }
    return JournalChanges({}, {}, {}, records, entries, {}, (), (), (), (), ())


# --- figures ------------------------------------------------------------------------------------


def _idle(tier: _Tier) -> Measurement:
    with tier.site as site:
        return Measurement("idle site router", _resident_mib(site), "MiB", 120.0, "RSS")


async def _subscriptions(tier: _Tier) -> list[Measurement]:
    """Return what subscriptions take whose programs are away, and an open stream on top."""
    with tier.site as site:
        async with tier.bus(site) as bus:
            for number in range(SUBSCRIPTIONS):
                async with bus.subscribe(f"bench/{number}", name=f"{number}", keep_s=3600):
                    pass  # its queue stays
            away_mib = _resident_mib(site)
            async with AsyncExitStack() as streams:
                for number in range(STREAMS):
                    subscription = bus.subscribe(f"bench/{number}", name=f"{number}", keep_s=3600)
                    await streams.enter_async_context(subscription)
                open_mib = _resident_mib(site)
    note = f"{SUBSCRIPTIONS:,} subscriptions, RSS"
    each_kib = (open_mib - away_mib) * 1024 / STREAMS
    return [
        Measurement("site with idle subscriptions", away_mib, "MiB", 143.0, note),
        Measurement("an open stream on top", each_kib, "KiB", None, f"of {STREAMS:,}"),
    ]


def _drain(tier: _Tier, *, topics: int) -> list[Measurement]:
    """Return how fast a site hands up what has waited, and what it takes to hold it."""
    _fill(tier, DRAINED, topics=topics)
    with tier.site as site:
        holding_mib = _resident_mib(site)
        with tier.designated as designated:
            started, seconds = asyncio.run(_wait_drained(tier))
            peak_mib = _resident_mib(site)
            taken_mib = _resident_mib(designated)
            asyncio.run(_check_order(tier, topics))
    note = f"{DRAINED:,} on {topics} topics, after {started:.1f} s to the link"
    return [
        Measurement("drain of what waited", DRAINED / seconds, "/s", 5_000, note),
        Measurement("site that holds 100,000", holding_mib, "MiB", None, "RSS"),
        Measurement("site that has drained them", peak_mib, "MiB", None, "RSS"),
        Measurement("designated router that holds 100,000", taken_mib, "MiB", None, "RSS"),
    ]


async def _wait_drained(tier: _Tier) -> tuple[float, float]:
    """Return the seconds to the link, and from there until nothing waits."""
    begun = time.perf_counter()
    async with (
        tier.bus(tier.designated) as bus,
        bus.subscribe("bench/*", name="all", keep_s=3600),
    ):
        pass  # its queue stays
    first = 0.0
    while True:
        (uplink,) = _status(tier.site)["uplinks"]
        now = time.perf_counter()
        left = uplink["waiting_messages"] + uplink["in_flight_messages"]
        if first == 0.0 and left < DRAINED:
            first = now
        if left == 0:
            return first - begun, now - first
        assert now - begun < WAIT_SECONDS_MAX, f"{left} still wait"
        await asyncio.sleep(0.05)


async def _check_order(tier: _Tier, topics: int) -> None:
    """Fail unless every message is there once, in order per topic."""
    latest = [-1] * topics
    async with (
        tier.bus(tier.designated) as bus,
        bus.subscribe("bench/*", name="all", keep_s=3600) as readings,
    ):
        for _ in range(DRAINED):
            async with asyncio.timeout(WAIT_SECONDS_MAX):
                message = await anext(readings)
            number = int.from_bytes(message.payload[:8], "big")
            assert number > latest[number % topics], "out of order"
            latest[number % topics] = number


def _start_with_a_million(tier: _Tier) -> list[Measurement]:
    _fill(tier, MILLION, topics=50, is_signed=False)
    started = time.perf_counter()
    with tier.site as site:
        ready_s = time.perf_counter() - started
        asyncio.run(_publish_one(tier))
        first_s = time.perf_counter() - started
        resident_mib = _resident_mib(site)
    return [
        Measurement("ready with 1,000,000 waiting", ready_s, "s", 10.0, "process start to ready"),
        Measurement("first publish answered", first_s, "s", 1.0, "process start to answer"),
        Measurement("site that holds 1,000,000", resident_mib, "MiB", None, "RSS"),
    ]


def _status(router: RouterProcess) -> dict[str, list[dict[str, int]]]:
    with urllib.request.urlopen(f"http://{router.metrics}/status", timeout=10) as response:
        return dict(json.load(response))


def _resident_mib(router: RouterProcess) -> float:
    for line in Path(f"/proc/{router.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("the kernel tells no resident size")
