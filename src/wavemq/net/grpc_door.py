"""What both gRPC doors share: server options, methods without generated stubs, the last resort.

Owns how an error becomes an in-band error, and how an unexpected one is kept from leaving the
door. Refuses to know requests. Fault model: clients of any make and age; a request that is not
protobuf is a gRPC error, everything else is answered inside the response.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Final, TypeVar

import grpc
import grpc.aio
import structlog
from google.protobuf.message import Message as ProtobufMessage

from wavemq.errors import InternalError, WaveMQError
from wavemq.limits import FRAME_BYTES_MAX

STREAMS_MAX: Final = 16_384
"""Calls under way on one connection: clients hold one for each subscription."""
PING_INTERVAL_MILLISECONDS_MIN: Final = 1_000
STOP_SECONDS_MAX: Final = 0.5
"""Calls under way at the end get this long."""

SERVER_OPTIONS: Final[tuple[tuple[str, int], ...]] = (
    ("grpc.max_receive_message_length", FRAME_BYTES_MAX),
    ("grpc.max_send_message_length", FRAME_BYTES_MAX),
    ("grpc.max_concurrent_streams", STREAMS_MAX),
    # Two routers must not share a port in silence.
    ("grpc.so_reuseport", 0),
    # Clients of any make may ping as they like: a GOAWAY would end all their subscriptions.
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", PING_INTERVAL_MILLISECONDS_MIN),
)

RequestT = TypeVar("RequestT", bound=ProtobufMessage)
ResponseT = TypeVar("ResponseT", bound=ProtobufMessage)

_log = structlog.get_logger("wavemq.net.door")


def unary(
    request: type[RequestT],
    handler: Callable[
        [RequestT, grpc.aio.ServicerContext[RequestT, ResponseT]], Awaitable[ResponseT]
    ],
) -> grpc.RpcMethodHandler[RequestT, ResponseT]:
    """Return a method with one request and one response."""
    return grpc.unary_unary_rpc_method_handler(
        handler, request_deserializer=request.FromString, response_serializer=_serialize
    )


def streaming(
    request: type[RequestT],
    handler: Callable[[RequestT, grpc.aio.ServicerContext[RequestT, ResponseT]], Awaitable[None]],
) -> grpc.RpcMethodHandler[RequestT, ResponseT]:
    """Return a method with one request and many responses, written to the context."""
    return grpc.unary_stream_rpc_method_handler(
        handler, request_deserializer=request.FromString, response_serializer=_serialize
    )


def conversing(
    request: type[RequestT],
    handler: Callable[
        [AsyncIterator[RequestT], grpc.aio.ServicerContext[RequestT, ResponseT]], Awaitable[None]
    ],
) -> grpc.RpcMethodHandler[RequestT, ResponseT]:
    """Return a method with many requests and many responses, written to the context."""
    return grpc.stream_stream_rpc_method_handler(
        handler, request_deserializer=request.FromString, response_serializer=_serialize
    )


async def outcome(method: str, work: Awaitable[None]) -> WaveMQError | None:
    """Await the work of one call; return its error, for the response, or None."""
    try:
        await work
    except WaveMQError as error:
        return error
    except Exception:  # noqa: BLE001 - the door's last resort; logged whole, told in one sentence
        _log.exception("door_failed", method=method)
        return InternalError("the router failed; its log says why")
    return None


async def write_batch(
    context: grpc.aio.ServicerContext[RequestT, ResponseT],
    responses: Iterable[ResponseT],
    note_written: Callable[[], None],
) -> None:
    """Write responses to a stream, and tell of each when it was written.

    A call that ends while a write completes would otherwise not learn that it did, and the message
    would be delivered twice to a reader that resumes.
    """

    async def write() -> None:
        for response in responses:
            await context.write(response)
            note_written()

    writing = asyncio.ensure_future(write())
    try:
        await asyncio.wait({writing})
    except asyncio.CancelledError:
        await asyncio.sleep(0)  # a write that has completed gets to say so
        writing.cancel()
        await asyncio.wait({writing})
        raise
    writing.result()


def _serialize(response: ProtobufMessage) -> bytes:
    return response.SerializeToString()
