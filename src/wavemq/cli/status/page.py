"""The page `GET /status` of a router, as values.

Owns what is read from the page's JSON, and whether a router is well. Refuses to fetch and to print.
Fault model: whoever answers at an address may be no router, or one of another version: keys that
are not known are ignored, a key that is missing or of another kind is a `PageFormError`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


class PageFormError(Exception):
    """What came is no status page; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class UplinkLine:
    """One uplink; sizes in bytes, counts in messages."""

    namespace: str
    address: str
    is_connected: bool
    waiting_messages: int
    waiting_bytes: int
    in_flight_messages: int
    dropped_messages: int


@dataclass(frozen=True, slots=True)
class SubscriptionLine:
    """One subscription; sizes in bytes, counts in messages."""

    topic_filter: str
    identifier: str
    is_local: bool
    is_attached: bool
    queued_messages: int
    messages_max: int
    queued_bytes: int
    bytes_max: int
    dropped_messages: int

    @property
    def fullness(self) -> float:
        """How much of its nearest limit is used, from 0 to 1."""
        return max(
            self.queued_messages / max(1, self.messages_max),
            self.queued_bytes / max(1, self.bytes_max),
        )


@dataclass(frozen=True, slots=True)
class StatusPage:
    """A router at a moment.

    Attributes:
        raw: the page as it came.
        version: of the router.
        router_id: which lives as long as its journal.
        durability: what the answer to a publish promises.
        is_disk_failing: whether the last write failed.
        queued_messages: references in all queues.
        queued_bytes: theirs.
        dropped_messages: by cause, since the start.
        corrupt_records: that could not be read back.
        subscriptions: how many there are.
        uplinks: every uplink.
        fullest: subscriptions that hold most, the fullest first.
    """

    raw: Mapping[str, object]
    version: str
    router_id: str
    durability: str
    is_disk_failing: bool
    queued_messages: int
    queued_bytes: int
    dropped_messages: Mapping[str, int]
    corrupt_records: int
    subscriptions: int
    uplinks: Sequence[UplinkLine]
    fullest: Sequence[SubscriptionLine]

    @property
    def is_healthy(self) -> bool:
        """Whether the disk works and every uplink is connected."""
        return not self.is_disk_failing and all(one.is_connected for one in self.uplinks)


def parse_page(content: bytes) -> StatusPage:
    """Return the page of these bytes.

    Raises:
        PageFormError: they are none.
    """
    try:
        found: object = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise PageFormError("it is not JSON") from error
    page = _Fields(found)
    dropped = _Fields(page.value("dropped_messages", dict))
    return StatusPage(
        raw=page.content,
        version=page.value("version", str),
        router_id=page.value("router_id", str),
        durability=page.value("durability", str),
        is_disk_failing=page.value("is_disk_failing", bool),
        queued_messages=page.value("queued_messages", int),
        queued_bytes=page.value("queued_bytes", int),
        dropped_messages={cause: dropped.value(cause, int) for cause in dropped.content},
        corrupt_records=page.value("corrupt_records", int),
        subscriptions=page.value("subscriptions", int),
        uplinks=[_uplink(_Fields(one)) for one in page.value("uplinks", list)],
        fullest=[_subscription(_Fields(one)) for one in page.value("fullest_subscriptions", list)],
    )


def _uplink(one: _Fields) -> UplinkLine:
    return UplinkLine(
        namespace=one.value("namespace", str),
        address=one.value("address", str),
        is_connected=one.value("is_connected", bool),
        waiting_messages=one.value("waiting_messages", int),
        waiting_bytes=one.value("waiting_bytes", int),
        in_flight_messages=one.value("in_flight_messages", int),
        dropped_messages=one.value("dropped_messages", int),
    )


def _subscription(one: _Fields) -> SubscriptionLine:
    return SubscriptionLine(
        topic_filter=one.value("filter", str),
        identifier=one.value("identifier", str),
        is_local=one.value("is_local", bool),
        is_attached=one.value("is_attached", bool),
        queued_messages=one.value("queued_messages", int),
        messages_max=one.value("messages_max", int),
        queued_bytes=one.value("queued_bytes", int),
        bytes_max=one.value("bytes_max", int),
        dropped_messages=one.value("dropped_messages", int),
    )


class _Fields:
    """A JSON object whose values are read with the kind that they must have."""

    def __init__(self, content: object) -> None:
        if not isinstance(content, dict):
            raise PageFormError("it holds something else than an object")
        self.content: dict[str, object] = content

    def value(self, name: str, kind: type[T]) -> T:
        """Return a value.

        Raises:
            PageFormError: it is missing, or of another kind.
        """
        found = self.content.get(name)
        if not isinstance(found, kind) or (kind is int and isinstance(found, bool)):
            raise PageFormError(f"its {name!r} is missing, or no {kind.__name__}")
        return found
