"""Links between simulated routers.

Owns delays, cuts and what is under way on a link. Refuses to know queues and authority: it carries
messages between the doors that real links are joined to, in order on each stream, as TCP does.
Fault model: a link is cut at any moment, and what was under way is gone; either end may learn of it
late (half open); a frame whose answer was lost is sent again by its router.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from random import Random
from typing import Final

from wavemq.errors import (
    DesignatedRouterLinkDownError,
    RemoteProtocolError,
    UnavailableError,
    WaveMQError,
)
from wavemq.messages.message import Message, QueryRequest, SubscriptionRequest
from wavemq.net.backoff import Backoff
from wavemq.net.lanes import Lanes
from wavemq.net.transport import (
    DownlinkMessage,
    LinkId,
    PeerPort,
    Submission,
    UplinkPort,
)
from wavemq.routing.effects import Delivery
from wavemq.routing.records import DownlinkPosition, QueueId
from wavemq.testing.simulation.loop import first_of
from wavemq.wave.hashes import Hash

CONSUME_CREDIT: Final = 16
NOTICE_SECONDS_MAX: Final = 4.0
"""How late an end may learn that its link is gone."""


class LinkCutError(Exception):
    """The link is gone."""


class Network:
    """What all links share.

    Args:
        dice: draws delays.
    """

    def __init__(self, dice: Random) -> None:
        self.dice = dice
        self.delay_s = 0.02
        self.is_partitioned = False
        self._links = 0

    async def pass_time(self) -> None:
        """Take as long as a packet may."""
        await asyncio.sleep(self.dice.uniform(0.0, self.delay_s))

    def name_link(self) -> LinkId:
        """Return a name for a new link."""
        self._links += 1
        return LinkId(f"link-{self._links}")


class SimulatedUplink:
    """Stands where `net.uplink.Uplink` does, with a far end that is an object.

    Args:
        namespace: whose designated router it is.
        port: of the near router.
        network: that it crosses.
        find_peer: returns the far router's door while that router lives.
    """

    def __init__(
        self,
        namespace: Hash,
        port: UplinkPort,
        network: Network,
        find_peer: PeerFinder,
    ) -> None:
        self.namespace = namespace
        self._port = port
        self._network = network
        self._find_peer = find_peer
        self._session: _Session | None = None

    @property
    def is_connected(self) -> bool:
        """Whether there is a link."""
        return self._session is not None

    async def run(self) -> None:
        """Hold a link for ever."""
        backoff = Backoff(self._network.dice)
        while True:
            peer = None if self._network.is_partitioned else self._find_peer()
            if peer is not None:
                self._session = _Session(self.namespace, self._port, self._network, *peer)
                backoff.reset()
                try:
                    await self._session.run()
                finally:
                    self._session = None
                    self._port.uplink_lost(self.namespace)
            await asyncio.sleep(backoff.next_delay())

    def cut(self) -> None:
        """Cut the link; this end learns of it at some time."""
        if self._session is not None:
            self._session.cut()

    def drop(self, reason: str) -> None:
        """End the link."""
        del reason
        self.cut()

    def transmit(self, frames: Sequence[Delivery]) -> None:
        """Send messages."""
        if self._session is not None:
            self._session.transmit(frames)

    def open_subscription(self, queue: QueueId, request: SubscriptionRequest) -> None:
        """Follow a subscription."""
        if self._session is not None:
            self._session.open_subscription(queue, request)

    def close_subscription(self, queue: QueueId, request: SubscriptionRequest) -> None:
        """Follow a subscription no more."""
        if self._session is not None:
            self._session.close_subscription(queue, request)

    def query(self, request: QueryRequest) -> AsyncIterator[Sequence[Message]]:
        """Refuse: the simulation asks no queries."""
        raise DesignatedRouterLinkDownError(f"no queries here: {request.topic_filter}")


Acknowledge = Callable[[Sequence[int]], None]
Peer = tuple[PeerPort, asyncio.Future[None]]
"""A door, and a future that is done when its router dies."""


class PeerFinder:
    """Returns the far router's door, None while it is dead; set by the world."""

    def __init__(self) -> None:
        self.peer: Peer | None = None

    def __call__(self) -> Peer | None:
        """Return the door."""
        return self.peer


