"""What comes and goes over uplinks: the router's side of being a site.

Owns the check of designated routers, and the way of their messages through admission to the core.
Refuses to know links and protobuf. Fault model: a designated router proved that it may route the
namespace, and nothing else: each message that it sends is checked like anybody's. Messages of one
subscription, origin and topic enter the core in the order in which they arrived.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

import structlog

from wavemq.errors import AuthorizationError, UnsubscribedError, WaveMQError
from wavemq.messages.message import Message
from wavemq.messages.verified import Verified
from wavemq.net.lanes import Lanes
from wavemq.net.transport import DownlinkMessage, Submission, UplinkPort
from wavemq.router.doorway import Doorway
from wavemq.router.guard import guarded
from wavemq.routing.events import (
    DownlinkReceived,
    FrameAccepted,
    FrameRefused,
    UplinkConnected,
    UplinkDisconnected,
    UplinkSubscriptionEnded,
)
from wavemq.routing.records import Place, QueueId
from wavemq.wave.hashes import Hash
from wavemq.wire.handshake import RouterClaim

Checking = tuple[
    QueueId, Submission[DownlinkMessage], asyncio.Task[Verified[Message] | WaveMQError]
]
LaneKey = tuple[QueueId, str, str]

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
        self._lanes: Lanes[LaneKey, Checking] = Lanes(doorway.group, self._receive)
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
        for submission in submissions:
            message = submission.request.message
            check = self._admission.check_message(message, self._clock.now())
            checking = self._group.create_task(guarded("PeerSubscribe", check))
            key = (queue, message.origin_router, message.topic.text)
            self._lanes.put(key, (queue, submission, checking))

    async def _receive(self, checking: Checking) -> None:
        queue, submission, task = checking
        checked = await task
        if isinstance(checked, WaveMQError):
            self._counts.deliveries_unproved += 1
            _log.warning(
                "downlink_message_refused",
                source=submission.request.message.source.to_text(),
                topic=submission.request.message.topic.text,
                reason=checked.reason,
            )
            submission.answer(checked)
            return
        self._driver.report(DownlinkReceived(queue, checked, submission.request.position))
        # More may come when this is on disk: a slow disk slows the stream, not the memory.
        self._driver.when_settled(partial(submission.answer, None))
