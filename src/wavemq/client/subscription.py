"""An open subscription: an async iterator that survives restarts of the router.

Owns one Subscribe stream at a time and the decision to open it again. Refuses to buffer: one read
is under way at most, so a slow reader holds the messages in the router's durable queue. Fault
model: the stream may break at any point; it is opened again under the same identifier, so that the
router resumes the same queue. What the router had sent and this process had not yet read is lost
with the stream.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Final, Self

import grpc
import grpc.aio

from wavemq.client.connection import Metadata, RouterConnection
from wavemq.client.failures import error_from_rpc
from wavemq.client.received import Received
from wavemq.client.reconnect import (
    ChangeCallback,
    ConnectionChange,
    LinkState,
    ReconnectPolicy,
    report_change,
)
from wavemq.errors import (
    DeadlineError,
    SubscriptionFailedError,
    UnavailableError,
    WaveMQError,
)
from wavemq.wire import mqpb_pb2 as mqpb
from wavemq.wire.convert import message_from_wire, raise_wire_error

SUBSCRIBED_KEY: Final = "wavemq-subscribed"
"""Response header by which the router says that the subscription is effective."""

_LOST: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.INTERNAL,
    }
)
"""How gRPC tells that an open stream's connection or server went away."""

Stream = grpc.aio.UnaryStreamCall[mqpb.SubscribeParams, mqpb.SubscriptionMessage]
Reading = asyncio.Future[mqpb.SubscriptionMessage]


