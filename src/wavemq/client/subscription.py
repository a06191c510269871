"""An open subscription: an async iterator that survives restarts of the router.

Owns one stream at a time, the decision to open it again, and which deliveries are in the program's
hands or done with. Refuses to buffer more than the stream's credit, so a slow reader holds the
messages in the router's durable queue. Fault model: the stream may break at any point; it is opened
again under the same identifier, so that the router resumes the same queue. What was not
acknowledged comes again; what this process has in its hands, or is done with, is not handed out
twice. With plain streams, what the router had sent and this process had not yet read is lost.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

from wavemq.client.connection import Metadata, RouterConnection
from wavemq.client.received import Received
from wavemq.client.reconnect import (
    ChangeCallback,
    ConnectionChange,
    LinkState,
    ReconnectPolicy,
    report_change,
)
from wavemq.client.streams import Delivery, DeliveryStream, StreamLostError, open_stream
from wavemq.errors import DeadlineError, InvalidParameterError, UnavailableError
from wavemq.wire import mqpb_pb2 as mqpb
from wavemq.wire.convert import message_from_wire

ACKNOWLEDGED_REMEMBERED: Final = 4096
"""Deliveries that are known to be done with when they come again after a loss."""

RETURN_DELAY_SECONDS_MAX: Final = 86_400.0

Key = tuple[str, int]
"""Journal and index of a delivery."""


class Subscription:
    """Messages that match a filter, in the order in which the router queued them.

    Use it as `async with bus.subscribe(...) as readings: async for reading in readings: ...`.
    Entering returns once the subscription is effective: what is published afterwards arrives. A
    timeout around one step of the iteration loses nothing. Leaving closes the stream; the router
    keeps the queue for `keep_s` more seconds, for whoever subscribes under the same name.

    Each message is acknowledged when its reader asks for the next one, or by `await message.ack()`
    before that. A message that was not acknowledged, since the program crashed or left by an
    exception, comes again.

    Args:
        connection: to the local router.
        request: what to ask for, identifier included.
        metadata: sent with each attempt.
        is_acknowledging: whether messages leave the queue when they are acknowledged; else when
            the router has sent them.
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
        is_acknowledging: bool,
        policy: ReconnectPolicy,
        on_change: ChangeCallback | None,
        timeout_s: float,
    ) -> None:
        self._connection = connection
        self._request = request
        self._metadata = metadata
        self._is_acknowledging = is_acknowledging
        self._policy = policy
        self._on_change = on_change
        self._timeout_s = timeout_s
        self._closed = asyncio.Event()
        self._closed.set()
        self._turn = asyncio.Lock()
        self._stream: DeliveryStream | None = None
        self._reading: asyncio.Future[Sequence[Delivery]] | None = None
        self._waiting: deque[Delivery] = deque()
        # What each task has in its hands, to be acknowledged when it asks for more.
        self._in_hand: dict[asyncio.Task[object] | None, Handle] = {}
        self._open_keys: set[Key] = set()
        self._done_keys: OrderedDict[Key, None] = OrderedDict()
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
        """Close the stream; the router's queue outlives it by `keep_s`.

        A program that leaves in peace is done with what it was given; one that leaves by an
        exception is not.
        """
        if kind is None:
            for handle in list(self._in_hand.values()):
                handle.acknowledge()
        await self.close()

    async def close(self) -> None:
        """End the iteration: a reader that waits gets `StopAsyncIteration`."""
        self._closed.set()
        await self._drop_stream(is_in_order=True)

    def __aiter__(self) -> Self:
        """Return itself: there is one stream, so parallel iterations share the messages."""
        return self

    async def __anext__(self) -> Received:
        """Return the next message, waiting for it and for the router as long as the policy says.

        The message that the same task was given before counts as done with.

        Raises:
            UnsubscribedError: the router ended the queue, for instance since the proof expired.
            UnavailableError: the router stayed away for longer than the policy allows.
        """
        task = asyncio.current_task()
        self._let_go(task)
        async with self._turn:
            while not self._closed.is_set():
                delivery = self._next_waiting()
                if delivery is not None:
                    return self._hand_out(delivery, task)
                try:
                    batch = await self._read()
                except StreamLostError as loss:
                    await self._resume(str(loss))
                    continue
                self._waiting.extend(batch or ())
        raise StopAsyncIteration

    def _let_go(self, task: asyncio.Task[object] | None) -> None:
        """Acknowledge what a task was given before, and what tasks were given that have ended.

        `asyncio.wait_for(anext(...))` asks in a new task each time. A task that failed has not
        dealt with its message, which comes again over the next stream.
        """
        ended = [one for one in self._in_hand if one is task or one is None or one.done()]
        for one in ended:
            handle = self._in_hand.pop(one)
            has_failed = (
                one is not None
                and one is not task
                and (one.cancelled() or one.exception() is not None)
            )
            if has_failed:
                self._open_keys.discard(handle.key)
            else:
                handle.acknowledge()

    # --- deliveries -------------------------------------------------------------------------

    def _next_waiting(self) -> Delivery | None:
        """Return the next delivery that is new to this program; None: none is here."""
        while self._waiting:
            delivery = self._waiting.popleft()
            key = (delivery.journal, delivery.index)
            if not delivery.index:
                return delivery
            if key in self._done_keys:
                self._acknowledge(key)  # the router has not heard it
            elif key not in self._open_keys:
                return delivery
        return None

    def _hand_out(self, delivery: Delivery, task: asyncio.Task[object] | None) -> Received:
        message = message_from_wire(delivery.message)
        self._received_count += 1
        if not delivery.index:
            return Received.from_message(message)
        handle = Handle(self, (delivery.journal, delivery.index))
        self._open_keys.add(handle.key)
        self._in_hand[task] = handle
        return Received.from_message(
            message, index=delivery.index, attempt=delivery.attempt, handle=handle
        )

    def _acknowledge(self, key: Key) -> None:
        self._open_keys.discard(key)
        self._done_keys[key] = None
        self._done_keys.move_to_end(key)
        if len(self._done_keys) > ACKNOWLEDGED_REMEMBERED:
            self._done_keys.popitem(last=False)
        if self._stream is not None:
            self._stream.acknowledge(key[1])

    async def settle(self, key: Key) -> None:
        """Acknowledge a delivery, and send that now; for `Received.ack`."""
        if key in self._open_keys:
            self._acknowledge(key)
        if self._stream is not None:
            await self._stream.flush()

    def note_done(self, key: Key) -> None:
        """Acknowledge a delivery soon."""
        if key in self._open_keys:
            self._acknowledge(key)

    async def give_back(self, key: Key, delay_s: float) -> None:
        """Ask for a delivery again; for `Received.nack`."""
        if key not in self._open_keys:
            return
        self._open_keys.discard(key)
        if self._stream is not None:
            await self._stream.give_back(key[1], delay_s)

    # --- streams ----------------------------------------------------------------------------

    async def _open(self) -> None:
        """Ask once; return when the subscription is effective."""
        try:
            async with asyncio.timeout(self._timeout_s):
                self._stream = await open_stream(
                    self._connection,
                    self._request,
                    self._metadata,
                    is_acknowledging=self._is_acknowledging,
                )
        except TimeoutError as error:
            raise DeadlineError(
                f"the router at {self._connection.address} did not confirm the subscription "
                f"{self.topic_filter!r} within {self._timeout_s:g} s"
            ) from error

    async def _read(self) -> Sequence[Delivery] | None:
        """Return the next deliveries, or None when the subscription was closed meanwhile.

        The read is a task of this object, not of the caller: cancelling a read ends a gRPC stream,
        and a caller's timeout must not do that.
        """
        if self._stream is None:
            raise StreamLostError("an earlier attempt to resume was interrupted")
        if self._reading is None:
            self._reading = asyncio.ensure_future(self._stream.read())
        reading = self._reading
        await asyncio.wait({reading})
        if self._closed.is_set():
            return None
        self._reading = None
        return reading.result()

    async def _drop_stream(self, *, is_in_order: bool = False) -> None:
        """End the stream and wait for the read under way to end."""
        stream, self._stream = self._stream, None
        reading, self._reading = self._reading, None
        # What was not handed out comes again over the next stream.
        self._waiting.clear()
        if reading is not None and not is_in_order:
            reading.cancel()
        if stream is not None:
            await stream.close()
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


class Handle:
    """A message in a program's hands.

    Args:
        subscription: that it came from.
        key: of its delivery.
    """

    __slots__ = ("_subscription", "key")

    def __init__(self, subscription: Subscription, key: Key) -> None:
        self._subscription = subscription
        self.key = key

    def acknowledge(self) -> None:
        """Let the router know soon that it is done with."""
        self._subscription.note_done(self.key)

    async def settle(self) -> None:
        """Let the router know now that it is done with."""
        await self._subscription.settle(self.key)

    async def give_back(self, delay_s: float) -> None:
        """Ask the router for it again.

        Raises:
            InvalidParameterError: the delay is negative or over a day.
        """
        if not 0 <= delay_s <= RETURN_DELAY_SECONDS_MAX:
            raise InvalidParameterError(
                f"a message returns after 0 to {RETURN_DELAY_SECONDS_MAX:g} s, not {delay_s:g}"
            )
        await self._subscription.give_back(self.key, delay_s)
