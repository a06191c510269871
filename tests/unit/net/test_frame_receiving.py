"""Frames of one request: handed on together, in order, whatever becomes of each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pytest

from tests.support.ports import message, number_of
from wavemq.errors import Code, WaveMQError
from wavemq.messages.message import Message
from wavemq.net.answering import UNANSWERED_MAX, Answering, Unanswered
from wavemq.net.frame_receiving import FrameReceiving
from wavemq.net.grpc_server import AbortError
from wavemq.net.proof_memory import ProofMemory
from wavemq.net.transport import Answer, PeerFrame, PeerFrames
from wavemq.wire import mqpb_pb2 as mqpb
from wavemq.wire.convert import message_to_wire
from wavemq.wire.proof_reference import ProofReferences, proof_reference


@dataclass(eq=False)
class Taking(PeerFrames):
    """Takes everything; says in which order, and what came together."""

    log: list[list[int] | int] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)

    def put(self, frames: Sequence[PeerFrame]) -> None:
        self.log.append([number_of(one.message) for one in frames])
        self.messages += [one.message for one in frames]
        for one in frames:
            one.answer(None)

    def hold_back(self, message: Message, error: WaveMQError, answer: Answer) -> None:
        self.log.append(-number_of(message))
        answer(error)


class Rig:
    """One call."""

    def __init__(self) -> None:
        self.taking = Taking()
        self.proofs = ProofMemory()
        self.accepted: list[int] = []
        self.refused: dict[int, int] = {}

    async def _write(self, answers: mqpb.PublishAnswers) -> None:
        self.accepted += answers.accepted
        self.refused |= {one.sequence: one.error.code for one in answers.refused}

    async def serve(self, *requests: bytes) -> None:
        async def asked() -> AsyncIterator[bytes]:
            for request in requests:
                yield request

        answering = Answering(self._write, Unanswered())
        await FrameReceiving(self.taking, self.proofs, answering).serve(asked())


def with_reference(number: int, proof: bytes) -> mqpb.Message:
    reference = proof_reference(proof)
    return message_to_wire(message(number, proof=proof), proof_reference=reference)


def with_proof(number: int, proof: bytes) -> mqpb.Message:
    return message_to_wire(message(number, proof=proof), proof=proof)


def request(*wires: mqpb.Message) -> bytes:
    frames = [mqpb.PeerPublishFrame(sequence=at, message=one) for at, one in enumerate(wires, 1)]
    return mqpb.PeerPublishFrames(frames=frames).SerializeToString()


async def test_frames_with_known_proofs_are_handed_on_together() -> None:
    rig = Rig()
    await rig.serve(
        request(with_proof(1, b"one")),
        request(with_reference(2, b"one"), with_reference(3, b"one"), with_proof(4, b"two")),
    )
    assert rig.taking.log == [[1], [2, 3, 4]]
    assert [one.proof for one in rig.taking.messages] == [b"one", b"one", b"one", b"two"]
    assert rig.taking.messages[1].proof is rig.taking.messages[2].proof


async def test_frame_with_an_unknown_proof_holds_back_what_follows_and_nothing_before() -> None:
    rig = Rig()
    await rig.serve(request(with_proof(1, b"one")))
    await rig.serve(
        request(with_reference(2, b"one"), with_reference(3, b"two"), with_reference(4, b"one"))
    )
    assert rig.taking.log == [[1], [2], -3, [4]]
    assert rig.refused == {2: Code.PROOF_NOT_CACHED}


async def test_frame_that_breaks_a_rule_is_refused_among_others() -> None:
    rig = Rig()
    bad = with_proof(2, b"one")
    bad.tbs.uri = "a/*"
    await rig.serve(request(with_proof(1, b"one"), bad, with_proof(3, b"one")))
    assert rig.taking.log == [[1, 3]]
    assert rig.refused == {2: Code.INVALID_PARAMETER}
    assert rig.accepted == [1, 3]


async def test_nothing_is_taken_of_a_request_that_is_no_protobuf_message() -> None:
    rig = Rig()
    broken = request(with_proof(1, b"one")) + b"\x0a\x02\x1a\x05"
    with pytest.raises(AbortError):
        await rig.serve(broken)
    assert rig.taking.log == []


async def test_request_with_more_frames_than_may_be_unanswered_is_taken_in_turns() -> None:
    rig = Rig()
    await rig.serve(request(*[with_proof(1, b"one")] * (UNANSWERED_MAX + 5)))
    assert [len(one) for one in rig.taking.log if isinstance(one, list)] == [UNANSWERED_MAX, 5]
    assert len(rig.accepted) == UNANSWERED_MAX + 5


def test_remembered_references_are_bounded_in_bytes() -> None:
    references = ProofReferences(bytes_max=100)
    for number in range(20):
        proof = bytes([number]) * 30
        assert references.of(proof) == proof_reference(proof) == references.of(proof)
        assert references.size_bytes <= 100
    assert references.size_bytes == 90
    assert references.of(bytes(101)) == proof_reference(bytes(101))
    assert references.size_bytes <= 100
