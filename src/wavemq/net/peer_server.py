"""The door for site routers: service `mqpb.WAVEMQPeering`, behind TLS and handshake.

Owns the four methods and proof elision in both directions (wavemq.md 5). Refuses to check
signatures and proofs, which the port does before anything is routed. Fault model: whoever passed
the handshake may still be anybody, since it proves the server alone; nothing that a peer says is
believed without a signature and a proof, but for the end of a subscription, which only the link
that opened it can ask for.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Final

import grpc

from wavemq.errors import InvalidParameterError
from wavemq.messages.message import Message
from wavemq.net.answering import Answering, Unanswered
from wavemq.net.batcher import Batcher
from wavemq.net.certificate import ServerCertificate
from wavemq.net.consuming import EXTENSIONS, EXTENSIONS_KEY, JOURNAL_KEY, serve_consumption
from wavemq.net.delivering import serve_deliveries
from wavemq.net.frame_receiving import FrameReceiving
from wavemq.net.grpc_door import conversing, first_of, outcome, serialize, streaming, unary
from wavemq.net.grpc_server import GrpcServer, ServedCall
from wavemq.net.link import LINK_IDLE_SECONDS_MAX, LinkLimits, PeeringListener
from wavemq.net.proof_memory import ProofMemory, SentProofs
from wavemq.net.reactor import running_reactor
from wavemq.net.transport import LinkId, PeerPort
from wavemq.wave.hashes import Hash
from wavemq.wire import mqpb_pb2 as mqpb
from wavemq.wire.calls import credit_from_wire, peer_consume_command_from_wire
from wavemq.wire.convert import (
    error_to_wire,
    hash_from_wire,
    message_from_wire,
    proof_reference_from_wire,
    query_from_wire,
    subscription_from_wire,
)
from wavemq.wire.encoding import Parts, encoded_responses, parts_of
from wavemq.wire.handshake import RouterClaim
from wavemq.wire.proof_reference import ProofReferences

SERVICE: Final = "mqpb.WAVEMQPeering"
PATHS: Final = tuple(
    f"/{SERVICE}/{method}"
    for method in (
        "PeerPublish",
        "PeerPublishStream",
        "PeerSubscribe",
        "PeerConsume",
        "PeerUnsubscribe",
        "PeerQueryRequest",
    )
)
PUBLISH_STREAMS_MAX: Final = 4
"""Streams of messages on one link; a site needs one."""


class PeerService:
    """The methods, over a port of the router.

    Args:
        port: of the router.
        proofs: admitted proofs of all links.
    """

    def __init__(self, port: PeerPort, proofs: ProofMemory | None = None) -> None:
        self._port = port
        self._proofs = proofs or ProofMemory()
        self._publishes: Batcher[Message] = Batcher(port.publish)
        self._publish_streams: Counter[str] = Counter()
        self._unanswered = Unanswered()
        self._references = ProofReferences()

    def handler(self) -> grpc.GenericRpcHandler:
        """Return the service for a gRPC server."""
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "PeerPublish": unary(mqpb.PeerPublishParams, self._publish),
                "PeerPublishStream": grpc.stream_stream_rpc_method_handler(
                    self._publish_stream, request_deserializer=bytes, response_serializer=serialize
                ),
                "PeerSubscribe": streaming(mqpb.PeerSubscribeParams, self._subscribe),
                "PeerConsume": conversing(mqpb.PeerConsumeRequest, self._consume),
                "PeerUnsubscribe": unary(mqpb.PeerUnsubscribeParams, self._unsubscribe),
                "PeerQueryRequest": streaming(mqpb.PeerQueryParams, self._query),
            },
        )

    async def _publish(
        self, params: mqpb.PeerPublishParams, context: ServedCall[mqpb.PeerPublishResponse]
    ) -> mqpb.PeerPublishResponse:
        error = await outcome("PeerPublish", self._submit(params, context.peer()))
        return mqpb.PeerPublishResponse(error=None if error is None else error_to_wire(error))

    async def _submit(self, params: mqpb.PeerPublishParams, connection: str) -> None:
        message = message_from_wire(params.msg)
        reference = proof_reference_from_wire(params.msg)
        if reference:
            proof = self._proofs.restore(message.namespace, message.source, reference)
            message = replace(message, proof=proof)
        await self._publishes.submit(message, params.ByteSize(), connection)
        # It was admitted, so the proof is the source's own: from now on a reference is enough.
        self._proofs.remember(message.namespace, message.source, message.proof)

    async def _publish_stream(
        self,
        requests: AsyncIterator[bytes],
        context: ServedCall[mqpb.PublishAnswers],
    ) -> None:
        link = context.peer()
        if self._publish_streams[link] >= PUBLISH_STREAMS_MAX:
            await context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"a link has at most {PUBLISH_STREAMS_MAX} streams of messages",
            )
        self._publish_streams[link] += 1
        try:
            await context.send_initial_metadata(((EXTENSIONS_KEY, EXTENSIONS),))
            frames = self._port.publish_stream()
            answering = Answering(context.write, self._unanswered)
            await FrameReceiving(frames, self._proofs, answering).serve(requests)
        finally:
            self._publish_streams[link] -= 1
            if not self._publish_streams[link]:
                del self._publish_streams[link]

    async def _subscribe(
        self, params: mqpb.PeerSubscribeParams, context: ServedCall[mqpb.SubscriptionMessage]
    ) -> None:
        error = await outcome("PeerSubscribe", self._deliver(params, context))
        if error is not None:
            context.write_last(mqpb.SubscriptionMessage(error=error_to_wire(error)))

    async def _deliver(
        self, params: mqpb.PeerSubscribeParams, context: ServedCall[mqpb.SubscriptionMessage]
    ) -> None:
        request = subscription_from_wire(params)
        deliveries = await self._port.subscribe(request, LinkId(context.peer()))
        sent = SentProofs(references=self._references)
        try:
            await context.send_initial_metadata(())
            await serve_deliveries(
                deliveries,
                context,
                lambda messages: encoded_responses([_elided(one, sent) for one in messages]),
            )
        finally:
            await deliveries.aclose()

    async def _consume(
        self,
        requests: AsyncIterator[mqpb.PeerConsumeRequest],
        context: ServedCall[mqpb.ConsumeResponse],
    ) -> None:
        error = await outcome("PeerConsume", self._deliver_acknowledged(requests, context))
        if error is not None:
            context.write_last(mqpb.ConsumeResponse(error=error_to_wire(error)))

    async def _deliver_acknowledged(
        self,
        requests: AsyncIterator[mqpb.PeerConsumeRequest],
        context: ServedCall[mqpb.ConsumeResponse],
    ) -> None:
        first = await first_of(requests, mqpb.PeerConsumeRequest())
        if not first.HasField("subscribe"):
            raise InvalidParameterError("the first request of a stream subscribes")
        consumption = await self._port.consume(
            subscription_from_wire(first.subscribe),
            LinkId(context.peer()),
            credit_from_wire(first.credit),
        )
        try:
            await context.send_initial_metadata(
                ((EXTENSIONS_KEY, EXTENSIONS), (JOURNAL_KEY, consumption.journal))
            )
        except BaseException:
            await consumption.aclose()
            raise
        await serve_consumption(
            consumption,
            (peer_consume_command_from_wire(request) async for request in requests),
            context,
            partial(_elided, sent=SentProofs(references=self._references)),
        )

    async def _unsubscribe(
        self, params: mqpb.PeerUnsubscribeParams, context: ServedCall[mqpb.PeerUnsubscribeResponse]
    ) -> mqpb.PeerUnsubscribeResponse:
        error = await outcome(
            "PeerUnsubscribe", self._end_subscription(params, LinkId(context.peer()))
        )
        return mqpb.PeerUnsubscribeResponse(error=None if error is None else error_to_wire(error))

    async def _end_subscription(self, params: mqpb.PeerUnsubscribeParams, link: LinkId) -> None:
        source = hash_from_wire(params.sourceEntity, "source entity")
        await self._port.unsubscribe(source, params.id, link)

    async def _query(
        self, params: mqpb.PeerQueryParams, context: ServedCall[mqpb.QueryMessage]
    ) -> None:
        error = await outcome("PeerQueryRequest", self._answer(params, context))
        if error is not None:
            context.write_last(mqpb.QueryMessage(error=error_to_wire(error)))

    async def _answer(
        self, params: mqpb.PeerQueryParams, context: ServedCall[mqpb.QueryMessage]
    ) -> None:
        async for batch in self._port.query(query_from_wire(params)):
            # In full each time: the original's site routers keep no proofs of a query.
            parts = [parts_of(message, proof=message.proof) for message in batch]
            for response in encoded_responses(parts):
                await context.write(response)


def _elided(message: Message, sent: SentProofs) -> Parts:
    proof, reference = sent.elide(message.proof)
    return parts_of(message, proof=proof, proof_reference=reference)


@asynccontextmanager
async def serve_peers(
    listening: socket.socket,
    port: PeerPort,
    *,
    certificate: ServerCertificate,
    claims: Mapping[Hash, RouterClaim],
    limits: LinkLimits | None = None,
) -> AsyncIterator[PeeringListener]:
    """Serve site routers for the duration of the block; the caller runs the listener's `serve`.

    Args:
        listening: bound and listening; closed by its owner.
        port: of the router.
        certificate: shown to every peer.
        claims: what to answer in the handshake, per namespace.
        limits: bounds of links.
    """
    served = serve_links(
        listening,
        PeerService(port).handler(),
        PATHS,
        certificate=certificate,
        claims=claims,
        limits=limits,
        is_compressing=True,
        idle_s=LINK_IDLE_SECONDS_MAX,
    )
    async with served as listener:
        yield listener


@asynccontextmanager
async def serve_links(
    listening: socket.socket,
    handler: grpc.GenericRpcHandler,
    paths: Sequence[str],
    *,
    certificate: ServerCertificate,
    claims: Mapping[Hash, RouterClaim],
    limits: LinkLimits | None,
    is_compressing: bool,
    idle_s: float,
) -> AsyncIterator[PeeringListener]:
    """Serve the methods of a service over links, as `serve_peers` does those of site routers."""
    async with running_reactor() as reactor:
        server = GrpcServer(reactor, handler, paths, is_compressing=is_compressing, idle_s=idle_s)
        try:
            yield PeeringListener(
                listening,
                reactor,
                server.number,
                certificate=certificate,
                claims=claims,
                limits=limits,
            )
        finally:
            await server.stop()
