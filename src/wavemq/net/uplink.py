"""The way to the designated router of one namespace, kept open for ever.

Owns dialling, waiting and dialling again. Refuses to know queues and authority. Fault model: the
other end may be away for days, be the wrong one, or come and go; attempts are spread by back-off
with jitter, and everything that was under way when a link is lost counts as not sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial
from random import Random
from typing import Final

import structlog

from wavemq.errors import DesignatedRouterLinkDownError, UnavailableError, WaveMQError
from wavemq.messages.message import Message, QueryRequest, SubscriptionRequest
from wavemq.net.addresses import Address
from wavemq.net.backoff import Backoff
from wavemq.net.link import DialledLink, LinkLimits, dial_link
from wavemq.net.transport import UplinkPort
from wavemq.net.uplink_session import UplinkSession
from wavemq.routing.effects import Delivery
from wavemq.routing.records import QueueId
from wavemq.wave.hashes import Hash

SETTLED_SECONDS: Final = 10.0
"""A link that lived that long was a good one: the next attempt begins without delay again."""

_log = structlog.get_logger("wavemq.net.uplink")


class Uplink:
    """One namespace's designated router.

    Args:
        namespace: whose messages go there.
        address: of its peering door.
        port: of our router.
        random: for jitter.
        limits: bounds of the link.
    """

    def __init__(
        self,
        namespace: Hash,
        address: Address,
        port: UplinkPort,
        *,
        random: Random,
        limits: LinkLimits | None = None,
    ) -> None:
        self.namespace = namespace
        self.address = address
        self._port = port
        self._random = random
        self._limits = limits
        self._session: UplinkSession | None = None

    @property
    def is_connected(self) -> bool:
        """Whether there is a link with a checked router at its other end."""
        return self._session is not None

    async def run(self) -> None:
        """Hold a link as long as this is not cancelled."""
        loop = asyncio.get_running_loop()
        backoff = Backoff(self._random)
        while True:
            started = loop.time()
            try:
                await self._hold()
            except WaveMQError as error:
                self._port.peer_failed(self.namespace, error)
                _log.warning(
                    "uplink_failed",
                    namespace=self.namespace.to_text(),
                    address=str(self.address),
                    reason=error.reason,
                )
            if loop.time() - started >= SETTLED_SECONDS:
                backoff.reset()
            await asyncio.sleep(backoff.next_delay())

    def drop(self, reason: str) -> None:
        """End the link, if there is one; the next is dialled and checked as ever."""
        if self._session is not None:
            _log.warning(
                "uplink_dropped",
                namespace=self.namespace.to_text(),
                address=str(self.address),
                reason=reason,
            )
            self._session.end(reason)

    def transmit(self, frames: Sequence[Delivery]) -> None:
        """Send messages; without a link nothing happens, since its loss is reported anyway."""
        if self._session is not None:
            self._session.transmit(frames)

    def open_subscription(self, queue: QueueId, request: SubscriptionRequest) -> None:
        """Follow a subscription as long as the link lasts."""
        if self._session is not None:
            self._session.open_subscription(queue, request)

    def close_subscription(self, queue: QueueId, request: SubscriptionRequest) -> None:
        """Stop following a subscription; without a link its queue there ends by expiry."""
        if self._session is not None:
            self._session.close_subscription(queue, request)

    def query(self, request: QueryRequest) -> AsyncIterator[Sequence[Message]]:
        """Return batches of what the designated router retains, not checked yet.

        Raises:
            DesignatedRouterLinkDownError: there is no link.
        """
        if self._session is None:
            raise DesignatedRouterLinkDownError(
                f"there is no link to the designated router at {self.address}"
            )
        return self._session.query(request)

    async def _hold(self) -> None:
        """Establish a link and hold it until it is lost."""
        check = partial(self._port.check_router, self.namespace)
        async with dial_link(self.address, self.namespace, check, limits=self._limits) as link:
            await self._wait_begun(link)
            session = UplinkSession(
                link.channel, self.namespace, self._port, is_lost=lambda: link.is_lost
            )
            try:
                await session.run(link.wait_lost(), partial(self._begin, session))
            finally:
                self._session = None
                self._port.uplink_lost(self.namespace)

    async def _wait_begun(self, link: DialledLink) -> None:
        """Have HTTP/2 begin now: the other end drops a link on which nothing follows."""
        limit_s = (self._limits or LinkLimits()).handshake_s
        try:
            async with asyncio.timeout(limit_s):
                await link.wait_begun()
        except (TimeoutError, OSError) as error:
            raise UnavailableError(
                f"the designated router at {self.address} did not begin HTTP/2 within {limit_s:g} s"
            ) from error

    def _begin(self, session: UplinkSession) -> None:
        self._session = session
        _log.info("uplink_connected", namespace=self.namespace.to_text(), address=str(self.address))
        self._port.uplink_connected(self.namespace)
