"""One reader of a queue that says of each message when it is done with it.

Owns the way between acknowledgements and the core, for programs and for site routers alike.
Refuses to know gRPC, and what becomes of the messages. Fault model: the reader may leave at any
moment; what it did not acknowledge goes back to the queue. What it acknowledges and never got is
ignored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from wavemq.messages.message import Message
from wavemq.net.transport import AtOnce, Consumption
from wavemq.router.reader import QueueReader
from wavemq.routing.effects import Delivery
from wavemq.routing.records import Place

OpenMessage = Callable[[Message], Awaitable[Message | None]]
"""Makes a message readable for its reader, or says None where it is not for him."""


class QueueConsumption(Consumption):
    """Deliveries of a queue, for a reader that acknowledges.

    Args:
        reader: of the queue.
        journal: names the numbering of indexes.
        open_message: None: messages are handed on as they are.
    """

    def __init__(
        self, reader: QueueReader, journal: str, open_message: OpenMessage | None = None
    ) -> None:
        self.journal = journal
        self._reader = reader
        self._open_message = open_message

    async def take(self, at_once: AtOnce[Delivery] | None = None) -> Sequence[Delivery]:
        """Return the next readable messages; the others are done with."""
        offer = None if at_once is None else partial(self._offer, at_once)
        while True:
            batch = await self._reader.take(offer)
            if self._open_message is None or not any_encrypted(batch):
                return batch
            opened = await opened_messages(batch, self._open_message)
            unreadable = [
                one.place for one, message in zip(batch, opened, strict=True) if message is None
            ]
            if unreadable:
                self._reader.acknowledge(unreadable)
            delivered = [
                Delivery(one.place, message, one.attempt)
                for one, message in zip(batch, opened, strict=True)
                if message is not None
            ]
            if delivered:
                return delivered

    def _offer(self, at_once: AtOnce[Delivery], batch: Sequence[Delivery]) -> bool:
        has_to_be_opened = self._open_message is not None and any_encrypted(batch)
        return not has_to_be_opened and at_once(batch)

    def acknowledge(self, places: Sequence[Place]) -> None:
        """Take note that messages are done with."""
        self._reader.acknowledge(places)

    def give_back(self, places: Sequence[Place], delay_s: float) -> None:
        """Have messages delivered again after a while."""
        self._reader.give_back(places, delay_s)

    def set_credit(self, credit: int) -> None:
        """Let so many messages be in flight from now on."""
        self._reader.set_credit(credit)

    async def aclose(self) -> None:
        """Leave the queue to a later reader."""
        self._reader.close()


def any_encrypted(batch: Sequence[Delivery]) -> bool:
    """Return whether there is something to be opened; mostly there is not."""
    return any(one.message.is_encrypted for one in batch)


async def opened_messages(
    batch: Sequence[Delivery], open_message: OpenMessage
) -> Sequence[Message | None]:
    """Return messages as their reader may read them, None for those that he may not."""
    return await asyncio.gather(*[open_message(one.message) for one in batch])
