"""Serving `PeerPublishStream`: many messages of a site router under way, in order.

Owns the two directions of such a call: frames in, answers out in batches, and how much may be
without an answer. Refuses to check messages. Fault model: a peer may send anything; a frame that is
malformed is refused by itself. One that sends faster than its messages are taken is not read.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Final

from wavemq.errors import ProofNotCachedError, WaveMQError
from wavemq.limits import MIB
from wavemq.messages.message import Message
from wavemq.net.proof_memory import ProofMemory
from wavemq.net.transport import PeerFrames
from wavemq.wire import mqpb_pb2 as mqpb
from wavemq.wire.convert import error_to_wire, message_from_wire, proof_reference_from_wire

UNANSWERED_MAX: Final = 2048
UNANSWERED_BYTES_MAX: Final = 8 * MIB
"""Of one stream; a single frame may exceed it."""


class FrameReceiving:
    """One call.

    Args:
        frames: of the router, for this call.
        proofs: admitted proofs of all links.
        write: sends answers, and waits while the peer does not read.
    """

    def __init__(
        self,
        frames: PeerFrames,
        proofs: ProofMemory,
        write: Callable[[mqpb.PeerPublishAnswers], Awaitable[None]],
    ) -> None:
        self._frames = frames
        self._proofs = proofs
        self._write = write
        self._answers = mqpb.PeerPublishAnswers()
        self._is_any_answer = asyncio.Event()
        self._has_room = asyncio.Event()
        self._unanswered = 0
        self._unanswered_bytes = 0

    async def serve(self, requests: AsyncIterator[mqpb.PeerPublishFrames]) -> None:
        """Take frames until the peer has sent all it had to send, or is gone.

        What was taken stays taken; answers that are not written any more are sent again to a peer
        that repeats its frames.

        Raises:
            QueueError: too much is held back.
        """
        answering = asyncio.ensure_future(self._answer())
        try:
            async for request in requests:
                for frame in request.frames:
                    await self._wait_room()
                    self._take(frame)
        finally:
            answering.cancel()
            await asyncio.wait({answering})
            if not answering.cancelled():
                answering.exception()  # the stream broke, which ends the call by itself

    async def _wait_room(self) -> None:
        while self._unanswered >= UNANSWERED_MAX or self._unanswered_bytes >= UNANSWERED_BYTES_MAX:
            self._has_room.clear()
            await self._has_room.wait()

    def _take(self, frame: mqpb.PeerPublishFrame) -> None:
        size_bytes = frame.ByteSize()
        self._unanswered += 1
        self._unanswered_bytes += size_bytes
        try:
            message = message_from_wire(frame.message)
        except WaveMQError as error:
            self._settle(frame.sequence, size_bytes, error)
            return
        settle = partial(self._settle, frame.sequence, size_bytes)
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

    def _settle_proof(
        self,
        message: Message,
        settle: Callable[[WaveMQError | None], None],
        error: WaveMQError | None,
    ) -> None:
        """Take the answer to a message that came with its proof."""
        if error is None:  # admitted, so the proof is the source's own: a reference is enough now
            self._proofs.remember(message.namespace, message.source, message.proof)
        settle(error)

    def _settle(self, sequence: int, size_bytes: int, error: WaveMQError | None) -> None:
        self._unanswered -= 1
        self._unanswered_bytes -= size_bytes
        self._has_room.set()
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
