"""The agent over gRPC: services `pb.WAVE` and `mqpb.WAVE` (wave.md 14.2).

Owns the methods, the limits of a message and of calls at one time. Refuses to know what the calls
do. Fault model: any program that reaches the address may call; what is no protobuf is a gRPC error,
everything else is answered inside the response.
"""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import DecodeError, Message

from wavemq.agent.calls import SERVICES, UNARY, WAIT_FOR_SYNC, Call
from wavemq.errors import ConfigError
from wavemq.limits import MIB
from wavemq.net.addresses import Address

if TYPE_CHECKING:
    from wavemq.agent.service import AgentService
    from wavemq.wire import wave_pb2 as pb

MESSAGE_BYTES_MAX: Final = 4 * MIB
"""gRPC's own default, on which clients rely."""
RESPONSE_BYTES_MAX: Final = 64 * MIB
CALLS_AT_ONCE_MAX: Final = 256
"""Calls that are answered at one time; more get RESOURCE_EXHAUSTED."""
STOP_SECONDS_MAX: Final = 2.0
PROBE_SECONDS: Final = 1.0
"""How long to wait for a program that may listen on a socket already."""
Q = TypeVar("Q", bound=Message)
A = TypeVar("A", bound=Message)
Context = grpc.aio.ServicerContext[Any, Any]

_OTHERS: Final = 0o177
"""What is kept from a Unix socket: everything but reading and writing by this user."""
_OPTIONS: Final[tuple[tuple[str, int], ...]] = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", RESPONSE_BYTES_MAX),
    ("grpc.so_reuseport", 0),
)


@asynccontextmanager
async def serve_grpc(
    service: AgentService, *, address: Address | None, unix: Path | None
) -> AsyncIterator[Address | None]:
    """Serve an agent until the end of the context.

    Args:
        service: answers.
        address: where to listen; port 0 takes any free one.
        unix: path of a socket, readable and writable by this user alone.

    Yields:
        the address with its real port, None if there is none.

    Raises:
        ConfigError: an address cannot be listened at.
    """
    if unix is not None:
        _make_room(unix)
    server = grpc.aio.server(options=_OPTIONS, maximum_concurrent_rpcs=CALLS_AT_ONCE_MAX)
    server.add_generic_rpc_handlers([_handler(service, name) for name in SERVICES])
    bound = None
    made: Path | None = None
    try:
        if address is not None:
            try:
                port = server.add_insecure_port(str(address))
            except RuntimeError as error:
                raise ConfigError(f"cannot listen at {address}") from error
            bound = Address(address.host, port)
        if unix is not None:
            _add_unix(server, unix)
            made = unix
        await server.start()
        yield bound
    finally:
        await server.stop(STOP_SECONDS_MAX)
        if made is not None:
            made.unlink(missing_ok=True)


def _make_room(path: Path) -> None:
    """Remove the socket that a killed agent left over.

    Raises:
        ConfigError: a living program listens there, or there is something else.
    """
    try:
        if not path.exists():
            return
        if not path.is_socket():
            raise ConfigError(f'cannot listen at "{path}": there is a file that is no socket')
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(PROBE_SECONDS)
            if probe.connect_ex(str(path)) == 0:
                raise ConfigError(f'cannot listen at "{path}": another program does')
        path.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f'cannot listen at "{path}": {error.strerror or error}') from error


def _add_unix(server: grpc.aio.Server, path: Path) -> None:
    """Listen on a Unix socket that only this user may use.

    Raises:
        ConfigError: it cannot be made.
    """
    # The socket must not be open to others for a moment; nothing else makes files meanwhile.
    before = os.umask(_OTHERS)
    try:
        server.add_insecure_port(f"unix:{path}")
    except RuntimeError as error:
        raise ConfigError(f'cannot listen at "{path}"') from error
    finally:
        os.umask(before)


def _handler(service: AgentService, name: str) -> grpc.GenericRpcHandler:
    methods: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}
    for call in UNARY:
        methods[call.name] = grpc.unary_unary_rpc_method_handler(
            _unary(call, getattr(service, call.attribute)),
            response_serializer=call.response.SerializeToString,
        )

    async def wait(content: bytes, context: Context) -> AsyncIterator[pb.SyncResponse]:
        async for state in service.wait_for_sync(await _parse(WAIT_FOR_SYNC, content, context)):
            yield state

    methods[WAIT_FOR_SYNC.name] = grpc.unary_stream_rpc_method_handler(
        wait, response_serializer=WAIT_FOR_SYNC.response.SerializeToString
    )
    return grpc.method_handlers_generic_handler(name, methods)


def _unary(
    call: Call[Message, Message], method: Callable[[Message], Awaitable[Message]]
) -> Callable[[bytes, Context], Awaitable[Message]]:
    async def answer(content: bytes, context: Context) -> Message:
        return await method(await _parse(call, content, context))

    return answer


async def _parse(call: Call[Q, A], content: bytes, context: Context) -> Q:
    """Return the request that was sent; one that is none ends the call as in the original."""
    try:
        return call.request.FromString(content)
    except DecodeError:
        return await context.abort(
            grpc.StatusCode.INTERNAL, f"the request is no {call.request.__name__}"
        )
