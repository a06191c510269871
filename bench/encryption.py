"""End-to-end encryption: messages per second, by themselves and through a real router.

The router encrypts what is published for a partition, and decrypts it for the subscriber, as the
entity of either hands over its secret; publisher and subscriber are this process, over the SDK.
Nothing is shared between messages but tables: each has keys of its own.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import wavemq
from bench.measurement import Measurement
from wavemq.clock import Instant
from wavemq.crypto.encapsulation import Openers
from wavemq.testing import RouterProcess, RouterSettings, World
from wavemq.wave.bundle import ContentKey, KeyBundle, LabelKey
from wavemq.wave.encrypted import ReaderKeys, decrypt_message, encrypt_message, message_partition
from wavemq.wave.encrypted_bulk import Opening, Sealing, decrypt_messages, encrypt_messages
from wavemq.wave.keyring import EntitySecret
from wavemq.wave.location import Location
from wavemq.wave.partition import WEEK_NS, bundle_partitions, e2ee_prefix, matches

PARTITION: Final = "bench/sealed"
PAYLOAD_BYTES: Final = 128
BULK: Final = 32
ROUNDS: Final = 5
IN_FLIGHT: Final = 32
WARMUP_COUNT: Final = 100
SECONDS: Final = 5.0
DRAIN_SECONDS_MAX: Final = 60.0
URL: Final = "http://bench.invalid/v1"


def measurements() -> list[Measurement]:
    """Return the rates."""
    return [*_alone(), *_through_a_router()]


def _alone() -> list[Measurement]:
    """Encrypt and decrypt in this process, one at a time and in bulk."""
    now = Instant(time.time_ns())
    whole = Instant(now // 10**9 * 10**9)
    namespace, reader = (
        EntitySecret.create(
            not_before=whole, not_after=Instant(whole + 4 * WEEK_NS), revocation_location=None
        )
        for _ in range(2)
    )
    place = Location(URL)
    entity = namespace.entity
    content = os.urandom(PAYLOAD_BYTES)
    partition = message_partition(PARTITION, now, now)
    patterns = bundle_partitions(
        e2ee_prefix("bench/*", is_message=False), whole, Instant(whole + 3 * WEEK_NS)
    )
    bundle = KeyBundle.derive(entity.oaque_params, namespace.oaque_master, patterns)
    label = LabelKey.extract(
        entity.ibe_params_bytes, namespace.ibe_master, entity.hash.to_text().encode()
    )
    fitting: list[ContentKey] = [key for key in bundle.keys if matches(key.pattern, partition)]
    held = ReaderKeys(entity, (label,), lambda _: fitting)
    openers = Openers()

    def encrypt() -> bytes:
        return encrypt_message(
            content,
            namespace=entity,
            namespace_location=place,
            resource=PARTITION,
            not_before=now,
            not_after=now,
        )

    sealings = [Sealing(content, entity, place, partition)] * BULK
    message = encrypt()
    openings = [Opening(message, reader, lambda _: held)] * BULK
    assert decrypt_messages(openings[:1], openers) == [content]
    return [
        _rate("encrypt, one by one", 1, encrypt),
        _rate("encrypt, in bulk", BULK, lambda: encrypt_messages(sealings)),
        _rate("decrypt, one by one", 1, lambda: decrypt_message(message, reader, lambda _: held)),
        _rate("decrypt, in bulk", BULK, lambda: decrypt_messages(openings, openers)),
    ]


def _rate(name: str, count: int, operation: Callable[[], object]) -> Measurement:
    """Return the median rate over a few rounds, each long enough to measure."""
    operation()
    rates, cpu_us = [], []
    for _ in range(ROUNDS):
        repeats = max(1, 64 // count)
        began, began_cpu = time.perf_counter(), time.process_time()
        for _ in range(repeats):
            operation()
        rates.append(repeats * count / (time.perf_counter() - began))
        cpu_us.append((time.process_time() - began_cpu) / (repeats * count) * 1e6)
    note = f"{PAYLOAD_BYTES} bytes, {statistics.median(cpu_us):.0f} us of CPU each"
    return Measurement(name, statistics.median(rates), "/s", note=note)


def _through_a_router() -> list[Measurement]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wavemq-bench-")))
        location = {"default": {"provider": "local", "path": str(folder / "objects"), "url": URL}}
        world = World(folder / "keys", location)
        for name in ("namespace", "service", "router"):
            world.entity(name)
        settings = RouterSettings(
            directory=folder / "router",
            storage=location,
            peer_listen="127.0.0.1:0",
            routing_proofs=(folder / "keys" / "routing.pem",),
        )
        settings.directory.mkdir()
        for right in ("wavemq:publish,subscribe", "wave:decrypt"):
            world.grant(f"{right}@namespace.pem/*", attester="namespace", subject="service")
        route = "wavemq:route@namespace.pem/*"
        world.grant(route, attester="namespace", subject="router")
        world.prove(route, subject="router", outfile="routing.pem")
        settings.entity_path.write_bytes(world.path("router.pem").read_bytes())
        router = stack.enter_context(RouterProcess(settings))
        return asyncio.run(_measure(router, world))


async def _measure(router: RouterProcess, world: World) -> list[Measurement]:
    async with (
        wavemq.connect(
            router.local, entity=world.path("service.pem"), namespace=world.hash_of("namespace")
        ) as bus,
        bus.subscribe("bench/*") as readings,
    ):
        await _round(bus, readings, count_max=WARMUP_COUNT)
        cpu_s, own_s = _cpu_seconds(router.pid), time.process_time()
        began = time.perf_counter()
        delivered_ms = await _round(bus, readings, count_max=1 << 20)
        elapsed_s = time.perf_counter() - began
        cpu_s, own_s = _cpu_seconds(router.pid) - cpu_s, time.process_time() - own_s
    count = len(delivered_ms)
    note = f"{IN_FLIGHT} in flight, {PAYLOAD_BYTES} bytes, {count} messages"
    return [
        Measurement("encrypted publish to decrypted delivery", count / elapsed_s, "/s", 600, note),
        Measurement("the same, median", statistics.median(delivered_ms), "ms", note=note),
        Measurement("CPU of the router, each", cpu_s / count * 1e6, "us", note=note),
        Measurement("CPU of both clients, each", own_s / count * 1e6, "us", note=note),
    ]


def _cpu_seconds(pid: int) -> float:
    """Return what a process has used so far, of all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _round(bus: wavemq.Bus, readings: wavemq.Subscription, *, count_max: int) -> list[float]:
    """Publish for a while or up to a number; return the times to delivery in ms.

    The payload begins with its number, so that a message finds the moment of its own publish.
    """
    begun: list[float] = []
    delivered_ms: list[float] = []
    end = time.perf_counter() + SECONDS

    async def publisher() -> None:
        while len(begun) < count_max and time.perf_counter() < end:
            number = len(begun)
            begun.append(time.perf_counter())
            content = number.to_bytes(8, "big").ljust(PAYLOAD_BYTES, b".")
            await bus.publish("bench/a", content, encryption_partition=PARTITION)

    async def reader() -> None:
        while not (is_published.is_set() and len(delivered_ms) == len(begun)):
            message = await anext(readings)
            number = int.from_bytes(message.payload[:8], "big")
            delivered_ms.append((time.perf_counter() - begun[number]) * 1e3)

    is_published = asyncio.Event()
    async with asyncio.timeout(SECONDS + DRAIN_SECONDS_MAX), asyncio.TaskGroup() as group:
        reading = group.create_task(reader())
        async with asyncio.TaskGroup() as publishers:
            for _ in range(IN_FLIGHT):
                publishers.create_task(publisher())
        is_published.set()
        if len(delivered_ms) == len(begun):
            reading.cancel()
    return delivered_ms
