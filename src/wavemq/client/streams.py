"""One stream of deliveries from the router, in the two ways in which routers make them.

Owns the opening of a stream and its batches: `Consume`, where messages leave the router's queue
when they are acknowledged, and plain `Subscribe`, for routers that know no more. Refuses to know
what becomes of messages, and to open a stream again. Fault model: the router may refuse, say
nothing, or go away at any point; what was not acknowledged then comes again over the next stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

import grpc
import grpc.aio

from wavemq.client.connection import Metadata, RouterConnection
from wavemq.client.failures import error_from_rpc
from wavemq.errors import SubscriptionFailedError, UnavailableError, WaveMQError
from wavemq.net.acknowledging import Acknowledgements
from wavemq.wire import mqpb_pb2 as mqpb
from wavemq.wire.convert import raise_wire_error

SUBSCRIBED_KEY: Final = "wavemq-subscribed"
"""Response header by which the router says that the subscription is effective."""
JOURNAL_KEY: Final = "wavemq-journal"
"""Response header that names the numbering of deliveries."""
CREDIT: Final = 128
"""Deliveries that wait in this process or in its hands, at most."""
SILENCE_SECONDS_MAX: Final = 1.0
"""How long a router is waited for that cannot say that a subscription is effective."""
CLOSE_SECONDS_MAX: Final = 1.0
"""How long closing waits for the router to have heard the last acknowledgements."""

_LOST: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.INTERNAL,
    }
)
"""How gRPC tells that an open stream's connection or server went away."""

PlainCall = grpc.aio.UnaryStreamCall[mqpb.SubscribeParams, mqpb.SubscriptionMessage]
ConsumeCall = grpc.aio.StreamStreamCall[mqpb.ConsumeRequest, mqpb.ConsumeResponse]
ResponseT = TypeVar("ResponseT", mqpb.SubscriptionMessage, mqpb.ConsumeResponse)


class StreamLostError(Exception):
    """The stream is gone and may be opened again; never leaves the SDK."""


class ConsumeUnknownError(Exception):
    """The router does not know `Consume`; never leaves the SDK."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message as it came over a stream.

    Attributes:
        journal: names the numbering of indexes; empty on a plain stream.
        index: by which it is acknowledged; 0 on a plain stream.
        attempt: 1 if it was not delivered before, as far as the router remembers.
        message: not parsed yet.
    """

    journal: str
    index: int
    attempt: int
    message: mqpb.Message


class DeliveryStream(Protocol):
    """An effective subscription, as long as its connection lasts."""

    async def read(self) -> Sequence[Delivery]:
        """Return the next deliveries; from one caller at a time.

        Raises:
            StreamLostError: the router went away.
            WaveMQError: the router ended the subscription.
        """
        ...

    def acknowledge(self, index: int) -> None:
        """Tell the router soon that a delivery is done with."""
        ...

    async def give_back(self, index: int, delay_s: float) -> None:
        """Ask the router for a delivery again."""
        ...

    async def flush(self) -> None:
        """Send what was acknowledged."""
        ...

    async def close(self) -> None:
        """End the stream, after what was acknowledged."""
        ...


async def open_stream(
    connection: RouterConnection,
    request: mqpb.SubscribeParams,
    metadata: Metadata,
    *,
    is_acknowledging: bool,
) -> DeliveryStream:
    """Ask for a subscription once, and return when it is effective.

    Raises:
        SubscriptionFailedError: the router refused it.
        UnavailableError: the router went away.
        WaveMQError: the router's own error.
    """
    try:
        if is_acknowledging and connection.is_consume_known:
            try:
                return await _open_consuming(connection, request, metadata)
            except ConsumeUnknownError:
                connection.is_consume_known = False
        return await _open_plain(connection, request, metadata)
    except grpc.aio.AioRpcError as failure:
        raise _error_from_loss(failure, connection.address) from failure


# --- with acknowledgements ----------------------------------------------------------------------


async def _open_consuming(
    connection: RouterConnection, request: mqpb.SubscribeParams, metadata: Metadata
) -> DeliveryStream:
    call = connection.consume(metadata=metadata)
    try:
        await _unless_broken(call.write(mqpb.ConsumeRequest(subscribe=request, credit=CREDIT)))
        headers = dict(await call.initial_metadata() or ())
        if SUBSCRIBED_KEY not in headers:
            response = await call.read()
            if isinstance(response, mqpb.ConsumeResponse):
                raise_wire_error(response.error)
            if await call.code() is grpc.StatusCode.UNIMPLEMENTED:
                raise ConsumeUnknownError
            raise SubscriptionFailedError("the router ended the stream at once")
    except grpc.aio.AioRpcError as failure:
        call.cancel()
        if failure.code() is grpc.StatusCode.UNIMPLEMENTED:
            raise ConsumeUnknownError from failure
        raise
    except BaseException:
        call.cancel()
        raise
    return ConsumeStream(call, connection.address, str(headers.get(JOURNAL_KEY, "")))


