"""Messages between two router processes, up and down: their rate, and what a router works for one.

A site and the designated router of a namespace, both with durable queues on disk. A producer
streams messages of 128 bytes to one of them (`PublishStream`, 1,024 without an answer), a reader at
the other acknowledges them (`Consume`). Both are this process and do as little as they can: their
requests are encoded before the clock starts. What a router works is its user and system time as the
system counts it.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import grpc
import grpc.aio

from bench.measurement import Measurement
from wavemq.testing import RouterProcess, RouterSettings, World
from wavemq.wire import mqpb_pb2 as mqpb

PAYLOAD_BYTES: Final = 128
TOPICS: Final = 8
REQUEST_FRAMES: Final = 64
WINDOW_FRAMES: Final = 1024
CREDIT: Final = 1024
ROUNDS: Final = 4
WARMUP_REQUESTS: Final = 20
REQUESTS: Final = 400
DRAIN_SECONDS_MAX: Final = 120.0
URL: Final = "http://bench.invalid/v1"
"""The location that objects name; a local provider serves it without a server."""


def measurements() -> list[Measurement]:
    """Run both routers for some seconds; return rates and the work for a message, each way."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wavemq-bench-")))
        world = _world(folder)
        location = _location(folder)
        designated_settings = RouterSettings(
            directory=folder / "designated",
            storage=location,
            peer_listen="127.0.0.1:0",
            routing_proofs=(world.path("routing.pem"),),
            queue_length_max=100_000,
        )
        designated_settings.directory.mkdir()
        designated_settings.entity_path.write_bytes(world.path("router.pem").read_bytes())
        designated = stack.enter_context(RouterProcess(designated_settings, name="designated"))
        site_settings = RouterSettings(
            directory=folder / "site",
            storage=location,
            uplinks={world.hash_of("namespace").to_text(): designated.peer},
            queue_length_max=100_000,
        )
        site = stack.enter_context(RouterProcess(site_settings, name="site"))
        return asyncio.run(_measure(world, designated, site))


def _location(folder: Path) -> dict[str, dict[str, str]]:
    return {"default": {"provider": "local", "path": str(folder / "objects"), "url": URL}}


def _world(folder: Path) -> World:
    world = World(folder / "keys", _location(folder))
    for name in ("namespace", "service", "router"):
        world.entity(name)
    everything = "wavemq:publish,subscribe@namespace.pem/*"
    route = "wavemq:route@namespace.pem/*"
    world.grant(everything, attester="namespace", subject="service")
    world.grant(route, attester="namespace", subject="router")
    world.prove(route, subject="router", outfile="routing.pem")
    return world


