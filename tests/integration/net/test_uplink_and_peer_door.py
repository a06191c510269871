"""An uplink and a peering door joined by a real link; scripted routers at both ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import grpc
import grpc.aio
import pytest

from tests.support.ports import (
    NAMESPACE,
    SOURCE,
    ScriptedPeerPort,
    message,
    number_of,
)
from tests.support.stubs import PeerClient
from tests.support.waiting import until
from wavemq.clock import Instant
from wavemq.errors import (
    Code,
    DesignatedRouterLinkDownError,
    ProofInvalidError,
    StorageError,
    UnsubscribedError,
    UpstreamError,
    WaveMQError,
)
from wavemq.messages.message import Message, QueryRequest, SubscriptionRequest
from wavemq.messages.topic import TopicFilter
from wavemq.net.addresses import Address, bound_address, listen
from wavemq.net.answering import UNANSWERED_MAX, Answering, Unanswered
from wavemq.net.certificate import ServerCertificate, make_server_certificate
from wavemq.net.frame_receiving import FrameReceiving
from wavemq.net.grpc_door import streaming, unary
from wavemq.net.link import LinkLimits
from wavemq.net.peer_server import PUBLISH_STREAMS_MAX, PeerService, serve_peers
from wavemq.net.proof_memory import ProofMemory
from wavemq.net.transport import DownlinkMessage, Submission
from wavemq.net.uplink import Uplink
from wavemq.routing.effects import Delivery
from wavemq.routing.records import DownlinkPosition, Place, QueueId
from wavemq.testing.spliced_link import CHANNEL_OPTIONS, dial_link
from wavemq.wave.hashes import Hash
from wavemq.wire import mqpb_pb2 as mqpb
from wavemq.wire.calls import CREDIT_MAX, INDEXES_MAX
from wavemq.wire.convert import message_to_wire, subscription_to_wire
from wavemq.wire.handshake import RouterClaim
from wavemq.wire.proof_reference import proof_reference

CLAIM = RouterClaim(router=Hash.of(b"router"), signature=b"s" * 80, proof=b"p" * 60_000)
SUBSCRIPTION = SubscriptionRequest(
    source=SOURCE,
    source_location=None,
    namespace=NAMESPACE,
    topic_filter=TopicFilter("a/*"),
    identifier="i",
    router_id="site",
    expiry_s=60,
    absolute_expiry=None,
    proof=b"subscription proof",
    signature=b"signature",
)
QUEUE = QueueId(9)
QUERY = QueryRequest(
    source=SOURCE, namespace=NAMESPACE, topic_filter=TopicFilter("a/*"), proof=b"p", signature=b"s"
)


@pytest.fixture(scope="module")
def certificate() -> ServerCertificate:
    return make_server_certificate(Instant(1_800_000_000 * 10**9))


@pytest.fixture
def original(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let far ends know no call of our own."""

    def handler(service: PeerService) -> grpc.GenericRpcHandler:
        methods: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "PeerPublish": unary(mqpb.PeerPublishParams, service._publish),
            "PeerSubscribe": streaming(mqpb.PeerSubscribeParams, service._subscribe),
        }
        return grpc.method_handlers_generic_handler("mqpb.WAVEMQPeering", methods)

    monkeypatch.setattr(PeerService, "handler", handler)


@pytest.fixture(params=["ours", "original"])
def any_far_end(request: pytest.FixtureRequest) -> None:
    """Let far ends be routers of ours, then original ones."""
    if request.param == "original":
        request.getfixturevalue("original")


