"""What operators see: the original's metrics, and the process's own, as Prometheus text.

Owns the names and their meaning (wavemq.md 14) and the text. Refuses to count: values come from
the `statistics()` of those who do. Fault model: none. The names have no `_total` suffix, since
dashboards made for the original ask for them so; the client library would add it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

COUNTERS: Final[Mapping[str, str]] = {
    "route_published_messages": "Messages that local clients published and this router accepted",
    "route_enqueued_messages": "References appended to queues, one per queue and message",
    "route_downstream_messages": "Messages received from designated routers",
    "route_upstream_messages": "Messages received from site routers",
    "route_peer_errors": "Failed calls to designated routers",
    "route_persisted_messages": "Messages retained as the last of their topic",
    "route_queried_messages": "Retained messages returned by queries",
    "queue_dropped_messages": "Messages dropped from queues for want of room or by expiry",
    "localserver_failed_form_message": "Publishes refused before they were routed",
    "localserver_failed_form_query": "Queries refused before they were sent",
    "localserver_failed_form_subscribe": "Subscriptions refused before they were made",
    "localserver_failed_linkdown_query": "Queries refused since the designated router was away",
    "localserver_failed_incoming_proof": "Messages not delivered: signature or proof failed",
    "localserver_failed_incoming_decryption": "Messages not delivered: the reader lacks the key",
    "peerserver_failed_query": "Queries of peers refused",
    "peerserver_failed_subscribe": "Subscriptions of peers refused",
    "peerserver_failed_publish": "Messages of peers refused",
}
GAUGES: Final[Mapping[str, str]] = {
    "route_active_subscriptions": "Subscriptions that exist now",
    "route_active_upstream_connections": "Uplinks that are connected now",
    "queue_committed_messages": "Messages on disk now",
    "queue_queued_messages": "References in queues now",
    "queue_queued_bytes": "Bytes in queues now",
    "queue_number": "Queues that exist now",
}
DROPPED: Final = "wavemq_dropped_messages_total"
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class ProcessMetrics:
    """Memory, open files and processor time of this process, under Prometheus's usual names."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)

    def to_bytes(self) -> bytes:
        """Return them as Prometheus text."""
        return generate_latest(self._registry)


def render_dropped(dropped: Mapping[str, int]) -> bytes:
    """Return Prometheus text with what left queues without a reader, by cause."""
    lines = [
        f"# HELP {DROPPED} Messages that left queues without a reader.",
        f"# TYPE {DROPPED} counter",
        *(f'{DROPPED}{{cause="{cause}"}} {count}' for cause, count in dropped.items()),
    ]
    return ("\n".join(lines) + "\n").encode()


def render_metrics(values: Mapping[str, float]) -> bytes:
    """Return Prometheus text with every name of `COUNTERS` and `GAUGES`, and no other.

    Args:
        values: by name; a name without a value is 0, so that a dashboard finds it from the start.
    """
    unknown = values.keys() - COUNTERS.keys() - GAUGES.keys()
    assert not unknown, f"metrics without a meaning: {sorted(unknown)}"
    lines: list[str] = []
    for kind, names in (("counter", COUNTERS), ("gauge", GAUGES)):
        for name, meaning in names.items():
            lines.append(f"# HELP {name} {meaning}.")
            lines.append(f"# TYPE {name} {kind}")
            lines.append(f"{name} {values.get(name, 0)}")
    return ("\n".join(lines) + "\n").encode()