async def _measure(
    world: World, designated: RouterProcess, site: RouterProcess
) -> list[Measurement]:
    found: list[Measurement] = []
    for name, source, sink in (
        ("site to designated", site, designated),
        ("designated to site", designated, site),
    ):
        async with (
            grpc.aio.insecure_channel(source.local) as near,
            grpc.aio.insecure_channel(sink.local) as far,
        ):
            load = _Load(world, near, far)
            await load.run(WARMUP_REQUESTS)
            rounds = [await _round(load, source, sink) for _ in range(ROUNDS)]
            load.close()
        rates = sorted(rate for rate, _, _ in rounds)
        note = f"{PAYLOAD_BYTES} bytes, {TOPICS} topics, " + ", ".join(
            f"{rate:.0f}/s" for rate in rates
        )
        found.append(Measurement(f"{name}, rate", rates[len(rates) // 2], "/s", note=note))
        for at, what in ((1, "source"), (2, "sink")):
            works = sorted(one[at] for one in rounds)
            found.append(Measurement(f"{name}, CPU of the {what}", works[len(works) // 2], "us"))
    return found


async def _round(
    load: _Load, source: RouterProcess, sink: RouterProcess
) -> tuple[float, float, float]:
    """Return messages a second, and microseconds that each router worked for one."""
    before = _worked_s(source), _worked_s(sink)
    started = time.perf_counter()
    count = await load.run(REQUESTS)
    elapsed_s = time.perf_counter() - started
    after = _worked_s(source), _worked_s(sink)
    source_us, sink_us = ((b - a) / count * 1e6 for a, b in zip(before, after, strict=True))
    return count / elapsed_s, source_us, sink_us


def _worked_s(router: RouterProcess) -> float:
    fields = Path(f"/proc/{router.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class _Load:
    """A producer at one router, and a reader at another."""

    def __init__(self, world: World, near: grpc.aio.Channel, far: grpc.aio.Channel) -> None:
        # Topics of its own: what others subscribed to and left stays queued.
        self._branch = f"bench-{time.time_ns()}"
        secret = world.path("service.pem").read_bytes()
        self._perspective = mqpb.Perspective(entitySecret=mqpb.EntitySecret(DER=secret))
        self._namespace = world.hash_of("namespace").to_bytes()
        self._publishing = near.stream_stream(
            "/mqpb.WAVEMQ/PublishStream",
            request_serializer=bytes,
            response_deserializer=mqpb.PublishAnswers.FromString,
        )()
        self._consuming = far.stream_stream(
            "/mqpb.WAVEMQ/Consume",
            request_serializer=mqpb.ConsumeRequest.SerializeToString,
            response_deserializer=mqpb.ConsumeResponse.FromString,
        )()
        self._is_open = False
        self._requests = [self._request(number) for number in range(TOPICS)]

    def _request(self, number: int) -> bytes:
        frames = [
            mqpb.PublishFrame(
                uri=f"{self._branch}/{number}",
                content=[mqpb.PayloadObject(schema="bytes", content=bytes(PAYLOAD_BYTES))],
                sequence=sequence,
            )
            for sequence in range(REQUEST_FRAMES)
        ]
        return mqpb.PublishFrames(frames=frames).SerializeToString()

    async def _open(self) -> None:
        subscribe = mqpb.SubscribeParams(
            perspective=self._perspective,
            namespace=self._namespace,
            uri=f"{self._branch}/*",
            identifier=self._branch,
        )
        await self._consuming.write(mqpb.ConsumeRequest(subscribe=subscribe, credit=CREDIT))
        await self._consuming.initial_metadata()
        opening = mqpb.PublishParams(perspective=self._perspective, namespace=self._namespace)
        await self._publishing.write(mqpb.PublishFrames(opening=opening).SerializeToString())
        # Far ends hear of a subscription within this time.
        await asyncio.sleep(1.0)
        self._is_open = True

    async def run(self, requests: int) -> int:
        """Publish, read everything, and return how many messages that was."""
        if not self._is_open:
            await self._open()
        count = requests * REQUEST_FRAMES
        async with asyncio.timeout(DRAIN_SECONDS_MAX), asyncio.TaskGroup() as group:
            group.create_task(self._produce(requests))
            group.create_task(self._consume(count))
        return count

    async def _produce(self, requests: int) -> None:
        unanswered = 0
        for number in range(requests):
            while unanswered + REQUEST_FRAMES > WINDOW_FRAMES:
                unanswered -= await self._answered()
            unanswered += REQUEST_FRAMES
            await self._publishing.write(self._requests[number % TOPICS])
        while unanswered:
            unanswered -= await self._answered()

    async def _answered(self) -> int:
        answers = await self._publishing.read()
        if not isinstance(answers, mqpb.PublishAnswers) or answers.refused or answers.error.code:
            raise RuntimeError(f"a router did not take all messages: {answers}")
        return len(answers.accepted)

    async def _consume(self, count: int) -> None:
        while count > 0:
            response = await self._consuming.read()
            if not isinstance(response, mqpb.ConsumeResponse) or response.error.code:
                raise RuntimeError(f"a router did not deliver: {response}")
            indexes = [one.index for one in response.deliveries]
            count -= len(indexes)
            await self._consuming.write(mqpb.ConsumeRequest(acknowledged=indexes))

    def close(self) -> None:
        """Let go of both calls."""
        self._publishing.cancel()
        self._consuming.cancel()