@dataclass(eq=False)
class Site:
    """The router at the near end of an uplink."""

    refusal: WaveMQError | None = None
    connected: int = 0
    lost: int = 0
    results: list[tuple[int, WaveMQError | None]] = field(default_factory=list)
    ended: list[tuple[int, WaveMQError | None]] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    failures: list[WaveMQError] = field(default_factory=list)
    positions: list[DownlinkPosition | None] = field(default_factory=list)
    unanswered: list[Submission[DownlinkMessage]] = field(default_factory=list)
    holds: bool = False

    async def check_router(
        self, namespace: Hash, claim: RouterClaim, certificate_signature: bytes
    ) -> None:
        assert namespace == NAMESPACE
        assert claim == CLAIM
        assert certificate_signature
        if self.refusal is not None:
            raise self.refusal

    def uplink_connected(self, namespace: Hash) -> None:
        del namespace
        self.connected += 1

    def uplink_lost(self, namespace: Hash) -> None:
        del namespace
        self.lost += 1

    def transmitted(self, namespace: Hash, place: Place, error: WaveMQError | None) -> None:
        del namespace
        self.results.append((place, error))

    def subscription_opened(self, queue: QueueId) -> None:
        del queue

    def subscription_ended(self, queue: QueueId, error: WaveMQError | None) -> None:
        self.ended.append((queue, error))

    def received(self, queue: QueueId, submissions: Sequence[Submission[DownlinkMessage]]) -> None:
        assert queue == QUEUE
        for submission in submissions:
            self.messages.append(submission.request.message)
            self.positions.append(submission.request.position)
            if self.holds:
                self.unanswered.append(submission)
            else:
                submission.answer(None)

    def peer_failed(self, namespace: Hash, error: WaveMQError) -> None:
        del namespace
        self.failures.append(error)


@contextlib.asynccontextmanager
async def far_end(
    certificate: ServerCertificate,
    port: ScriptedPeerPort,
    address: Address | None = None,
    *,
    limits: LinkLimits | None = None,
) -> AsyncIterator[Address]:
    listening = listen(address or Address("127.0.0.1", 0))
    try:
        async with serve_peers(
            listening, port, certificate=certificate, claims={NAMESPACE: CLAIM}, limits=limits
        ) as listener:
            serving = asyncio.ensure_future(listener.serve())
            try:
                yield bound_address(listening)
            finally:
                serving.cancel()
                await asyncio.wait({serving})
    finally:
        listening.close()


@contextlib.asynccontextmanager
async def near_end(address: Address, site: Site) -> AsyncIterator[Uplink]:
    uplink = Uplink(NAMESPACE, address, site, random=Random(7))
    running = asyncio.ensure_future(uplink.run())
    try:
        yield uplink
    finally:
        running.cancel()
        await asyncio.wait({running})


@contextlib.asynccontextmanager
async def joined(
    certificate: ServerCertificate, port: ScriptedPeerPort, site: Site
) -> AsyncIterator[Uplink]:
    async with far_end(certificate, port) as address, near_end(address, site) as uplink:
        await until("the uplink is connected", lambda: site.connected == 1)
        yield uplink


def frames(*messages: Message) -> list[Delivery]:
    return [Delivery(Place(number_of(one)), one) for one in messages]


# --- messages up -------------------------------------------------------------------------------


@pytest.mark.usefixtures("any_far_end")
async def test_messages_arrive_whole_and_in_order_per_topic(
    certificate: ServerCertificate,
) -> None:
    port, site = ScriptedPeerPort(), Site()
    sent = [message(number, topic=f"a/{number % 3}") for number in range(60)]
    async with joined(certificate, port, site) as uplink:
        uplink.transmit(frames(*sent))
        await until("all are answered", lambda: len(site.results) == 60)
    assert all(error is None for _, error in site.results)
    arrived = [one for one in port.published if isinstance(one, Message)]
    assert sorted(arrived, key=number_of) == sent
    for topic in range(3):
        numbers = [number_of(one) for one in arrived if one.topic.text == f"a/{topic}"]
        assert numbers == list(range(topic, 60, 3))


@pytest.mark.usefixtures("original")
async def test_topics_do_not_wait_for_one_another(certificate: ServerCertificate) -> None:
    port, site = ScriptedPeerPort(holds=True), Site()
    async with joined(certificate, port, site) as uplink:
        uplink.transmit(frames(message(0, topic="a"), message(1, topic="a"), message(2, topic="b")))
        await until("two arrive", lambda: len(port.published) == 2)
        assert {number_of(one) for one in port.published if isinstance(one, Message)} == {0, 2}
        port.release()
        await until("the third arrives", lambda: len(port.published) == 3)
        port.release()
        await until("all are answered", lambda: len(site.results) == 3)


