"""Messages of a window on their way up: proofs, order, refusals."""

from __future__ import annotations

import asyncio

from tests.support.ports import message
from wavemq.errors import (
    LookupFailureError,
    ProofInvalidError,
    ProofNotCachedError,
    RemoteProtocolError,
    WaveMQError,
)
from wavemq.net.frame_sending import REQUEST_FRAMES_MAX, StreamedFrames
from wavemq.routing.effects import Delivery
from wavemq.routing.records import RecordId
from wavemq.wire import mqpb_pb2 as mqpb
from wavemq.wire.convert import error_to_wire


class Wire:
    """Frames that were sent, and the answers that were reported."""

    def __init__(self) -> None:
        self.reported: list[tuple[int, WaveMQError | None]] = []
        self.frames = StreamedFrames(lambda place, error: self.reported.append((place, error)))

    def put(self, *numbers: int, topic: str = "a", proof: bytes = b"proof") -> None:
        self.frames.put(
            [Delivery(RecordId(one), message(one, topic=topic, proof=proof)) for one in numbers]
        )

    async def sent(self) -> list[mqpb.PeerPublishFrame]:
        """Return what is written now."""
        found: list[mqpb.PeerPublishFrame] = []
        while True:
            try:
                async with asyncio.timeout(0):
                    request = await self.frames.next_request()
                    found += mqpb.PeerPublishFrames.FromString(request).frames
            except TimeoutError:
                return found

    def accept(self, *frames: mqpb.PeerPublishFrame) -> None:
        answers = mqpb.PublishAnswers(accepted=[one.sequence for one in frames])
        self.frames.answered(answers)

    def refuse(self, error: WaveMQError, *frames: mqpb.PeerPublishFrame) -> None:
        answers = mqpb.PublishAnswers()
        for one in frames:
            answers.refused.add(sequence=one.sequence, error=error_to_wire(error))
        self.frames.answered(answers)


def numbers(frames: list[mqpb.PeerPublishFrame]) -> list[int]:
    return [int(one.message.tbs.payload[0].content) for one in frames]


async def wire_with_known_proof() -> Wire:
    wire = Wire()
    wire.put(0)
    wire.accept(*await wire.sent())
    wire.reported.clear()
    return wire


async def test_first_frame_asks_whether_its_proof_is_known_and_others_wait_for_it() -> None:
    wire = Wire()
    wire.put(1, 2)
    wire.put(3, topic="b")
    wire.put(4, topic="c", proof=b"another")
    first, other = await wire.sent()
    assert numbers([first, other]) == [1, 4]
    assert first.message.proofHash
    assert not first.message.proofDER
    wire.accept(first)
    assert numbers(await wire.sent()) == [2, 3]


async def test_proof_that_is_not_known_is_sent_in_full_once() -> None:
    wire = Wire()
    wire.put(1, 2)
    (first,) = await wire.sent()
    wire.refuse(ProofNotCachedError("?"), first)
    (again,) = await wire.sent()
    assert (again.message.proofDER, again.resumes) == (b"proof", True)
    wire.accept(again)
    (second,) = await wire.sent()
    assert second.message.proofDER == b""
    assert wire.reported == [(1, None)]


async def test_proof_that_is_not_known_even_in_full_is_told() -> None:
    wire = Wire()
    wire.put(1)
    wire.refuse(ProofNotCachedError("?"), *await wire.sent())
    wire.refuse(ProofNotCachedError("?"), *await wire.sent())
    ((place, error),) = wire.reported
    assert place == 1
    assert isinstance(error, RemoteProtocolError)
    assert await wire.sent() == []


async def test_refusal_for_now_reports_what_waits_behind_it_too() -> None:
    wire = Wire()
    wire.put(1, 2, 3)
    wire.put(4, topic="b")
    wire.refuse(LookupFailureError("?"), *await wire.sent())
    assert [place for place, _ in wire.reported] == [1, 2, 3]
    assert all(isinstance(error, LookupFailureError) for _, error in wire.reported)
    assert numbers(await wire.sent()) == [4]


async def test_oldest_of_a_refused_topic_resumes_when_nothing_of_it_is_unanswered() -> None:
    wire = await wire_with_known_proof()
    wire.put(1, 2)
    first, second = await wire.sent()
    wire.refuse(LookupFailureError("?"), first, second)
    wire.put(1)
    wire.put(5, topic="b")
    (probe, other) = await wire.sent()
    assert (probe.resumes, other.resumes) == (True, False)
    wire.accept(probe)
    wire.put(2)
    (following,) = await wire.sent()
    assert not following.resumes


async def test_refusal_for_good_concerns_one_frame() -> None:
    wire = await wire_with_known_proof()
    wire.put(1, 2)
    first, second = await wire.sent()
    wire.refuse(ProofInvalidError("?"), first)
    wire.accept(second)
    (_, error), accepted = wire.reported
    assert isinstance(error, ProofInvalidError)
    assert accepted == (2, None)


async def test_requests_are_bounded_and_answers_to_nothing_are_ignored() -> None:
    wire = await wire_with_known_proof()
    wire.put(*range(REQUEST_FRAMES_MAX + 5))
    for count in (REQUEST_FRAMES_MAX, 5):
        request = await wire.frames.next_request()
        assert len(mqpb.PeerPublishFrames.FromString(request).frames) == count
    wire.frames.answered(mqpb.PublishAnswers(accepted=[10**9]))
    assert wire.reported == []
    assert wire.frames.is_anything_under_way
