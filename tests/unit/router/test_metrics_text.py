from __future__ import annotations

import pytest

from wavemq.router.metrics import COUNTERS, GAUGES, ProcessMetrics, render_metrics

NAMES_OF_THE_ORIGINAL = [
    "route_published_messages",
    "route_enqueued_messages",
    "route_downstream_messages",
    "route_upstream_messages",
    "route_peer_errors",
    "route_persisted_messages",
    "route_queried_messages",
    "queue_dropped_messages",
    "localserver_failed_form_message",
    "localserver_failed_form_query",
    "localserver_failed_form_subscribe",
    "localserver_failed_linkdown_query",
    "localserver_failed_incoming_proof",
    "localserver_failed_incoming_decryption",
    "peerserver_failed_query",
    "peerserver_failed_subscribe",
    "peerserver_failed_publish",
    "route_active_subscriptions",
    "route_active_upstream_connections",
    "queue_committed_messages",
    "queue_queued_messages",
    "queue_queued_bytes",
    "queue_number",
]


def samples(text: bytes) -> dict[str, float]:
    lines = [line.split() for line in text.decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}


def test_metrics_have_the_names_of_the_original_and_no_suffix() -> None:
    assert sorted([*COUNTERS, *GAUGES]) == sorted(NAMES_OF_THE_ORIGINAL)
    text = render_metrics({})
    assert sorted(samples(text)) == sorted(NAMES_OF_THE_ORIGINAL)
    assert b"_total" not in text


def test_every_metric_is_there_from_the_start() -> None:
    assert set(samples(render_metrics({})).values()) == {0.0}


def test_value_is_shown_with_its_kind_and_meaning() -> None:
    text = render_metrics({"queue_number": 7}).decode()
    assert "# TYPE queue_number gauge\nqueue_number 7\n" in text
    assert "# HELP queue_number Queues that exist now.\n" in text
    assert "# TYPE route_peer_errors counter\nroute_peer_errors 0\n" in text


def test_value_without_a_meaning_is_a_defect() -> None:
    with pytest.raises(AssertionError, match="unheard_of"):
        render_metrics({"unheard_of": 1})


def test_process_tells_its_memory() -> None:
    assert samples(ProcessMetrics().to_bytes())["process_resident_memory_bytes"] > 0