@pytest.mark.usefixtures("any_far_end")
async def test_refused_message_is_reported_and_the_next_goes_on(
    certificate: ServerCertificate,
) -> None:
    port, site = ScriptedPeerPort(refusal=ProofInvalidError("forged")), Site()
    async with joined(certificate, port, site) as uplink:
        uplink.transmit(frames(message(0)))
        await until("it is answered", lambda: len(site.results) == 1)
        port.refusal = None
        uplink.transmit(frames(message(1)))
        await until("the next is answered", lambda: len(site.results) == 2)
    (_, error), (_, second) = site.results
    assert isinstance(error, ProofInvalidError)
    assert second is None


@pytest.mark.usefixtures("original")
async def test_messages_behind_one_that_cannot_be_judged_now_are_not_sent(
    certificate: ServerCertificate,
) -> None:
    port, site = ScriptedPeerPort(refusal=StorageError("away"), holds=True), Site()
    async with joined(certificate, port, site) as uplink:
        uplink.transmit(frames(message(0), message(1), message(2, topic="other"), message(3)))
        await until("two arrive", lambda: len(port.published) == 2)
        port.release()
        await until("all are answered", lambda: len(site.results) == 4)
        assert len(port.published) == 2
        assert all(isinstance(error, StorageError) for _, error in site.results)
        same_topic = [place for place, _ in site.results if place != 2]
        assert same_topic == [0, 1, 3]
        port.refusal, port.holds = None, False
        uplink.transmit(frames(message(0), message(1)))
        await until("both are answered", lambda: len(site.results) == 6)
    assert site.results[4:] == [(0, None), (1, None)]


@pytest.mark.usefixtures("any_far_end")
async def test_link_that_breaks_reports_nothing_as_sent(certificate: ServerCertificate) -> None:
    port, site = ScriptedPeerPort(holds=True), Site()
    async with far_end(certificate, port) as address:
        near = near_end(address, site)
        uplink = await near.__aenter__()
        await until("the uplink is connected", lambda: uplink.is_connected)
        uplink.transmit(frames(message(0)))
        await until("it arrives", lambda: len(port.published) == 1)
    await until("the loss is noticed", lambda: site.lost == 1)
    assert site.results == []
    assert not uplink.is_connected
    with pytest.raises(DesignatedRouterLinkDownError):
        uplink.query(QUERY)
    await near.__aexit__(None, None, None)


async def test_uplink_returns_after_a_loss(certificate: ServerCertificate) -> None:
    site = Site()
    first, second = ScriptedPeerPort(), ScriptedPeerPort()
    async with contextlib.AsyncExitStack() as stack:
        async with far_end(certificate, first) as address:
            uplink = await stack.enter_async_context(near_end(address, site))
            await until("the uplink is connected", lambda: site.connected == 1)
            uplink.open_subscription(QUEUE, SUBSCRIPTION)
            await until("it is subscribed", lambda: len(first.subscribed) == 1)
        await until("the loss is noticed", lambda: site.lost == 1)
        uplink.transmit(frames(message(0)))
        uplink.open_subscription(QUEUE, SUBSCRIPTION)
        uplink.close_subscription(QUEUE, SUBSCRIPTION)
        async with far_end(certificate, second, address):
            await until("the uplink returns", lambda: site.connected == 2)
            uplink.transmit(frames(message(1)))
            await until("it is answered", lambda: site.results == [(1, None)])
    assert second.subscribed == []
    assert site.ended == []


async def test_router_that_fails_the_check_gets_nothing(certificate: ServerCertificate) -> None:
    port, site = ScriptedPeerPort(), Site(refusal=ProofInvalidError("not yours"))
    async with far_end(certificate, port) as address, near_end(address, site) as uplink:
        await until("two attempts failed", lambda: len(site.failures) == 2)
        assert not uplink.is_connected
    assert site.connected == site.lost == 0
    assert port.subscribed == []


