"""Numbers about a core; the metrics of wavemq.md 14 derive from them.

Owns the snapshot of counts. Refuses to know metric names. Fault model: none; counts only grow,
from 0 at each start of the process, unless they say "now".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RouterStatistics:
    """How a core fares.

    Attributes:
        published_count: messages that local clients published and this router took.
        enqueued_count: references put into queues, one per queue and message.
        upstream_count: messages taken from site routers.
        downstream_count: messages taken from designated routers.
        duplicate_count: messages that came again and were recognised.
        peer_error_count: frames and uplink subscriptions that designated routers refused.
        persisted_count: messages retained.
        query_count: queries answered from here.
        dropped: messages that left queues without a reader, by the cause (see `DropCause`).
        corrupt_count: messages that could not be read back, and what was set aside at the start.
        withdrawn_count: references taken back since the disk did not take them; their publishers
            were told so.
        revoked_count: subscriptions that ended since their authority was revoked.
        delivered_count: messages that readers' streams took.
        transmitted_count: messages that designated routers took.
        journal_failure_count: writes that failed.
        subscriptions: local and peer subscriptions now.
        consumers: streams attached now.
        uplinks_configured: uplinks that should exist.
        uplinks_connected: uplinks that do now.
        queues: queues now.
        queued_messages: references in queues now.
        queued_bytes: their bytes now.
        records: messages kept now, each counted once.
        durable_records: those of them that are on disk now.
        resident_bytes: bytes of messages in memory now.
    """

    published_count: int
    enqueued_count: int
    upstream_count: int
    downstream_count: int
    duplicate_count: int
    peer_error_count: int
    persisted_count: int
    query_count: int
    dropped: Mapping[str, int]
    corrupt_count: int
    withdrawn_count: int
    revoked_count: int
    delivered_count: int
    transmitted_count: int
    journal_failure_count: int
    subscriptions: int
    consumers: int
    uplinks_configured: int
    uplinks_connected: int
    queues: int
    queued_messages: int
    queued_bytes: int
    records: int
    durable_records: int
    resident_bytes: int

    @property
    def dropped_count(self) -> int:
        """Messages that left queues without a reader, for any cause."""
        return sum(self.dropped.values())
