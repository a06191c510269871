"""What comes and goes over uplinks: the router's side of being a site.

Owns the check of designated routers, and the way of their messages through admission to the core.
Refuses to know links and protobuf. Fault model: a designated router proved that it may route the
namespace, and nothing else: each message that it sends is checked like anybody's. Messages of one
subscription enter the core in the order in which they arrived.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Final

import structlog

from wavemq.errors import AuthorizationError, UnavailableError, UnsubscribedError, WaveMQError
from wavemq.messages.message import Message
from wavemq.messages.verified import Verified
from wavemq.net.lanes import Lanes
from wavemq.net.transport import Answer, DownlinkMessage, Submission, UplinkPort
from wavemq.router.doorway import Doorway
from wavemq.router.guard import guarded
from wavemq.routing.events import (
    DownlinkReceived,
    DownlinkUnverifiable,
    FrameAccepted,
    FrameRefused,
    UplinkConnected,
    UplinkDisconnected,
    UplinkSubscriptionEnded,
    UplinkSubscriptionOpened,
)
from wavemq.routing.records import Place, QueueId
from wavemq.wave.hashes import Hash
from wavemq.wire.handshake import RouterClaim

Checked = Verified[Message] | WaveMQError
Checking = tuple[QueueId, Submission[DownlinkMessage], Checked | asyncio.Task[Checked]]
CHECK_SECONDS_MAX: Final = 10.0
"""How long a message is held that cannot be checked now, and with it what follows it."""
CHECK_PAUSE_SECONDS: Final = 0.25

_log = structlog.get_logger("wavemq.router.uplink")


class UplinkDoor(UplinkPort):
    """Reports what uplinks do to the core.

    Args:
        doorway: the parts that doors share.

    Attributes:
        doubts: set when a designated router says that a subscription is not granted (any more).
    """

    def __init__(self, doorway: Doorway) -> None:
        self._driver = doorway.driver
        self._admission = doorway.admission
        self._clock = doorway.clock
        self._group = doorway.group
        self._counts = doorway.counts
        self._lanes: Lanes[QueueId, Checking] = Lanes(doorway.group, self._receive)
        self._shown: dict[Hash, RouterClaim] = {}
        self.doubts = asyncio.Event()

    async def check_router(
        self, namespace: Hash, claim: RouterClaim, certificate_signature: bytes
    ) -> None:
        """Return if the router at the other end may route the namespace.

        Raises:
            WaveMQError: it may not, or that could not be found out.
        """
        await self._admission.check_designated_router(
            namespace=namespace,
            router=claim.router,
            proof=claim.proof,
            certificate_signature=certificate_signature,
            signature=claim.signature,
            now=self._clock.now(),
        )
        self._shown[namespace] = claim

    def shown(self, namespace: Hash) -> RouterClaim | None:
        """Return what the designated router at the other end showed; None without a link."""
        return self._shown.get(namespace)

    def uplink_connected(self, namespace: Hash) -> None:
        """Report it."""
        self._driver.report(UplinkConnected(namespace))

    def uplink_lost(self, namespace: Hash) -> None:
        """Report it."""
        self._shown.pop(namespace, None)
        self._driver.report(UplinkDisconnected(namespace))

    def transmitted(self, namespace: Hash, place: Place, error: WaveMQError | None) -> None:
        """Report it."""
        if error is None:
            self._driver.report(FrameAccepted(namespace, place))
        else:
            _log.warning("frame_refused", namespace=namespace.to_text(), reason=error.reason)
            self._driver.report(FrameRefused(namespace, place, error))

    def subscription_opened(self, queue: QueueId) -> None:
        """Report it."""
        self._driver.report(UplinkSubscriptionOpened(queue))

    def subscription_ended(self, queue: QueueId, error: WaveMQError | None) -> None:
        """Report it."""
        if isinstance(error, UnsubscribedError | AuthorizationError):
            self.doubts.set()
        self._driver.report(UplinkSubscriptionEnded(queue, error))

    def peer_failed(self, namespace: Hash, error: WaveMQError) -> None:
        """Count it."""
        self._counts.uplink_failures += 1

    def received(self, queue: QueueId, submissions: Sequence[Submission[DownlinkMessage]]) -> None:
        """Check messages side by side, and have the core take them in order."""
        known = self._known([one.request.message for one in submissions])
        settled: list[Answer] = []
        for submission, checked in zip(submissions, known, strict=True):
            if checked is not None and not self._lanes.is_busy(queue):
                self._take(queue, submission, checked, settled)
                continue
            message = submission.request.message
            checking = checked or self._group.create_task(self._check(message))
            self._lanes.put(queue, (queue, submission, checking))
        self._settle(settled)
        self._driver.turn()

    def _known(self, messages: Sequence[Message]) -> Sequence[Checked | None]:
        """Check what can be checked without waiting; a defect costs no more than that."""
        try:
            return self._admission.known_messages(messages, self._clock.now())
        except Exception:  # noqa: BLE001 - logged whole; each is then checked by itself
            _log.exception("door_failed", what="PeerConsume")
            return [None] * len(messages)

    async def _check(self, message: Message) -> Verified[Message] | WaveMQError:
        """Check a message; again and again for a while if that cannot be done just now."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + CHECK_SECONDS_MAX
        pause_s = CHECK_PAUSE_SECONDS
        while True:
            check = self._admission.check_message(message, self._clock.now())
            checked = await guarded("PeerSubscribe", check)
            if not isinstance(checked, UnavailableError) or loop.time() + pause_s > give_up:
                return checked
            await asyncio.sleep(pause_s)
            pause_s *= 2

    async def _receive(self, checking: Checking) -> None:
        queue, submission, checked = checking
        settled: list[Answer] = []
        known = await checked if isinstance(checked, asyncio.Task) else checked
        self._take(queue, submission, known, settled)
        self._settle(settled)
        self._driver.turn_soon()

    def _take(
        self,
        queue: QueueId,
        submission: Submission[DownlinkMessage],
        checked: Checked,
        settled: list[Answer],
    ) -> None:
        """Have the core's next turn take a message; it is answered now or is among `settled`."""
        received = submission.request
        if not isinstance(checked, WaveMQError):
            self._driver.note(DownlinkReceived(queue, checked, received.position))
            settled.append(submission.answer)
            return
        self._counts.deliveries_unproved += 1
        _log.warning(
            "downlink_message_refused",
            source=received.message.source.to_text(),
            topic=received.message.topic.text,
            reason=checked.reason,
        )
        if isinstance(checked, UnavailableError):
            self._driver.note(DownlinkUnverifiable(queue, received.position))
        submission.answer(checked)

    def _settle(self, answers: Sequence[Answer]) -> None:
        """Tell answers when what was reported is on disk.

        More may come then: a slow disk slows the stream, not the memory.
        """
        if answers:
            self._driver.when_settled(partial(_tell, answers))


def _tell(answers: Sequence[Answer]) -> None:
    for answer in answers:
        answer(None)
