"""What the doors count; the metrics derive from it.

Owns the numbers that the core does not know, since what they count never reaches it. Refuses to
know metric names. Fault model: none; they only grow.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class DoorCounts:
    """Counts since the start of the process."""

    publishes_refused: int = 0
    subscriptions_refused: int = 0
    queries_refused: int = 0
    queries_without_link: int = 0
    deliveries_unproved: int = 0
    deliveries_unreadable: int = 0
    retained_returned: int = 0
    peer_publishes_refused: int = 0
    peer_subscriptions_refused: int = 0
    peer_queries_refused: int = 0
    uplink_failures: int = 0
