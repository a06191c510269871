"""Simulated programs: publishers, and readers that acknowledge.

Owns what programs do and note in the history. Refuses to know faults. Fault model: their router
dies under them; they ask again. Readers forget what they have not dealt with when they crash.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from hashlib import blake2b
from random import Random
from typing import Final

from wavemq.errors import WaveMQError
from wavemq.messages.message import Message, PayloadObject, SubscriptionRequest
from wavemq.messages.topic import Topic, TopicFilter
from wavemq.messages.verified import restored_from_journal
from wavemq.router.consumption import QueueConsumption
from wavemq.routing.effects import AcceptSubscription
from wavemq.routing.events import MessagePublished, SubscriptionRequested
from wavemq.testing.history import Fate, History
from wavemq.testing.simulation.authority import FOREVER
from wavemq.testing.simulation.loop import first_of
from wavemq.testing.simulation.nodes import SimulatedRouter
from wavemq.wave.hashes import Hash

CREDIT: Final = 8
REMEMBERED: Final = 4096
EXPIRY_SECONDS: Final = 86_400


class Publisher:
    """A program that publishes on its own topics.

    Args:
        name: of the program; its entity is named so.
        router: to which it speaks.
        namespace: of its topics.
        topics: that it chooses from.
        history: where it notes what it does; None: nowhere.
        dice: decides for it.
        pause_s: between two messages, on average.
    """

    def __init__(
        self,
        name: str,
        router: SimulatedRouter,
        namespace: Hash,
        topics: list[str],
        history: History | None,
        dice: Random,
        pause_s: float,
    ) -> None:
        self.entity = Hash(blake2b(name.encode(), digest_size=32).digest())
        self._name = name
        self._router = router
        self._namespace = namespace
        self._topics = topics
        self._history = history
        self._dice = dice
        self._pause_s = pause_s

    async def run(self) -> None:
        """Publish for ever."""
        while True:
            await asyncio.sleep(self._dice.expovariate(1 / self._pause_s))
            topic = self._dice.choice(self._topics)
            if not self._router.is_alive:
                continue
            if self._history is None:
                await self._publish(topic, b"nobody may see this")
                continue
            publication = self._history.sending(self._name, topic)
            fate = await self._publish(topic, publication.payload)
            self._history.settle(publication, fate)

    async def _publish(self, topic: str, payload: bytes) -> Fate:
        router = self._router
        message = Message(
            source=self.entity,
            source_location=None,
            namespace=self._namespace,
            topic=Topic(topic),
            payload=(PayloadObject("text", payload),),
            origin_router=router.router_id,
            jedi_timestamp=None,
            proof=self.entity.to_bytes(),
            signature=blake2b(payload, digest_size=32).digest(),
            encryption_partition=(),
            timestamps=(),
            drops=(),
            is_persisted=False,
        )
        verified = restored_from_journal(message, FOREVER)
        asking = asyncio.ensure_future(
            router.driver.ask(lambda request: MessagePublished(request, verified))
        )
        await first_of(asking, router.death)
        if not asking.done():
            asking.cancel()
            return Fate.UNKNOWN
        # Refused by a failing disk: the uplink may have had it already.
        return Fate.UNKNOWN if asking.exception() is not None else Fate.ANSWERED


class Reader:
    """A program that reads one subscription, and acknowledges as the SDK does.

    Args:
        name: of its queue.
        router: to which it speaks.
        namespace: of the filter.
        topic_filter: what it wants.
        history: where it notes what it got.
        forbidden: entities whose messages must never reach it.
        dice: decides for it.
    """

    def __init__(
        self,
        name: str,
        router: SimulatedRouter,
        namespace: Hash,
        topic_filter: str,
        history: History,
        forbidden: set[Hash],
        dice: Random,
    ) -> None:
        self.unauthorized_count = 0
        self._name = name
        self._router = router
        self._namespace = namespace
        self._topic_filter = TopicFilter(topic_filter)
        self._history = history
        self._forbidden = forbidden
        self._dice = dice
        self._done: OrderedDict[tuple[str, int], None] = OrderedDict()
        self._has_joined = False
        self.is_calm = False

    async def run(self) -> None:
        """Read for ever."""
        while True:
            if self._router.is_alive:
                reading = asyncio.ensure_future(self._read())
                await first_of(reading, self._router.death)
                reading.cancel()
                await asyncio.wait({reading})
                if not reading.cancelled() and reading.exception() is not None:
                    failure = reading.exception()
                    if not isinstance(failure, WaveMQError):
                        raise AssertionError(f"{self._name} failed") from failure
            await asyncio.sleep(self._dice.uniform(0.01, 0.5))

    async def _read(self) -> None:
        router = self._router
        request = restored_from_journal(self._request(), FOREVER)
        accepted = await router.driver.ask(lambda number: SubscriptionRequested(number, request))
        assert isinstance(accepted, AcceptSubscription)
        if not self._has_joined:
            self._has_joined = True
            self._history.joined(self._name, self._topic_filter.text)
        reader = router.driver.attach(accepted.queue, CREDIT)
        consumption = QueueConsumption(reader, router.router_id)
        try:
            while True:
                for one in await consumption.take():
                    await asyncio.sleep(self._dice.uniform(0.0, 0.02))
                    if not self.is_calm and self._dice.random() < 0.01:
                        return  # it crashes before it has dealt with this one
                    key = (consumption.journal, one.place)
                    if key not in self._done:
                        self._note(one.message)
                        self._done[key] = None
                        if len(self._done) > REMEMBERED:
                            self._done.popitem(last=False)
                    consumption.acknowledge([one.place])
        finally:
            await consumption.aclose()

    def _note(self, message: Message) -> None:
        if message.source in self._forbidden:
            self.unauthorized_count += 1
            return
        self._history.received(
            self._name,
            message.topic.text,
            message.payload[0].content,
            origin=message.origin_router,
            drops=message.drops,
        )

    def _request(self) -> SubscriptionRequest:
        return SubscriptionRequest(
            source=Hash(blake2b(self._name.encode(), digest_size=32).digest()),
            source_location=None,
            namespace=self._namespace,
            topic_filter=self._topic_filter,
            identifier=self._name,
            router_id=self._router.router_id,
            expiry_s=EXPIRY_SECONDS,
            absolute_expiry=None,
            proof=b"proof",
            signature=blake2b(self._name.encode(), digest_size=32).digest(),
        )
