"""`python -m bench compare` and `quick`: run a comparison, show it, keep it.

Owns the table for people, the JSON and the picture. Refuses to judge: `comparison` does.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from bench.comparison import OURS, Comparison, Row, Timing, compare
from bench.load_generator import LoadFailedError
from bench.peers import NATS, PEERS
from bench.plot import Line, svg
from bench.workloads import WORKLOADS, Figure, Workload

RESULTS: Final = Path("bench-results")
WIDTH: Final = 170
FULL: Final = Timing(rounds=3, warmup_s=1.0, measured_s=4.0)
QUICK: Final = Timing(rounds=2, warmup_s=0.5, measured_s=1.5)


def main(arguments: Sequence[str]) -> int:
    """Compare: all brokers in full, or with `--quick` ours and NATS shortly.

    Other arguments are `--json` and keys of workloads. Returns 1 where `--quick` finds a bound
    missed, or NATS absent; else 0, since machines differ.
    """
    parser = argparse.ArgumentParser(prog="python -m bench compare")
    parser.add_argument("--quick", action="store_true", help="ours and NATS, shortly, and judged")
    parser.add_argument("--json", action="store_true", help="one JSON text besides, on stdout")
    parser.add_argument("workload", nargs="*", help=", ".join(one.key for one in WORKLOADS))
    given = parser.parse_args(arguments)
    is_quick, is_json = given.quick, given.json
    console = wide_console(is_stderr=is_json)
    workloads = chosen(given.workload)
    peers = [NATS.name] if is_quick else [peer.name for peer in PEERS]
    comparison = compare(
        workloads,
        peers,
        QUICK if is_quick else FULL,
        lambda line: console.print(line, style="dim", highlight=False, soft_wrap=True),
    )
    console.print(to_table(comparison))
    for line in (*comparison.absent, *comparison.faults()):
        console.print(line, style="yellow", highlight=False, soft_wrap=True)
    name = "quick" if is_quick else "comparison"
    keep(name, comparison)
    console.print(f"kept: {RESULTS}/{name}.json, {RESULTS}/{name}.svg", style="dim")
    if is_json:
        print(json.dumps(to_json(comparison)))
    misses = comparison.misses()
    for miss in misses:
        console.print(f"MISSED {miss}", style="bold red", highlight=False, soft_wrap=True)
    if not is_quick:
        return 0
    is_reference_absent = any(NATS.command in line for line in comparison.absent)
    return 1 if misses or is_reference_absent else 0


def wide_console(*, is_stderr: bool) -> Console:
    """Return a console; where nobody sets its width, such as in a file, tables have room."""
    console = Console(stderr=is_stderr)
    return console if console.is_terminal else Console(stderr=is_stderr, width=WIDTH)


def chosen(keys: Sequence[str]) -> list[Workload]:
    """Return the workloads of these keys, and what they are compared with; all without any.

    Raises:
        LoadFailedError: one is unknown.
    """
    unknown = set(keys) - {workload.key for workload in WORKLOADS}
    if unknown:
        raise LoadFailedError(f"no such workload: {', '.join(sorted(unknown))}")
    wanted = set(keys) or {workload.key for workload in WORKLOADS}
    for workload in WORKLOADS:
        if workload.key in wanted:
            wanted.update(bound.reference for bound in workload.bounds if bound.reference)
    return [workload for workload in WORKLOADS if workload.key in wanted]


def to_table(comparison: Comparison) -> Table:
    """Return medians, ratios and verdicts for people."""
    names = [OURS, *(peer.name for peer in PEERS)]
    names = [name for name in names if any(broker == name for _, broker in comparison.outcomes)]
    table = Table(
        "workload", *names, "to NATS", "bound", "x original", "CPU us (NATS)", "RSS MiB (NATS)"
    )
    for row in comparison.rows():
        table.add_row(
            f"{row.workload.title} [{row.bound.figure.value}]".replace("[", "\\["),
            *(_figure(row, name) for name in names),
            _ratio(row),
            _bound(row),
            _to_original(row),
            _beside(comparison, row, "cpu_us_per_message"),
            _beside(comparison, row, "rss_mib"),
        )
    return table


def _figure(row: Row, name: str) -> str:
    value = row.figures.get(name)
    if value is None:
        return ""
    return f"{value:,.2f}" if row.bound.figure in (Figure.P50, Figure.P99) else f"{value:,.0f}"


def _ratio(row: Row) -> str:
    if row.ratio is None or row.bound.figure is Figure.CPU:
        return ""
    other = "" if row.bound.reference is None else f" of {row.bound.reference}"
    return f"{row.ratio:.2f}{other}"


def _to_original(row: Row) -> str:
    """Return ours to what the original managed, on another day with another generator."""
    ours, original = row.figures.get(OURS), row.bound.original
    return "" if ours is None or original is None else f"{ours / original:.1f}"


def _bound(row: Row) -> str:
    if row.is_kept is None:
        return ""
    relation = ">=" if row.bound.figure.is_more_better else "<="
    asked = [f"{row.bound.ratio:g} x NATS"] if row.bound.ratio is not None else []
    asked += [f"{row.bound.value:,g}"] if row.bound.value is not None else []
    return f"{'ok' if row.is_kept else 'MISSED'} {relation} {' and '.join(asked)}"


def _beside(comparison: Comparison, row: Row, name: str) -> str:
    """Return the median of a field, ours and in brackets that of NATS."""
    texts = []
    for broker in (OURS, NATS.name):
        found = comparison.outcomes.get((row.workload.key, broker))
        if found:
            values = sorted(float(getattr(outcome, name)) for outcome in found)
            texts.append(f"{values[len(values) // 2]:,.0f}")
    return f"{texts[0]} ({texts[1]})" if len(texts) == 2 else "".join(texts)


def to_json(comparison: Comparison) -> dict[str, object]:
    """Return everything that was found."""
    return {
        "machine": {"system": platform.platform(), "python": platform.python_version()},
        "rows": [
            {
                "workload": row.workload.key,
                "figure": row.bound.figure.name.lower(),
                "unit": row.bound.figure.value,
                "medians": row.figures,
                "nats_reference": row.reference,
                "ratio": row.ratio,
                "ratio_bound": row.bound.ratio,
                "value_bound": row.bound.value,
                "original": row.bound.original,
                "is_kept": row.is_kept,
            }
            for row in comparison.rows()
        ],
        "runs": [
            {"workload": key, "broker": broker, **asdict(outcome)}
            for (key, broker), outcomes in comparison.outcomes.items()
            for outcome in outcomes
        ],
        "absent": comparison.absent,
        "faults": comparison.faults(),
    }


def keep(name: str, comparison: Comparison) -> None:
    """Write JSON and picture."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(to_json(comparison), indent=1) + "\n")
    lines: dict[str, Line] = {}
    for row in comparison.rows():
        if row.bound.figure is Figure.DELIVERED:
            lines.setdefault(row.workload.key, Line(row.workload.title, row.figures))
    picture = svg("Deliveries a second, by workload", "messages a second", list(lines.values()))
    (RESULTS / f"{name}.svg").write_text(picture)
