"""Publish to deliver through a real router process: 16 publishes in flight, 128 bytes each.

The router stands alone (it is the designated router of its own namespace), with durable queues on
disk; publisher and subscriber are this process, over the SDK. Latency is from the call of publish
to the moment when the subscriber has the message.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import Final

import wavemq
from bench.measurement import Measurement
from bench.topology import Place, running
from wavemq.wave.hashes import Hash

IN_FLIGHT: Final = 16
PAYLOAD_BYTES: Final = 128
WARMUP_COUNT: Final = 100
SECONDS: Final = 5.0
MESSAGES_MAX: Final = 200_000
DRAIN_SECONDS_MAX: Final = 60.0


def measurements() -> list[Measurement]:
    """Run a router for some seconds and return its throughput and latencies."""
    with (
        tempfile.TemporaryDirectory(prefix="wavemq-bench-") as folder,
        running(Path(folder)) as place,
    ):
        return asyncio.run(_measure(place))


async def _measure(place: Place) -> list[Measurement]:
    """Publish for some seconds with a window, and read everything back."""
    async with (
        wavemq.connect(
            place.designated.local,
            entity=place.entity,
            namespace=Hash.from_bytes(bytes.fromhex(place.namespace)),
        ) as bus,
        bus.subscribe("load/*") as readings,
    ):
        await _round(bus, readings, count_max=WARMUP_COUNT, seconds=DRAIN_SECONDS_MAX)
        started = time.perf_counter()
        delivered_ms, answered_ms = await _round(
            bus, readings, count_max=MESSAGES_MAX, seconds=SECONDS
        )
        elapsed_s = time.perf_counter() - started
    count = len(delivered_ms)
    note = f"{IN_FLIGHT} in flight, {PAYLOAD_BYTES} bytes, {count} messages"
    return [
        Measurement("publish to deliver, rate", count / elapsed_s, "/s", note=note),
        Measurement("publish to deliver, median", statistics.median(delivered_ms), "ms", note=note),
        Measurement("publish to deliver, 99 %", _percentile(delivered_ms, 99), "ms", note=note),
        Measurement("publish to answer, median", statistics.median(answered_ms), "ms", note=note),
        Measurement("publish to answer, 99 %", _percentile(answered_ms, 99), "ms", note=note),
    ]


async def _round(
    bus: wavemq.Bus, readings: wavemq.Subscription, *, count_max: int, seconds: float
) -> tuple[list[float], list[float]]:
    """Publish until `count_max` or `seconds`; return the times to delivery and to answer in ms.

    The payload begins with its number, so that a message finds the moment of its own publish.
    """
    begun: list[float] = []
    delivered_ms: list[float] = []
    answered_ms: list[float] = []
    end = time.perf_counter() + seconds

    async def publisher() -> None:
        while len(begun) < count_max and time.perf_counter() < end:
            number = len(begun)
            begun.append(time.perf_counter())
            await bus.publish("load/a", number.to_bytes(8, "big").ljust(PAYLOAD_BYTES, b"."))
            answered_ms.append((time.perf_counter() - begun[number]) * 1e3)

    async def reader() -> None:
        while True:
            message = await anext(readings)
            number = int.from_bytes(message.payload[:8], "big")
            delivered_ms.append((time.perf_counter() - begun[number]) * 1e3)
            if is_published.is_set() and len(delivered_ms) == len(begun):
                return

    is_published = asyncio.Event()
    async with asyncio.timeout(seconds + DRAIN_SECONDS_MAX), asyncio.TaskGroup() as group:
        reading = group.create_task(reader())
        async with asyncio.TaskGroup() as publishers:
            for _ in range(IN_FLIGHT):
                publishers.create_task(publisher())
        is_published.set()
        if len(delivered_ms) == len(begun):
            reading.cancel()
    return delivered_ms, answered_ms


def _percentile(values: list[float], percent: int) -> float:
    """Return the value below which `percent` of the values lie."""
    return statistics.quantiles(values, n=100)[percent - 1]
