"""Messages of one stream of a site router, on their way into the core.

Owns their order: those of one origin, namespace and topic are taken as they came, and when one is
refused for now, nothing behind it overtakes it. Refuses to know gRPC and queues. Fault model: the
peer is hostile; nothing enters the core unverified, and what is held back is bounded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Final

import structlog

from wavemq.clock import Instant
from wavemq.errors import QueueError, WaveMQError, is_verdict
from wavemq.messages.message import Message
from wavemq.messages.verified import Verified
from wavemq.net.lanes import Lanes
from wavemq.net.transport import Answer, PeerFrame, PeerFrames
from wavemq.router.doorway import Doorway
from wavemq.router.guard import guarded
from wavemq.routing.events import made_peer_message_published
from wavemq.wave.hashes import Hash

HELD_BACK_MAX: Final = 4096
"""Topics of one stream; a site router of ours has fewer frames under way."""

_log = structlog.get_logger("wavemq.router.door")

Key = tuple[str, Hash, str]
Checked = Verified[Message] | WaveMQError
Checking = tuple[PeerFrame, Checked | asyncio.Task[Checked]]
Taken = tuple[Verified[Message], Answer]
"""A message for the core, and what is told its outcome."""


class StreamedPeerFrames(PeerFrames):
    """The frames of one call.

    Args:
        doorway: the parts that doors share.
    """

    def __init__(self, doorway: Doorway) -> None:
        self._driver = doorway.driver
        self._admission = doorway.admission
        self._clock = doorway.clock
        self._group = doorway.group
        self._counts = doorway.counts
        self._lanes: Lanes[Key, Checking] = Lanes(doorway.group, self._wait_and_take)
        self._held_back: dict[Key, None] = {}

    def put(self, frames: Sequence[PeerFrame]) -> None:
        """Check messages, and have the core take them in their turns."""
        now = self._clock.now()
        known = self._known([frame.message for frame in frames], now)
        taken: list[Taken] = []
        for frame, checked in zip(frames, known, strict=True):
            if checked is not None and (
                self._lanes.is_idle or not self._lanes.is_busy(_key(frame.message))
            ):
                self._take(frame, checked, taken)
            else:
                checking = checked or self._check(frame.message, now)
                self._lanes.put(_key(frame.message), (frame, checking))
        self._publish(taken)
        self._driver.turn()

    def _known(self, messages: Sequence[Message], now: Instant) -> Sequence[Checked | None]:
        """Check what can be checked without waiting; a defect costs no more than that."""
        try:
            return self._admission.known_messages(messages, now)
        except Exception:  # noqa: BLE001 - logged whole; each is then checked by itself
            _log.exception("door_failed", what="PeerPublishStream")
            return [None] * len(messages)

    def _check(self, message: Message, now: Instant) -> asyncio.Task[Checked]:
        check = self._admission.check_message(message, now)
        return self._group.create_task(guarded("PeerPublishStream", check))

    def hold_back(self, message: Message, error: WaveMQError, answer: Answer) -> None:
        """Refuse a message that cannot even be checked now, and what follows it."""
        self._refuse(_key(message), answer, error)

    async def _wait_and_take(self, checking: Checking) -> None:
        frame, checked = checking
        taken: list[Taken] = []
        self._take(frame, await checked if isinstance(checked, asyncio.Task) else checked, taken)
        self._publish(taken)
        self._driver.turn_soon()

    def _publish(self, taken: Sequence[Taken]) -> None:
        if taken:
            self._driver.publish(made_peer_message_published, *zip(*taken, strict=True))

    def _take(self, frame: PeerFrame, checked: Checked, taken: list[Taken]) -> None:
        """Add a message to those that the core is to take, or refuse it."""
        # Mostly nothing is held back, and then nobody needs to know what it would be called.
        if self._held_back:
            key = _key(frame.message)
            if frame.resumes:
                self._held_back.pop(key, None)
            if key in self._held_back:
                error = QueueError(
                    "an earlier message of its topic was not taken; resume with that"
                )
                self._refuse(key, frame.answer, error)
                return
        if isinstance(checked, WaveMQError):
            self._refuse(_key(frame.message), frame.answer, checked)
        else:
            taken.append((checked, partial(self._answer, frame)))

    def _answer(self, frame: PeerFrame, error: WaveMQError | None) -> None:
        if error is not None:
            self._refuse(_key(frame.message), frame.answer, error)
        else:
            frame.answer(None)

    def _refuse(self, key: Key, answer: Answer, error: WaveMQError) -> None:
        self._counts.peer_publishes_refused += 1
        if not is_verdict(error):
            if len(self._held_back) >= HELD_BACK_MAX:
                del self._held_back[next(iter(self._held_back))]  # given up long ago, or hostile
            self._held_back[key] = None
        answer(error)


def _key(message: Message) -> Key:
    return (message.origin_router, message.namespace, message.topic.text)
