"""The door for programs: service `mqpb.WAVEMQ` (wavemq.md 2, 6, 7, 10, 11).

Owns the four methods, what a delivered message holds, and the answers. Refuses to know how
anything is proved, routed or kept. Fault model: any program of this machine or network may call;
a call that breaks a rule gets an error inside the response, a program that goes away ends its
streams, one that does not read is not sent more than fits its stream.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import grpc
import grpc.aio

from wavemq.errors import ConfigError, InvalidParameterError
from wavemq.messages.message import Message
from wavemq.net.addresses import Address
from wavemq.net.batcher import Batcher
from wavemq.net.consuming import JOURNAL_KEY, serve_consumption
from wavemq.net.grpc_door import (
    SERVER_OPTIONS,
    STOP_SECONDS_MAX,
    conversing,
    outcome,
    streaming,
    unary,
    write_batch,
)
from wavemq.net.pending_subscriptions import PendingSubscriptions
from wavemq.net.transport import LocalPort
from wavemq.wire import mqpb_pb2 as mqpb
from wavemq.wire.calls import (
    PublishCall,
    consume_command_from_wire,
    credit_from_wire,
    publish_call_from_wire,
    query_call_from_wire,
    subscribe_call_from_wire,
)
from wavemq.wire.convert import error_to_wire, message_to_wire

SERVICE: Final = "mqpb.WAVEMQ"
INCLUDE_PROOF_KEY: Final = "wavemq-include-proof"
"""Request metadata by which a client asks for the proof of each message, 55 kB or so."""
SUBSCRIBED_KEY: Final = "wavemq-subscribed"
"""Response metadata, sent as soon as the subscription is effective."""

PublishContext = grpc.aio.ServicerContext[mqpb.PublishParams, mqpb.PublishResponse]
SubscribeContext = grpc.aio.ServicerContext[mqpb.SubscribeParams, mqpb.SubscriptionMessage]
ConsumeContext = grpc.aio.ServicerContext[mqpb.ConsumeRequest, mqpb.ConsumeResponse]
QueryContext = grpc.aio.ServicerContext[mqpb.QueryParams, mqpb.QueryMessage]
StatusContext = grpc.aio.ServicerContext[mqpb.ConnectionStatusParams, mqpb.ConnectionStatusResponse]


class LocalService:
    """The methods, over a port of the router."""

    def __init__(self, port: LocalPort) -> None:
        self._port = port
        self._publishes: Batcher[PublishCall] = Batcher(port.publish)
        self._subscribing = PendingSubscriptions()

    def handler(self) -> grpc.GenericRpcHandler:
        """Return the service for a gRPC server."""
        methods = grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "Publish": unary(mqpb.PublishParams, self._publish),
                "Subscribe": streaming(mqpb.SubscribeParams, self._subscribe),
                "Consume": conversing(mqpb.ConsumeRequest, self._consume),
                "Query": streaming(mqpb.QueryParams, self._query),
                "ConnectionStatus": unary(mqpb.ConnectionStatusParams, self._connection_status),
            },
        )
        watched = (f"/{SERVICE}/Subscribe", f"/{SERVICE}/Consume")
        return _WatchedMethods(methods, watched, self._subscribing.note_arriving)

    async def _publish(
        self, params: mqpb.PublishParams, context: PublishContext
    ) -> mqpb.PublishResponse:
        error = await outcome("Publish", self._submit(params, context.peer()))
        return mqpb.PublishResponse(error=None if error is None else error_to_wire(error))

    async def _submit(self, params: mqpb.PublishParams, connection: str) -> None:
        call = publish_call_from_wire(params)
        # A client subscribes and at once publishes a request whose answer it awaits.
        await self._subscribing.wait_effective(connection)
        await self._publishes.submit(call, params.ByteSize(), connection)

    async def _subscribe(self, params: mqpb.SubscribeParams, context: SubscribeContext) -> None:
        error = await outcome("Subscribe", self._deliver(params, context))
        if error is not None:
            await context.write(mqpb.SubscriptionMessage(error=error_to_wire(error)))

    async def _deliver(self, params: mqpb.SubscribeParams, context: SubscribeContext) -> None:
        is_proof_asked = _asks_for_proof(context)
        with self._subscribing.announced(context.peer()):
            call = subscribe_call_from_wire(params)
            deliveries = await self._port.subscribe(call)
        try:
            await context.send_initial_metadata(((SUBSCRIBED_KEY, "1"),))
            while True:
                responses = (
                    mqpb.SubscriptionMessage(
                        message=_delivered(message, is_proof_asked=is_proof_asked)
                    )
                    for message in await deliveries.take()
                )
                await write_batch(context, responses, deliveries.note_written)
        finally:
            await deliveries.aclose()

    async def _consume(
        self, requests: AsyncIterator[mqpb.ConsumeRequest], context: ConsumeContext
    ) -> None:
        error = await outcome("Consume", self._deliver_acknowledged(requests, context))
        if error is not None:
            await context.write(mqpb.ConsumeResponse(error=error_to_wire(error)))

    async def _deliver_acknowledged(
        self, requests: AsyncIterator[mqpb.ConsumeRequest], context: ConsumeContext
    ) -> None:
        is_proof_asked = _asks_for_proof(context)
        first = await anext(requests, mqpb.ConsumeRequest())
        if not first.HasField("subscribe"):
            raise InvalidParameterError("the first request of a stream subscribes")
        with self._subscribing.announced(context.peer()):
            call = subscribe_call_from_wire(first.subscribe)
            consumption = await self._port.consume(call, credit_from_wire(first.credit))
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
            context.write,
            partial(_delivered, is_proof_asked=is_proof_asked),
        )

    async def _query(self, params: mqpb.QueryParams, context: QueryContext) -> None:
        error = await outcome("Query", self._answer(params, context))
        if error is not None:
            await context.write(mqpb.QueryMessage(error=error_to_wire(error)))

    async def _answer(self, params: mqpb.QueryParams, context: QueryContext) -> None:
        is_proof_asked = _asks_for_proof(context)
        async for batch in self._port.query(query_call_from_wire(params)):
            for message in batch:
                response = mqpb.QueryMessage(
                    message=_delivered(message, is_proof_asked=is_proof_asked)
                )
                await context.write(response)

    async def _connection_status(
        self, params: mqpb.ConnectionStatusParams, context: StatusContext
    ) -> mqpb.ConnectionStatusResponse:
        del params, context
        status = self._port.connection_status()
        return mqpb.ConnectionStatusResponse(
            totalPeers=status.uplinks_configured, connectedPeers=status.uplinks_connected
        )


class _WatchedMethods(grpc.GenericRpcHandler):
    """Methods, with a note of each call of some of them as soon as it begins to arrive."""

    def __init__(
        self, methods: grpc.GenericRpcHandler, watched: Collection[str], note: Callable[[], None]
    ) -> None:
        self._methods = methods
        self._watched = watched
        self._note = note

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Return the method; gRPC asks in the order in which calls arrive."""
        if handler_call_details.method in self._watched:
            self._note()
        return self._methods.service(handler_call_details)


@asynccontextmanager
async def serve_local(address: Address, port: LocalPort) -> AsyncIterator[Address]:
    """Serve programs for the duration of the block; gives the real address.

    Args:
        address: where to listen, plaintext HTTP/2.
        port: of the router.

    Raises:
        ConfigError: the address cannot be listened at.
    """
    server = grpc.aio.server(options=SERVER_OPTIONS)
    server.add_generic_rpc_handlers((LocalService(port).handler(),))
    try:
        bound = server.add_insecure_port(str(address))
    except RuntimeError as error:
        bound, reason = 0, str(error)
    else:
        reason = "the address is not free or not of this machine"
    if bound == 0:
        raise ConfigError(f"cannot listen at {address}: {reason}")
    await server.start()
    try:
        yield Address(address.host, bound)
    finally:
        await server.stop(STOP_SECONDS_MAX)


def _asks_for_proof(context: SubscribeContext | ConsumeContext | QueryContext) -> bool:
    metadata = context.invocation_metadata() or ()
    return any(key == INCLUDE_PROOF_KEY and value == "1" for key, value in metadata)


def _delivered(message: Message, *, is_proof_asked: bool) -> mqpb.Message:
    return message_to_wire(message, proof=message.proof if is_proof_asked else b"")
