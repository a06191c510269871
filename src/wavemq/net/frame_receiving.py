"""Serving `PeerPublishStream`: many messages of a site router under way, in order.

Owns what comes in over such a call. Refuses to check messages. Fault model: a peer may send
anything; a frame that is malformed, or that shows a defect of ours, is refused by itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial

import structlog

from wavemq.errors import InternalError, ProofNotCachedError, WaveMQError
from wavemq.messages.message import Message
from wavemq.net.answering import Answering
from wavemq.net.proof_memory import ProofMemory
from wavemq.net.transport import Answer, PeerFrames
from wavemq.wire import mqpb_pb2 as mqpb
from wavemq.wire.convert import message_from_wire, proof_reference_from_wire

_log = structlog.get_logger("wavemq.net.door")


class FrameReceiving:
    """One call.

    Args:
        frames: of the router, for this call.
        proofs: admitted proofs of all links.
        answering: of this call.
    """

    def __init__(self, frames: PeerFrames, proofs: ProofMemory, answering: Answering) -> None:
        self._frames = frames
        self._proofs = proofs
        self._answering = answering

    async def serve(self, requests: AsyncIterator[mqpb.PeerPublishFrames]) -> None:
        """Take frames, and answer them, until the peer has sent all it had to send, or is gone.

        What was taken stays taken; a peer that repeats its frames gets the answers that were not
        written any more.
        """
        with self._answering.running():
            async for request in requests:
                for frame in request.frames:
                    await self._answering.wait_room()
                    self._take(frame)
            await self._answering.wait_answered()

    def _take(self, frame: mqpb.PeerPublishFrame) -> None:
        settle = self._answering.take(frame.sequence, frame.ByteSize())
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