class Subscription:
    """Messages that match a filter, in the order in which the router queued them.

    Use it as `async with bus.subscribe(...) as readings: async for reading in readings: ...`.
    Entering returns once the subscription is effective: what is published afterwards arrives. A
    timeout around one step of the iteration loses nothing. Leaving closes the stream; the router
    keeps the queue for `keep_s` more seconds, for whoever subscribes under the same name.

    Args:
        connection: to the local router.
        request: what to ask for, identifier included.
        metadata: sent with each attempt.
        policy: when to try again.
        on_change: told of each loss, attempt and resumption.
        timeout_s: seconds for one attempt to become effective.
    """

    def __init__(
        self,
        connection: RouterConnection,
        request: mqpb.SubscribeParams,
        *,
        metadata: Metadata,
        policy: ReconnectPolicy,
        on_change: ChangeCallback | None,
        timeout_s: float,
    ) -> None:
        self._connection = connection
        self._request = request
        self._metadata = metadata
        self._policy = policy
        self._on_change = on_change
        self._timeout_s = timeout_s
        self._closed = asyncio.Event()
        self._closed.set()
        self._turn = asyncio.Lock()
        self._stream: Stream | None = None
        self._reading: Reading | None = None
        self._is_lost = False
        self._received_count = 0
        self._resumed_count = 0

    @property
    def topic_filter(self) -> str:
        """The filter, as given."""
        return self._request.uri

    @property
    def identifier(self) -> str:
        """The name under which the router keeps the queue, for this entity."""
        return self._request.identifier

    @property
    def received_count(self) -> int:
        """Messages handed to the program so far."""
        return self._received_count

    @property
    def resumed_count(self) -> int:
        """Times that the subscription was resumed after a loss."""
        return self._resumed_count

    async def __aenter__(self) -> Self:
        """Open the subscription and wait until it is effective.

        Raises:
            SubscriptionFailedError: the router refused it; the reason says why.
            UnavailableError: the router could not be reached in time.
        """
        await self._connection.wait_ready(self._timeout_s)
        await self._open()
        self._closed.clear()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the stream; the router's queue outlives it by `keep_s`."""
        await self.close()

    async def close(self) -> None:
        """End the iteration: a reader that waits gets `StopAsyncIteration`."""
        self._closed.set()
        await self._drop_stream()

    def __aiter__(self) -> Self:
        """Return itself: there is one stream, so parallel iterations share the messages."""
        return self

    async def __anext__(self) -> Received:
        """Return the next message, waiting for it and for the router as long as the policy says.

        Raises:
            UnsubscribedError: the router ended the queue, for instance since the proof expired.
            UnavailableError: the router stayed away for longer than the policy allows.
        """
        async with self._turn:
            while not self._closed.is_set():
                try:
                    response = await self._read()
                except _StreamLostError as loss:
                    await self._resume(str(loss))
                    continue
                if response is None:
                    break
                raise_wire_error(response.error)
                self._received_count += 1
                return Received.from_message(message_from_wire(response.message))
        raise StopAsyncIteration

    async def _open(self) -> None:
        """Ask once; return when the subscription is effective.

        The router says so by a header. Without it the first response decides: it is an error, or,
        from a router that sends no such header, already a message.
        """
        stream = self._connection.subscribe(self._request, metadata=self._metadata)
        early: mqpb.SubscriptionMessage | None = None
        try:
            async with asyncio.timeout(self._timeout_s):
                headers = await stream.initial_metadata()
                if all(key != SUBSCRIBED_KEY for key, _ in headers or ()):
                    first = await stream.read()
                    if isinstance(first, mqpb.SubscriptionMessage):
                        raise_wire_error(first.error)
                        early = first
                    else:
                        raise SubscriptionFailedError("the router ended the stream at once")
        except grpc.aio.AioRpcError as failure:
            raise _error_from_loss(failure, self._connection.address) from failure
        except TimeoutError as error:
            stream.cancel()
            raise DeadlineError(
                f"the router at {self._connection.address} did not confirm the subscription "
                f"{self.topic_filter!r} within {self._timeout_s:g} s"
            ) from error
        except BaseException:
            stream.cancel()
            raise
        self._stream = stream
        if early is not None:
            self._reading = asyncio.get_running_loop().create_future()
            self._reading.set_result(early)

    async def _read(self) -> mqpb.SubscriptionMessage | None:
        """Return the next response, or None when the subscription was closed meanwhile.

        The read is a task of this object, not of the caller: cancelling a read ends a gRPC stream,
        and a caller's timeout must not do that.
        """
        if self._stream is None:
            raise _StreamLostError("an earlier attempt to resume was interrupted")
        if self._reading is None:
            self._reading = asyncio.ensure_future(
                _read_response(self._stream, self._connection.address)
            )
        reading = self._reading
        await asyncio.wait({reading})
        if self._closed.is_set():
            return None
        self._reading = None
        return reading.result()

    async def _drop_stream(self) -> None:
        """Cancel the stream and wait for the read under way to end."""
        stream, self._stream = self._stream, None
        reading, self._reading = self._reading, None
        if stream is not None:
            stream.cancel()
        if reading is not None:
            reading.cancel()
            await asyncio.wait({reading})
            if not reading.cancelled():
                reading.exception()  # seen, so that asyncio does not report it as forgotten

    async def _resume(self, reason: str) -> None:
        """Open the stream again, as often as the policy allows."""
        await self._drop_stream()
        if not self._is_lost:
            self._is_lost = True
            self._report(LinkState.LOST, 0, 0.0, reason)
        for attempt, delay_s in enumerate(self._policy.delays(), 1):
            self._report(LinkState.RETRYING, attempt, delay_s, reason)
            try:
                async with asyncio.timeout(delay_s):
                    await self._closed.wait()
                return
            except TimeoutError:
                pass  # the delay has passed and nobody closed the subscription
            try:
                await self._open()
            except UnavailableError as error:
                reason = error.reason
                continue
            self._is_lost = False
            self._resumed_count += 1
            self._report(LinkState.RESUMED, attempt, 0.0, "the router is back")
            return
        self._report(LinkState.GAVE_UP, 0, 0.0, reason)
        raise UnavailableError(
            f"the subscription {self.topic_filter!r} was lost and could not be resumed within "
            f"{self._policy.give_up_after_s:g} s: {reason}"
        )

    def _report(self, state: LinkState, attempt: int, delay_s: float, reason: str) -> None:
        change = ConnectionChange(
            state=state,
            topic_filter=self.topic_filter,
            attempt=attempt,
            delay_s=delay_s,
            reason=reason,
        )
        report_change(change, self._on_change)


class _StreamLostError(Exception):
    """The stream is gone and may be opened again; never leaves this module."""


def _error_from_loss(failure: grpc.aio.AioRpcError, address: str) -> WaveMQError:
    """Return an `UnavailableError` for what a router that goes away causes, else the mapped one."""
    error = error_from_rpc(failure, address)
    if failure.code() in _LOST and not isinstance(error, UnavailableError):
        return UnavailableError(f"the router at {address} went away: {failure.details()}")
    return error


async def _read_response(stream: Stream, address: str) -> mqpb.SubscriptionMessage:
    """Read once; a stream that ended or broke is a loss, anything else an error of ours."""
    try:
        response = await stream.read()
    except grpc.aio.AioRpcError as failure:
        error = _error_from_loss(failure, address)
        if isinstance(error, UnavailableError):
            raise _StreamLostError(error.reason) from failure
        raise error from failure
    if isinstance(response, mqpb.SubscriptionMessage):
        return response
    raise _StreamLostError(f"the router at {address} ended the stream")