class ConsumeStream(DeliveryStream):
    """A `Consume` call."""

    def __init__(self, call: ConsumeCall, address: str, journal: str) -> None:
        self._call = call
        self._address = address
        self._journal = journal
        self._writing = asyncio.Lock()  # gRPC takes one write at a time
        self._acknowledgements = Acknowledgements(self._send)
        self._sending = asyncio.ensure_future(self._acknowledgements.run())

    async def read(self) -> Sequence[Delivery]:
        """Return the deliveries of the next response."""
        response = await _read(self._call, mqpb.ConsumeResponse, self._address)
        raise_wire_error(response.error)
        return [
            Delivery(self._journal, one.index, one.attempt, one.message)
            for one in response.deliveries
        ]

    def acknowledge(self, index: int) -> None:
        """Tell the router soon that a delivery is done with."""
        self._acknowledgements.add(index)

    async def give_back(self, index: int, delay_s: float) -> None:
        """Ask the router for a delivery again."""
        await self._write(mqpb.ConsumeRequest(returned=[index], returnDelay=round(delay_s * 1000)))

    async def flush(self) -> None:
        """Send what was acknowledged."""
        await self._acknowledgements.flush()

    async def close(self) -> None:
        """Say the last, and wait a moment until the router has heard it."""
        # Not cancelled: that would end the call where a write is under way, with what it says.
        self._acknowledgements.end()
        try:
            async with asyncio.timeout(CLOSE_SECONDS_MAX):
                await self._sending
                await _unless_broken(self._call.done_writing())
                await self._call.code()
        except TimeoutError:
            pass  # what it did not hear comes again, to whoever subscribes next
        finally:
            self._sending.cancel()
            self._call.cancel()

    async def _send(self, indexes: Sequence[int]) -> None:
        await self._write(mqpb.ConsumeRequest(acknowledged=indexes))

    async def _write(self, request: mqpb.ConsumeRequest) -> None:
        async with self._writing:
            await _unless_broken(self._call.write(request))


# --- without ------------------------------------------------------------------------------------


async def _open_plain(
    connection: RouterConnection, request: mqpb.SubscribeParams, metadata: Metadata
) -> DeliveryStream:
    """Open a `Subscribe` call.

    Our routers say by a header when it is effective. The original's say nothing before the first
    message: from one of those, silence for a while counts as consent.
    """
    call = connection.subscribe(request, metadata=metadata)
    early: list[mqpb.SubscriptionMessage] = []
    headers = asyncio.ensure_future(call.initial_metadata())
    try:
        patience_s = None if connection.is_consume_known else SILENCE_SECONDS_MAX
        await asyncio.wait({headers}, timeout=patience_s)
        if headers.done() and all(key != SUBSCRIBED_KEY for key, _ in headers.result() or ()):
            first = await call.read()
            if not isinstance(first, mqpb.SubscriptionMessage):
                raise SubscriptionFailedError("the router ended the stream at once")
            raise_wire_error(first.error)
            early.append(first)
    except BaseException:
        headers.cancel()
        call.cancel()
        raise
    return PlainStream(call, connection.address, early)


class PlainStream(DeliveryStream):
    """A `Subscribe` call: what was read has left the router's queue."""

    def __init__(
        self, call: PlainCall, address: str, early: Sequence[mqpb.SubscriptionMessage]
    ) -> None:
        self._call = call
        self._address = address
        self._early = list(early)

    async def read(self) -> Sequence[Delivery]:
        """Return the next delivery."""
        if self._early:
            response = self._early.pop()
        else:
            response = await _read(self._call, mqpb.SubscriptionMessage, self._address)
        raise_wire_error(response.error)
        return [Delivery("", 0, 1, response.message)]

    def acknowledge(self, index: int) -> None:
        """Do nothing: the router does not ask."""

    async def give_back(self, index: int, delay_s: float) -> None:
        """Do nothing: the router has let go of it."""

    async def flush(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """End the stream."""
        self._call.cancel()


# --- both ---------------------------------------------------------------------------------------


async def _read(call: PlainCall | ConsumeCall, kind: type[ResponseT], address: str) -> ResponseT:
    """Read once; a stream that ended or broke is a loss, anything else an error of ours."""
    try:
        response = await call.read()
    except grpc.aio.AioRpcError as failure:
        error = _error_from_loss(failure, address)
        if isinstance(error, UnavailableError):
            raise StreamLostError(error.reason) from failure
        raise error from failure
    if isinstance(response, kind):
        return response
    raise StreamLostError(f"the router at {address} ended the stream")


def _error_from_loss(failure: grpc.aio.AioRpcError, address: str) -> WaveMQError:
    """Return an `UnavailableError` for what a router that goes away causes, else the mapped one."""
    error = error_from_rpc(failure, address)
    if failure.code() in _LOST and not isinstance(error, UnavailableError):
        return UnavailableError(f"the router at {address} went away: {failure.details()}")
    return error


async def _unless_broken(work: Awaitable[None]) -> None:
    """Write; a stream that broke says so to its reader, with the reason."""
    try:
        await work
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
        return