async def test_uplink_without_traffic_is_not_taken_for_a_handshake_that_stalls(
    certificate: ServerCertificate,
) -> None:
    port, site = ScriptedPeerPort(), Site()
    limits = LinkLimits(handshake_s=0.5)
    async with far_end(certificate, port, limits=limits) as address, near_end(address, site):
        await until("the uplink is connected", lambda: site.connected == 1)
        await asyncio.sleep(1.0)
        assert (site.connected, site.lost) == (1, 0)


# --- proof elision -----------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def channel_to(address: Address) -> AsyncIterator[grpc.aio.Channel]:
    async def trust(claim: RouterClaim, signature: bytes) -> None:
        del claim, signature

    async with (
        dial_link(address, NAMESPACE, trust) as link,
        grpc.aio.insecure_channel(
            link.target, options=CHANNEL_OPTIONS, compression=grpc.Compression.Gzip
        ) as channel,
    ):
        yield channel


@contextlib.asynccontextmanager
async def peer_at(address: Address) -> AsyncIterator[PeerClient]:
    async with channel_to(address) as channel:
        yield PeerClient(channel)


def elided(one: Message) -> mqpb.Message:
    return message_to_wire(one, proof_reference=proof_reference(one.proof))


async def test_unknown_reference_is_answered_proof_not_cached_and_learned_from_the_full_proof(
    certificate: ServerCertificate,
) -> None:
    port = ScriptedPeerPort()
    one = message(1)
    async with far_end(certificate, port) as address, peer_at(address) as peer:
        assert await peer.code_of_publish(elided(one)) == Code.PROOF_NOT_CACHED
        assert port.published == []
        assert await peer.code_of_publish(message_to_wire(one, proof=one.proof)) == 0
        assert await peer.code_of_publish(elided(one)) == 0
    assert port.published == [one, one]


async def test_proof_that_was_refused_is_not_learned(certificate: ServerCertificate) -> None:
    port = ScriptedPeerPort(refusal=ProofInvalidError("forged"))
    one = message(1)
    async with far_end(certificate, port) as address, peer_at(address) as peer:
        full = message_to_wire(one, proof=one.proof)
        assert await peer.code_of_publish(full) == Code.PROOF_INVALID
        assert await peer.code_of_publish(elided(one)) == Code.PROOF_NOT_CACHED


async def test_proof_of_one_entity_is_not_restored_for_another(
    certificate: ServerCertificate,
) -> None:
    port = ScriptedPeerPort()
    one = message(1)
    other = replace(one, source=Hash.of(b"somebody else"))
    elsewhere = replace(one, namespace=Hash.of(b"another namespace"))
    async with far_end(certificate, port) as address, peer_at(address) as peer:
        assert await peer.code_of_publish(message_to_wire(one, proof=one.proof)) == 0
        assert await peer.code_of_publish(elided(other)) == Code.PROOF_NOT_CACHED
        assert await peer.code_of_publish(elided(elsewhere)) == Code.PROOF_NOT_CACHED


@pytest.mark.usefixtures("any_far_end")
async def test_uplink_sends_the_reference_first_and_the_proof_where_it_is_missing(
    certificate: ServerCertificate,
) -> None:
    """Goal: a designated router that restarts, and so forgets, gets the proof again."""
    site = Site()
    first, second = ScriptedPeerPort(), ScriptedPeerPort()
    async with contextlib.AsyncExitStack() as stack:
        async with far_end(certificate, first) as address:
            uplink = await stack.enter_async_context(near_end(address, site))
            await until("the uplink is connected", lambda: site.connected == 1)
            uplink.transmit(frames(message(0), message(1)))
            await until("both are answered", lambda: len(site.results) == 2)
        async with far_end(certificate, second, address):
            await until("the uplink returns", lambda: site.connected == 2)
            uplink.transmit(frames(message(2)))
            await until("it is answered", lambda: len(site.results) == 3)
    published = [*first.published, *second.published]
    assert published == [message(0), message(1), message(2)]
    assert all(error is None for _, error in site.results)


