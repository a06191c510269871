"""One reader of a queue, between the core that delivers and the stream that takes.

Owns what was delivered and not taken yet, bounded by the reader's credit. Refuses to know what
becomes of the messages. Fault model: the stream may end at any moment; what it has not confirmed
goes back to the queue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from wavemq.errors import WaveMQError
from wavemq.routing.effects import Delivery
from wavemq.routing.records import Place


class ReaderPort(Protocol):
    """What a reader tells the driver; after `detached` nothing has an effect."""

    def confirmed(self, place: Place) -> None:
        """Take note that everything up to and with a place was written to the stream."""
        ...

    def acknowledged(self, places: Sequence[Place]) -> None:
        """Take note that some messages are done with."""
        ...

    def returned(self, places: Sequence[Place], delay_s: float) -> None:
        """Take note that some messages are to be delivered again."""
        ...

    def credit_changed(self, credit: int) -> None:
        """Take note of how many messages may be in flight."""
        ...

    def detached(self) -> None:
        """Take note that the reader leaves."""
        ...


class QueueReader:
    """Hands deliveries on in batches; made by the driver.

    Args:
        port: told what becomes of them.
    """

    def __init__(self, port: ReaderPort) -> None:
        self._port = port
        self._delivered: list[Delivery] = []
        self._unconfirmed: Place | None = None
        self._error: WaveMQError | None = None
        # Asking for the running loop, as events do each time, is a system call.
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None

    def put(self, deliveries: Sequence[Delivery]) -> None:
        """Take deliveries from the core."""
        self._delivered.extend(deliveries)
        self._wake()

    def end(self, error: WaveMQError) -> None:
        """Take note that nothing more will come."""
        self._error = error
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def note_written(self, place: Place) -> None:
        """Take note that everything up to and with `place` was written to the stream."""
        if self._unconfirmed is None:
            self._loop.call_soon(self._confirm_written)
        self._unconfirmed = place

    def acknowledge(self, places: Sequence[Place]) -> None:
        """Take note that some messages are done with."""
        self._port.acknowledged(places)

    def give_back(self, places: Sequence[Place], delay_s: float) -> None:
        """Have some messages delivered again after a while."""
        self._port.returned(places, delay_s)

    def set_credit(self, credit: int) -> None:
        """Let so many messages be in flight from now on."""
        self._port.credit_changed(credit)

    async def take(self) -> Sequence[Delivery]:
        """Confirm what was written, and return the next deliveries, never none.

        Raises:
            WaveMQError: the queue has ended, or another reader took over.
        """
        self._confirm_written()
        while not self._delivered:
            if self._error is not None:
                raise self._error
            self._waiter = self._loop.create_future()
            await self._waiter
        batch, self._delivered = self._delivered, []
        return batch

    def close(self) -> None:
        """Leave; what was not written goes back to the queue."""
        self._confirm_written()
        self._port.detached()

    def _confirm_written(self) -> None:
        if self._unconfirmed is not None:
            self._port.confirmed(self._unconfirmed)
            self._unconfirmed = None
