"""Links between simulated routers.

Owns when links come and go: dialling, cuts, and how late either end notices. Refuses to know what
passes them: the sessions, doors and their protocol are the real ones, over simulated calls. Fault
model: a link is cut at any moment, and what was under way is gone; either end may learn of it late
(half open); the far router may be an original one, which knows no calls of our own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial
from random import Random
from typing import Final, cast

import grpc
import grpc.aio

from wavemq.errors import DesignatedRouterLinkDownError
from wavemq.messages.message import Message, QueryRequest, SubscriptionRequest
from wavemq.net.backoff import Backoff
from wavemq.net.transport import UplinkPort
from wavemq.net.uplink_session import UplinkSession
from wavemq.routing.effects import Delivery
from wavemq.routing.records import QueueId
from wavemq.testing.simulation.calls import Conditions, SimulatedLink
from wavemq.testing.simulation.loop import first_of
from wavemq.wave.hashes import Hash

NOTICE_SECONDS_MAX: Final = 4.0
"""How late an end may learn that its link is gone."""
ALL_METHODS: Final = frozenset[str]()
METHODS_OF_OUR_OWN: Final = frozenset({"PeerConsume", "PeerPublishStream"})

Peer = tuple[grpc.GenericRpcHandler, asyncio.Future[None]]
"""A service, and a future that is done when its router dies."""


class Network:
    """What all links share.

    Args:
        dice: draws delays.

    Attributes:
        conditions: of every link.
        is_partitioned: whether nobody reaches anybody.
        hidden_methods: that designated routers do not serve.
    """

    def __init__(self, dice: Random) -> None:
        self.dice = dice
        self.conditions = Conditions(dice)
        self.is_partitioned = False
        self.hidden_methods = ALL_METHODS
        self._links = 0

    def link(self, service: grpc.GenericRpcHandler) -> SimulatedLink:
        """Return a new link to a service."""
        self._links += 1
        name = f"link-{self._links}"
        return SimulatedLink(name, service, self.conditions, hidden=self.hidden_methods)


class PeerFinder:
    """Returns the far router's service, None while it is dead; set by the world."""

    def __init__(self) -> None:
        self.peer: Peer | None = None

    def __call__(self) -> Peer | None:
        """Return the service."""
        return self.peer


class SimulatedUplink:
    """Stands where `net.uplink.Uplink` does, with a far end in the same thread.

    Args:
        namespace: whose designated router it is.
        port: of the near router.
        network: that it crosses.
        find_peer: returns the far router's service while that router lives.
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
        self._session: UplinkSession | None = None
        self._cut: asyncio.Event | None = None

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
                backoff.reset()
                await self._hold(*peer)
            await asyncio.sleep(backoff.next_delay())

    async def _hold(self, service: grpc.GenericRpcHandler, death: asyncio.Future[None]) -> None:
        """Hold one link until it is lost, and a while longer if that goes unnoticed."""
        link = self._network.link(service)
        cut = self._cut = asyncio.Event()
        gone = asyncio.ensure_future(_wait_gone(link, cut, death, self._network.dice))
        channel = cast(grpc.aio.Channel, link)
        session = UplinkSession(channel, self.namespace, self._port)
        try:
            await session.run(_shielded(gone), partial(self._begin, session))
        finally:
            self._session = self._cut = None
            self._port.uplink_lost(self.namespace)
            cut.set()

    def _begin(self, session: UplinkSession) -> None:
        self._session = session
        self._port.uplink_connected(self.namespace)

    def cut(self) -> None:
        """Cut the link; each end learns of it at some time."""
        if self._cut is not None:
            self._cut.set()

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
        """Query the designated router."""
        if self._session is None:
            raise DesignatedRouterLinkDownError("there is no link")
        return self._session.query(request)


async def _wait_gone(
    link: SimulatedLink, cut: asyncio.Event, death: asyncio.Future[None], dice: Random
) -> None:
    """Return when the near end notices that the link is gone; the far end notices at its time."""
    loop = asyncio.get_running_loop()
    cutting = asyncio.ensure_future(cut.wait())
    await first_of(death, cutting)
    cutting.cancel()
    link.cut()
    if death.done():
        link.end_serving()
    else:
        loop.call_later(dice.uniform(0.0, NOTICE_SECONDS_MAX), link.end_serving)
    await asyncio.sleep(dice.uniform(0.0, NOTICE_SECONDS_MAX))


async def _shielded(work: asyncio.Future[None]) -> None:
    await asyncio.wait({work})
