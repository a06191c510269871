"""Serving `PeerPublishStream`: many messages of a site router under way, in order.

Owns the two directions of such a call: frames in, answers out in batches, and how much may be
without an answer. Refuses to check messages. Fault model: a peer may send anything; a frame that is
malformed, or that shows a defect of ours, is refused by itself. One that sends faster than its
messages are taken, or that does not read its answers, is not read; nor is anybody but for single
frames while all together have too much without an answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Final

import structlog

from wavemq.errors import InternalError, ProofNotCachedError, WaveMQError
from wavemq.limits import MIB
from wavemq.messages.message import Message
from wavemq.net.proof_memory import ProofMemory
from wavemq.net.transport import Answer, PeerFrames
from wavemq.wire import mqpb_pb2 as mqpb
from wavemq.wire.convert import error_to_wire, message_from_wire, proof_reference_from_wire

UNANSWERED_MAX: Final = 2048
"""Frames of one stream whose answers are not written."""
UNANSWERED_BYTES_MAX: Final = 8 * MIB
"""Of one stream; a single frame may exceed it."""
ALL_UNANSWERED_BYTES_MAX: Final = 128 * MIB
"""Of all streams; each may have one frame more."""

_log = structlog.get_logger("wavemq.net.door")


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


class FrameReceiving:
    """One call.

    Args:
        frames: of the router, for this call.
        proofs: admitted proofs of all links.
        write: sends answers, and waits while the peer does not read.
        all_unanswered: of the door.
    """

    def __init__(
        self,
        frames: PeerFrames,
        proofs: ProofMemory,
        write: Callable[[mqpb.PeerPublishAnswers], Awaitable[None]],
        all_unanswered: Unanswered,
    ) -> None:
        self._frames = frames
        self._proofs = proofs
        self._write = write
        self._answers = mqpb.PeerPublishAnswers()
        self._is_any_answer = asyncio.Event()
        self._all = all_unanswered
        self._has_room = asyncio.Event()
        self._unanswered = 0
        self._unanswered_bytes = 0

    async def serve(self, requests: AsyncIterator[mqpb.PeerPublishFrames]) -> None:
        """Take frames, and answer them, until the peer has sent all it had to send, or is gone.

        What was taken stays taken; a peer that repeats its frames gets the answers that were not
        written any more.
        """
        answering = asyncio.ensure_future(self._answer())
        try:
            async for request in requests:
                for frame in request.frames:
                    await self._wait_room()
                    self._take(frame)
            while self._unanswered:
                await self._wait_written()
        finally:
            answering.cancel()
            await asyncio.wait({answering})
            if not answering.cancelled():
                answering.exception()  # the stream broke, which ends the call by itself

    async def _wait_room(self) -> None:
        while self._unanswered >= UNANSWERED_MAX or self._unanswered_bytes >= UNANSWERED_BYTES_MAX:
            await self._wait_written()
        while self._unanswered_bytes and self._all.size_bytes >= ALL_UNANSWERED_BYTES_MAX:
            await self._all.wait_less()

    async def _wait_written(self) -> None:
        self._has_room.clear()
        await self._has_room.wait()

    def _take(self, frame: mqpb.PeerPublishFrame) -> None:
        size_bytes = frame.ByteSize()
        self._unanswered += 1
        self._unanswered_bytes += size_bytes
        self._all.add(size_bytes)
        settle = partial(self._settle, frame.sequence, size_bytes)
        try:
            self._hand_on(frame, settle)
        except WaveMQError as error:
            settle(error)
        except Exception:  # noqa: BLE001 - the door's last resort; logged whole, told in one sentence
            _log.exception("door_failed", method="PeerPublishStream")
            settle(InternalError("the router failed; its log says why"))

    def _hand_on(self, frame: mqpb.PeerPublishFrame, settle: Answer) -> None:
        message = message_from_wire(frame.message)
        reference = proof_reference_from_wire(frame.message)
        if not reference:
            self._frames.put(message, frame.resumes, partial(self._settle_proof, message, settle))
            return
        try:
            proof = self._proofs.restore(message.namespace, message.source, reference)
        except ProofNotCachedError as error:
            self._frames.hold_back(message, error, settle)
        else:
            self._frames.put(replace(message, proof=proof), frame.resumes, settle)

    def _settle_proof(self, message: Message, settle: Answer, error: WaveMQError | None) -> None:
        """Take the answer to a message that came with its proof."""
        if error is None:  # admitted, so the proof is the source's own: a reference is enough now
            self._proofs.remember(message.namespace, message.source, message.proof)
        settle(error)

    def _settle(self, sequence: int, size_bytes: int, error: WaveMQError | None) -> None:
        self._unanswered_bytes -= size_bytes
        self._has_room.set()
        self._all.remove(size_bytes)
        if error is None:
            self._answers.accepted.append(sequence)
        else:
            self._answers.refused.add(sequence=sequence, error=error_to_wire(error))
        self._is_any_answer.set()

    async def _answer(self) -> None:
        while True:
            await self._is_any_answer.wait()
            self._is_any_answer.clear()
            answers, self._answers = self._answers, mqpb.PeerPublishAnswers()
            await self._write(answers)
            self._unanswered -= len(answers.accepted) + len(answers.refused)
            self._has_room.set()
