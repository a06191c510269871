"""What both gRPC doors share: methods without generated stubs, the last resort.

Owns how an error becomes an in-band error, and how an unexpected one is kept from leaving the
door. Refuses to know requests. Fault model: clients of any make and age; a request that is not
protobuf is a gRPC error, everything else is answered inside the response.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, TypeVar

import grpc
import structlog
from google.protobuf.message import Message as ProtobufMessage

from wavemq.errors import InternalError, InvalidParameterError, WaveMQError
from wavemq.net.grpc_server import AbortError, ServedCall

FIRST_REQUEST_SECONDS_MAX: Final = 300.0
"""For the first request of a stream; long, as a thin link may have much before it."""

RequestT = TypeVar("RequestT", bound=ProtobufMessage)
ResponseT = TypeVar("ResponseT", bound=ProtobufMessage)

_log = structlog.get_logger("wavemq.net.door")


def unary(
    request: type[RequestT],
    handler: Callable[[RequestT, ServedCall[ResponseT]], Awaitable[ResponseT]],
) -> grpc.RpcMethodHandler[RequestT, ResponseT]:
    """Return a method with one request and one response."""
    return grpc.unary_unary_rpc_method_handler(
        handler, request_deserializer=request.FromString, response_serializer=serialize
    )


def streaming(
    request: type[RequestT],
    handler: Callable[[RequestT, ServedCall[ResponseT]], Awaitable[None]],
) -> grpc.RpcMethodHandler[RequestT, ResponseT]:
    """Return a method with one request and many responses, written to the context."""
    return grpc.unary_stream_rpc_method_handler(
        handler, request_deserializer=request.FromString, response_serializer=serialize
    )


def conversing(
    request: type[RequestT],
    handler: Callable[[AsyncIterator[RequestT], ServedCall[ResponseT]], Awaitable[None]],
) -> grpc.RpcMethodHandler[RequestT, ResponseT]:
    """Return a method with many requests and many responses, written to the context."""
    return grpc.stream_stream_rpc_method_handler(
        handler, request_deserializer=request.FromString, response_serializer=serialize
    )


async def first_of(requests: AsyncIterator[RequestT], nothing: RequestT) -> RequestT:
    """Return the first request of a stream, or `nothing` where it ends without.

    Raises:
        InvalidParameterError: none comes.
    """
    try:
        async with asyncio.timeout(FIRST_REQUEST_SECONDS_MAX):
            return await anext(requests, nothing)
    except TimeoutError as error:
        raise InvalidParameterError("the first request of the stream did not come") from error


async def outcome(method: str, work: Awaitable[None]) -> WaveMQError | None:
    """Await the work of one call; return its error, for the response, or None."""
    try:
        await work
    except WaveMQError as error:
        return error
    except AbortError:
        raise
    except Exception:  # noqa: BLE001 - the door's last resort; logged whole, told in one sentence
        _log.exception("door_failed", method=method)
        return InternalError("the router failed; its log says why")
    return None


def serialize(response: ProtobufMessage | bytes) -> bytes:
    """Return the bytes of a response, which may be encoded already."""
    return response if isinstance(response, bytes) else response.SerializeToString()
