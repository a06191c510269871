"""The SDK publishes over a stream where the router knows one, and promises what it did before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
import pytest

from tests.integration.client.test_bus_and_a_failing_router import NAMESPACE, bus_to
from tests.support.waiting import until
from wavemq.client.failures import PublishUnconfirmedError
from wavemq.client.publishing import WINDOW_FRAMES
from wavemq.errors import NoProofFoundError, UnavailableError, WaveMQError
from wavemq.net.local_server import PUBLISH_STREAM
from wavemq.wire import mqpb_pb2 as mqpb

Context = grpc.aio.ServicerContext[mqpb.PublishFrames, mqpb.PublishAnswers]


@dataclass(slots=True)
class StreamingRouter:
    """A router that knows streams; answers when the gate is open."""

    openings: list[mqpb.PublishParams] = field(default_factory=list)
    frames: list[mqpb.PublishFrame] = field(default_factory=list)
    refusals: dict[str, mqpb.Error] = field(default_factory=dict)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    is_silent: bool = False

    def __post_init__(self) -> None:
        self.gate.set()

    async def stream(
        self, requests: AsyncIterator[mqpb.PublishFrames], context: Context
    ) -> AsyncIterator[mqpb.PublishAnswers]:
        if self.is_silent:
            await asyncio.Event().wait()
        await context.send_initial_metadata((("wavemq-extensions", PUBLISH_STREAM),))
        async for request in requests:
            if request.HasField("opening"):
                self.openings.append(request.opening)
            if not request.frames:
                continue
            self.frames += request.frames
            await self.gate.wait()
            answers = mqpb.PublishAnswers()
            for frame in request.frames:
                if frame.uri in self.refusals:
                    answers.refused.add(sequence=frame.sequence, error=self.refusals[frame.uri])
                else:
                    answers.accepted.append(frame.sequence)
            yield answers

    @asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncIterator[int]:
        server = grpc.aio.server()
        handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "PublishStream": grpc.stream_stream_rpc_method_handler(
                self.stream,
                request_deserializer=mqpb.PublishFrames.FromString,
                response_serializer=mqpb.PublishAnswers.SerializeToString,
            ),
        }
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("mqpb.WAVEMQ", handlers),)
        )
        bound = server.add_insecure_port(f"127.0.0.1:{port}")
        await server.start()
        try:
            yield bound
        finally:
            await server.stop(None)


async def test_secret_is_sent_once_and_everything_else_with_each_message() -> None:
    router = StreamingRouter()
    async with router.serving() as port, bus_to(port) as bus:
        await bus.publish("a", b"one", schema="s", persist=True)
        await bus.publish("b", b"two", encryption_partition="x/y", proof=b"\x30\x00")
    (opening,) = router.openings
    assert opening.perspective.entitySecret.DER
    assert opening.namespace == NAMESPACE.to_bytes()
    first, second = router.frames
    assert (first.uri, first.persist, first.content[0].schema) == ("a", True, "s")
    assert list(second.encryptionPartition) == [b"x", b"y"]
    assert second.customProofDER == b"\x30\x00"


async def test_refusal_is_raised_where_the_message_was_published() -> None:
    router = StreamingRouter(refusals={"b": mqpb.Error(code=911, message="(911: none)")})
    async with router.serving() as port, bus_to(port) as bus:
        answers = await asyncio.gather(
            *(bus.publish(topic, b"x") for topic in "abc"), return_exceptions=True
        )
    assert [type(one) for one in answers] == [type(None), NoProofFoundError, type(None)]


async def test_messages_keep_the_order_of_their_calls_also_beyond_the_window() -> None:
    router = StreamingRouter()
    router.gate.clear()
    count = WINDOW_FRAMES + 200
    async with (
        router.serving() as port,
        bus_to(
            port,
        ) as bus,
    ):
        publishes = asyncio.gather(*(bus.publish("a", str(n).encode()) for n in range(count)))
        await until("some came", lambda: len(router.frames) > 0)
        await asyncio.sleep(0.2)
        assert len(router.frames) <= WINDOW_FRAMES
        router.gate.set()
        await publishes
    assert [int(one.content[0].content) for one in router.frames] == list(range(count))


async def test_message_that_was_written_and_not_answered_is_unconfirmed_and_never_repeated() -> (
    None
):
    router = StreamingRouter()
    async with router.serving() as port, bus_to(port) as bus:
        await bus.publish("a", b"before")
        router.gate.clear()
        publishing = asyncio.ensure_future(bus.publish("a", b"x"))
        await until("it was sent", lambda: len(router.frames) == 2)
    with pytest.raises((PublishUnconfirmedError, UnavailableError)) as caught:
        await publishing
    assert isinstance(caught.value, PublishUnconfirmedError)
    assert len(router.frames) == 2


async def test_router_that_returns_gets_a_stream_of_its_own() -> None:
    first, second = StreamingRouter(), StreamingRouter()
    async with first.serving() as port:
        bus = bus_to(port)
        await bus.__aenter__()
        await bus.publish("a", b"1")
    async with second.serving(port):
        errors = 0
        while not second.frames:
            try:
                await bus.publish("a", b"2")
            except WaveMQError:
                errors += 1
                await asyncio.sleep(0.05)
                assert errors < 100
        await bus.__aexit__(None, None, None)
    assert len(second.openings) == 1
    assert [one.content[0].content for one in second.frames] == [b"2"]


async def test_patience_ends_with_what_is_known() -> None:
    router = StreamingRouter()
    async with router.serving() as port, bus_to(port) as bus:
        await bus.publish("a", b"before")
        router.gate.clear()
        with pytest.raises(PublishUnconfirmedError, match="no answer within"):
            await bus.publish("a", b"x", timeout_s=0.2)
        router.gate.set()
        await bus.publish("a", b"after")


async def test_router_that_does_not_answer_an_opening_got_nothing() -> None:
    router = StreamingRouter(is_silent=True)
    async with router.serving() as port, bus_to(port) as bus:
        with pytest.raises(UnavailableError, match="nothing was sent"):
            await bus.publish("a", b"x", timeout_s=0.3)
    assert router.frames == []
