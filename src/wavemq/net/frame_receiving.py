"""Serving `PeerPublishStream`: many messages of a site router under way, in order.

Owns what comes in over such a call. Refuses to check messages. Fault model: a peer may send
anything; a frame that is malformed, or that shows a defect of ours, is refused by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial

import grpc
import structlog
from google.protobuf.message import DecodeError

from wavemq.errors import InternalError, ProofNotCachedError, WaveMQError
from wavemq.messages.message import Message
from wavemq.net.answering import Answering
from wavemq.net.grpc_server import AbortError
from wavemq.net.proof_memory import ProofMemory
from wavemq.net.transport import Answer, PeerFrame, PeerFrames
from wavemq.wire.convert import message_from_wire, proof_reference_from_wire
from wavemq.wire.cutting import CutMessage, ReceivedFrame, Stem, frames_from_wire

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
        self._gathered: list[PeerFrame] = []

    async def serve(self, requests: AsyncIterator[bytes]) -> None:
        """Take frames, and answer them, until the peer has sent all it had to send, or is gone.

        What was taken stays taken; a peer that repeats its frames gets the answers that were not
        written any more.

        Raises:
            AbortError: a request is no protobuf message; nothing of it was taken.
        """
        with self._answering.running():
            async for request in requests:
                try:
                    frames = frames_from_wire(request)
                except DecodeError as error:
                    status = grpc.StatusCode.INTERNAL
                    raise AbortError(status, "the request is no protobuf message") from error
                await self._take_all(frames)
                # What is on disk by now is answered, and the next write begins, before more is
                # taken: or else all that is under way would go in one lump, to and fro.
                await asyncio.sleep(0)
            await self._answering.wait_answered()

    async def _take_all(self, frames: list[ReceivedFrame]) -> None:
        """Hand on the frames of a request together, as far as there is room for them."""
        answering = self._answering
        # Most of a request's frames have the same proof.
        restored: dict[tuple[Stem, bytes], bytes] = {}
        for frame in frames:
            if not answering.has_room:
                self._put()
                await answering.wait_room()
            settle = answering.take(frame.sequence, frame.size_bytes)
            cut = frame.received
            if isinstance(cut, CutMessage):
                proof = restored.get((cut.stem, cut.reference))
                if proof is not None:
                    message = cut.message(proof)
                    self._gathered.append(PeerFrame(message, frame.resumes, settle))
                    continue
            self._take(frame, settle, restored)
        self._put()

    def _take(
        self, frame: ReceivedFrame, settle: Answer, restored: dict[tuple[Stem, bytes], bytes]
    ) -> None:
        try:
            self._gather(frame, settle, restored)
        except WaveMQError as error:
            settle(error)
        except Exception:  # noqa: BLE001 - the door's last resort; logged whole, told in one sentence
            self._fail(settle)

    def _gather(
        self, frame: ReceivedFrame, settle: Answer, restored: dict[tuple[Stem, bytes], bytes]
    ) -> None:
        """Keep a frame with its proof until it is handed on.

        Raises:
            RequestError, ObjectError: a field is missing, malformed or over its limit.
        """
        cut = frame.received
        if isinstance(cut, CutMessage):
            reference, with_proof = cut.reference, cut.message
            source, namespace = cut.stem.source, cut.stem.namespace
        else:
            whole = message_from_wire(cut)
            reference, with_proof = proof_reference_from_wire(cut), partial(_with_proof, whole)
            source, namespace = whole.source, whole.namespace
        if not reference:
            message = with_proof(cut.proof if isinstance(cut, CutMessage) else cut.proofDER)
            answer = partial(self._settle_proof, message, settle)
            self._gathered.append(PeerFrame(message, frame.resumes, answer))
            return
        try:
            proof = self._proofs.restore(namespace, source, reference)
        except ProofNotCachedError as error:
            self._put()  # what came before it is not held back with it
            self._frames.hold_back(with_proof(b""), error, settle)
            return
        if isinstance(cut, CutMessage):
            restored[cut.stem, reference] = proof
        self._gathered.append(PeerFrame(with_proof(proof), frame.resumes, settle))

    def _put(self) -> None:
        """Hand on what was gathered."""
        gathered, self._gathered = self._gathered, []
        if not gathered:
            return
        try:
            self._frames.put(gathered)
        except Exception:  # noqa: BLE001 - the door's last resort; logged whole, told in one sentence
            for one in gathered:
                self._fail(one.answer)

    @staticmethod
    def _fail(settle: Answer) -> None:
        _log.exception("door_failed", method="PeerPublishStream")
        settle(InternalError("the router failed; its log says why"))

    def _settle_proof(self, message: Message, settle: Answer, error: WaveMQError | None) -> None:
        """Take the answer to a message that came with its proof."""
        if error is None:  # admitted, so the proof is the source's own: a reference is enough now
            self._proofs.remember(message.namespace, message.source, message.proof)
        settle(error)


def _with_proof(message: Message, proof: bytes) -> Message:
    return replace(message, proof=proof)