async def test_stream_holds_each_proof_once_and_the_uplink_restores_it(
    certificate: ServerCertificate,
) -> None:
    port, site = ScriptedPeerPort(), Site()
    sent = [message(number, proof=bytes([number % 2]) * 900) for number in range(6)]
    async with joined(certificate, port, site) as uplink:
        uplink.open_subscription(QUEUE, SUBSCRIPTION)
        await until("it is subscribed", lambda: len(port.subscribed) == 1)
        port.deliveries[0].queue.put_nowait(sent)
        await until("all arrive", lambda: len(site.messages) == 6)
    assert site.messages == sent


async def test_first_message_of_each_stream_holds_the_proof(
    certificate: ServerCertificate,
) -> None:
    port = ScriptedPeerPort()
    params = mqpb.PeerSubscribeParams(
        tbs=mqpb.PeerSubscriptionTBS(
            sourceEntity=SOURCE.to_bytes(), namespace=NAMESPACE.to_bytes(), uri="a/*", id="i"
        )
    )
    async with far_end(certificate, port) as address, peer_at(address) as peer:
        for stream_number in range(2):
            stream = peer.subscribe(params, timeout=10)
            await stream.initial_metadata()
            port.deliveries[stream_number].queue.put_nowait([message(1), message(2)])
            first, second = await stream.read(), await stream.read()
            assert isinstance(first, mqpb.SubscriptionMessage)
            assert isinstance(second, mqpb.SubscriptionMessage)
            assert (first.message.proofDER, first.message.proofHash) == (message().proof, b"")
            assert second.message.proofDER == b""
            assert second.message.proofHash == proof_reference(message().proof)
            stream.cancel()


# --- subscriptions and queries -------------------------------------------------------------------


@pytest.mark.usefixtures("any_far_end")
async def test_message_waits_for_the_subscription_that_was_opened_before_it(
    certificate: ServerCertificate,
) -> None:
    port, site = ScriptedPeerPort(subscribe_gate=asyncio.Event()), Site()
    assert port.subscribe_gate is not None
    async with joined(certificate, port, site) as uplink:
        uplink.open_subscription(QUEUE, SUBSCRIPTION)
        uplink.transmit(frames(message(0)))
        await asyncio.sleep(0.2)
        assert port.published == []
        port.subscribe_gate.set()
        await until("it is answered", lambda: len(site.results) == 1)
    assert port.log == ["subscribe", "publish"]


@pytest.mark.usefixtures("any_far_end")
async def test_messages_do_not_wait_for_a_router_that_never_confirms(
    certificate: ServerCertificate,
) -> None:
    port, site = ScriptedPeerPort(subscribe_gate=asyncio.Event()), Site()
    async with joined(certificate, port, site) as uplink:
        uplink.open_subscription(QUEUE, SUBSCRIPTION)
        uplink.transmit(frames(message(0)))
        await until("it is answered", lambda: len(site.results) == 1)
    assert port.log == ["publish"]


async def test_end_of_a_stream_is_reported_with_its_reason(
    certificate: ServerCertificate,
) -> None:
    port, site = ScriptedPeerPort(), Site()
    async with joined(certificate, port, site) as uplink:
        uplink.open_subscription(QUEUE, SUBSCRIPTION)
        await until("it is subscribed", lambda: len(port.subscribed) == 1)
        port.deliveries[0].queue.put_nowait(UnsubscribedError("ended"))
        await until("its end is reported", lambda: len(site.ended) == 1)
        ((queue, error),) = site.ended
        assert queue == QUEUE
        assert isinstance(error, UnsubscribedError)
        uplink.open_subscription(QUEUE, SUBSCRIPTION)
        await until("it is subscribed again", lambda: len(port.subscribed) == 2)


async def test_newer_stream_of_a_queue_replaces_the_older(
    certificate: ServerCertificate,
) -> None:
    port, site = ScriptedPeerPort(), Site()
    async with joined(certificate, port, site) as uplink:
        uplink.open_subscription(QUEUE, SUBSCRIPTION)
        await until("it is subscribed", lambda: len(port.subscribed) == 1)
        uplink.open_subscription(QUEUE, SUBSCRIPTION)
        await until("it is subscribed again", lambda: len(port.subscribed) == 2)
        await until("the older is closed", lambda: port.deliveries[0].is_closed)
        assert not port.deliveries[1].is_closed
        assert site.ended == []


