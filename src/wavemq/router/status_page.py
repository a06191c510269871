"""What `GET /status` shows: a router at a moment, as JSON for people and scripts.

Owns the names (docs/how-to/watch-a-router.md). Refuses to count. Fault model: none; only so many
subscriptions are shown, the fullest first.
"""

from __future__ import annotations

import json
from typing import Final

import wavemq
from wavemq.router.config import RouterConfig
from wavemq.router.driver import Driver
from wavemq.routing.status import SubscriptionStatus, UplinkStatus

SUBSCRIPTIONS_SHOWN_MAX: Final = 50


def status_json(driver: Driver, config: RouterConfig) -> bytes:
    """Return the status of a router; instants are nanoseconds since the epoch."""
    core, status = driver.statistics(), driver.status(SUBSCRIPTIONS_SHOWN_MAX)
    addresses = {one.namespace: str(one.address) for one in config.uplinks}
    content = {
        "version": wavemq.__version__,
        "router_id": driver.router_id,
        "durability": config.durability.value,
        "is_disk_failing": status.is_disk_failing,
        "queued_messages": core.queued_messages,
        "queued_bytes": core.queued_bytes,
        "delivered_messages": core.delivered_count,
        "transmitted_messages": core.transmitted_count,
        "repeats_recognised": core.duplicate_count,
        "dropped_messages": dict(core.dropped),
        "corrupt_records": core.corrupt_count,
        "subscriptions": core.subscriptions,
        "uplinks": [_uplink(one, addresses.get(one.namespace, "")) for one in status.uplinks],
        "fullest_subscriptions": [_subscription(one) for one in status.subscriptions],
    }
    return json.dumps(content).encode()


def _uplink(one: UplinkStatus, address: str) -> dict[str, object]:
    return {
        "namespace": one.namespace.to_text(),
        "address": address,
        "is_connected": one.is_connected,
        "waiting_messages": one.waiting_messages,
        "waiting_bytes": one.waiting_bytes,
        "in_flight_messages": one.in_flight_messages,
        "dropped_messages": one.dropped_count,
    }


def _subscription(one: SubscriptionStatus) -> dict[str, object]:
    return {
        "namespace": one.namespace.to_text(),
        "filter": one.topic_filter.text,
        "identifier": one.identifier,
        "source": one.source.to_text(),
        "is_local": one.is_local,
        "is_attached": one.is_attached,
        "queued_messages": one.queued_messages,
        "queued_bytes": one.queued_bytes,
        "in_flight_messages": one.in_flight_messages,
        "messages_max": one.messages_max,
        "bytes_max": one.bytes_max,
        "deadline": one.deadline,
        "dropped_messages": one.dropped_count,
    }
