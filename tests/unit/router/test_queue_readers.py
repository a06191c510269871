"""What a queue delivers reaches its stream once, in order, by the short way or the long one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from tests.support.core_values import message
from wavemq.errors import UnsubscribedError
from wavemq.messages.message import Message
from wavemq.net.consuming import serve_consumption
from wavemq.net.delivering import serve_deliveries
from wavemq.router.consumption import OpenMessage, QueueConsumption
from wavemq.router.deliveries import QueueDeliveries
from wavemq.router.reader import QueueReader, ReaderPort
from wavemq.routing.effects import Delivery
from wavemq.routing.records import Place
from wavemq.wire.calls import ConsumeCommand
from wavemq.wire.encoding import parts_of


@dataclass(eq=False)
class Port(ReaderPort):
    """Keeps what a reader says."""

    confirmed_places: list[int] = field(default_factory=list)
    is_detached: bool = False

    def confirmed(self, place: Place) -> None:
        self.confirmed_places.append(place)

    def acknowledged(self, places: Sequence[Place]) -> None:
        self.confirmed_places += places

    def returned(self, places: Sequence[Place], delay_s: float) -> None:
        raise AssertionError

    def credit_changed(self, credit: int) -> None:
        raise AssertionError

    def detached(self) -> None:
        self.is_detached = True


@dataclass(eq=False)
class Stream:
    """A stream that has room for so many responses until `leave`."""

    room: int = 1_000_000
    sent: list[bytes] = field(default_factory=list)
    notes: list[Callable[[int], None] | None] = field(default_factory=list)
    short_count: int = 0
    _left: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def has_room(self) -> bool:
        return len(self.notes) < self.room

    def write_now(
        self, responses: Sequence[bytes], note_written: Callable[[int], None] | None = None
    ) -> None:
        self.short_count += 1
        self._put(responses, note_written)

    async def write_all(
        self, responses: Sequence[bytes], note_written: Callable[[int], None]
    ) -> None:
        await self._wait_room()
        self._put(responses, note_written)

    async def write_ahead(self, response: bytes) -> None:
        await self._wait_room()
        self._put([response], None)

    async def _wait_room(self) -> None:
        while not self.has_room:
            self._left.clear()
            await self._left.wait()

    def _put(self, responses: Sequence[bytes], note: Callable[[int], None] | None) -> None:
        self.sent += responses
        self.notes += [note] * len(responses)

    def leave(self, count: int) -> None:
        for _ in range(count):
            note = self.notes.pop(0)
            if note is not None:
                note(1)
        self._left.set()


def deliveries_of(*numbers: int, is_encrypted: bool = False) -> list[Delivery]:
    plain = message("a/b").value
    partition = (b"2026",) if is_encrypted else ()
    return [
        Delivery(Place(one), replace(plain, encryption_partition=partition, signature=b"%d" % one))
        for one in numbers
    ]


def numbered(messages: Sequence[Message]) -> list[bytes]:
    return [one.signature for one in messages]


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@asynccontextmanager
async def delivering(
    stream: Stream, port: Port, open_message: OpenMessage | None = None
) -> AsyncIterator[QueueReader]:
    """A reader whose queue ends with the block."""
    reader = QueueReader(port)
    deliveries = QueueDeliveries(reader, open_message)
    serving = asyncio.ensure_future(serve_deliveries(deliveries, stream, numbered))
    await settled()
    try:
        yield reader
    finally:
        reader.end(UnsubscribedError("the subscription has ended"))
        with pytest.raises(UnsubscribedError):
            await serving


async def test_what_is_delivered_is_in_the_stream_at_once() -> None:
    stream, port = Stream(), Port()
    async with delivering(stream, port) as reader:
        reader.put(deliveries_of(1, 2))
        reader.put(deliveries_of(3))
        assert stream.sent == [b"1", b"2", b"3"]
        stream.leave(3)
        assert port.confirmed_places == [1, 2, 3]


async def test_stream_without_room_gets_everything_later_in_order() -> None:
    stream, port = Stream(room=2), Port()
    async with delivering(stream, port) as reader:
        for number in range(1, 30):
            reader.put(deliveries_of(number))
            if number % 3 == 0:
                await settled()
        while stream.notes:
            assert len(stream.notes) <= 30
            stream.leave(1)
            await settled()
        assert stream.sent == [b"%d" % number for number in range(1, 30)]
        assert stream.short_count >= 2, "the short way is taken again"
        assert port.confirmed_places == list(range(1, 30))


async def test_places_of_several_batches_are_confirmed_when_each_has_left() -> None:
    stream, port = Stream(), Port()
    async with delivering(stream, port) as reader:
        reader.put(deliveries_of(1, 2, 3))
        reader.put(deliveries_of(4, 5))
        stream.leave(1)
        assert port.confirmed_places == [1]
        stream.leave(4)
        assert port.confirmed_places == [1, 2, 3, 4, 5]


async def test_encrypted_messages_take_the_long_way_and_nothing_passes_them() -> None:
    stream, port = Stream(), Port()
    opening = asyncio.Event()

    async def open_message(one: Message) -> Message | None:
        await opening.wait()
        return one if int(one.signature) % 2 else None

    async with delivering(stream, port, open_message) as reader:
        reader.put(deliveries_of(1))
        reader.put(deliveries_of(2, 3, 4, is_encrypted=True))
        reader.put(deliveries_of(5))
        await settled()
        assert stream.sent == [b"1"]
        opening.set()
        await settled()
        assert stream.sent == [b"1", b"3", b"5"]
        stream.leave(3)
        assert port.confirmed_places == [1, 3, 5], "each with all before it, read or not"


async def test_failing_stream_ends_no_more_than_itself() -> None:
    port = Port()
    reader = QueueReader(port)

    def numbered_or_not(messages: Sequence[Message]) -> list[bytes]:
        raise ZeroDivisionError

    deliveries = QueueDeliveries(reader)
    serving = asyncio.ensure_future(serve_deliveries(deliveries, Stream(), numbered_or_not))
    await settled()
    reader.put(deliveries_of(1))
    with pytest.raises(ZeroDivisionError):
        await serving


async def test_reader_that_acknowledges_is_served_at_once_too() -> None:
    stream, port = Stream(room=1), Port()
    reader = QueueReader(port)
    commands: asyncio.Queue[ConsumeCommand | None] = asyncio.Queue()

    async def commanded() -> AsyncIterator[ConsumeCommand]:
        while (command := await commands.get()) is not None:
            yield command

    serving = asyncio.ensure_future(
        serve_consumption(QueueConsumption(reader, "journal"), commanded(), stream, parts_of)
    )
    await settled()
    reader.put(deliveries_of(1, 2))
    assert len(stream.sent) == 1, "one response holds both"
    reader.put(deliveries_of(3))
    await settled()
    assert len(stream.sent) == 1
    stream.leave(1)
    await settled()
    assert len(stream.sent) == 2
    commands.put_nowait(ConsumeCommand(None, (Place(1), Place(2), Place(3)), (), 0.0))
    commands.put_nowait(None)
    await serving
    assert port.confirmed_places == [1, 2, 3]
    assert port.is_detached
