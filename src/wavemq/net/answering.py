"""Answers to the numbered frames of a stream, in batches.

Owns how much of one stream, and of all, may be without an answer, and the writing of answers
together. Refuses to know what frames are. Fault model: a peer may send faster than its frames are
taken, or not read its answers: it is then not read; nor is anybody, but for single frames, while
all together have too much without an answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

from wavemq.errors import WaveMQError
from wavemq.limits import MIB
from wavemq.net.transport import Answer
from wavemq.wire import mqpb_pb2 as mqpb
from wavemq.wire.convert import error_to_wire

UNANSWERED_MAX: Final = 2048
"""Frames of one stream whose answers are not written."""
UNANSWERED_BYTES_MAX: Final = 8 * MIB
"""Of one stream; a single frame may exceed it."""
ALL_UNANSWERED_BYTES_MAX: Final = 128 * MIB
"""Of all streams; each may have one frame more."""


class Unanswered:
    """What all streams of a door have without an answer."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self._is_less = asyncio.Event()

    def add(self, size_bytes: int) -> None:
        """Take note of a frame."""
        self.size_bytes += size_bytes

    def remove(self, size_bytes: int) -> None:
        """Take note of an answer, and wake who waits for room."""
        self.size_bytes -= size_bytes
        self._is_less.set()

    async def wait_less(self) -> None:
        """Wait for the next answer to anybody."""
        self._is_less.clear()
        await self._is_less.wait()


class Answering:
    """Of one stream.

    Args:
        write: sends answers, and waits while the peer does not read.
        all_unanswered: of the door.
    """

    def __init__(
        self, write: Callable[[mqpb.PublishAnswers], Awaitable[None]], all_unanswered: Unanswered
    ) -> None:
        self._write = write
        self._all = all_unanswered
        self._accepted: list[int] = []
        self._refused: list[mqpb.PublishRefusal] = []
        self._is_any_answer = asyncio.Event()
        self._has_room = asyncio.Event()
        self._unanswered = 0
        self._unanswered_bytes = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Write answers during the block; those that come later are not written any more."""
        answering = asyncio.ensure_future(self._answer())
        answering.add_done_callback(_look_at)
        try:
            yield
        finally:
            answering.cancel()

    @property
    def has_room(self) -> bool:
        """Whether a further frame may be taken now."""
        return (
            self._unanswered < UNANSWERED_MAX
            and self._unanswered_bytes < UNANSWERED_BYTES_MAX
            and (not self._unanswered_bytes or self._all.size_bytes < ALL_UNANSWERED_BYTES_MAX)
        )

    async def wait_room(self) -> None:
        """Wait until a further frame may be taken."""
        while self._unanswered >= UNANSWERED_MAX or self._unanswered_bytes >= UNANSWERED_BYTES_MAX:
            await self._wait_written()
        while self._unanswered_bytes and self._all.size_bytes >= ALL_UNANSWERED_BYTES_MAX:
            await self._all.wait_less()

    async def wait_answered(self) -> None:
        """Wait until all answers are written."""
        while self._unanswered:
            await self._wait_written()

    def take(self, sequence: int, size_bytes: int) -> Answer:
        """Take note of a frame; return what is to be told its answer, once."""
        self._unanswered += 1
        self._unanswered_bytes += size_bytes
        self._all.add(size_bytes)
        return partial(self._settle, sequence, size_bytes)

    def _settle(self, sequence: int, size_bytes: int, error: WaveMQError | None) -> None:
        self._unanswered_bytes -= size_bytes
        self._has_room.set()
        self._all.remove(size_bytes)
        if error is None:
            self._accepted.append(sequence)
        else:
            refusal = mqpb.PublishRefusal(sequence=sequence, error=error_to_wire(error))
            self._refused.append(refusal)
        self._is_any_answer.set()

    async def _wait_written(self) -> None:
        self._has_room.clear()
        await self._has_room.wait()

    async def _answer(self) -> None:
        while True:
            await self._is_any_answer.wait()
            self._is_any_answer.clear()
            accepted, self._accepted = self._accepted, []
            refused, self._refused = self._refused, []
            await self._write(mqpb.PublishAnswers(accepted=accepted, refused=refused))
            self._unanswered -= len(accepted) + len(refused)
            self._has_room.set()


def _look_at(answering: asyncio.Task[None]) -> None:
    """Take note that writing has ended: a stream that broke ends its call by itself."""
    if not answering.cancelled():
        answering.exception()
