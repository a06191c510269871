"""A message as a program gets it.

Owns the shape that subscribers and queriers see. Refuses to check: the local router verified the
signature and the authority and opened the encryption before it handed the message over. Fault
model: none of its own; `wire.convert` refuses malformed messages before they get here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from wavemq.clock import Instant
from wavemq.messages.message import Message, PayloadObject
from wavemq.wave.hashes import Hash


class ReceivedHandle(Protocol):
    """What a message needs of the subscription that it came from."""

    async def settle(self) -> None:
        """Let the router know now that it is done with."""
        ...

    async def give_back(self, delay_s: float) -> None:
        """Ask the router for it again."""
        ...


@dataclass(frozen=True, slots=True)
class Received:
    """One delivered message. Its payload is not shown by `repr`, so that it does not reach logs.

    Args:
        topic: where it was published, under `namespace`.
        namespace: the entity whose key is the root of all authority over the topic.
        source: the entity that signed it; its authority to publish here was verified.
        objects: the payload, decrypted.
        origin_router: identifier of the router at which it was published.
        timestamps: nanoseconds since the epoch, one per routing step, the first at its origin.
        drops: one entry per hop: messages that this hop's queue had dropped for want of room.
        is_persisted: the designated router keeps it as the last value of its topic.
        encryption_partition: what the payload was encrypted for; empty when it was sent in clear.
        signature: by `source`.
        proof: the publisher's authority as an explicit proof (DER) where it was asked for,
            else None.
        index: grows along the queue, and names the message to its router; 0 without
            acknowledgements.
        attempt: 1 if it was not delivered before, as far as the router remembers.
        handle: acknowledges it; None without acknowledgements.
    """

    topic: str
    namespace: Hash
    source: Hash
    objects: tuple[PayloadObject, ...] = field(repr=False)
    origin_router: str
    timestamps: tuple[Instant, ...]
    drops: tuple[int, ...]
    is_persisted: bool
    encryption_partition: tuple[bytes, ...]
    signature: bytes = field(repr=False)
    proof: bytes | None = field(repr=False)
    index: int = 0
    attempt: int = 1
    handle: ReceivedHandle | None = field(default=None, repr=False, compare=False)

    @property
    def payload(self) -> bytes:
        """Content of the first payload object; empty when the message has none."""
        return self.objects[0].content if self.objects else b""

    @property
    def schema(self) -> str:
        """Schema of the first payload object; empty when the message has none."""
        return self.objects[0].schema if self.objects else ""

    @property
    def text(self) -> str:
        """The first payload object as UTF-8 text.

        Raises:
            UnicodeDecodeError: it is not text.
        """
        return self.payload.decode()

    @property
    def published_at(self) -> Instant | None:
        """When its origin router formed it, by that router's clock; None if no hop said."""
        return self.timestamps[0] if self.timestamps else None

    async def ack(self) -> None:
        """Tell the router now that the message is done with, so that it never comes again.

        Asking the subscription for the next message does the same, a little later. Without
        acknowledgements nothing happens.
        """
        if self.handle is not None:
            await self.handle.settle()

    async def nack(self, delay_s: float = 0.0) -> None:
        """Ask for the message again, `delay_s` seconds from now, 0 to a day.

        Without acknowledgements nothing happens.

        Raises:
            InvalidParameterError: the delay is out of range.
        """
        if self.handle is not None:
            await self.handle.give_back(delay_s)

    @classmethod
    def from_message(
        cls,
        message: Message,
        *,
        index: int = 0,
        attempt: int = 1,
        handle: ReceivedHandle | None = None,
    ) -> Received:
        """Return the program's view of `message`."""
        return cls(
            topic=message.topic.text,
            namespace=message.namespace,
            source=message.source,
            objects=tuple(message.payload),
            origin_router=message.origin_router,
            timestamps=tuple(message.timestamps),
            drops=tuple(message.drops),
            is_persisted=message.is_persisted,
            encryption_partition=tuple(message.encryption_partition),
            signature=message.signature,
            proof=message.proof or None,
            index=index,
            attempt=attempt,
            handle=handle,
        )
