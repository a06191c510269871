"""The status page as `wavemq status` reads and shows it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from wavemq.cli.status.fetching import UnreachableError, parse_address
from wavemq.cli.status.page import PageFormError, parse_page
from wavemq.cli.status.table import page_text

UPLINK: dict[str, Any] = {
    "namespace": "GyAzVDfD45==",
    "address": "dr.example:4517",
    "is_connected": True,
    "waiting_messages": 1234,
    "waiting_bytes": 5 << 20,
    "in_flight_messages": 16,
    "dropped_messages": 0,
}
SUBSCRIPTION: dict[str, Any] = {
    "filter": "building/*",
    "identifier": "dashboard",
    "is_local": True,
    "is_attached": False,
    "queued_messages": 9000,
    "messages_max": 10_000,
    "queued_bytes": 2048,
    "bytes_max": 100 << 20,
    "dropped_messages": 7,
}
PAGE: dict[str, Any] = {
    "version": "0.1.0",
    "router_id": "b6c0",
    "durability": "journaled",
    "is_disk_failing": False,
    "queued_messages": 10_234,
    "queued_bytes": 1023,
    "dropped_messages": {"length": 7, "expiry": 0},
    "corrupt_records": 0,
    "subscriptions": 3,
    "uplinks": [UPLINK],
    "fullest_subscriptions": [SUBSCRIPTION],
}


def page_with(**changes: object) -> bytes:
    return json.dumps(PAGE | changes).encode()


def test_page_shows_uplinks_queues_drops_and_disk() -> None:
    assert page_text(parse_page(page_with())).splitlines() == [
        "router      b6c0, version 0.1.0",
        "disk        ok",
        "durability  journaled",
        "queued      10,234 messages, 1023 B",
        "dropped     7 length",
        "corrupt     0 records",
        "",
        "UPLINK           STATE  WAITING     SIZE  IN FLIGHT  DROPPED  NAMESPACE",
        "dr.example:4517  up       1,234  5.0 MiB         16        0  GyAzVDfD45==",
        "",
        "FULLEST SUBSCRIPTION  READER      QUEUED      OF  FULL     SIZE  DROPPED  NAME",
        "building/*            here, away   9,000  10,000   90%  2.0 KiB        7  dashboard",
        "and 2 more subscriptions",
    ]


def test_router_without_uplinks_and_messages_says_so() -> None:
    page = page_with(uplinks=[], fullest_subscriptions=[SUBSCRIPTION | {"queued_messages": 0}])
    lines = page_text(parse_page(page)).splitlines()
    assert lines[7:] == ["no uplinks", "", "3 subscriptions, nothing waits in them"]


def test_names_that_strangers_chose_cannot_steer_the_terminal() -> None:
    evil = SUBSCRIPTION | {"filter": "a\x1b[2J", "identifier": "x" * 100}
    text = page_text(parse_page(page_with(fullest_subscriptions=[evil])))
    assert "\x1b" not in text
    assert r'"a\x1b[2J"' in text
    assert "x" * 39 + "…" in text
    assert "x" * 40 not in text


def test_router_is_healthy_while_disk_works_and_every_uplink_is_up() -> None:
    assert parse_page(page_with()).is_healthy
    assert parse_page(page_with(uplinks=[])).is_healthy
    assert not parse_page(page_with(is_disk_failing=True)).is_healthy
    down = UPLINK | {"is_connected": False}
    assert not parse_page(page_with(uplinks=[UPLINK, down])).is_healthy
    assert "DOWN" in page_text(parse_page(page_with(uplinks=[down])))
    assert "FAILING" in page_text(parse_page(page_with(is_disk_failing=True)))


def test_keys_of_later_versions_are_ignored() -> None:
    parse_page(page_with(later=[1], uplinks=[UPLINK | {"later": {}}]))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        b"\xff",
        b"[]",
        b"{}",
        b"[" * 100_000,
        page_with(uplinks={}),
        page_with(uplinks=[1]),
        page_with(queued_messages=True),
        page_with(queued_messages="1"),
        page_with(dropped_messages={"length": None}),
        page_with(fullest_subscriptions=[SUBSCRIPTION | {"filter": 1}]),
    ],
)
def test_what_is_no_status_page_is_refused(content: bytes) -> None:
    with pytest.raises(PageFormError):
        parse_page(content)


@pytest.mark.parametrize(
    ("text", "environment", "url"),
    [
        (None, {}, "http://127.0.0.1:6060/status"),
        (None, {"METRICS_ADDRESS": ":7000"}, "http://127.0.0.1:7000/status"),
        (None, {"METRICS_ADDRESS": "0.0.0.0:7000"}, "http://127.0.0.1:7000/status"),
        (None, {"METRICS_ADDRESS": "[::]:7000"}, "http://[::1]:7000/status"),
        ("site:6060", {"METRICS_ADDRESS": "off"}, "http://site:6060/status"),
        ("[::1]:6060", {}, "http://[::1]:6060/status"),
        ("http://site:6060", {}, "http://site:6060/status"),
        ("http://site:6060/", {}, "http://site:6060/status"),
        ("https://watch.example/site-7/status", {}, "https://watch.example/site-7/status"),
    ],
)
def test_address_has_the_forms_that_people_type(
    text: str | None, environment: dict[str, str], url: str
) -> None:
    assert str(parse_address(text, environment)) == url


@pytest.mark.parametrize(
    "text",
    ["site", "site:port", "site:65536", "ftp://site:1", "a b:1", "[::1:6060", "me@site:1", "ü:1"],
)
def test_what_is_no_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UnreachableError, match=r"give HOST:PORT, such as 127\.0\.0\.1:6060"):
        parse_address(text, {})


def test_metrics_that_are_off_are_told_from_a_wrong_address() -> None:
    with pytest.raises(UnreachableError, match="METRICS_ADDRESS is off"):
        parse_address(None, {"METRICS_ADDRESS": "off"})
