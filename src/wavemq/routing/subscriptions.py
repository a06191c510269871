"""The subscriptions of a router, and which of them a message is for.

Owns identity (one entity, one identifier, one router), the filters' tree, and when a subscription
ends. Refuses to know disk, links and streams. Fault model: peers may subscribe under any router id;
theirs never meet ours, since identity includes who serves it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from wavemq.clock import NANOSECONDS_PER_SECOND, Instant
from wavemq.messages.message import SubscriptionId, SubscriptionRequest, subscription_id
from wavemq.messages.topic import Topic
from wavemq.messages.verified import Verified
from wavemq.routing.config import QUEUE_EXPIRY_SECONDS_MIN
from wavemq.routing.events import ConsumerId
from wavemq.routing.queue import MessageQueue
from wavemq.routing.records import ConsumerQueueDefinition, DownlinkPosition, QueueId
from wavemq.routing.trie import FilterTrie
from wavemq.wave.hashes import Hash

MATCHES_REMEMBERED_MAX: Final = 4096
"""Topics whose subscriptions are remembered, per namespace."""


@dataclass(frozen=True, slots=True)
class SubscriptionKey:
    """What makes two subscriptions the same; `router_id` is None for local ones."""

    identity: SubscriptionId
    router_id: str | None


@dataclass(frozen=True, slots=True)
class StandingSubscription:
    """A subscription as those see it who watch over its authority.

    Attributes:
        queue: its queue.
        request: with the proof on which it stands.
        is_local: whether a client of this router has it.
    """

    queue: QueueId
    request: SubscriptionRequest
    is_local: bool


@dataclass(slots=True)
class Consumer:
    """A stream that reads a queue; `credit` is how many messages may be in flight."""

    consumer: ConsumerId
    credit: int


class Subscription:
    """A subscription and its queue.

    Args:
        queue_id: of its queue.
        definition: who asked for what.
        queue: of what matched.
        queue_expiry_s: the router's own bound on how long nobody may drain it.
        now: its clock begins.
    """

    __slots__ = (
        "_expiry_ns",
        "_queue_expiry_s",
        "consumer",
        "definition",
        "drained",
        "is_open_upstream",
        "key",
        "link",
        "open_attempts",
        "position",
        "queue",
        "queue_id",
        "request",
    )

    def __init__(
        self,
        queue_id: QueueId,
        definition: ConsumerQueueDefinition,
        queue: MessageQueue,
        *,
        queue_expiry_s: int,
        now: Instant,
    ) -> None:
        self.queue_id = queue_id
        self.queue = queue
        self.consumer: Consumer | None = None
        self.drained = now
        self.link = ""
        self.is_open_upstream = False
        self.open_attempts = 0
        self.position: DownlinkPosition | None = None
        self._queue_expiry_s = queue_expiry_s
        self.key = key_of(definition)
        self.redefine(definition)

    def redefine(self, definition: ConsumerQueueDefinition) -> None:
        """Take a later request for the same subscription."""
        self.definition = definition
        self.request: SubscriptionRequest = definition.subscription.value
        wanted_s = max(self.request.expiry_s, QUEUE_EXPIRY_SECONDS_MIN)
        self._expiry_ns = min(wanted_s, self._queue_expiry_s) * NANOSECONDS_PER_SECOND

    @property
    def is_local(self) -> bool:
        """Whether a client of this router has it."""
        return self.definition.is_local

    def deadline(self) -> Instant:
        """Return when it ends, as things stand (wavemq.md 7).

        A reader that has taken all there was is draining, however long nothing comes.
        """
        end = absolute_end(self.definition.subscription)
        if self.consumer is not None and self.queue.is_empty:
            return end
        return min(end, Instant(self.drained + self._expiry_ns))


class _Namespace:
    """Filters of one namespace, and recent matches."""

    __slots__ = ("matches", "trie")

    def __init__(self) -> None:
        self.trie: FilterTrie[Subscription] = FilterTrie()
        self.matches: dict[str, list[Subscription]] = {}


class Subscriptions:
    """All subscriptions, found by key, queue, consumer and topic."""

    def __init__(self) -> None:
        self._by_key: dict[SubscriptionKey, Subscription] = {}
        self._by_queue: dict[QueueId, Subscription] = {}
        self._by_consumer: dict[ConsumerId, Subscription] = {}
        self._by_link: dict[str, dict[QueueId, Subscription]] = {}
        self._namespaces: dict[Hash, _Namespace] = {}

    def __len__(self) -> int:
        return len(self._by_queue)

    def all(self) -> list[Subscription]:
        """Return all, in the order in which they were made."""
        return list(self._by_queue.values())

    @property
    def consumer_count(self) -> int:
        """Streams attached."""
        return len(self._by_consumer)

    def with_key(self, key: SubscriptionKey) -> Subscription | None:
        """Return the subscription with a key."""
        return self._by_key.get(key)

    def with_queue(self, queue: QueueId) -> Subscription | None:
        """Return the subscription with a queue."""
        return self._by_queue.get(queue)

    def with_consumer(self, consumer: ConsumerId) -> Subscription | None:
        """Return the subscription that a stream reads."""
        return self._by_consumer.get(consumer)

    def with_link(self, link: str) -> list[Subscription]:
        """Return the subscriptions of sites that a link opened last."""
        return list(self._by_link.get(link, {}).values())

    def link(self, subscription: Subscription, link: str) -> None:
        """Note which link opened a subscription last; empty: none."""
        if subscription.link:
            opened = self._by_link[subscription.link]
            del opened[subscription.queue_id]
            if not opened:
                del self._by_link[subscription.link]
        subscription.link = link
        if link:
            self._by_link.setdefault(link, {})[subscription.queue_id] = subscription

    def add(self, subscription: Subscription) -> None:
        """Make a subscription effective."""
        self._by_key[subscription.key] = subscription
        self._by_queue[subscription.queue_id] = subscription
        namespace = self._namespaces.setdefault(subscription.request.namespace, _Namespace())
        namespace.trie.add(subscription.request.topic_filter, subscription)
        namespace.matches.clear()

    def remove(self, subscription: Subscription) -> None:
        """End a subscription."""
        self.detach(subscription)
        self.link(subscription, "")
        del self._by_key[subscription.key]
        del self._by_queue[subscription.queue_id]
        name = subscription.request.namespace
        namespace = self._namespaces[name]
        namespace.trie.remove(subscription.request.topic_filter, subscription)
        namespace.matches.clear()
        if len(namespace.trie) == 0:
            del self._namespaces[name]

    def attach(self, subscription: Subscription, consumer: Consumer) -> None:
        """Let a stream read a subscription's queue."""
        self.detach(subscription)
        subscription.consumer = consumer
        self._by_consumer[consumer.consumer] = subscription

    def detach(self, subscription: Subscription) -> None:
        """Let no stream read a subscription's queue."""
        if subscription.consumer is not None:
            del self._by_consumer[subscription.consumer.consumer]
            subscription.consumer = None

    def matching(self, name: Hash, topic: Topic) -> list[Subscription]:
        """Return the subscriptions that ask for a topic, in the order in which they were made."""
        namespace = self._namespaces.get(name)
        if namespace is None:
            return []
        found = namespace.matches.get(topic.text)
        if found is None:
            found = sorted(namespace.trie.match(topic), key=lambda one: one.queue_id)
            if len(namespace.matches) >= MATCHES_REMEMBERED_MAX:
                namespace.matches.clear()
            namespace.matches[topic.text] = found
        return found


def key_of(definition: ConsumerQueueDefinition) -> SubscriptionKey:
    """Return what identifies a subscription."""
    request = definition.subscription.value
    return SubscriptionKey(
        subscription_id(request.source, request.identifier),
        None if definition.is_local else request.router_id,
    )


def absolute_end(subscription: Verified[SubscriptionRequest]) -> Instant:
    """Return when a subscription ends at the latest: as asked for, or with its proof."""
    asked = subscription.value.absolute_expiry
    return subscription.granted_until if asked is None else min(asked, subscription.granted_until)
