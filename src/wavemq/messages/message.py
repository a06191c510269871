"""Messages, signed requests, and exactly which bytes of them are signed.

Owns the values that move through a router, their sizes, the three digests (wavemq.md 4) and the
identity of a subscription (wavemq.md 7). Refuses to know protobuf, disk, and whether a signature
or proof holds. Fault model: values are well formed, since the doors check that; digests are over
plain concatenations, as the wire contract has them, so they do not tell where a field ends.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Final, NewType

from wavemq.clock import Instant
from wavemq.crypto.hashing import sha3_256
from wavemq.messages.topic import Topic, TopicFilter
from wavemq.quickly import quickly, quickly_whole
from wavemq.wave.hashes import Hash
from wavemq.wave.location import Location

MESSAGE_OVERHEAD_BYTES: Final = 128
"""What a message without payload takes: two hashes, and the frames of its fields."""
_HOP_BYTES: Final = 8
_JEDI_TIMESTAMP_BYTES: Final = 8
_UINT64_MASK: Final = 0xFFFF_FFFF_FFFF_FFFF

SubscriptionId = NewType("SubscriptionId", str)
"""What makes two subscriptions the same: hash of the entity and of its chosen identifier."""


@dataclass(frozen=True, slots=True)
class PayloadObject:
    """One content and the name of its schema."""

    schema: str
    content: bytes = field(repr=False)


made_payload_object: Final = quickly(PayloadObject)


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it travels.

    Attributes:
        source: hash of the entity that published it.
        source_location: where that entity is stored; None: unknown.
        namespace: hash of the entity under whose authority the topic is.
        topic: what it is about.
        payload: the contents, encrypted or not.
        origin_router: id of the router that formed it.
        jedi_timestamp: seconds since the epoch; None: it is not encrypted with JEDI.
        proof: explicit proof (DER) that the source may publish; empty where it was left out.
        signature: of the source over `message_digest`, DER.
        encryption_partition: elements of the end-to-end encrypted resource; none: plain.
        timestamps: when it was routed or arrived, one per hop.
        drops: how many messages each queue on its way had dropped.
        is_persisted: whether the designated router retains it.
        head: the fields that never change, as they stand on the wire, once somebody encoded them.
    """

    source: Hash
    source_location: Location | None
    namespace: Hash
    topic: Topic
    payload: tuple[PayloadObject, ...] = field(repr=False)
    origin_router: str
    jedi_timestamp: int | None
    proof: bytes = field(repr=False)
    signature: bytes = field(repr=False)
    encryption_partition: tuple[bytes, ...]
    timestamps: tuple[Instant, ...]
    drops: tuple[int, ...]
    is_persisted: bool
    head: bytes = field(init=False, default=b"", repr=False, compare=False)

    def keep_head(self, head: bytes) -> None:
        """Remember the encoded form of the fields that never change.

        Copies with other marks of the way share it; `replace` makes a copy without.
        """
        object.__setattr__(self, "head", head)

    @property
    def is_encrypted(self) -> bool:
        """Whether the payload can be read only with a key."""
        return self.jedi_timestamp is not None or bool(self.encryption_partition)

    @property
    def size_bytes(self) -> int:
        """About what it takes in memory and on disk, its proof, which many share, left out."""
        size = MESSAGE_OVERHEAD_BYTES + len(self.topic.text) + len(self.origin_router)
        size += len(self.signature) + _HOP_BYTES * (len(self.timestamps) + len(self.drops))
        for one in self.payload:
            size += len(one.schema) + len(one.content)
        for element in self.encryption_partition:
            size += len(element)
        return size

    def arrived(self, now: Instant) -> Message:
        """Return the message with one more timestamp."""
        return self._passed((*self.timestamps, now), self.drops)

    def dequeued(self, dropped_count: int) -> Message:
        """Return the message with one more entry of drops: those of the queue that it left."""
        return self._passed(self.timestamps, (*self.drops, dropped_count))

    def _passed(self, timestamps: tuple[Instant, ...], drops: tuple[int, ...]) -> Message:
        """Return the message with other marks of its way."""
        return made_message(
            self.source,
            self.source_location,
            self.namespace,
            self.topic,
            self.payload,
            self.origin_router,
            self.jedi_timestamp,
            self.proof,
            self.signature,
            self.encryption_partition,
            timestamps,
            drops,
            self.is_persisted,
            self.head,
        )


made_message: Final = quickly_whole(Message)
"""Makes a message with its head: each hop makes several of each."""


@dataclass(frozen=True, slots=True)
class SubscriptionRequest:
    """A signed wish to receive what matches a filter.

    Attributes:
        source: hash of the entity that subscribes.
        source_location: where that entity is stored; None: unknown.
        namespace: of the filter.
        topic_filter: what to receive.
        identifier: the entity's own name for the subscription.
        router_id: id of the router that serves the entity.
        expiry_s: seconds without a reader after which the queue ends.
        absolute_expiry: when it ends at the latest; None: when the proof does.
        proof: explicit proof (DER) that the source may subscribe.
        signature: of the source over `subscription_digest`, DER.
    """

    source: Hash
    source_location: Location | None
    namespace: Hash
    topic_filter: TopicFilter
    identifier: str
    router_id: str
    expiry_s: int
    absolute_expiry: Instant | None
    proof: bytes = field(repr=False)
    signature: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryRequest:
    """A signed wish to read the retained messages that match a filter; fields as above."""

    source: Hash
    source_location: Location | None = None
    namespace: Hash
    topic_filter: TopicFilter
    proof: bytes = field(repr=False)
    signature: bytes = field(repr=False)


def message_digest(message: Message) -> bytes:
    """Return the 32 bytes that the source of a message signs (wavemq.md 4)."""
    parts = [message.source.to_bytes(), message.namespace.to_bytes(), message.topic.text.encode()]
    for one in message.payload:
        parts += (one.schema.encode(), one.content)
    parts.append(message.origin_router.encode())
    if message.jedi_timestamp is not None:
        # The original converts a signed number; the bits are what counts.
        timestamp = message.jedi_timestamp & _UINT64_MASK
        parts.append(timestamp.to_bytes(_JEDI_TIMESTAMP_BYTES, "little"))
    return sha3_256(*parts)


def subscription_digest(request: SubscriptionRequest) -> bytes:
    """Return the 32 bytes that a subscriber signs (wavemq.md 4); expiries are not among them."""
    return sha3_256(
        request.source.to_bytes(),
        request.namespace.to_bytes(),
        request.topic_filter.text.encode(),
        request.identifier.encode(),
        request.router_id.encode(),
    )


def query_digest(request: QueryRequest) -> bytes:
    """Return the 32 bytes that whoever queries signs (wavemq.md 4); the source is not in them."""
    return sha3_256(request.namespace.to_bytes(), request.topic_filter.text.encode())


def subscription_id(source: Hash, identifier: str) -> SubscriptionId:
    """Return the identity of a subscription: URL-safe base64 of a hash (wavemq.md 7)."""
    return subscription_id_of_bytes(source.to_bytes(), identifier)


def subscription_id_of_bytes(source: bytes, identifier: str) -> SubscriptionId:
    """Return the same for a source as it stands on the wire."""
    digest = sha3_256(source, identifier.encode())
    return SubscriptionId(base64.urlsafe_b64encode(digest).decode())
