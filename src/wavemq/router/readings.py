"""From counts to metrics: the one place that knows both.

Owns which count stands behind which metric of wavemq.md 14. Refuses to count. Fault model: none.
"""

from __future__ import annotations

from collections.abc import Mapping

from wavemq.router.counts import DoorCounts
from wavemq.routing.statistics import RouterStatistics


def metric_values(core: RouterStatistics, doors: DoorCounts) -> Mapping[str, float]:
    """Return the value of every metric, by name."""
    return {
        "route_published_messages": core.published_count,
        "route_enqueued_messages": core.enqueued_count,
        "route_downstream_messages": core.downstream_count,
        "route_upstream_messages": core.upstream_count,
        "route_peer_errors": core.peer_error_count + doors.uplink_failures,
        "route_persisted_messages": core.persisted_count,
        "route_queried_messages": doors.retained_returned,
        "queue_dropped_messages": core.dropped_count,
        "localserver_failed_form_message": doors.publishes_refused,
        "localserver_failed_form_query": doors.queries_refused,
        "localserver_failed_form_subscribe": doors.subscriptions_refused,
        "localserver_failed_linkdown_query": doors.queries_without_link,
        "localserver_failed_incoming_proof": doors.deliveries_unproved,
        "localserver_failed_incoming_decryption": doors.deliveries_unreadable,
        "peerserver_failed_query": doors.peer_queries_refused,
        "peerserver_failed_subscribe": doors.peer_subscriptions_refused,
        "peerserver_failed_publish": doors.peer_publishes_refused,
        "route_active_subscriptions": core.subscriptions,
        "route_active_upstream_connections": core.uplinks_connected,
        "queue_committed_messages": core.durable_records,
        "queue_queued_messages": core.queued_messages,
        "queue_queued_bytes": core.queued_bytes,
        "queue_number": core.queues,
    }
