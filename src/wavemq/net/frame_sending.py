"""Messages up: one at a time per topic to any router, a window of them to one of ours.

Owns what of the window is on the wire, and proof elision (wavemq.md 5): a proof is offered by its
reference, and sent in full if the other end does not know it. Refuses to know queues: what is not
reported when the session ends is sent again by whoever keeps the queue. Fault model: a frame may be
refused for good (told), or for now: told as well, with all that was to follow on its topic.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from wavemq.errors import (
    ProofNotCachedError,
    RemoteProtocolError,
    WaveMQError,
    is_verdict,
)
from wavemq.limits import KIB
from wavemq.messages.message import Message
from wavemq.net.lanes import Lanes
from wavemq.routing.effects import Delivery
from wavemq.routing.records import Place
from wavemq.wire import mqpb_pb2 as mqpb
from wavemq.wire.convert import message_to_wire, raise_wire_error
from wavemq.wire.encoding import encoded_frame, parts_of
from wavemq.wire.proof_reference import ProofReferences, proof_reference

REQUEST_FRAMES_MAX: Final = 128
REQUEST_BYTES_MAX: Final = 64 * KIB
"""Of frames in one request; a single frame may exceed it. The other end takes a request whole."""
PROOFS_KNOWN_MAX: Final = 4096
REFUSED_TOPICS_MAX: Final = 4096
"""Topics that are to resume; of one that is forgotten the next frame is refused once more."""

Report = Callable[[Place, WaveMQError | None], None]
"""Told the answer to each frame, once."""


class FrameSending(Protocol):
    """A way to send frames."""

    def put(self, frames: Sequence[Delivery]) -> None:
        """Send messages, in order per topic; each answer is reported."""
        ...


class SingleFrames:
    """One frame of each topic at a time, by the original's call.

    Args:
        group: owns the tasks.
        publish: sends a message and returns when it is answered; raises its refusal.
        report: told the answers.
    """

    def __init__(
        self,
        group: asyncio.TaskGroup,
        publish: Callable[[mqpb.Message], Awaitable[None]],
        report: Report,
    ) -> None:
        self._publish = publish
        self._report = report
        self._lanes: Lanes[str, Delivery] = Lanes(group, self._send)

    def put(self, frames: Sequence[Delivery]) -> None:
        """Send messages, in order per topic; each answer is reported."""
        for frame in frames:
            self._lanes.put(frame.message.topic.text, frame)

    async def _send(self, frame: Delivery) -> None:
        try:
            await self._publish_once(frame.message)
        except WaveMQError as error:
            self._report(frame.place, error)
            if not is_verdict(error):
                # It will be sent again, and what follows must not overtake it.
                for behind in self._lanes.drain(frame.message.topic.text):
                    self._report(behind.place, error)
        else:
            self._report(frame.place, None)

    async def _publish_once(self, message: Message) -> None:
        try:
            reference = proof_reference(message.proof)
            await self._publish(message_to_wire(message, proof_reference=reference))
        except ProofNotCachedError:
            await self._publish(message_to_wire(message, proof=message.proof))


@dataclass(slots=True)
class _Sent:
    """A frame without an answer; `is_probe` if it finds out whether its proof is known."""

    frame: Delivery
    reference: bytes
    size_bytes: int
    is_probe: bool
    has_proof: bool


class StreamedFrames:
    """Many frames under way, in order.

    A frame whose proof the other end may not know goes alone: what follows on its topic or has the
    same proof waits here for its answer.

    Args:
        report: told the answers.

    Attributes:
        under_way_bytes: of frames without an answer.
        answer_count: how many batches of answers came.
    """

    def __init__(self, report: Report) -> None:
        self._report = report
        self._waiting: deque[Delivery] = deque()
        self._outgoing: deque[bytes] = deque()
        self._is_any = asyncio.Event()
        self._unanswered: dict[int, _Sent] = {}
        self._unanswered_topics: Counter[str] = Counter()
        self._refused_topics: set[str] = set()
        self._references = ProofReferences()
        self._known_proofs: set[bytes] = set()
        self._probed_proofs: set[bytes] = set()
        self._probed_topics: set[str] = set()
        self._sequence = 0
        self._is_any_under_way = asyncio.Event()
        self.under_way_bytes = 0
        self.answer_count = 0

    @property
    def is_anything_under_way(self) -> bool:
        """Whether an answer is awaited."""
        return bool(self._unanswered)

    async def wait_under_way(self) -> None:
        """Wait until an answer is awaited."""
        await self._is_any_under_way.wait()

    # --- out --------------------------------------------------------------------------------

    def put(self, frames: Sequence[Delivery]) -> None:
        """Send messages, in order per topic; each answer is reported."""
        self._waiting.extend(frames)
        self._send_waiting()

    async def next_request(self) -> bytes:
        """Wait for frames to be sent, and return some of them as a `PeerPublishFrames`."""
        await self._is_any.wait()
        frames: list[bytes] = []
        size_bytes = 0
        while self._outgoing and len(frames) < REQUEST_FRAMES_MAX:
            size_bytes += len(self._outgoing[0])
            if frames and size_bytes > REQUEST_BYTES_MAX:
                break
            frames.append(self._outgoing.popleft())
        if not self._outgoing:
            self._is_any.clear()
        return b"".join(frames)

    def _send_waiting(self) -> None:
        """Send what may go now; what may not keeps what follows on its topic."""
        waiting, self._waiting = self._waiting, deque()
        topics: set[str] = set()
        for frame in waiting:
            topic = frame.message.topic.text
            reference = self._references.of(frame.message.proof)
            is_stuck = (
                topic in topics or topic in self._probed_topics or reference in self._probed_proofs
            )
            if is_stuck:
                topics.add(topic)
                self._waiting.append(frame)
            else:
                self._send(frame, reference, is_probe=reference not in self._known_proofs)

    def _send(
        self, frame: Delivery, reference: bytes, *, is_probe: bool, has_proof: bool = False
    ) -> None:
        topic = frame.message.topic.text
        if is_probe:
            self._probed_proofs.add(reference)
            self._probed_topics.add(topic)
        if has_proof:
            message = parts_of(frame.message, proof=frame.message.proof)
        else:
            message = parts_of(frame.message, proof_reference=reference)
        # Whoever keeps the queue sends the oldest first, and that alone, after a refusal.
        resumes = topic in self._refused_topics and not self._unanswered_topics[topic]
        self._refused_topics.discard(topic)
        self._sequence += 1
        encoded = encoded_frame(self._sequence, resumes, message)
        size_bytes = len(encoded)
        self.under_way_bytes += size_bytes
        self._unanswered[self._sequence] = _Sent(frame, reference, size_bytes, is_probe, has_proof)
        self._unanswered_topics[topic] += 1
        self._outgoing.append(encoded)
        self._is_any.set()
        self._is_any_under_way.set()

    # --- in ---------------------------------------------------------------------------------

    def answered(self, answers: mqpb.PublishAnswers) -> None:
        """Take answers; those to frames that were not sent are ignored."""
        self.answer_count += 1
        for sequence in answers.accepted:
            sent = self._settle(sequence)
            if sent is not None:
                self._note_proof_known(sent.reference)
                self._report(sent.frame.place, None)
        for refusal in answers.refused:
            sent = self._settle(refusal.sequence)
            if sent is not None:
                self._refused(sent, _error_of(refusal))
        if self._waiting:
            self._send_waiting()
        if not self._unanswered:
            self._is_any_under_way.clear()

    def _settle(self, sequence: int) -> _Sent | None:
        sent = self._unanswered.pop(sequence, None)
        if sent is not None:
            topic = sent.frame.message.topic.text
            self.under_way_bytes -= sent.size_bytes
            self._unanswered_topics[topic] -= 1
            if not self._unanswered_topics[topic]:
                del self._unanswered_topics[topic]
            if sent.is_probe:
                self._probed_proofs.discard(sent.reference)
                self._probed_topics.discard(topic)
        return sent

    def _note_proof_known(self, reference: bytes) -> None:
        if len(self._known_proofs) >= PROOFS_KNOWN_MAX:
            self._known_proofs.clear()
        self._known_proofs.add(reference)

    def _refused(self, sent: _Sent, error: WaveMQError) -> None:
        topic = sent.frame.message.topic.text
        if isinstance(error, ProofNotCachedError):
            self._known_proofs.discard(sent.reference)
            self._note_refused(topic)
            if sent.is_probe and not sent.has_proof:
                self._send(sent.frame, sent.reference, is_probe=True, has_proof=True)
                return
            error = RemoteProtocolError("the other end has forgotten a proof")
        elif not is_verdict(error):
            self._note_refused(topic)
        self._report(sent.frame.place, error)
        if not is_verdict(error):
            for behind in self._take_waiting(topic):
                self._report(behind.place, error)

    def _note_refused(self, topic: str) -> None:
        if len(self._refused_topics) >= REFUSED_TOPICS_MAX:
            self._refused_topics.pop()
        self._refused_topics.add(topic)

    def _take_waiting(self, topic: str) -> list[Delivery]:
        behind = [one for one in self._waiting if one.message.topic.text == topic]
        self._waiting = deque(one for one in self._waiting if one.message.topic.text != topic)
        return behind


def _error_of(refusal: mqpb.PublishRefusal) -> WaveMQError:
    try:
        raise_wire_error(refusal.error)
    except WaveMQError as error:
        return error
    return RemoteProtocolError("a refusal names no error")
