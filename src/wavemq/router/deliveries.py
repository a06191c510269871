"""One reader of a queue to whom a message is delivered when it was written to his stream.

Owns which places are done with when a message was written. Refuses to know gRPC, and what becomes
of the messages. Fault model: the reader may leave at any moment; what was not written by then goes
back to the queue.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import partial

from wavemq.messages.message import Message
from wavemq.net.transport import AtOnce, Deliveries
from wavemq.router.consumption import OpenMessage, any_encrypted, opened_messages
from wavemq.router.reader import QueueReader
from wavemq.routing.effects import Delivery
from wavemq.routing.records import Place


class QueueDeliveries(Deliveries):
    """Deliveries of a queue as its owner may read them.

    Args:
        reader: of the queue.
        open_message: makes a message readable, or says None; None: they are handed on as they are.
    """

    def __init__(self, reader: QueueReader, open_message: OpenMessage | None = None) -> None:
        self._reader = reader
        self._open_message = open_message
        self._unwritten: deque[Place] = deque()

    async def take(self, at_once: AtOnce[Message] | None = None) -> Sequence[Message]:
        """Return the next readable messages; the others count as written."""
        offer = None if at_once is None else partial(self._offer, at_once)
        while True:
            batch = await self._reader.take(offer)
            if self._open_message is None or not any_encrypted(batch):
                self._unwritten.extend([one.place for one in batch])
                return [one.message for one in batch]
            opened = await opened_messages(batch, self._open_message)
            readable = [
                (one.place, message)
                for one, message in zip(batch, opened, strict=True)
                if message is not None
            ]
            if readable:
                self._unwritten.extend([place for place, _ in readable])
                self._unwritten[-1] = batch[-1].place
                return [message for _, message in readable]
            # Unreadable ones at the end go with what is written before them.
            if self._unwritten:
                self._unwritten[-1] = batch[-1].place
            else:
                self._reader.note_written(batch[-1].place)

    def _offer(self, at_once: AtOnce[Message], batch: Sequence[Delivery]) -> bool:
        if self._open_message is not None and any_encrypted(batch):
            return False
        is_taken = at_once([one.message for one in batch])
        if is_taken:
            self._unwritten.extend([one.place for one in batch])
        return is_taken

    def note_written(self, count: int) -> None:
        """Take note of the next ones, with the unreadable ones around them."""
        for _ in range(count - 1):
            self._unwritten.popleft()
        self._reader.note_written(self._unwritten.popleft())

    async def aclose(self) -> None:
        """Leave the queue to a later reader."""
        self._reader.close()
