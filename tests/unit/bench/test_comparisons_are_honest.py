"""The table of workloads, the reading of outcomes, and the verdicts over them."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench.comparing import chosen, keep, to_json, to_table
from bench.comparison import OURS, Comparison
from bench.load_generator import LoadFailedError, Outcome, outcome_from_json
from bench.peers import NATS, PEERS, Peer
from bench.plot import Line, svg
from bench.workloads import BASE, WORKLOADS, Bound, Figure, Workload

GOOD = Outcome(
    seconds=1.0,
    published_per_s=1000.0,
    delivered_per_s=1000.0,
    latency_p50_us=500.0,
    latency_p99_us=2000.0,
    latency_max_us=9000.0,
    cpu_us_per_message=80.0,
    rss_mib=70.0,
    generator_cpu_us_per_message=3.0,
    published=1000,
    dropped=0,
    duplicated=0,
    reordered=0,
    foreign=0,
    unanswered=0,
)


def compared(bound: Bound, *, ours: list[Outcome], nats: list[Outcome]) -> Comparison:
    comparison = Comparison([Workload("w", "work", bounds=(bound,))])
    comparison.outcomes = {("w", OURS): ours, ("w", NATS.name): nats}
    return comparison


def test_every_workload_has_a_name_of_its_own_and_a_figure_to_show() -> None:
    keys = [workload.key for workload in WORKLOADS]
    assert len(set(keys)) == len(keys)
    assert all(workload.bounds for workload in WORKLOADS)


def test_every_reference_is_a_workload_that_nats_runs() -> None:
    theirs = {workload.key for workload in WORKLOADS if workload.theirs is not None}
    for workload in WORKLOADS:
        for bound in workload.bounds:
            if bound.ratio is not None:
                assert (bound.reference or workload.key) in theirs
    assert BASE in theirs


def test_a_chosen_workload_brings_the_one_it_is_compared_with() -> None:
    assert [workload.key for workload in chosen(["fan-out-4"])] == [BASE, "fan-out-4"]
    with pytest.raises(LoadFailedError, match="nonsense"):
        chosen(["nonsense"])


def test_a_ratio_below_its_bound_is_missed() -> None:
    bound = Bound(Figure.DELIVERED, ratio=0.6)
    slow, fast = replace(GOOD, delivered_per_s=599.0), replace(GOOD, delivered_per_s=600.0)
    assert compared(bound, ours=[slow], nats=[GOOD]).misses() == ["w: /s missed"]
    assert compared(bound, ours=[fast], nats=[GOOD]).misses() == []


def test_a_latency_above_its_bound_is_missed() -> None:
    bound = Bound(Figure.P99, value=3.0)
    late = replace(GOOD, latency_p99_us=3001.0)
    assert compared(bound, ours=[late], nats=[]).misses() == ["w: ms, 99 % missed"]
    assert compared(bound, ours=[GOOD], nats=[]).misses() == []


def test_a_figure_that_is_not_there_is_missed() -> None:
    bound = Bound(Figure.DELIVERED, value=1.0)
    assert compared(bound, ours=[], nats=[GOOD]).misses() == ["w: /s missed"]


def test_the_median_of_the_rounds_is_judged() -> None:
    rounds = [replace(GOOD, delivered_per_s=rate) for rate in (1.0, 700.0, 900.0)]
    comparison = compared(Bound(Figure.DELIVERED, ratio=0.6), ours=rounds, nats=[GOOD])
    assert comparison.rows()[0].ratio == pytest.approx(0.7)


@pytest.mark.parametrize("fault", ["dropped", "duplicated", "reordered", "foreign", "unanswered"])
def test_a_single_lost_doubled_or_reordered_message_is_a_miss(fault: str) -> None:
    damaged = replace(GOOD, **{fault: 1})
    comparison = compared(Bound(Figure.DELIVERED), ours=[GOOD, damaged], nats=[])
    assert comparison.misses() == [f"{OURS}, w: 1 {fault}"]


def test_a_run_that_failed_is_a_miss() -> None:
    comparison = compared(Bound(Figure.DELIVERED), ours=[GOOD], nats=[])
    comparison.failures.append(f"{OURS}, w: the router ended the connection")
    assert comparison.misses() == [f"{OURS}, w: the router ended the connection"]


def test_what_the_generator_prints_is_read() -> None:
    assert outcome_from_json(json.dumps({**asdict(GOOD), "servers": []})) == GOOD
    for text in ("", "[]", "{}"):
        with pytest.raises(LoadFailedError):
            outcome_from_json(text)


def test_an_absent_broker_is_named_with_the_way_to_get_it(tmp_path: Path) -> None:
    absent = Peer("Absent", "no-such-broker", "Debian: apt install it", (), lambda *_: [])
    with pytest.raises(LoadFailedError, match="apt install it"), absent.running(tmp_path / "a"):
        pass


def test_a_broker_with_a_load_of_its_own_runs_only_what_that_knows() -> None:
    zenoh = next(peer for peer in PEERS if peer.name == "Zenoh")
    assert zenoh.knows(("--in-flight", "64"))
    assert not zenoh.knows(("--subscribers", "4"))


def test_the_picture_is_well_formed_and_has_every_dot() -> None:
    picture = svg("a < b", "/s", [Line("x & y", {"one": 10.0, "two": 1000.0}), Line("none", {})])
    circles = ET.fromstring(picture).findall(".//{*}circle")
    assert len(circles) == 4  # two in the legend


def test_results_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    comparison = compared(Bound(Figure.DELIVERED, ratio=0.6), ours=[GOOD], nats=[GOOD])
    keep("quick", comparison)
    kept = json.loads((tmp_path / "bench-results" / "quick.json").read_text())
    assert kept == to_json(comparison)
    assert kept["rows"][0]["is_kept"] is True
    assert to_table(comparison).row_count == 1