async def test_closed_subscription_is_ended_at_the_other_end(
    certificate: ServerCertificate,
) -> None:
    port, site = ScriptedPeerPort(), Site()
    async with joined(certificate, port, site) as uplink:
        uplink.open_subscription(QUEUE, SUBSCRIPTION)
        await until("it is subscribed", lambda: len(port.subscribed) == 1)
        uplink.close_subscription(QUEUE, SUBSCRIPTION)
        await until("it is ended", lambda: not port.deliveries[0].queue.empty())
        assert port.deliveries[0].is_closed


async def test_only_the_link_that_opened_a_subscription_can_end_it(
    certificate: ServerCertificate,
) -> None:
    port, site = ScriptedPeerPort(), Site()
    params = mqpb.PeerUnsubscribeParams(sourceEntity=SOURCE.to_bytes(), id="i")
    async with far_end(certificate, port) as address, near_end(address, site) as uplink:
        await until("the uplink is connected", lambda: site.connected == 1)
        uplink.open_subscription(QUEUE, SUBSCRIPTION)
        await until("it is subscribed", lambda: len(port.subscribed) == 1)
        async with peer_at(address) as stranger:
            response = await stranger.unsubscribe(params, timeout=10)
        assert response.error.code == Code.NO_SUCH_SUBSCRIPTION
        assert port.deliveries[0].queue.empty()


async def test_stream_is_not_read_faster_than_the_router_takes(
    certificate: ServerCertificate,
) -> None:
    port, site = ScriptedPeerPort(), Site(holds=True)
    async with joined(certificate, port, site) as uplink:
        uplink.open_subscription(QUEUE, SUBSCRIPTION)
        await until("it is subscribed", lambda: len(port.subscribed) == 1)
        port.deliveries[0].queue.put_nowait([message(number) for number in range(1500)])
        await until("it is full", lambda: len(site.messages) == 1024)
        await asyncio.sleep(0.1)
        assert len(site.messages) == 1024
        site.holds = False
        for submission in site.unanswered:
            submission.answer(None)
        await until("the rest arrives", lambda: len(site.messages) == 1500)
    assert [number_of(one) for one in site.messages] == list(range(1500))


async def test_query_returns_what_is_retained(certificate: ServerCertificate) -> None:
    retained = [message(number) for number in range(150)]
    port, site = ScriptedPeerPort(retained=[retained]), Site()
    async with joined(certificate, port, site) as uplink:
        found = [one async for batch in uplink.query(QUERY) for one in batch]
    assert found == retained
    assert port.queried == [QUERY]


async def test_refused_query_is_an_upstream_error_that_says_why(
    certificate: ServerCertificate,
) -> None:
    port, site = ScriptedPeerPort(refusal=ProofInvalidError("no grant")), Site()
    async with joined(certificate, port, site) as uplink:
        with pytest.raises(UpstreamError, match=r"could not query: \(912: no grant\)"):
            async for _ in uplink.query(QUERY):
                pass


async def test_malformed_message_of_a_stream_is_counted_and_skipped(
    certificate: ServerCertificate,
) -> None:
    port, site = ScriptedPeerPort(), Site()
    async with joined(certificate, port, site) as uplink:
        uplink.open_subscription(QUEUE, SUBSCRIPTION)
        await until("it is subscribed", lambda: len(port.subscribed) == 1)
        bad = replace(message(1), drops=(-1,))
        port.deliveries[0].queue.put_nowait([bad, message(2)])
        await until("the good one arrives", lambda: len(site.messages) == 1)
    assert [number_of(one) for one in site.messages] == [2]
    assert [error.code for error in site.failures] == [Code.INVALID_PARAMETER]


# --- acknowledged deliveries --------------------------------------------------------------------


