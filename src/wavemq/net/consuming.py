"""Serving a reader that acknowledges: a program (`Consume`) or a site router (`PeerConsume`).

Owns the two directions of such a call: deliveries in batches, and what the reader says of them.
Refuses to know gRPC and how a subscription is asked for. Fault model: the reader may say anything
at any time, which is an error that ends the call, or name deliveries that it never got, which is
ignored; it may not read, which holds back nothing but itself; it may vanish, and what it did not
acknowledge is then delivered to the next one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Final

from wavemq.limits import MIB
from wavemq.messages.message import Message
from wavemq.net.delivering import Outlet
from wavemq.net.transport import Consumption
from wavemq.routing.effects import Delivery
from wavemq.wire.calls import ConsumeCommand
from wavemq.wire.encoding import Parts, encoded_deliveries

JOURNAL_KEY: Final = "wavemq-journal"
"""Response metadata: names the numbering of indexes."""
EXTENSIONS_KEY: Final = "wavemq-extensions"
"""Metadata of both directions between routers: what of our own they know."""
EXTENSIONS: Final = "consume"
RESPONSE_MESSAGES_MAX: Final = 64
RESPONSE_BYTES_MAX: Final = MIB
"""Of messages in one response, proofs left out; a single message may exceed it."""


async def serve_consumption(
    consumption: Consumption,
    commands: AsyncIterator[ConsumeCommand],
    outlet: Outlet,
    to_parts: Callable[[Message], Parts],
) -> None:
    """Deliver until the reader has said all it had to say; closes the consumption.

    Args:
        consumption: what to deliver.
        commands: of the reader; they end when it has done with all.
        outlet: takes responses.
        to_parts: how messages are sent.

    Raises:
        UnsubscribedError: the queue has ended, or another reader took over.
        WaveMQError: the subscription failed, or a command is not allowed.
    """
    obeying = asyncio.ensure_future(_obey(consumption, commands))
    delivering = asyncio.ensure_future(_deliver(consumption, outlet, to_parts))
    try:
        await asyncio.wait({obeying, delivering}, return_when=asyncio.FIRST_COMPLETED)
        if delivering.done():
            delivering.result()
        obeying.result()
    finally:
        await _cancel(obeying, delivering)
        await consumption.aclose()


async def _deliver(
    consumption: Consumption,
    outlet: Outlet,
    to_parts: Callable[[Message], Parts],
) -> None:
    """Deliver until the queue ends, which is an error, or somebody has heard enough."""

    def at_once(batch: Sequence[Delivery]) -> bool:
        has_room = outlet.has_room
        if has_room:
            outlet.write_now(list(_responses(batch, to_parts)))
        return has_room

    while True:
        for response in _responses(await consumption.take(at_once), to_parts):
            await outlet.write_ahead(response)


async def _obey(consumption: Consumption, commands: AsyncIterator[ConsumeCommand]) -> None:
    async for command in commands:
        if command.credit is not None:
            consumption.set_credit(command.credit)
        if command.acknowledged:
            consumption.acknowledge(command.acknowledged)
        if command.returned:
            consumption.give_back(command.returned, command.return_delay_s)


def _responses(
    delivered: Sequence[Delivery], to_parts: Callable[[Message], Parts]
) -> Iterator[bytes]:
    gathered: list[tuple[int, int, Parts]] = []
    size_bytes = 0
    for one in delivered:
        parts = to_parts(one.message)
        message_bytes = len(parts[0])
        is_full = len(gathered) >= RESPONSE_MESSAGES_MAX
        if is_full or (size_bytes and size_bytes + message_bytes > RESPONSE_BYTES_MAX):
            yield encoded_deliveries(gathered)
            gathered, size_bytes = [], 0
        size_bytes += message_bytes
        gathered.append((one.place, one.attempt, parts))
    yield encoded_deliveries(gathered)


async def _cancel(*works: asyncio.Future[None]) -> None:
    """End works that may be under way; their ends have been looked at, or do not matter."""
    for work in works:  # all at once: none of them may take what comes meanwhile
        work.cancel()
    for work in works:
        await asyncio.wait({work})
        if not work.cancelled():
            work.exception()
