"""One gRPC channel to one local router.

Owns the channel, its options and the calls of the local API. Refuses to know messages: it
takes and gives protobuf values. Fault model: the router may be away; the channel dials again by
itself, and `wait_ready` bounds how long a caller waits for that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import grpc
import grpc.aio

from wavemq.errors import InvalidParameterError, UnavailableError
from wavemq.limits import FRAME_BYTES_MAX
from wavemq.wire import mqpb_pb2 as mqpb

DIAL_BACKOFF_MILLISECONDS_MAX: Final = 1000
"""Longest pause between two dials of the channel: the router is near, and a dial is cheap."""

Metadata = Sequence[tuple[str, str]]

_OPTIONS: Final[tuple[tuple[str, int], ...]] = (
    ("grpc.max_receive_message_length", FRAME_BYTES_MAX),
    ("grpc.max_send_message_length", FRAME_BYTES_MAX),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", DIAL_BACKOFF_MILLISECONDS_MAX),
    # The router is local: a proxy from the environment must not get the caller's secret.
    ("grpc.enable_http_proxy", 0),
    # No retry policy may come from the name service: a retried publish is a duplicate.
    ("grpc.service_config_disable_resolution", 1),
    # Two buses of one program must not share a connection that one of them closes.
    ("grpc.use_local_subchannel_pool", 1),
)


def check_address(address: str) -> str:
    """Return `address` when it has the form `host:port` or `unix:path`.

    Raises:
        InvalidParameterError: it has another form; nothing is dialled.
    """
    if address.startswith("unix:") and len(address) > len("unix:"):
        return address
    host, separator, port = address.rpartition(":")
    if not (host and separator and port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
        raise InvalidParameterError(
            f"router address {address!r} must be host:port, such as 127.0.0.1:4516"
        )
    return address


class RouterConnection:
    """The channel and its calls; made inside a running event loop.

    Args:
        address: `host:port` or `unix:path`, plaintext HTTP/2.
    """

    def __init__(self, address: str) -> None:
        self.address = check_address(address)
        self._channel = grpc.aio.insecure_channel(address, options=_OPTIONS)
        self.publish: grpc.aio.UnaryUnaryMultiCallable[mqpb.PublishParams, mqpb.PublishResponse] = (
            self._channel.unary_unary(
                "/mqpb.WAVEMQ/Publish",
                request_serializer=mqpb.PublishParams.SerializeToString,
                response_deserializer=mqpb.PublishResponse.FromString,
            )
        )
        self.publish_stream: grpc.aio.StreamStreamMultiCallable[
            mqpb.PublishFrames, mqpb.PublishAnswers
        ] = self._channel.stream_stream(
            "/mqpb.WAVEMQ/PublishStream",
            request_serializer=mqpb.PublishFrames.SerializeToString,
            response_deserializer=mqpb.PublishAnswers.FromString,
        )
        # Until the router says that it does not know the call.
        self.is_publish_stream_known = True
        self.subscribe: grpc.aio.UnaryStreamMultiCallable[
            mqpb.SubscribeParams, mqpb.SubscriptionMessage
        ] = self._channel.unary_stream(
            "/mqpb.WAVEMQ/Subscribe",
            request_serializer=mqpb.SubscribeParams.SerializeToString,
            response_deserializer=mqpb.SubscriptionMessage.FromString,
        )
        self.consume: grpc.aio.StreamStreamMultiCallable[
            mqpb.ConsumeRequest, mqpb.ConsumeResponse
        ] = self._channel.stream_stream(
            "/mqpb.WAVEMQ/Consume",
            request_serializer=mqpb.ConsumeRequest.SerializeToString,
            response_deserializer=mqpb.ConsumeResponse.FromString,
        )
        # Until the router says that it does not know the call.
        self.is_consume_known = True
        self.query: grpc.aio.UnaryStreamMultiCallable[mqpb.QueryParams, mqpb.QueryMessage] = (
            self._channel.unary_stream(
                "/mqpb.WAVEMQ/Query",
                request_serializer=mqpb.QueryParams.SerializeToString,
                response_deserializer=mqpb.QueryMessage.FromString,
            )
        )
        self.connection_status: grpc.aio.UnaryUnaryMultiCallable[
            mqpb.ConnectionStatusParams, mqpb.ConnectionStatusResponse
        ] = self._channel.unary_unary(
            "/mqpb.WAVEMQ/ConnectionStatus",
            request_serializer=mqpb.ConnectionStatusParams.SerializeToString,
            response_deserializer=mqpb.ConnectionStatusResponse.FromString,
        )

    async def wait_ready(self, timeout_s: float) -> None:
        """Return once the channel is connected; at once when it is already.

        Raises:
            UnavailableError: it was not connected within `timeout_s` seconds; nothing was sent.
        """
        state = self._channel.get_state(try_to_connect=True)
        try:
            async with asyncio.timeout(timeout_s):
                while state is not grpc.ChannelConnectivity.READY:
                    await self._channel.wait_for_state_change(state)
                    state = self._channel.get_state(try_to_connect=True)
        except TimeoutError as error:
            raise UnavailableError(
                f"no router answered at {self.address} within {timeout_s:g} s; nothing was sent "
                "(is `wavemq CONFIG.toml` running, and is this its LocalConfig.listenAddr?)"
            ) from error

    async def close(self) -> None:
        """Close the channel; calls under way are cancelled."""
        await self._channel.close()
