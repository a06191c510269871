"""One reader of a queue, between the core that delivers and the stream that takes.

Owns what was delivered and not taken yet, bounded by the reader's credit. Refuses to know what
becomes of the messages. Fault model: the stream may end at any moment; what it has not confirmed
goes back to the queue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

import structlog

from wavemq.errors import WaveMQError
from wavemq.net.transport import AtOnce
from wavemq.routing.effects import Delivery
from wavemq.routing.records import Place

_log = structlog.get_logger("wavemq.router.reader")


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
        self._at_once: AtOnce[Delivery] | None = None
        self._error: WaveMQError | None = None
        # Asking for the running loop, as events do each time, is a system call.
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None

    def put(self, deliveries: Sequence[Delivery]) -> None:
        """Take deliveries from the core."""
        self._delivered.extend(deliveries)
        if self._at_once is None or not self._offer(self._at_once):
            self._wake()

    def _offer(self, at_once: AtOnce[Delivery]) -> bool:
        """Return whether all that is here was taken; whoever waits need not be woken then."""
        try:
            is_taken = at_once(self._delivered)
        except Exception:  # noqa: BLE001 - nothing of a reader's may end the core's turn
            _log.exception("delivery_failed")
            return False
        if is_taken:
            self._delivered = []
        return is_taken

    def end(self, error: WaveMQError) -> None:
        """Take note that nothing more will come."""
        self._error = error
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._at_once = None  # what comes now comes behind what is here
            self._waiter.set_result(None)

    def note_written(self, place: Place) -> None:
        """Take note that everything up to and with `place` was written to the stream."""
        self._port.confirmed(place)

    def acknowledge(self, places: Sequence[Place]) -> None:
        """Take note that some messages are done with."""
        self._port.acknowledged(places)

    def give_back(self, places: Sequence[Place], delay_s: float) -> None:
        """Have some messages delivered again after a while."""
        self._port.returned(places, delay_s)

    def set_credit(self, credit: int) -> None:
        """Let so many messages be in flight from now on."""
        self._port.credit_changed(credit)

    async def take(self, at_once: AtOnce[Delivery] | None = None) -> Sequence[Delivery]:
        """Return the next deliveries, never none, that `at_once` did not take.

        Raises:
            WaveMQError: the queue has ended, or another reader took over.
        """
        while not self._delivered:
            if self._error is not None:
                raise self._error
            self._waiter, self._at_once = self._loop.create_future(), at_once
            try:
                await self._waiter
            finally:
                self._at_once = None
        batch, self._delivered = self._delivered, []
        return batch

    def close(self) -> None:
        """Leave; what was not written goes back to the queue."""
        self._port.detached()
