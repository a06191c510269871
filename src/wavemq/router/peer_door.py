"""What site routers may do at this router: the router's side of peering.

Owns the way from a peer's request through admission to events of the core (wavemq.md 8, 9). Refuses
to know gRPC, links and queues. Fault model: peers are hostile; nothing enters the core unverified.
Messages of one link, origin and topic enter in the order in which they arrived; one whose check
takes long holds back only those.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial

from wavemq.errors import WaveMQError
from wavemq.messages.message import Message, QueryRequest, SubscriptionRequest
from wavemq.messages.verified import Verified
from wavemq.net.lanes import Lanes
from wavemq.net.transport import (
    Consumption,
    Deliveries,
    LinkId,
    PeerFrames,
    PeerPort,
    Submission,
)
from wavemq.router.consumption import QueueConsumption
from wavemq.router.deliveries import QueueDeliveries
from wavemq.router.doorway import Doorway
from wavemq.router.guard import guarded
from wavemq.router.peer_frames import StreamedPeerFrames
from wavemq.routing.effects import AcceptSubscription, ReadRetained
from wavemq.routing.events import (
    PeerQueryRequested,
    PeerSubscriptionRequested,
    PeerUnsubscribeRequested,
    made_peer_message_published,
)
from wavemq.routing.records import QueueId
from wavemq.wave.hashes import Hash

Checking = tuple[Submission[Message], asyncio.Task[Verified[Message] | WaveMQError]]
LaneKey = tuple[str, str, Hash, str]


class PeerDoor(PeerPort):
    """Carries out requests of site routers.

    Args:
        doorway: the parts that doors share.
    """

    def __init__(self, doorway: Doorway) -> None:
        self._doorway = doorway
        self._driver = doorway.driver
        self._router_id = doorway.driver.router_id
        self._admission = doorway.admission
        self._clock = doorway.clock
        self._group = doorway.group
        self._counts = doorway.counts
        self._lanes: Lanes[LaneKey, Checking] = Lanes(doorway.group, self._publish)

    # --- publish ----------------------------------------------------------------------------

    def publish(self, submissions: Sequence[Submission[Message]]) -> None:
        """Check messages side by side, and have the core take them in order."""
        for submission in submissions:
            message = submission.request
            check = self._admission.check_message(message, self._clock.now())
            checking = self._group.create_task(guarded("PeerPublish", check))
            key = (
                submission.connection,
                message.origin_router,
                message.namespace,
                message.topic.text,
            )
            self._lanes.put(key, (submission, checking))

    def publish_stream(self) -> PeerFrames:
        """Return what takes the messages of one stream."""
        return StreamedPeerFrames(self._doorway)

    async def _publish(self, checking: Checking) -> None:
        submission, task = checking
        checked = await task
        if isinstance(checked, WaveMQError):
            self._refuse(submission, checked)
            return
        answer = partial(self._answer, submission)
        self._driver.publish(made_peer_message_published, (checked,), (answer,))
        self._driver.turn_soon()

    def _answer(self, submission: Submission[Message], error: WaveMQError | None) -> None:
        if error is not None:
            self._refuse(submission, error)
        else:
            submission.answer(None)

    def _refuse(self, submission: Submission[Message], error: WaveMQError) -> None:
        self._counts.peer_publishes_refused += 1
        submission.answer(error)

    # --- subscriptions ----------------------------------------------------------------------

    async def subscribe(self, request: SubscriptionRequest, link: LinkId) -> Deliveries:
        """Check a subscription and open or resume its queue; errors as the core gives them."""
        return QueueDeliveries(self._driver.attach(await self._accept(request, link)))

    async def consume(self, request: SubscriptionRequest, link: LinkId, credit: int) -> Consumption:
        """The same for a site that acknowledges."""
        reader = self._driver.attach(await self._accept(request, link), credit)
        return QueueConsumption(reader, self._router_id)

    async def _accept(self, request: SubscriptionRequest, link: LinkId) -> QueueId:
        try:
            checked = await self._admission.check_subscription(request, self._clock.now())
            accepted = await self._driver.ask(
                lambda number: PeerSubscriptionRequested(number, checked, link)
            )
        except WaveMQError:
            self._counts.peer_subscriptions_refused += 1
            raise
        assert isinstance(accepted, AcceptSubscription)  # the core's other answer is an error
        return accepted.queue

    async def unsubscribe(self, source: Hash, identifier: str, link: LinkId) -> None:
        """End a subscription; the core knows which link may ask for that."""
        await self._driver.ask(
            lambda number: PeerUnsubscribeRequested(number, source, identifier, link)
        )

    # --- query ------------------------------------------------------------------------------

    async def query(self, request: QueryRequest) -> AsyncIterator[Sequence[Message]]:
        """Check a query and return the retained messages that match, in batches."""
        try:
            checked = await self._admission.check_query(request, self._clock.now())
            order = await self._driver.ask(lambda number: PeerQueryRequested(number, checked))
        except WaveMQError:
            self._counts.peer_queries_refused += 1
            raise
        assert isinstance(order, ReadRetained)  # the core's other answer is an error
        async for batch in self._driver.retained(order):
            self._counts.retained_returned += len(batch)
            yield batch
