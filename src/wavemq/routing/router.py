"""The router's core: events in, effects out."""

from __future__ import annotations

from collections.abc import Sequence

from wavemq.clock import Instant
from wavemq.routing.config import RoutingConfig
from wavemq.routing.effects import Effect
from wavemq.routing.events import Event
from wavemq.routing.records import Snapshot
from wavemq.routing.statistics import RouterStatistics


class Router:
    """Routes messages between doors, queues and uplinks.

    Args:
        config: how to behave.
        snapshot: what the journal holds.
    """

    def __init__(self, config: RoutingConfig, snapshot: Snapshot) -> None: ...

    def handle(self, events: Sequence[Event], now: Instant) -> list[Effect]:
        """Take what happened and return what to do; never raises on what comes from outside."""
        ...

    def next_deadline(self) -> Instant | None:
        """Return when to report `TimerFired` at the latest; None: never."""
        ...

    def statistics(self) -> RouterStatistics:
        """Return the counts, without waiting."""
        ...