async def test_site_acknowledges_what_it_has_answered_and_nothing_else(
    certificate: ServerCertificate,
) -> None:
    port, site = ScriptedPeerPort(), Site(holds=True)
    async with joined(certificate, port, site) as uplink:
        uplink.open_subscription(QUEUE, SUBSCRIPTION)
        await until("it is subscribed", lambda: len(port.consumptions) == 1)
        port.deliveries[0].queue.put_nowait([message(number) for number in range(3)])
        await until("all arrive", lambda: len(site.messages) == 3)
        (consumption,) = port.consumptions
        assert consumption.acknowledged == []
        site.unanswered[1].answer(None)
        await until("one is acknowledged", lambda: consumption.acknowledged == [2])
        site.unanswered[0].answer(StorageError("refused for good"))
        await until("so is what was refused", lambda: consumption.acknowledged == [2, 1])
    assert site.positions == [DownlinkPosition("scripted", index) for index in (1, 2, 3)]
    assert consumption.deliveries.is_closed


@pytest.mark.usefixtures("original")
async def test_designated_router_without_acknowledgements_is_followed_as_before(
    certificate: ServerCertificate,
) -> None:
    port, site = ScriptedPeerPort(), Site()
    async with joined(certificate, port, site) as uplink:
        uplink.open_subscription(QUEUE, SUBSCRIPTION)
        await until("it is subscribed", lambda: len(port.subscribed) == 1)
        port.deliveries[0].queue.put_nowait([message(1)])
        await until("a message arrives", lambda: len(site.messages) == 1)
        uplink.open_subscription(QUEUE, SUBSCRIPTION)
        await until("it is subscribed again", lambda: len(port.subscribed) == 2)
        port.deliveries[1].queue.put_nowait([message(2)])
        await until("another arrives", lambda: len(site.messages) == 2)
    assert port.consumptions == []
    assert site.positions == [None, None]


@pytest.mark.parametrize(
    "requests",
    [
        [mqpb.PeerConsumeRequest(acknowledged=[1])],
        [
            mqpb.PeerConsumeRequest(
                subscribe=subscription_to_wire(SUBSCRIPTION), credit=CREDIT_MAX + 1
            )
        ],
        [mqpb.PeerConsumeRequest(subscribe=subscription_to_wire(SUBSCRIPTION))] * 2,
        [
            mqpb.PeerConsumeRequest(subscribe=subscription_to_wire(SUBSCRIPTION)),
            mqpb.PeerConsumeRequest(acknowledged=range(INDEXES_MAX + 1)),
        ],
    ],
    ids=["no subscription", "credit", "two subscriptions", "too many"],
)
async def test_bad_request_to_consume_gets_an_error(
    certificate: ServerCertificate, requests: list[mqpb.PeerConsumeRequest]
) -> None:
    port = ScriptedPeerPort()
    async with far_end(certificate, port) as address, channel_to(address) as channel:
        consume = channel.stream_stream(
            "/mqpb.WAVEMQPeering/PeerConsume",
            request_serializer=mqpb.PeerConsumeRequest.SerializeToString,
            response_deserializer=mqpb.ConsumeResponse.FromString,
        )
        stream = consume(timeout=10)
        for request in requests:
            await stream.write(request)
        response = await stream.read()
        assert isinstance(response, mqpb.ConsumeResponse)
        assert response.error.code == Code.INVALID_PARAMETER
    assert all(one.is_closed for one in port.deliveries)


# --- streams of messages --------------------------------------------------------------------------


def publish_stream(channel: grpc.aio.Channel) -> Any:
    return channel.stream_stream(
        "/mqpb.WAVEMQPeering/PeerPublishStream",
        request_serializer=mqpb.PeerPublishFrames.SerializeToString,
        response_deserializer=mqpb.PublishAnswers.FromString,
    )()


def frame(sequence: int, wire: mqpb.Message) -> mqpb.PeerPublishFrame:
    return mqpb.PeerPublishFrame(sequence=sequence, message=wire)


