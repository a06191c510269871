"""The door for programs: service `mqpb.WAVEMQ` (wavemq.md 2, 6, 7, 10, 11).

Owns the four methods, what a delivered message holds, and the answers. Refuses to know how
anything is proved, routed or kept. Fault model: any program of this machine or network may call;
a call that breaks a rule gets an error inside the response, a program that goes away ends its
streams, one that does not read is not sent more than fits its stream.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import grpc

from wavemq.errors import InvalidParameterError
from wavemq.messages.message import Message
from wavemq.net.addresses import Address, bound_address, listen_everywhere
from wavemq.net.answering import Answering, Unanswered
from wavemq.net.consuming import EXTENSIONS_KEY, JOURNAL_KEY, serve_consumption
from wavemq.net.delivering import serve_deliveries
from wavemq.net.grpc_door import (
    conversing,
    first_of,
    outcome,
    serialize,
    streaming,
    unary,
)
from wavemq.net.grpc_server import CONNECTIONS_MAX, GrpcServer, ServedCall
from wavemq.net.link_end import notice_vanished
from wavemq.net.local_publishing import LocalPublishing
from wavemq.net.pending_subscriptions import PendingSubscriptions
from wavemq.net.publish_streaming import PublishStreaming
from wavemq.net.reactor import running_reactor
from wavemq.net.shared_responses import SharedResponses
from wavemq.net.transport import Consumption, LocalPort
from wavemq.wire import mqpb_pb2 as mqpb
from wavemq.wire.calls import (
    consume_command_from_wire,
    credit_from_wire,
    query_call_from_wire,
    subscribe_call_from_wire,
)
from wavemq.wire.convert import error_to_wire
from wavemq.wire.encoding import Parts, encoded_responses, parts_of

SERVICE: Final = "mqpb.WAVEMQ"
PUBLISH_PATH: Final = f"/{SERVICE}/Publish"
SUBSCRIBE_PATH: Final = f"/{SERVICE}/Subscribe"
CONSUME_PATH: Final = f"/{SERVICE}/Consume"
PATHS: Final = (
    PUBLISH_PATH,
    SUBSCRIBE_PATH,
    CONSUME_PATH,
    f"/{SERVICE}/PublishStream",
    f"/{SERVICE}/Query",
    f"/{SERVICE}/ConnectionStatus",
)
INCLUDE_PROOF_KEY: Final = "wavemq-include-proof"
"""Request metadata by which a client asks for the proof of each message, 55 kB or so."""
PUBLISH_STREAM: Final = "publish-stream"
"""Says in response metadata that streams of messages are known here."""
SUBSCRIBED_KEY: Final = "wavemq-subscribed"
"""Response metadata, sent as soon as the subscription is effective."""


class LocalService:
    """The methods, over a port of the router."""

    def __init__(
        self, port: LocalPort, subscribing: PendingSubscriptions, publishing: LocalPublishing
    ) -> None:
        self._port = port
        self._subscribing = subscribing
        self._publishing = publishing
        self._unanswered = Unanswered()
        self._responses = SharedResponses()

    def handler(self) -> grpc.GenericRpcHandler:
        """Return the methods but for `Publish`, whose calls are taken in batches."""
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "Subscribe": streaming(mqpb.SubscribeParams, self._subscribe),
                "Consume": conversing(mqpb.ConsumeRequest, self._consume),
                "PublishStream": grpc.stream_stream_rpc_method_handler(
                    self._publish_stream, request_deserializer=bytes, response_serializer=serialize
                ),
                "Query": streaming(mqpb.QueryParams, self._query),
                "ConnectionStatus": unary(mqpb.ConnectionStatusParams, self._connection_status),
            },
        )

    async def _subscribe(
        self, params: mqpb.SubscribeParams, context: ServedCall[mqpb.SubscriptionMessage]
    ) -> None:
        delivering = self._deliver(params, context)
        del params  # what subscribes is a secret, for which nobody has any use afterwards
        error = await outcome("Subscribe", delivering)
        if error is not None:
            context.write_last(mqpb.SubscriptionMessage(error=error_to_wire(error)))

    async def _deliver(
        self, params: mqpb.SubscribeParams, context: ServedCall[mqpb.SubscriptionMessage]
    ) -> None:
        is_proof_asked = _asks_for_proof(context)
        with self._subscribing.announced(context.peer()):
            deliveries = await self._port.subscribe(subscribe_call_from_wire(params))
        del params
        try:
            await context.send_initial_metadata(((SUBSCRIBED_KEY, "1"),))
            await serve_deliveries(
                deliveries, context, _with_proofs if is_proof_asked else self._responses.of
            )
        finally:
            await deliveries.aclose()

    async def _consume(
        self,
        requests: AsyncIterator[mqpb.ConsumeRequest],
        context: ServedCall[mqpb.ConsumeResponse],
    ) -> None:
        error = await outcome("Consume", self._deliver_acknowledged(requests, context))
        if error is not None:
            context.write_last(mqpb.ConsumeResponse(error=error_to_wire(error)))

    async def _deliver_acknowledged(
        self,
        requests: AsyncIterator[mqpb.ConsumeRequest],
        context: ServedCall[mqpb.ConsumeResponse],
    ) -> None:
        is_proof_asked = _asks_for_proof(context)
        consumption = await self._subscribed(
            await first_of(requests, mqpb.ConsumeRequest()), context.peer()
        )
        try:
            await context.send_initial_metadata(
                ((SUBSCRIBED_KEY, "1"), (JOURNAL_KEY, consumption.journal))
            )
        except BaseException:
            await consumption.aclose()
            raise
        await serve_consumption(
            consumption,
            (consume_command_from_wire(request) async for request in requests),
            context,
            partial(_parts, is_proof_asked=is_proof_asked),
        )

    async def _subscribed(self, first: mqpb.ConsumeRequest, connection: str) -> Consumption:
        if not first.HasField("subscribe"):
            raise InvalidParameterError("the first request of a stream subscribes")
        with self._subscribing.announced(connection):
            call = subscribe_call_from_wire(first.subscribe)
            return await self._port.consume(call, credit_from_wire(first.credit))

    async def _publish_stream(
        self, requests: AsyncIterator[bytes], context: ServedCall[mqpb.PublishAnswers]
    ) -> None:
        await context.send_initial_metadata(((EXTENSIONS_KEY, PUBLISH_STREAM),))
        streaming = PublishStreaming(
            self._publishing.batcher,
            Answering(context.write, self._unanswered),
            self._subscribing,
            context.connection,
        )
        error = await outcome("PublishStream", streaming.serve(requests))
        if error is not None:
            context.write_last(mqpb.PublishAnswers(error=error_to_wire(error)))

    async def _query(
        self, params: mqpb.QueryParams, context: ServedCall[mqpb.QueryMessage]
    ) -> None:
        error = await outcome("Query", self._answer(params, context))
        if error is not None:
            context.write_last(mqpb.QueryMessage(error=error_to_wire(error)))

    async def _answer(
        self, params: mqpb.QueryParams, context: ServedCall[mqpb.QueryMessage]
    ) -> None:
        is_proof_asked = _asks_for_proof(context)
        async for batch in self._port.query(query_call_from_wire(params)):
            parts = [_parts(message, is_proof_asked=is_proof_asked) for message in batch]
            for response in encoded_responses(parts):
                await context.write(response)

    async def _connection_status(
        self,
        params: mqpb.ConnectionStatusParams,
        context: ServedCall[mqpb.ConnectionStatusResponse],
    ) -> mqpb.ConnectionStatusResponse:
        del params, context
        status = self._port.connection_status()
        return mqpb.ConnectionStatusResponse(
            totalPeers=status.uplinks_configured, connectedPeers=status.uplinks_connected
        )


@asynccontextmanager
async def serve_local(
    address: Address, port: LocalPort, *, connections_max: int = CONNECTIONS_MAX
) -> AsyncIterator[Address]:
    """Serve programs for the duration of the block; gives the real address.

    Args:
        address: where to listen, plaintext HTTP/2.
        port: of the router.
        connections_max: connections at once; one more takes the place of another, or is closed.

    Raises:
        ConfigError: the address cannot be listened at.
    """
    sockets = listen_everywhere(address)
    bound = bound_address(sockets[0]).port
    async with running_reactor() as reactor:
        subscribing = PendingSubscriptions()
        publishing = LocalPublishing(reactor, port, subscribing)
        service = LocalService(port, subscribing, publishing)
        note_arriving = subscribing.note_arriving
        server = GrpcServer(
            reactor,
            service.handler(),
            PATHS,
            batched={PUBLISH_PATH: publishing.take},
            announced={SUBSCRIBE_PATH: note_arriving, CONSUME_PATH: note_arriving},
        )
        for one in sockets:
            notice_vanished(one)
        listeners = [
            reactor.http2.listen(one.detach(), server.number, connections_max) for one in sockets
        ]
        try:
            yield Address(address.host, bound)
        finally:
            for listener in listeners:
                await reactor.stop_listening(listener)
            await server.stop(lambda: publishing.is_busy)


def _asks_for_proof(context: ServedCall[Any]) -> bool:
    return (INCLUDE_PROOF_KEY, "1") in context.invocation_metadata()


def _with_proofs(messages: Sequence[Message]) -> list[bytes]:
    return encoded_responses([parts_of(one, proof=one.proof) for one in messages])


def _parts(message: Message, *, is_proof_asked: bool) -> Parts:
    return parts_of(message, proof=message.proof if is_proof_asked else b"")
