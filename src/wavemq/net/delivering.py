"""Messages on their way into a stream.

Owns the short way, on which what the core delivers is in the stream before its turn ends, and the
long one for a stream that has no room. Refuses to know what is sent. Fault model: the reader may
not read, which holds back nothing but itself, and may vanish at any moment.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from wavemq.messages.message import Message
from wavemq.net.transport import Deliveries


class Outlet(Protocol):
    """The stream of one reader."""

    @property
    def has_room(self) -> bool:
        """Whether `write_now` may be called; the reader is there."""
        ...

    def write_now(
        self, responses: Sequence[bytes], note_written: Callable[[int], None] | None = None
    ) -> None:
        """Send responses, and tell how many have left for the network."""
        ...

    async def write_ahead(self, response: bytes) -> None:
        """Send a response when there is room.

        Raises:
            asyncio.CancelledError: the reader has gone.
        """
        ...


class ToldOutlet(Outlet, Protocol):
    """A stream that tells of everything that it has left."""

    async def write_all(
        self, responses: Sequence[bytes], note_written: Callable[[int], None]
    ) -> None:
        """Send responses when there is room, and tell how many have left for the network.

        Raises:
            asyncio.CancelledError: the reader has gone.
        """
        ...


async def serve_deliveries(
    deliveries: Deliveries,
    outlet: ToldOutlet,
    to_responses: Callable[[Sequence[Message]], list[bytes]],
) -> None:
    """Deliver until the queue ends, which is an error.

    Args:
        deliveries: what to deliver; told what has left.
        outlet: takes responses.
        to_responses: encodes messages, in the order in which they are sent.

    Raises:
        UnsubscribedError: the queue has ended, or another reader took over.
        WaveMQError: the subscription failed.
    """

    def at_once(messages: Sequence[Message]) -> bool:
        has_room = outlet.has_room
        if has_room:
            outlet.write_now(to_responses(messages), deliveries.note_written)
        return has_room

    while True:
        messages = await deliveries.take(at_once)
        await outlet.write_all(to_responses(messages), deliveries.note_written)
