"""How a router's core is told to behave.

Owns the numbers that an operator chooses and the bounds that keep memory small. Refuses to read
files. Fault model: a mistake in it is a `ConfigError` when the value is made, before anything runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from wavemq.errors import ConfigError
from wavemq.limits import MIB
from wavemq.wave.hashes import Hash

QUEUE_EXPIRY_SECONDS_MIN: Final = 60
"""A subscription that asks for less gets this (wavemq.md 7)."""
UPLINK_WINDOW: Final = 1024
"""With what has left the queue but not the disk, fewer than a designated router recognises."""
WINDOW_BYTES_MAX: Final = 4 * MIB
RESIDENT_BYTES_MAX: Final = 32 * MIB
SUBSCRIPTIONS_MAX: Final = 100_000


class Durability(StrEnum):
    """What the answer to a publish promises."""

    JOURNALED = "journaled"
    """The message is on disk, in every queue that holds it."""
    ACCEPTED = "accepted"
    """The message is in memory and about to be written: a crash may lose it."""


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """Where a queue begins to drop its oldest messages.

    Attributes:
        messages_max: messages that wait in it.
        bytes_max: their bytes, without the proofs, which are shared.
    """

    messages_max: int
    bytes_max: int

    def __post_init__(self) -> None:
        if self.messages_max < 1 or self.bytes_max < 1:
            raise ConfigError("a queue holds at least one message and one byte")


@dataclass(frozen=True, slots=True)
class RoutingConfig:
    """What a core needs to know.

    Attributes:
        router_id: the router's own id, as in `Message.origin_router`.
        uplinks: namespaces for which another router is designated, and configured.
        designated: namespaces for which this router is the designated one.
        queue_expiry_s: seconds that a queue lives at most while nobody drains it.
        consumer_queue: limits of each subscription's queue.
        uplink_queue: limits of each queue toward a designated router.
        durability: what the answer to a publish promises.
        uplink_window: frames sent to a designated router and not yet answered.
        window_bytes_max: bytes in flight to one consumer or uplink; one message may exceed it.
        resident_bytes_max: bytes of queued messages kept in memory; the rest is on disk only.
        subscriptions_max: subscriptions that may exist at a time.

    Raises:
        ConfigError: a number is out of range, or a namespace is in both sets.
    """

    router_id: str
    uplinks: frozenset[Hash]
    designated: frozenset[Hash]
    queue_expiry_s: int
    consumer_queue: QueueLimits
    uplink_queue: QueueLimits
    durability: Durability = Durability.JOURNALED
    uplink_window: int = UPLINK_WINDOW
    window_bytes_max: int = WINDOW_BYTES_MAX
    resident_bytes_max: int = RESIDENT_BYTES_MAX
    subscriptions_max: int = SUBSCRIPTIONS_MAX

    def __post_init__(self) -> None:
        if not self.router_id:
            raise ConfigError("a router has an id")
        for both in self.uplinks & self.designated:
            raise ConfigError(
                f"the router is designated for {both.to_text()}, so it has no uplink for it"
            )
        for name in ("queue_expiry_s", "uplink_window", "window_bytes_max", "subscriptions_max"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1")
        if self.resident_bytes_max < 0:
            raise ConfigError("resident_bytes_max cannot be negative")
