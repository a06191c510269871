"""One reader of a queue that says of each message when it is done with it.

Owns the way between acknowledgements and the core, for programs and for site routers alike.
Refuses to know gRPC, and what becomes of the messages. Fault model: the reader may leave at any
moment; what it did not acknowledge goes back to the queue. What it acknowledges and never got is
ignored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from wavemq.messages.message import Message
from wavemq.net.transport import Consumption
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

    async def take(self) -> Sequence[Delivery]:
        """Return the next readable messages; the others are done with."""
        while True:
            batch = await self._reader.take()
            if self._open_message is None:
                return batch
            messages = [one.message for one in batch]
            opened = await opened_messages(messages, self._open_message)
            if opened is messages:
                return batch
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


async def opened_messages(
    messages: Sequence[Message], open_message: OpenMessage
) -> Sequence[Message | None]:
    """Return messages as their reader may read them, None for those that he may not.

    Those that are not encrypted, mostly all, cost nothing; the others are opened side by side.
    Where there are no others, the result is the argument itself.
    """
    if not any(one.is_encrypted for one in messages):
        return messages
    return await asyncio.gather(*map(open_message, messages))
