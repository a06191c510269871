"""An agent elsewhere: a daemon that is reached over gRPC, ours or the original.

Owns the connection and its errors. Refuses to know the calls. Fault model: there may be no daemon,
it may go away or hang in the middle; each ends with one error, within a bound.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message

from wavemq.agent.calls import SERVICES, WAIT_FOR_SYNC, Call
from wavemq.errors import AgentUnreachableError
from wavemq.limits import MIB
from wavemq.wire import wave_pb2 as pb

CALL_SECONDS_MAX: Final = 120.0
"""How long one call may take; a first synchronization can be long."""
SYNC_SECONDS_MAX: Final = 600.0
RESPONSE_BYTES_MAX: Final = 64 * MIB

Q = TypeVar("Q", bound=Message)
A = TypeVar("A", bound=Message)


class RemoteAgent:
    """Implements `Agent` over a channel.

    Args:
        channel: to the daemon; closed by its owner.
        address: of the daemon, for errors.
    """

    def __init__(self, channel: grpc.aio.Channel, address: str) -> None:
        self._channel = channel
        self._address = address

    async def call(self, call: Call[Q, A], request: Q, /) -> A:
        """Return the daemon's response.

        Raises:
            AgentUnreachableError: there is no daemon, or it does not answer.
        """
        method = self._channel.unary_unary(
            f"/{SERVICES[0]}/{call.name}",
            request_serializer=call.request.SerializeToString,
            response_deserializer=call.response.FromString,
        )
        try:
            response: A = await method(request, timeout=CALL_SECONDS_MAX)
        except grpc.aio.AioRpcError as error:
            raise self._unreachable(error) from error
        return response

    async def wait_for_sync(self, request: pb.SyncParams, /) -> AsyncIterator[pb.SyncResponse]:
        """Tell how a synchronization goes until it is over.

        Raises:
            AgentUnreachableError: there is no daemon, or it does not answer.
        """
        method = self._channel.unary_stream(
            f"/{SERVICES[0]}/{WAIT_FOR_SYNC.name}",
            request_serializer=pb.SyncParams.SerializeToString,
            response_deserializer=pb.SyncResponse.FromString,
        )
        try:
            async for state in method(request, timeout=SYNC_SECONDS_MAX):
                yield state
        except grpc.aio.AioRpcError as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: grpc.aio.AioRpcError) -> AgentUnreachableError:
        code = error.code()
        detail = (error.details() or "no details").strip()
        if code is grpc.StatusCode.UNAVAILABLE:
            cause = "connection refused" if "refused" in detail.lower() else detail
            # The original's words, which scripts look for (wave.md 13.1).
            return AgentUnreachableError(
                'connection error: desc = "transport: error while dialing: '
                f'dial tcp {self._address}: connect: {cause}"'
            )
        return AgentUnreachableError(
            f"the WAVE agent at {self._address} failed: {code.name.lower()}: {detail}"
        )


@asynccontextmanager
async def connect_agent(address: str) -> AsyncIterator[RemoteAgent]:
    """Connect to a daemon, and let go of it at the end.

    Args:
        address: `HOST:PORT`, or `unix:PATH`.
    """
    options = (
        ("grpc.max_receive_message_length", RESPONSE_BYTES_MAX),
        ("grpc.enable_retries", 0),
        # Secrets go to the agent, not to whatever proxy the environment names.
        ("grpc.enable_http_proxy", 0),
    )
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        yield RemoteAgent(channel, address)
