"""The door for programs over real gRPC, with a scripted router behind it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import grpc
import grpc.aio
import pytest

from tests.support.ports import NAMESPACE, ScriptedLocalPort, message
from tests.support.stubs import LocalClient
from tests.support.waiting import until
from wavemq.errors import (
    Code,
    ConfigError,
    DesignatedRouterLinkDownError,
    NoProofFoundError,
    UnsubscribedError,
    UpstreamError,
)
from wavemq.limits import FRAME_BYTES_MAX, MIB, PAYLOAD_OBJECTS_MAX
from wavemq.net.addresses import Address
from wavemq.net.local_server import serve_local
from wavemq.net.pending_subscriptions import (
    ARRIVAL_SECONDS_MAX,
    FIRST_CALL_SECONDS,
    PATIENCE_SECONDS,
    PendingSubscriptions,
)
from wavemq.wire import mqpb_pb2 as mqpb
from wavemq.wire.calls import (
    CREDIT_MAX,
    INDEXES_MAX,
    RETURN_DELAY_MILLISECONDS_MAX,
    PublishCall,
)

LOOPBACK = Address("127.0.0.1", 0)
Conversation = grpc.aio.StreamStreamCall[mqpb.ConsumeRequest, mqpb.ConsumeResponse]
PERSPECTIVE = mqpb.Perspective(entitySecret=mqpb.EntitySecret(DER=b"secret"))
PUBLISH = mqpb.PublishParams(
    perspective=PERSPECTIVE,
    namespace=NAMESPACE.to_bytes(),
    uri="a/b",
    content=[mqpb.PayloadObject(schema="text", content=b"hello")],
)
SUBSCRIBE = mqpb.SubscribeParams(
    perspective=PERSPECTIVE, namespace=NAMESPACE.to_bytes(), uri="a/*", identifier="i"
)
QUERY = mqpb.QueryParams(perspective=PERSPECTIVE, namespace=NAMESPACE.to_bytes(), uri="a/*")


@contextlib.asynccontextmanager
async def door(port: ScriptedLocalPort) -> AsyncIterator[LocalClient]:
    options = (
        ("grpc.max_receive_message_length", FRAME_BYTES_MAX),
        ("grpc.max_send_message_length", 2 * FRAME_BYTES_MAX),
    )
    async with (
        serve_local(LOOPBACK, port) as address,
        grpc.aio.insecure_channel(str(address), options=options) as channel,
    ):
        yield LocalClient(channel)


async def test_publish_reaches_the_router_and_is_answered_empty() -> None:
    port = ScriptedLocalPort()
    async with door(port) as client:
        response = await client.publish(PUBLISH, timeout=10)
    assert not response.HasField("error")
    (call,) = port.published
    assert isinstance(call, PublishCall)
    assert call.payload[0].content == b"hello"


async def test_publish_is_answered_when_the_router_answers_and_not_before() -> None:
    port = ScriptedLocalPort(holds=True)
    async with door(port) as client:
        answering = asyncio.ensure_future(client.publish(PUBLISH, timeout=10))
        await until("the router has it", lambda: bool(port.held))
        assert not answering.done()
        port.release()
        assert not (await answering).HasField("error")


async def test_publishes_at_the_same_time_arrive_as_batches() -> None:
    port = ScriptedLocalPort()
    async with door(port) as client:
        await asyncio.gather(*(client.publish(PUBLISH, timeout=10) for _ in range(200)))
    assert sum(port.batches) == 200
    assert len(port.batches) < 200


async def test_error_of_the_router_comes_inside_the_response() -> None:
    port = ScriptedLocalPort(refusal=NoProofFoundError("couldn't find a proof"))
    async with door(port) as client:
        error = (await client.publish(PUBLISH, timeout=10)).error
    assert error.code == Code.NO_PROOF_FOUND
    assert error.message == "(911: couldn't find a proof)"


@pytest.mark.parametrize(
    "change",
    [
        mqpb.PublishParams(uri="a/+"),
        mqpb.PublishParams(namespace=b"short"),
        mqpb.PublishParams(content=[mqpb.PayloadObject()] * PAYLOAD_OBJECTS_MAX),
        mqpb.PublishParams(content=[mqpb.PayloadObject(content=bytes(4 * MIB))]),
    ],
    ids=["wildcard", "namespace", "payload objects", "size"],
)
async def test_bad_publish_gets_an_error_and_reaches_nobody(change: mqpb.PublishParams) -> None:
    params = mqpb.PublishParams()
    params.CopyFrom(PUBLISH)
    params.MergeFrom(change)
    port = ScriptedLocalPort()
    async with door(port) as client:
        error = (await client.publish(params, timeout=10)).error
    assert error.code in {Code.INVALID_PARAMETER, Code.INVALID_MULTIHASH}
    assert error.message
    assert port.published == []


async def test_call_without_perspective_is_an_invalid_parameter() -> None:
    async with door(ScriptedLocalPort()) as client:
        publish = mqpb.PublishParams(namespace=NAMESPACE.to_bytes(), uri="a")
        assert (await client.publish(publish, timeout=10)).error.code == Code.INVALID_PARAMETER
        subscribe = client.subscribe(mqpb.SubscribeParams(uri="a"), timeout=10)
        assert [one.error.code async for one in subscribe] == [Code.INVALID_PARAMETER]
        query = client.query(mqpb.QueryParams(uri="a"), timeout=10)
        assert [one.error.code async for one in query] == [Code.INVALID_PARAMETER]


async def test_request_that_is_no_protobuf_is_a_grpc_error() -> None:
    port = ScriptedLocalPort()
    async with door(port) as client:
        raw: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = client.channel.unary_unary(
            "/mqpb.WAVEMQ/Publish"
        )
        with pytest.raises(grpc.aio.AioRpcError):
            await raw(b"\xff\xff\xff", timeout=10)
        assert not (await client.publish(PUBLISH, timeout=10)).HasField("error")


async def test_frame_over_its_limit_is_a_grpc_error_and_ends_nothing_else() -> None:
    port = ScriptedLocalPort()
    async with door(port) as client:
        large = mqpb.PublishParams(customProofDER=bytes(FRAME_BYTES_MAX + 1))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.publish(large, timeout=20)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert not (await client.publish(PUBLISH, timeout=10)).HasField("error")


async def test_defect_of_ours_is_told_in_one_sentence_without_its_insides() -> None:
    port = ScriptedLocalPort(failure=RuntimeError("private detail"))
    async with door(port) as client:
        stream = client.subscribe(SUBSCRIBE, timeout=10)
        (response,) = [one async for one in stream]
    assert response.error.code == Code.INTERNAL
    assert "private" not in response.error.message


async def test_subscription_says_when_it_is_effective_then_delivers() -> None:
    port = ScriptedLocalPort()
    async with door(port) as client:
        stream = client.subscribe(SUBSCRIBE, timeout=10)
        assert dict(await stream.initial_metadata())["wavemq-subscribed"] == "1"
        assert len(port.deliveries) == 1
        port.deliveries[0].queue.put_nowait([message(1), message(2)])
        first, second = await stream.read(), await stream.read()
        assert isinstance(first, mqpb.SubscriptionMessage)
        assert isinstance(second, mqpb.SubscriptionMessage)
        assert first.message.tbs.payload[0].content == b"1"
        assert second.message.tbs.payload[0].content == b"2"
        assert list(first.message.drops) == [3]
        assert first.message.signature == b"signature"
        assert first.message.proofDER == b""
        stream.cancel()
        await until("the reader is gone", lambda: port.deliveries[0].is_closed)


async def test_every_message_that_a_reader_got_counts_as_written() -> None:
    """Also the last one before the reader leaves, who does so at once after reading it."""
    port = ScriptedLocalPort()
    async with door(port) as client:
        for number in range(30):
            stream = client.subscribe(SUBSCRIBE, timeout=10)
            await stream.initial_metadata()
            deliveries = port.deliveries[number]
            deliveries.queue.put_nowait([message(1), message(2)])
            await stream.read()
            await stream.read()
            stream.cancel()
            await until("the reader is gone", lambda one=deliveries: one.is_closed)  # type: ignore[misc]
            assert deliveries.written == 2


async def test_reader_that_does_not_read_is_not_sent_more_than_fits_its_stream() -> None:
    port = ScriptedLocalPort()
    async with door(port) as client:
        stream = client.subscribe(SUBSCRIBE, timeout=30)
        await stream.initial_metadata()
        large = message(1, proof=b"")
        for _ in range(2000):
            port.deliveries[0].queue.put_nowait([large] * 500)
        await asyncio.sleep(0.5)
        assert port.deliveries[0].queue.qsize() > 1000
        assert not (await client.publish(PUBLISH, timeout=10)).HasField("error")
        stream.cancel()
        await until("the reader is gone", lambda: port.deliveries[0].is_closed)


@pytest.mark.parametrize(("value", "is_asked"), [("1", True), ("0", False)])
async def test_proof_is_delivered_where_it_is_asked_for(value: str, is_asked: bool) -> None:
    port = ScriptedLocalPort(retained=[[message(1)]])
    metadata = (("wavemq-include-proof", value),)
    async with door(port) as client:
        stream = client.subscribe(SUBSCRIBE, metadata=metadata, timeout=10)
        await stream.initial_metadata()
        port.deliveries[0].queue.put_nowait([message(1)])
        response = await stream.read()
        assert isinstance(response, mqpb.SubscriptionMessage)
        assert bool(response.message.proofDER) is is_asked
        assert response.message.proofHash == b""
        stream.cancel()
        (answer,) = [one async for one in client.query(QUERY, metadata=metadata, timeout=10)]
        assert bool(answer.message.proofDER) is is_asked


async def test_refused_subscription_gets_an_error_and_no_header() -> None:
    port = ScriptedLocalPort(refusal=NoProofFoundError("none"))
    async with door(port) as client:
        stream = client.subscribe(SUBSCRIBE, timeout=10)
        assert "wavemq-subscribed" not in dict(await stream.initial_metadata())
        assert [one.error.code async for one in stream] == [Code.NO_PROOF_FOUND]


async def test_ended_queue_ends_the_stream_with_an_error_and_ok() -> None:
    port = ScriptedLocalPort()
    async with door(port) as client:
        stream = client.subscribe(SUBSCRIBE, timeout=10)
        await stream.initial_metadata()
        port.deliveries[0].queue.put_nowait([message(1)])
        port.deliveries[0].queue.put_nowait(UnsubscribedError("the queue has ended"))
        responses = [one async for one in stream]
        assert [one.error.code for one in responses] == [0, Code.UNSUBSCRIBED]
        assert await stream.code() is grpc.StatusCode.OK
        await until("it is closed", lambda: port.deliveries[0].is_closed)


async def test_publish_waits_for_the_subscription_that_its_client_asked_for_before() -> None:
    """Goal: request and response over the bus. Method: the router is slow to subscribe."""
    port = ScriptedLocalPort(subscribe_gate=asyncio.Event())
    assert port.subscribe_gate is not None
    async with door(port) as client:
        stream = client.subscribe(SUBSCRIBE, timeout=10)
        publishing = asyncio.ensure_future(client.publish(PUBLISH, timeout=10))
        await asyncio.sleep(PATIENCE_SECONDS / 4)
        assert port.published == []
        port.subscribe_gate.set()
        await publishing
        assert port.log == ["subscribe", "publish"]
        stream.cancel()


async def test_publish_does_not_wait_for_a_subscription_for_ever() -> None:
    port = ScriptedLocalPort(subscribe_gate=asyncio.Event())
    async with door(port) as client:
        stream = client.subscribe(SUBSCRIBE, timeout=10)
        await client.publish(PUBLISH, timeout=10)
        assert port.log == ["publish"]
        stream.cancel()


async def test_call_that_never_ends_arriving_holds_its_connection_back_for_a_moment() -> None:
    pending = PendingSubscriptions()
    loop = asyncio.get_running_loop()
    await pending.wait_effective("another")
    pending.note_arriving("somebody")
    assert not pending.is_anything_awaited("another")
    started = loop.time()
    await pending.wait_effective("somebody")
    assert ARRIVAL_SECONDS_MAX / 2 < loop.time() - started < 10 * ARRIVAL_SECONDS_MAX
    with pending.announced("another"):
        await pending.wait_effective("somebody")


async def test_many_subscriptions_share_one_connection() -> None:
    port = ScriptedLocalPort()
    async with door(port) as client:
        streams = [client.subscribe(SUBSCRIBE, timeout=30) for _ in range(300)]
        await asyncio.gather(*(stream.initial_metadata() for stream in streams))
        assert len(port.deliveries) == 300
        for deliveries in port.deliveries:
            deliveries.queue.put_nowait([message(7)])
        responses = await asyncio.gather(*(stream.read() for stream in streams))
        assert all(isinstance(one, mqpb.SubscriptionMessage) for one in responses)
        for stream in streams:
            stream.cancel()


async def test_query_streams_batches_and_ends() -> None:
    port = ScriptedLocalPort(retained=[[message(1), message(2)], [message(3)]])
    async with door(port) as client:
        answers = [one.message async for one in client.query(QUERY, timeout=10)]
    assert [one.tbs.payload[0].content for one in answers] == [b"1", b"2", b"3"]


@pytest.mark.parametrize(
    "refusal", [DesignatedRouterLinkDownError("down"), UpstreamError("could not query: x")]
)
async def test_failed_query_gets_an_error(
    refusal: DesignatedRouterLinkDownError | UpstreamError,
) -> None:
    async with door(ScriptedLocalPort(refusal=refusal)) as client:
        answers = [one async for one in client.query(QUERY, timeout=10)]
    assert [one.error.code for one in answers] == [refusal.code]


async def test_status_is_told_without_asking_anybody() -> None:
    async with door(ScriptedLocalPort()) as client:
        status = await client.status(mqpb.ConnectionStatusParams(), timeout=10)
    assert (status.totalPeers, status.connectedPeers) == (3, 2)


async def test_two_doors_do_not_share_an_address() -> None:
    port = ScriptedLocalPort()
    async with serve_local(LOOPBACK, port) as address:
        with pytest.raises(ConfigError, match="cannot listen"):
            async with serve_local(address, port):
                pass


async def test_localhost_is_every_address_that_it_stands_for() -> None:
    numbers = {str(info[4][0]) for info in socket.getaddrinfo("localhost", 0)}
    async with serve_local(Address("localhost", 0), ScriptedLocalPort()) as address:
        for number in numbers:
            with socket.create_connection((number, address.port), timeout=5):
                pass


async def test_caller_that_gives_up_does_not_take_its_message_back() -> None:
    port = ScriptedLocalPort(holds=True)
    async with door(port) as client:
        with pytest.raises(grpc.aio.AioRpcError):
            await client.publish(PUBLISH, timeout=0.2)
        assert len(port.published) == 1
        port.release()
        assert not port.held


async def test_publishes_that_wait_keep_their_order() -> None:
    pending = PendingSubscriptions()
    order: list[int] = []

    async def publish(number: int) -> None:
        await pending.wait_effective("connection")
        order.append(number)

    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(publish(number))
            if number == 10:
                await asyncio.sleep(FIRST_CALL_SECONDS)
    assert order == list(range(20))


# --- acknowledged deliveries --------------------------------------------------------------------

FIRST = mqpb.ConsumeRequest(subscribe=SUBSCRIBE, credit=2)


def consume(client: LocalClient) -> Conversation:
    call: grpc.aio.StreamStreamMultiCallable[mqpb.ConsumeRequest, mqpb.ConsumeResponse] = (
        client.channel.stream_stream(
            "/mqpb.WAVEMQ/Consume",
            request_serializer=mqpb.ConsumeRequest.SerializeToString,
            response_deserializer=mqpb.ConsumeResponse.FromString,
        )
    )
    return call(timeout=10)


async def test_reader_acknowledges_returns_and_changes_its_credit() -> None:
    port = ScriptedLocalPort()
    async with door(port) as client:
        stream = consume(client)
        await stream.write(FIRST)
        headers = dict(await stream.initial_metadata())
        assert headers["wavemq-journal"] == "scripted"
        (consumption,) = port.consumptions
        assert consumption.credit == 2
        port.deliveries[0].queue.put_nowait([message(1), message(2)])
        response = await stream.read()
        assert isinstance(response, mqpb.ConsumeResponse)
        assert [one.index for one in response.deliveries] == [1, 2]
        await stream.write(
            mqpb.ConsumeRequest(acknowledged=[2], returned=[1], returnDelay=1500, credit=9)
        )
        await until("it is said", lambda: consumption.returned == [(1, 1.5)])
        assert consumption.acknowledged == [2]
        assert consumption.credit == 9
        await stream.done_writing()
        await until("the call ends", lambda: consumption.deliveries.is_closed)


@pytest.mark.parametrize(
    "requests",
    [
        [mqpb.ConsumeRequest(acknowledged=[1])],
        [mqpb.ConsumeRequest(subscribe=SUBSCRIBE, credit=CREDIT_MAX + 1)],
        [FIRST, FIRST],
        [FIRST, mqpb.ConsumeRequest(returned=[1], returnDelay=-1)],
        [FIRST, mqpb.ConsumeRequest(returned=[1], returnDelay=RETURN_DELAY_MILLISECONDS_MAX + 1)],
        [FIRST, mqpb.ConsumeRequest(returned=range(INDEXES_MAX + 1))],
    ],
    ids=["no subscription", "credit", "twice", "delay", "long delay", "too many"],
)
async def test_bad_request_to_consume_ends_the_call_with_an_error(
    requests: list[mqpb.ConsumeRequest],
) -> None:
    port = ScriptedLocalPort()
    async with door(port) as client:
        stream = consume(client)
        for request in requests:
            await stream.write(request)
        response = await stream.read()
        assert isinstance(response, mqpb.ConsumeResponse)
        assert response.error.code == Code.INVALID_PARAMETER
    assert all(one.is_closed for one in port.deliveries)