class _Session:
    """One life of a link."""

    def __init__(
        self,
        namespace: Hash,
        port: UplinkPort,
        network: Network,
        peer: PeerPort,
        peer_death: asyncio.Future[None],
    ) -> None:
        self._namespace = namespace
        self._port = port
        self._network = network
        self._peer = peer
        self._peer_death = peer_death
        self._link = network.name_link()
        self._is_cut = asyncio.Event()
        self._group = asyncio.TaskGroup()
        self._lanes: Lanes[str, Delivery] = Lanes(self._group, self._send)
        self._following: dict[QueueId, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Hold the link until it is cut, and a while longer if that goes unnoticed."""
        death = asyncio.ensure_future(asyncio.wait({self._peer_death}))
        cut = asyncio.ensure_future(self._is_cut.wait())
        try:
            async with self._group:
                self._port.uplink_connected(self._namespace)
                await first_of(death, cut)
                self._is_cut.set()
                await asyncio.sleep(self._network.dice.uniform(0.0, NOTICE_SECONDS_MAX))
                raise LinkCutError
        except* LinkCutError:
            pass  # the way in which a link ends
        finally:
            self._is_cut.set()
            death.cancel()
            cut.cancel()

    def cut(self) -> None:
        """Lose what is under way from now on."""
        self._is_cut.set()

    async def _cross(self) -> None:
        """Take as long as a packet takes; never arrive if the link is cut meanwhile."""
        await self._network.pass_time()
        if self._is_cut.is_set() or self._peer_death.done():
            await asyncio.get_running_loop().create_future()

    def transmit(self, frames: Sequence[Delivery]) -> None:
        """Send messages, in order per topic."""
        for frame in frames:
            self._lanes.put(frame.message.topic.text, frame)

    async def _send(self, frame: Delivery) -> None:
        await self._cross()
        answered: asyncio.Future[WaveMQError | None] = asyncio.get_running_loop().create_future()
        submission = Submission(frame.message, partial(_answer, answered), self._link)
        self._peer.publish((submission,))
        await first_of(answered, self._peer_death)
        if not answered.done():
            await asyncio.get_running_loop().create_future()
        error = answered.result()
        await self._cross()
        if isinstance(error, UnavailableError | RemoteProtocolError):
            for refused in (frame, *self._lanes.drain(frame.message.topic.text)):
                self._port.transmitted(self._namespace, refused.place, error)
        else:
            self._port.transmitted(self._namespace, frame.place, error)

    def open_subscription(self, queue: QueueId, request: SubscriptionRequest) -> None:
        """Follow a subscription."""
        previous = self._following.pop(queue, None)
        if previous is not None:
            previous.cancel()
        self._following[queue] = self._group.create_task(self._follow(queue, request))

    def close_subscription(self, queue: QueueId, request: SubscriptionRequest) -> None:
        """Follow a subscription no more, and say so."""
        following = self._following.pop(queue, None)
        if following is not None:
            following.cancel()
        self._group.create_task(self._unsubscribe(request))

    async def _unsubscribe(self, request: SubscriptionRequest) -> None:
        await self._cross()
        try:
            await self._peer.unsubscribe(request.source, request.identifier, self._link)
        except WaveMQError as error:
            self._port.peer_failed(self._namespace, error)

    async def _follow(self, queue: QueueId, request: SubscriptionRequest) -> None:
        await self._cross()
        error: WaveMQError | None = None
        try:
            consumption = await self._peer.consume(request, self._link, CONSUME_CREDIT)
            try:
                self._port.subscription_opened(queue)
                while True:
                    batch = await consumption.take()
                    await self._cross()
                    for one in batch:
                        position = DownlinkPosition(consumption.journal, one.index)
                        acknowledge = partial(self._acknowledge, consumption.acknowledge, one.index)
                        received = DownlinkMessage(one.message, position)
                        self._port.received(queue, (Submission(received, acknowledge, self._link),))
            finally:
                if not self._peer_death.done():
                    await consumption.aclose()
        except WaveMQError as refusal:
            error = refusal
        await self._cross()
        self._following.pop(queue, None)
        self._port.subscription_ended(queue, error)

    def _acknowledge(self, acknowledge: Acknowledge, index: int, error: WaveMQError | None) -> None:
        del error
        if not self._is_cut.is_set():
            self._group.create_task(self._carry(acknowledge, index))

    async def _carry(self, acknowledge: Acknowledge, index: int) -> None:
        await self._cross()
        acknowledge([index])


def _answer(answered: asyncio.Future[WaveMQError | None], error: WaveMQError | None) -> None:
    if not answered.done():
        answered.set_result(error)
