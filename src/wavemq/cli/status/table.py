"""A router's status as text for a person.

Owns the words, the columns and what is left out. Refuses to fetch and to judge. Fault model: texts
on the page were chosen by strangers, so none reaches the terminal unless it is printable.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from wavemq.cli.status.page import StatusPage, SubscriptionLine, UplinkLine
from wavemq.cli.wv.text import printable

FULLEST_SHOWN_MAX: Final = 10
NAME_CHARACTERS_MAX: Final = 40
"""Of filters and the like; what is longer is cut."""
BYTE_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")
BYTES_PER_UNIT: Final = 1024


def page_text(page: StatusPage) -> str:
    """Return the lines of a page, without an end of line at the end."""
    drops = [f"{count:,} {printable(one)}" for one, count in page.dropped_messages.items() if count]
    lines = [
        *_columns(
            [
                ("router", f"{printable(page.router_id)}, version {printable(page.version)}"),
                ("disk", "FAILING: publishers are refused" if page.is_disk_failing else "ok"),
                ("durability", printable(page.durability)),
                ("queued", f"{page.queued_messages:,} messages, {_size(page.queued_bytes)}"),
                ("dropped", ", ".join(drops) or "none"),
                ("corrupt", f"{page.corrupt_records:,} records"),
            ]
        ),
        "",
        *_uplinks(page.uplinks),
        "",
        *_subscriptions(page),
    ]
    return "\n".join(lines)


def _uplinks(uplinks: Sequence[UplinkLine]) -> list[str]:
    if not uplinks:
        return ["no uplinks"]
    head = ("UPLINK", "STATE", "WAITING", "SIZE", "IN FLIGHT", "DROPPED", "NAMESPACE")
    rows = [
        (
            _cut(one.address),
            "up" if one.is_connected else "DOWN",
            f"{one.waiting_messages:,}",
            _size(one.waiting_bytes),
            f"{one.in_flight_messages:,}",
            f"{one.dropped_messages:,}",
            printable(one.namespace),
        )
        for one in uplinks
    ]
    return _columns([head, *rows], right=(2, 3, 4, 5))


def _subscriptions(page: StatusPage) -> list[str]:
    holding = [one for one in page.fullest if one.queued_messages]
    if not holding:
        return [f"{page.subscriptions:,} subscriptions, nothing waits in them"]
    head = ("FULLEST SUBSCRIPTION", "READER", "QUEUED", "OF", "FULL", "SIZE", "DROPPED", "NAME")
    shown = holding[:FULLEST_SHOWN_MAX]
    rows = [_subscription(one) for one in shown]
    more = page.subscriptions - len(shown)
    tail = [f"and {more:,} more subscriptions"] if more > 0 else []
    return [*_columns([head, *rows], right=(2, 3, 4, 5, 6)), *tail]


def _subscription(one: SubscriptionLine) -> tuple[str, ...]:
    place = "here" if one.is_local else "site"
    return (
        _cut(one.topic_filter),
        f"{place}, reads" if one.is_attached else f"{place}, away",
        f"{one.queued_messages:,}",
        f"{one.messages_max:,}",
        f"{one.fullness:.0%}",
        _size(one.queued_bytes),
        f"{one.dropped_messages:,}",
        _cut(one.identifier),
    )


def _columns(rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    """Return rows as lines, their columns below each other; the last column is not filled up."""
    table = list(rows)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = []
    for row in table:
        cells = [
            cell.rjust(width) if index in right else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def _cut(text: str) -> str:
    shown = printable(text)
    if len(shown) <= NAME_CHARACTERS_MAX:
        return shown
    return shown[: NAME_CHARACTERS_MAX - 1] + "…"


def _size(size_bytes: int) -> str:
    """Return a size in the largest unit of which there is at least one."""
    size, index = float(size_bytes), 0
    while size >= BYTES_PER_UNIT and index < len(BYTE_UNITS) - 1:
        size /= BYTES_PER_UNIT
        index += 1
    return f"{size_bytes} B" if index == 0 else f"{size:.1f} {BYTE_UNITS[index]}"
