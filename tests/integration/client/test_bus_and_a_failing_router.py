"""The SDK against a router that answers, refuses, dies and returns; the router is a small stand-in.

The stand-in speaks the local API and remembers what it was asked; what it does next is in the
test's hands. Real routers are in tests/e2e.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
import pytest

import wavemq
from wavemq.client import bus as bus_headers
from wavemq.client.streams import SUBSCRIBED_KEY
from wavemq.clock import instant_from_seconds
from wavemq.errors import (
    DeadlineError,
    DesignatedRouterLinkDownError,
    InvalidParameterError,
    NoProofFoundError,
    RemoteProtocolError,
    SubscriptionFailedError,
    UnavailableError,
    UnsubscribedError,
)
from wavemq.limits import PAYLOAD_OBJECTS_MAX
from wavemq.net import local_server
from wavemq.wave.keyring import EntitySecret
from wavemq.wire import mqpb_pb2 as mqpb

NOW = instant_from_seconds(1_800_000_000)
LATER = instant_from_seconds(1_900_000_000)
SECRET = EntitySecret.create(not_before=NOW, not_after=LATER, revocation_location=None)
NAMESPACE = SECRET.entity.hash
PATIENCE_S = 10.0
AMPLE_S = 60.0
FAST = wavemq.ReconnectPolicy(initial_s=0.01, ceiling_s=0.1, give_up_after_s=PATIENCE_S)

Context = grpc.aio.ServicerContext[Any, Any]


def delivered(content: bytes, topic: str = "a/b") -> mqpb.Message:
    return mqpb.Message(
        tbs=mqpb.MessageTBS(
            sourceEntity=NAMESPACE.to_bytes(),
            sourceLocation=mqpb.LocationURI(URI="http://storage.example/v1", version=1),
            namespace=NAMESPACE.to_bytes(),
            uri=topic,
            payload=[mqpb.PayloadObject(schema="text", content=content)],
            originRouter="7c9e6679-7425-40de-944b-e07fc1f90ae7",
        ),
        signature=bytes(80),
        timestamps=[NOW, NOW + 5],
        drops=[0, 3],
    )


@dataclass(slots=True)
class StandIn:
    """A router whose subscriptions deliver what is put into `deliveries`."""

    deliveries: asyncio.Queue[mqpb.SubscriptionMessage] = field(default_factory=asyncio.Queue)
    published: list[mqpb.PublishParams] = field(default_factory=list)
    subscribed: list[mqpb.SubscribeParams] = field(default_factory=list)
    queried: list[mqpb.QueryParams] = field(default_factory=list)
    metadata: list[dict[str, str | bytes]] = field(default_factory=list)
    refusal: mqpb.Error | None = None
    answers: list[mqpb.QueryMessage] = field(default_factory=list)
    does_announce: bool = True
    publish_begun: asyncio.Event = field(default_factory=asyncio.Event)
    publish_gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.publish_gate.set()

    async def publish(self, request: mqpb.PublishParams, context: Context) -> mqpb.PublishResponse:
        self.published.append(request)
        self.publish_begun.set()
        await self.publish_gate.wait()
        return mqpb.PublishResponse(error=self.refusal)

    async def subscribe(
        self, request: mqpb.SubscribeParams, context: Context
    ) -> AsyncIterator[mqpb.SubscriptionMessage]:
        self.subscribed.append(request)
        self.metadata.append(dict(context.invocation_metadata() or ()))
        if self.refusal is not None:
            yield mqpb.SubscriptionMessage(error=self.refusal)
            return
        if self.does_announce:
            await context.send_initial_metadata(((SUBSCRIBED_KEY, "1"),))
        while True:
            yield await self.deliveries.get()

    async def query(
        self, request: mqpb.QueryParams, context: Context
    ) -> AsyncIterator[mqpb.QueryMessage]:
        self.queried.append(request)
        self.metadata.append(dict(context.invocation_metadata() or ()))
        for answer in self.answers:
            yield answer

    async def status(
        self, request: mqpb.ConnectionStatusParams, context: Context
    ) -> mqpb.ConnectionStatusResponse:
        return mqpb.ConnectionStatusResponse(totalPeers=2, connectedPeers=1)

    @asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncIterator[int]:
        server = grpc.aio.server()
        handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "Publish": grpc.unary_unary_rpc_method_handler(
                self.publish,
                request_deserializer=mqpb.PublishParams.FromString,
                response_serializer=mqpb.PublishResponse.SerializeToString,
            ),
            "Subscribe": grpc.unary_stream_rpc_method_handler(
                self.subscribe,
                request_deserializer=mqpb.SubscribeParams.FromString,
                response_serializer=mqpb.SubscriptionMessage.SerializeToString,
            ),
            "Query": grpc.unary_stream_rpc_method_handler(
                self.query,
                request_deserializer=mqpb.QueryParams.FromString,
                response_serializer=mqpb.QueryMessage.SerializeToString,
            ),
            "ConnectionStatus": grpc.unary_unary_rpc_method_handler(
                self.status,
                request_deserializer=mqpb.ConnectionStatusParams.FromString,
                response_serializer=mqpb.ConnectionStatusResponse.SerializeToString,
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

    def deliver(self, content: bytes) -> None:
        self.deliveries.put_nowait(mqpb.SubscriptionMessage(message=delivered(content)))


def bus_to(port: int, **options: object) -> wavemq.Bus:
    return wavemq.connect(
        f"127.0.0.1:{port}",
        entity=SECRET.to_bytes(),
        namespace=NAMESPACE,
        reconnect=FAST,
        timeout_s=PATIENCE_S,
        **options,  # type: ignore[arg-type]  # a shorthand of these tests
    )


def test_headers_are_those_of_the_local_door() -> None:
    assert (bus_headers.INCLUDE_PROOF_KEY, SUBSCRIBED_KEY) == (
        local_server.INCLUDE_PROOF_KEY,
        local_server.SUBSCRIBED_KEY,
    )


async def test_publish_hands_over_everything_that_was_given() -> None:
    router = StandIn()
    async with router.serving() as port, bus_to(port) as bus:
        await bus.publish(
            "a/b", b"x", schema="s", persist=True, encryption_partition="a/b", proof=b"\x30\x00"
        )
        await bus.publish(
            "a/b",
            [wavemq.PayloadObject(schema="p", content=b"1"), wavemq.PayloadObject("q", b"2")],
            encryption_partition=[b"\xff", b"b"],
        )
    first, second = router.published
    handed_over = first.perspective.entitySecret
    assert (handed_over.DER, handed_over.passphrase) == (SECRET.to_bytes(), b"")
    assert first.namespace == NAMESPACE.to_bytes()
    assert (first.uri, first.persist, first.customProofDER) == ("a/b", True, b"\x30\x00")
    assert [(one.schema, one.content) for one in first.content] == [("s", b"x")]
    assert list(first.encryptionPartition) == [b"a", b"b"]
    assert [(one.schema, one.content) for one in second.content] == [("p", b"1"), ("q", b"2")]
    assert list(second.encryptionPartition) == [b"\xff", b"b"]
    assert not second.persist


async def test_bad_payload_or_partition_is_not_sent() -> None:
    router = StandIn()
    many = [wavemq.PayloadObject(schema="s", content=b"x")] * (PAYLOAD_OBJECTS_MAX + 1)
    async with router.serving() as port, bus_to(port) as bus:
        for payload in ("text", [], many, 7, [b"x"]):
            with pytest.raises(InvalidParameterError):
                await bus.publish("a", payload)  # type: ignore[arg-type]  # the wrong type is the test
        partitions: tuple[str | list[bytes], ...] = ("", "a//b", [])
        for partition in partitions:
            with pytest.raises(InvalidParameterError):
                await bus.publish("a", b"x", encryption_partition=partition)
        with pytest.raises(InvalidParameterError):
            await bus.publish("a/+", b"x")
        await bus.publish("a", many[:-1])
    assert len(router.published) == 1


async def test_error_in_the_answer_is_raised_with_its_type_and_reason() -> None:
    router = StandIn(refusal=mqpb.Error(code=911, message="(911: couldn't find a proof)"))
    async with router.serving() as port, bus_to(port) as bus:
        with pytest.raises(NoProofFoundError) as caught:
            await bus.publish("a", b"x")
    assert str(caught.value) == "(911: couldn't find a proof)"


async def test_publish_that_was_sent_and_not_answered_is_unconfirmed_and_never_repeated() -> None:
    router = StandIn()
    router.publish_gate.clear()
    async with asyncio.TaskGroup() as group:
        async with router.serving() as port:
            bus = await bus_to(port).__aenter__()
            attempt = group.create_task(unconfirmed(bus))
            async with asyncio.timeout(PATIENCE_S):
                await router.publish_begun.wait()
        await attempt
    router.publish_gate.set()
    async with router.serving(port):
        await bus.publish("a", b"second")
    await bus.__aexit__(None, None, None)
    assert [one.content[0].content for one in router.published] == [b"first", b"second"]


async def unconfirmed(bus: wavemq.Bus) -> None:
    with pytest.raises(wavemq.PublishUnconfirmedError) as caught:
        await bus.publish("a", b"first")
    assert not isinstance(caught.value, UnavailableError)


async def test_publish_that_times_out_unanswered_is_unconfirmed() -> None:
    router = StandIn()
    router.publish_gate.clear()
    async with router.serving() as port, bus_to(port) as bus:
        with pytest.raises(wavemq.PublishUnconfirmedError):
            await bus.publish("a", b"x", timeout_s=0.2)
        router.publish_gate.set()
    assert len(router.published) == 1


async def test_publish_waits_for_a_router_that_is_away() -> None:
    router = StandIn()
    async with router.serving() as port:
        bus = await bus_to(port).__aenter__()
    async with asyncio.TaskGroup() as group:
        attempt = group.create_task(publish_until_sent(bus))
        await asyncio.sleep(0.1)
        assert not attempt.done()
        async with router.serving(port):
            await attempt
    await bus.__aexit__(None, None, None)
    assert [one.content[0].content for one in router.published] == [b"x"]


async def publish_until_sent(bus: wavemq.Bus) -> None:
    # The connection may not have noticed the loss yet: then the outcome is unknown to the SDK.
    reason = ""
    while not reason:
        try:
            await bus.publish("a", b"never", timeout_s=0.05)
        except wavemq.PublishUnconfirmedError:
            continue
        except UnavailableError as error:
            reason = error.reason
    assert "nothing was sent" in reason
    await bus.publish("a", b"x")


async def test_connecting_to_nobody_says_where_and_how_long() -> None:
    router = StandIn()
    async with router.serving() as port:
        pass
    bus = wavemq.connect(
        f"127.0.0.1:{port}", entity=SECRET.to_bytes(), namespace=NAMESPACE, timeout_s=0.1
    )
    with pytest.raises(UnavailableError, match=f"127.0.0.1:{port} within 0.1 s"):
        async with bus:
            pass


async def test_server_of_another_kind_is_named_as_such() -> None:
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with bus_to(port) as bus:
            with pytest.raises(RemoteProtocolError, match="not a WAVEMQ router"):
                await bus.publish("a", b"x")
            with pytest.raises(RemoteProtocolError, match="not a WAVEMQ router"):
                await bus.status()
    finally:
        await server.stop(None)


async def test_received_message_shows_everything_but_its_payload() -> None:
    router = StandIn()
    router.deliver(b"hello")
    async with router.serving() as port, bus_to(port) as bus, bus.subscribe("a/*") as readings:
        reading = await anext(readings)
    assert (reading.topic, reading.payload, reading.text, reading.schema) == (
        "a/b",
        b"hello",
        "hello",
        "text",
    )
    assert reading.source == reading.namespace == NAMESPACE
    assert (reading.timestamps, reading.published_at, reading.drops) == (
        (NOW, NOW + 5),
        NOW,
        (0, 3),
    )
    assert reading.proof is None
    assert "hello" not in repr(reading)
    request = router.subscribed[0]
    assert (request.uri, request.expiry) == ("a/*", 3600)
    assert request.identifier
    assert "wavemq-include-proof" not in router.metadata[0]


async def test_proofs_are_asked_for_in_the_request_metadata() -> None:
    router = StandIn()
    async with router.serving() as port, bus_to(port) as bus:
        async with bus.subscribe("a/*", name="n", keep_s=60, include_proof=True):
            pass
        await bus.query("a/*", include_proof=True)
    assert [one.get("wavemq-include-proof") for one in router.metadata] == ["1", "1"]
    assert (router.subscribed[0].identifier, router.subscribed[0].expiry) == ("n", 60)


async def test_refused_subscription_raises_on_entering() -> None:
    router = StandIn(refusal=mqpb.Error(code=702, message="(702: no configured DR)"))
    async with router.serving() as port, bus_to(port) as bus:
        with pytest.raises(SubscriptionFailedError, match="no configured DR"):
            async with bus.subscribe("a/*"):
                pytest.fail("entered")


async def test_router_that_sends_no_header_is_understood_by_its_first_message() -> None:
    router = StandIn(does_announce=False)
    router.deliver(b"1")
    router.deliver(b"2")
    async with router.serving() as port, bus_to(port) as bus, bus.subscribe("a/*") as readings:
        assert [(await anext(readings)).payload for _ in range(2)] == [b"1", b"2"]


async def test_subscription_that_is_never_confirmed_fails_in_time() -> None:
    router = StandIn(does_announce=False)
    async with router.serving() as port, bus_to(port) as bus:
        with pytest.raises(DeadlineError, match="did not confirm"):
            async with bus.subscribe("a/*", timeout_s=0.1):
                pytest.fail("entered")


async def test_subscription_resumes_under_its_identifier_when_the_router_returns() -> None:
    router = StandIn()
    changes: list[wavemq.ConnectionChange] = []
    async with router.serving() as port:
        bus = await bus_to(port, on_change=changes.append).__aenter__()
        readings = await bus.subscribe("a/*").__aenter__()
        router.deliver(b"1")
        assert (await anext(readings)).payload == b"1"
    router.deliver(b"2")
    async with asyncio.TaskGroup() as group:
        second = group.create_task(next_of(readings))
        async with router.serving(port):
            assert (await second).payload == b"2"
            assert readings.resumed_count == 1
            await readings.close()
            await bus.__aexit__(None, None, None)
    assert len({one.identifier for one in router.subscribed}) == 1
    states = [one.state for one in changes]
    assert states[0] is wavemq.LinkState.LOST
    assert states[-1] is wavemq.LinkState.RESUMED
    assert set(states[1:-1]) == {wavemq.LinkState.RETRYING}


async def next_of(readings: wavemq.Subscription) -> wavemq.Received:
    return await anext(readings)


async def test_subscription_gives_up_after_the_time_of_its_policy() -> None:
    router = StandIn()
    changes: list[wavemq.ConnectionChange] = []
    policy = wavemq.ReconnectPolicy(initial_s=0.01, ceiling_s=0.02, give_up_after_s=0.1)
    async with router.serving() as port:
        bus = await wavemq.connect(
            f"127.0.0.1:{port}",
            entity=SECRET.to_bytes(),
            namespace=NAMESPACE,
            reconnect=policy,
            on_change=changes.append,
        ).__aenter__()
        readings = await bus.subscribe("a/*").__aenter__()
    with pytest.raises(UnavailableError, match=r"could not be resumed within 0\.1 s"):
        await anext(readings)
    await readings.close()
    await bus.__aexit__(None, None, None)
    assert changes[-1].state is wavemq.LinkState.GAVE_UP


async def test_refusal_while_resuming_is_raised_and_not_retried() -> None:
    router = StandIn()
    async with router.serving() as port:
        bus = await bus_to(port).__aenter__()
        readings = await bus.subscribe("a/*").__aenter__()
    router.refusal = mqpb.Error(code=702, message="(702: no grant)")
    async with router.serving(port):
        with pytest.raises(SubscriptionFailedError, match="no grant"):
            await anext(readings)
        await readings.close()
        await bus.__aexit__(None, None, None)
    assert len(router.subscribed) == 2


async def test_ended_queue_is_raised() -> None:
    router = StandIn()
    ended = mqpb.Error(code=701, message="(701: the queue expired)")
    router.deliveries.put_nowait(mqpb.SubscriptionMessage(error=ended))
    async with router.serving() as port, bus_to(port) as bus, bus.subscribe("a/*") as readings:
        with pytest.raises(UnsubscribedError, match="expired"):
            await anext(readings)


async def test_timeout_around_a_read_loses_nothing() -> None:
    router = StandIn()
    async with router.serving() as port, bus_to(port) as bus, bus.subscribe("a/*") as readings:
        for number in range(5):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.02):
                    await anext(readings)
            router.deliver(bytes([number]))
            assert (await anext(readings)).payload == bytes([number])
    assert len(router.subscribed) == 1


async def test_closing_ends_a_waiting_reader() -> None:
    router = StandIn()

    has_read = asyncio.Event()

    async def read_all(readings: wavemq.Subscription) -> list[bytes]:
        found = []
        async for reading in readings:
            found.append(reading.payload)
            has_read.set()
        return found

    async with router.serving() as port, bus_to(port) as bus:
        async with bus.subscribe("a/*") as readings, asyncio.TaskGroup() as group:
            reader = group.create_task(read_all(readings))
            router.deliver(b"1")
            async with asyncio.timeout(PATIENCE_S):
                await has_read.wait()
            await readings.close()
        assert reader.result() == [b"1"]


@pytest.mark.parametrize("keep_s", [-1, 0, 59])
async def test_queue_kept_for_less_than_the_router_keeps_it_is_refused(keep_s: int) -> None:
    router = StandIn()
    async with router.serving() as port, bus_to(port) as bus:
        with pytest.raises(InvalidParameterError, match="60 s"):
            bus.subscribe("a/*", keep_s=keep_s)
        for name in ("", "x" * 1025):
            with pytest.raises(InvalidParameterError, match="name"):
                bus.subscribe("a/*", name=name)
    assert router.subscribed == []


async def test_query_is_a_list_or_an_iterator() -> None:
    router = StandIn(
        answers=[
            mqpb.QueryMessage(message=delivered(b"1")),
            mqpb.QueryMessage(message=delivered(b"2")),
        ]
    )
    async with router.serving() as port, bus_to(port) as bus:
        assert [one.payload for one in await bus.query("a/*")] == [b"1", b"2"]
        assert [one.payload async for one in bus.query("a/*")] == [b"1", b"2"]
    assert [one.uri for one in router.queried] == ["a/*", "a/*"]


async def test_error_of_a_query_is_raised() -> None:
    down = mqpb.Error(code=705, message="(705: no link)")
    router = StandIn(
        answers=[mqpb.QueryMessage(message=delivered(b"1")), mqpb.QueryMessage(error=down)]
    )
    async with router.serving() as port, bus_to(port) as bus:
        with pytest.raises(DesignatedRouterLinkDownError):
            await bus.query("a/*")


async def test_query_with_too_many_answers_for_a_list_says_how_to_read_them() -> None:
    from wavemq.client.query import QUERY_ANSWERS_MAX

    one = mqpb.QueryMessage(message=delivered(b"1"))
    router = StandIn(answers=[one] * (QUERY_ANSWERS_MAX + 1))
    async with router.serving() as port, bus_to(port) as bus:
        with pytest.raises(InvalidParameterError, match="async for"):
            await bus.query("a/*", timeout_s=AMPLE_S)
        router.answers.pop()
        assert len(await bus.query("a/*", timeout_s=AMPLE_S)) == QUERY_ANSWERS_MAX


async def test_status_tells_the_uplinks() -> None:
    router = StandIn()
    async with router.serving() as port, bus_to(port) as bus:
        status = await bus.status()
    assert status == wavemq.RouterStatus(uplinks_configured=2, uplinks_connected=1)
    assert not status.is_fully_connected
