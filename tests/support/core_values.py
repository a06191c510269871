"""Values for tests of the core: entities without keys, messages without signatures."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from wavemq.clock import NANOSECONDS_PER_SECOND, Instant
from wavemq.messages.message import Message, PayloadObject, QueryRequest, SubscriptionRequest
from wavemq.messages.topic import Topic, TopicFilter
from wavemq.messages.verified import Verified
from wavemq.routing.config import QueueLimits, RoutingConfig
from wavemq.wave.hashes import Hash

START = Instant(1_800_000_000 * NANOSECONDS_PER_SECOND)
FOREVER = Instant(START + 365 * 86_400 * NANOSECONDS_PER_SECOND)
LIMITS = QueueLimits(messages_max=1000, bytes_max=1 << 20)


def after(seconds: float) -> Instant:
    """The instant so many seconds after the start of the test's world."""
    return Instant(START + round(seconds * NANOSECONDS_PER_SECOND))


def entity(name: str) -> Hash:
    """The hash that stands for an entity."""
    return Hash(hashlib.sha3_256(name.encode()).digest())


NAMESPACE = entity("namespace")
OTHER_NAMESPACE = entity("other namespace")


def message(
    topic: str,
    content: bytes = b"",
    *,
    namespace: Hash = NAMESPACE,
    source: str = "publisher",
    origin: str = "site",
    is_persisted: bool = False,
    timestamps: Sequence[int] = (),
    proof: bytes = b"proof",
) -> Verified[Message]:
    """A message that is taken for verified."""
    return Verified(
        Message(
            source=entity(source),
            source_location=None,
            namespace=namespace,
            topic=Topic(topic),
            payload=(PayloadObject("text", content),),
            origin_router=origin,
            jedi_timestamp=None,
            proof=proof,
            signature=hashlib.sha3_256(content + topic.encode()).digest(),
            encryption_partition=(),
            timestamps=tuple(Instant(one) for one in timestamps),
            drops=(),
            is_persisted=is_persisted,
        ),
        FOREVER,
    )


def subscription(
    topic_filter: str,
    identifier: str = "reader",
    *,
    namespace: Hash = NAMESPACE,
    source: str = "subscriber",
    router_id: str = "site",
    expiry_s: int = 60,
    absolute_expiry: Instant | None = None,
    granted_until: Instant = FOREVER,
    proof: bytes = b"proof",
) -> Verified[SubscriptionRequest]:
    """A subscription that is taken for verified."""
    return Verified(
        SubscriptionRequest(
            source=entity(source),
            source_location=None,
            namespace=namespace,
            topic_filter=TopicFilter(topic_filter),
            identifier=identifier,
            router_id=router_id,
            expiry_s=expiry_s,
            absolute_expiry=absolute_expiry,
            proof=proof,
            signature=b"signature",
        ),
        granted_until,
    )


def query(topic_filter: str, *, namespace: Hash = NAMESPACE) -> Verified[QueryRequest]:
    """A query that is taken for verified."""
    return Verified(
        QueryRequest(
            source=entity("subscriber"),
            namespace=namespace,
            topic_filter=TopicFilter(topic_filter),
            proof=b"proof",
            signature=b"signature",
        ),
        FOREVER,
    )


def site_config(router_id: str = "site", **changes: object) -> RoutingConfig:
    """A site router with one uplink; `changes` are attributes of `RoutingConfig`."""
    return _config(router_id, {"uplinks": frozenset({NAMESPACE})} | changes)


def designated_config(router_id: str = "designated", **changes: object) -> RoutingConfig:
    """The designated router of the namespace."""
    return _config(router_id, {"designated": frozenset({NAMESPACE})} | changes)


def _config(router_id: str, changes: dict[str, object]) -> RoutingConfig:
    attributes: dict[str, object] = {
        "router_id": router_id,
        "uplinks": frozenset(),
        "designated": frozenset(),
        "queue_expiry_s": 86_400,
        "consumer_queue": LIMITS,
        "uplink_queue": LIMITS,
        **changes,
    }
    return RoutingConfig(**attributes)  # type: ignore[arg-type]  # tests name attributes freely
