"""Streams of messages from programs: at the door with a scripted router, then through real ones."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from tests.integration.net.test_local_door import LOOPBACK, PERSPECTIVE
from tests.support.ports import NAMESPACE, ScriptedLocalPort
from tests.support.routers import ground, running
from tests.support.waiting import until
from wavemq.errors import Code, NoProofFoundError
from wavemq.limits import MIB
from wavemq.net.answering import UNANSWERED_MAX
from wavemq.net.local_server import serve_local
from wavemq.wire import mqpb_pb2 as mqpb
from wavemq.wire.calls import PublishCall

OPENING = mqpb.PublishParams(perspective=PERSPECTIVE, namespace=NAMESPACE.to_bytes())
Stream = Any


def frame(sequence: int, topic: str = "a/b", content: bytes = b"hello") -> mqpb.PublishFrame:
    return mqpb.PublishFrame(
        sequence=sequence, uri=topic, content=[mqpb.PayloadObject(schema="text", content=content)]
    )


def stream_over(channel: grpc.aio.Channel) -> Stream:
    call: grpc.aio.StreamStreamMultiCallable[mqpb.PublishFrames, mqpb.PublishAnswers] = (
        channel.stream_stream(
            "/mqpb.WAVEMQ/PublishStream",
            request_serializer=mqpb.PublishFrames.SerializeToString,
            response_deserializer=mqpb.PublishAnswers.FromString,
        )
    )
    return call(timeout=30)


@contextlib.asynccontextmanager
async def stream_to(port: ScriptedLocalPort) -> AsyncIterator[Stream]:
    async with (
        serve_local(LOOPBACK, port) as address,
        grpc.aio.insecure_channel(str(address)) as channel,
    ):
        stream = stream_over(channel)
        yield stream
        stream.cancel()


async def answers_of(stream: Stream, count: int) -> mqpb.PublishAnswers:
    """So many answers, together."""
    found = mqpb.PublishAnswers()
    while len(found.accepted) + len(found.refused) < count:
        answers = await stream.read()
        assert isinstance(answers, mqpb.PublishAnswers)
        found.MergeFrom(answers)
    return found


async def test_frames_are_answered_in_batches_and_the_stream_ends_after_the_last() -> None:
    port = ScriptedLocalPort()
    async with stream_to(port) as stream:
        await stream.write(mqpb.PublishFrames(opening=OPENING, frames=[frame(7)]))
        assert dict(await stream.initial_metadata())["wavemq-extensions"] == "publish-stream"
        await stream.write(mqpb.PublishFrames(frames=[frame(number) for number in range(8, 70)]))
        await stream.done_writing()
        answers = await answers_of(stream, 63)
        assert sorted(answers.accepted) == list(range(7, 70))
        assert await stream.read() is grpc.aio.EOF
    assert all(isinstance(call, PublishCall) for call in port.published)
    assert len(port.batches) < 63


async def test_frame_that_breaks_a_rule_is_refused_by_itself() -> None:
    port = ScriptedLocalPort()
    async with stream_to(port) as stream:
        frames = [frame(1), frame(2, "a/+"), frame(3, content=bytes(4 * MIB)), frame(4)]
        await stream.write(mqpb.PublishFrames(opening=OPENING, frames=frames))
        answers = await answers_of(stream, 4)
        assert sorted(answers.accepted) == [1, 4]
        refused = {one.sequence: one.error.code for one in answers.refused}
        assert refused == {2: Code.INVALID_PARAMETER, 3: Code.INVALID_PARAMETER}


async def test_refusal_of_the_router_says_why() -> None:
    port = ScriptedLocalPort(refusal=NoProofFoundError("none"))
    async with stream_to(port) as stream:
        await stream.write(mqpb.PublishFrames(opening=OPENING, frames=[frame(5)]))
        (refusal,) = (await answers_of(stream, 1)).refused
        assert (refusal.sequence, refusal.error.code) == (5, Code.NO_PROOF_FOUND)


@pytest.mark.parametrize(
    "requests",
    [
        [mqpb.PublishFrames(frames=[frame(1)])],
        [mqpb.PublishFrames(opening=OPENING), mqpb.PublishFrames(opening=OPENING)],
    ],
    ids=["never opened", "opened twice"],
)
async def test_stream_is_opened_once(requests: list[mqpb.PublishFrames]) -> None:
    port = ScriptedLocalPort()
    async with stream_to(port) as stream:
        for request in requests:
            await stream.write(request)
        answers = await stream.read()
        assert answers.error.code == Code.INVALID_PARAMETER
        assert await stream.read() is grpc.aio.EOF
    assert port.published == []


async def test_opening_without_a_perspective_refuses_its_frames() -> None:
    port = ScriptedLocalPort()
    async with stream_to(port) as stream:
        opening = mqpb.PublishParams(namespace=NAMESPACE.to_bytes())
        await stream.write(mqpb.PublishFrames(opening=opening, frames=[frame(1)]))
        (refusal,) = (await answers_of(stream, 1)).refused
        assert refusal.error.code == Code.INVALID_PARAMETER


async def test_stream_without_answers_is_not_read_without_end() -> None:
    port = ScriptedLocalPort(holds=True)
    async with stream_to(port) as stream:
        await stream.write(mqpb.PublishFrames(opening=OPENING))

        async def flood() -> None:
            for number in range(4 * UNANSWERED_MAX):
                await stream.write(mqpb.PublishFrames(frames=[frame(number)]))

        flooding = asyncio.ensure_future(flood())
        await until("it is full", lambda: len(port.held) >= UNANSWERED_MAX)
        await asyncio.sleep(0.2)
        assert len(port.held) == UNANSWERED_MAX
        port.release()
        await until("it goes on", lambda: len(port.published) > UNANSWERED_MAX)
        flooding.cancel()
        port.release()


async def test_streamed_messages_are_delivered_in_order_and_the_unauthorized_are_not(
    tmp_path: Path,
) -> None:
    count = 500
    async with ground(tmp_path, "designated", "service") as made:
        await made.world.grant("namespace", "service", "publish,subscribe", "allowed/*")
        settings = await made.designated_settings("designated")
        async with (
            running(settings, made.clock) as router,
            made.bus(router.local, "service") as bus,
            bus.subscribe("allowed/*") as readings,
            grpc.aio.insecure_channel(str(router.local)) as channel,
        ):
            stream = stream_over(channel)
            secret = made.world["service"].to_bytes()
            opening = mqpb.PublishParams(
                perspective=mqpb.Perspective(entitySecret=mqpb.EntitySecret(DER=secret)),
                namespace=made.namespace.to_bytes(),
            )
            frames = [
                frame(n, f"allowed/{n % 3}" if n % 50 else "elsewhere", str(n).encode())
                for n in range(count)
            ]
            await stream.write(mqpb.PublishFrames(opening=opening, frames=frames[:1]))
            for at in range(1, count, 37):
                await stream.write(mqpb.PublishFrames(frames=frames[at : at + 37]))
            answers = await answers_of(stream, count)
            assert sorted(one.sequence for one in answers.refused) == list(range(0, count, 50))
            assert {one.error.code for one in answers.refused} == {Code.NO_PROOF_FOUND}
            found: dict[str, list[int]] = {}
            for _ in range(len(answers.accepted)):
                message = await asyncio.wait_for(anext(readings), 20)
                found.setdefault(message.topic, []).append(int(message.payload))
            assert all(numbers == sorted(numbers) for numbers in found.values())
            assert sum(map(len, found.values())) == count - count // 50
            stream.cancel()