async def test_bad_frame_is_refused_by_itself(certificate: ServerCertificate) -> None:
    port = ScriptedPeerPort()
    async with far_end(certificate, port) as address, channel_to(address) as channel:
        stream = publish_stream(channel)
        whole = message_to_wire(message(7), proof=b"proof")
        frames = [
            frame(1, mqpb.Message()),
            frame(2, elided(message(3))),
            frame(3, whole),
            frame(3, whole),
        ]
        await stream.write(mqpb.PeerPublishFrames(frames=frames))
        answers = await stream.read()
        codes = {one.sequence: one.error.code for one in answers.refused}
        assert set(codes) == {1, 2}
        assert codes[2] == Code.PROOF_NOT_CACHED
        assert list(answers.accepted) == [3, 3]
        assert len(port.published) == 2
        stream.cancel()


async def test_link_has_a_few_streams_of_messages(certificate: ServerCertificate) -> None:
    port = ScriptedPeerPort()
    async with far_end(certificate, port) as address, channel_to(address) as channel:
        streams = [publish_stream(channel) for _ in range(PUBLISH_STREAMS_MAX)]
        for stream in streams:
            await stream.initial_metadata()
        one_more = publish_stream(channel)
        assert await one_more.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        streams[0].cancel()
        for stream in streams[1:]:
            stream.cancel()


async def test_stream_without_answers_is_not_read_without_end(
    certificate: ServerCertificate,
) -> None:
    port = ScriptedPeerPort(holds=True)
    async with far_end(certificate, port) as address, channel_to(address) as channel:
        stream = publish_stream(channel)
        whole = message_to_wire(message(7), proof=b"proof")
        many = mqpb.PeerPublishFrames(frames=[frame(one, whole) for one in range(UNANSWERED_MAX)])
        await stream.write(many)
        await stream.write(many)
        await until("the first are taken", lambda: len(port.published) == UNANSWERED_MAX)
        await asyncio.sleep(0.1)
        assert len(port.published) == UNANSWERED_MAX
        port.release()
        await until("the others follow", lambda: len(port.published) == 2 * UNANSWERED_MAX)
        stream.cancel()


async def test_frames_whose_answers_are_not_read_are_not_taken_without_end() -> None:
    port, proofs = ScriptedPeerPort(refusal=ProofInvalidError("forged")), ProofMemory()
    is_read = asyncio.Event()
    answered: list[int] = []
    asked: list[int] = []

    async def write(answers: mqpb.PublishAnswers) -> None:
        await is_read.wait()
        answered.extend(one.sequence for one in answers.refused)

    async def requests() -> AsyncIterator[bytes]:
        for number in range(3 * UNANSWERED_MAX):
            asked.append(number)
            request = mqpb.PeerPublishFrames(frames=[frame(number, mqpb.Message())])
            yield request.SerializeToString()

    receiving = FrameReceiving(port.publish_stream(), proofs, Answering(write, Unanswered()))
    serving = asyncio.ensure_future(receiving.serve(requests()))
    await asyncio.sleep(0.2)
    assert len(asked) == UNANSWERED_MAX + 1, "one more is read, and waits"
    is_read.set()
    await serving
    assert answered == asked


async def test_frame_that_shows_a_defect_is_refused_and_the_stream_goes_on() -> None:
    port = ScriptedPeerPort(failure=RuntimeError("a defect"))
    written: list[mqpb.PublishAnswers] = []

    async def write(answers: mqpb.PublishAnswers) -> None:
        written.append(answers)

    async def requests() -> AsyncIterator[bytes]:
        whole = message_to_wire(message(7), proof=b"proof")
        yield mqpb.PeerPublishFrames(frames=[frame(1, whole)]).SerializeToString()
        await asyncio.sleep(0.05)
        port.failure = None
        yield mqpb.PeerPublishFrames(frames=[frame(2, whole)]).SerializeToString()
        await asyncio.sleep(0.05)

    answering = Answering(write, Unanswered())
    await FrameReceiving(port.publish_stream(), ProofMemory(), answering).serve(requests())
    first, second = written
    assert [(one.sequence, one.error.code) for one in first.refused] == [(1, Code.INTERNAL)]
    assert list(second.accepted) == [2]
