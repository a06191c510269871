"""What an operator may want to know of a core: each uplink, and the subscriptions that hold most.

Owns the values. Refuses to know pages and commands. Fault model: none; they are a moment's picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wavemq.clock import Instant
from wavemq.messages.topic import TopicFilter
from wavemq.wave.hashes import Hash


@dataclass(frozen=True, slots=True)
class UplinkStatus:
    """One uplink.

    Attributes:
        namespace: whose.
        is_connected: whether its link is up.
        waiting_messages: not sent yet.
        waiting_bytes: theirs.
        in_flight_messages: sent and not answered.
        in_flight_bytes: theirs.
        dropped_count: messages over the life of its queue.
    """

    namespace: Hash
    is_connected: bool
    waiting_messages: int
    waiting_bytes: int
    in_flight_messages: int
    in_flight_bytes: int
    dropped_count: int


@dataclass(frozen=True, slots=True)
class SubscriptionStatus:
    """One subscription.

    Attributes:
        namespace: of its filter.
        topic_filter: what it asks for.
        identifier: the entity's own name for it.
        source: the entity.
        is_local: whether a client of this router has it, or a site router.
        is_attached: whether somebody reads it now.
        queued_messages: that it holds, those in flight included.
        queued_bytes: theirs.
        in_flight_messages: sent and not confirmed.
        messages_max: that it may hold.
        bytes_max: that it may hold.
        deadline: when it ends as things stand.
        dropped_count: messages over the life of its queue.
    """

    namespace: Hash
    topic_filter: TopicFilter
    identifier: str
    source: Hash
    is_local: bool
    is_attached: bool
    queued_messages: int
    queued_bytes: int
    in_flight_messages: int
    messages_max: int
    bytes_max: int
    deadline: Instant
    dropped_count: int


@dataclass(frozen=True, slots=True)
class RouterStatus:
    """A core at a moment.

    Attributes:
        is_disk_failing: whether the last write failed.
        uplinks: every uplink, by namespace.
        subscriptions: those that hold most, the fullest first.
    """

    is_disk_failing: bool
    uplinks: Sequence[UplinkStatus]
    subscriptions: Sequence[SubscriptionStatus]
