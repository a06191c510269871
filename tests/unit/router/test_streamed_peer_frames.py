"""Messages of one stream on their way into the core: in order, and nothing overtakes a refusal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

from tests.support.ports import message, number_of
from wavemq.clock import Instant
from wavemq.errors import (
    LookupFailureError,
    ProofInvalidError,
    ProofNotCachedError,
    QueueError,
    StorageFaultError,
    WaveMQError,
)
from wavemq.messages.message import Message
from wavemq.messages.verified import Verified
from wavemq.net.transport import Answer, PeerFrame
from wavemq.router.doorway import Doorway
from wavemq.router.peer_frames import StreamedPeerFrames
from wavemq.routing.events import PeerMessagePublished, RequestId


class Ground:
    """An admission and a driver that do as they are told."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self.verdicts: dict[int, WaveMQError | asyncio.Future[None]] = {}
        self.core_refusals: dict[int, WaveMQError] = {}
        self.taken: list[int] = []
        self.answers: list[tuple[int, WaveMQError | None]] = []
        doorway = SimpleNamespace(
            driver=self,
            admission=self,
            clock=SimpleNamespace(now=lambda: Instant(0)),
            group=group,
            counts=SimpleNamespace(peer_publishes_refused=0),
        )
        self.frames = StreamedPeerFrames(cast(Doorway, doorway))

    def known_messages(
        self, messages: Sequence[Message], now: Instant
    ) -> list[Verified[Message] | WaveMQError | None]:
        del now
        return [
            None if number_of(one) in self.verdicts else Verified(one, Instant(1))
            for one in messages
        ]

    def turn(self) -> None:
        """Do nothing: requests are answered at once."""

    turn_soon = turn

    async def check_message(self, one: Message, now: Instant) -> Verified[Message]:
        del now
        verdict = self.verdicts.get(number_of(one))
        if isinstance(verdict, WaveMQError):
            raise verdict
        if verdict is not None:
            await verdict
        return Verified(one, Instant(1))

    def publish(
        self,
        make: Callable[..., Any],
        messages: Sequence[Verified[Message]],
        answers: Sequence[Answer],
    ) -> None:
        for one, answer in zip(messages, answers, strict=True):
            assert isinstance(make(RequestId(1), one), PeerMessagePublished)
            number = number_of(one.value)
            error = self.core_refusals.get(number)
            if error is None:
                self.taken.append(number)
            answer(error)

    def _note(self, number: int, error: WaveMQError | None) -> None:
        self.answers.append((number, error))

    async def put(self, *numbers: int, topic: str = "a", resumes: bool = False) -> None:
        for number in numbers:
            one = message(number, topic=topic)
            self.frames.put([PeerFrame(one, resumes, partial(self._note, number))])
        await asyncio.sleep(0.01)


async def test_messages_of_a_topic_wait_for_one_that_is_being_checked() -> None:
    async with asyncio.TaskGroup() as group:
        ground = Ground(group)
        ground.verdicts[1] = checked = asyncio.get_running_loop().create_future()
        await ground.put(1, 2)
        await ground.put(3, topic="b")
        assert ground.taken == [3]
        checked.set_result(None)
        await asyncio.sleep(0.01)
        assert ground.taken == [3, 1, 2]
        assert dict(ground.answers) == {1: None, 2: None, 3: None}


async def test_nothing_overtakes_a_message_that_was_refused_for_now() -> None:
    for error in (LookupFailureError("?"), StorageFaultError("full"), QueueError("full")):
        async with asyncio.TaskGroup() as group:
            ground = Ground(group)
            ground.verdicts[1] = error
            await ground.put(1, 2)
            await ground.put(3, topic="b")
            assert ground.taken == [3]
            assert [number for number, answer in ground.answers if answer is not None] == [1, 2]
            ground.verdicts.clear()
            await ground.put(2)
            assert ground.taken == [3], "it does not resume"
            await ground.put(1, resumes=True)
            await ground.put(2)
            assert ground.taken == [3, 1, 2]


async def test_refusal_by_the_core_holds_back_what_follows() -> None:
    async with asyncio.TaskGroup() as group:
        ground = Ground(group)
        ground.core_refusals[1] = QueueError("full")
        await ground.put(1, 2)
        assert ground.taken == []
        ground.core_refusals.clear()
        await ground.put(1, resumes=True)
        await ground.put(2)
        assert ground.taken == [1, 2]


async def test_message_whose_proof_is_unknown_holds_back_what_follows() -> None:
    async with asyncio.TaskGroup() as group:
        ground = Ground(group)
        answers: list[WaveMQError | None] = []
        ground.frames.hold_back(message(1, topic="a"), ProofNotCachedError("?"), answers.append)
        await ground.put(2)
        assert isinstance(answers[0], ProofNotCachedError)
        assert ground.taken == []


async def test_refusal_for_good_holds_nothing_back() -> None:
    async with asyncio.TaskGroup() as group:
        ground = Ground(group)
        ground.verdicts[1] = ProofInvalidError("forged")
        await ground.put(1, 2)
        assert ground.taken == [2]
        assert isinstance(dict(ground.answers)[1], ProofInvalidError)
