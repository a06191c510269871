"""`python -m bench scaling`: how rates, CPU and memory change with the size of everything.

Owns the table of sizes and the runs of each. Refuses to judge: there are no bounds here. Fault
model: a size that this machine cannot bear fails by itself and is told; the others go on.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from rich.table import Table

import wavemq
from bench.comparing import RESULTS, wide_console
from bench.comparison import our_target
from bench.load_generator import LoadFailedError, Outcome, Target, run_load
from bench.topology import Place, running
from bench.workloads import Layout
from wavemq.errors import WaveMQError
from wavemq.testing import RouterProcess
from wavemq.wave.hashes import Hash

TIMING: Final = ("--warmup-seconds", "0.5", "--seconds", "2")
PROOF_SECONDS_MAX: Final = 30.0
PROOF_PAUSE_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Axis:
    """One thing that grows.

    Args:
        title: what it is.
        sizes: how many of it.
        short: those of them that a short run takes.
        arguments: of the generator; `{}` stands for the size.
        is_of_sites: whether the size is a number of site routers, each with a publisher.
    """

    title: str
    sizes: tuple[int, ...]
    short: tuple[int, ...]
    arguments: tuple[str, ...]
    is_of_sites: bool = False


CONNECTIONS: Final = ("--subscriber-connections", "4", "--backlog-max", "64")
AXES: Final = (
    Axis(
        "subscribers",
        (1, 4, 16, 64, 256, 1000),
        (1, 32, 1000),
        ("--subscribers", "{}", *CONNECTIONS),
    ),
    Axis(
        "filters besides",
        (1, 100, 1_000, 10_000, 99_999),  # with the subscriber's own, as many as a router takes
        (1, 1_000),
        ("--filters", "{}"),
    ),
    Axis(
        "bytes of payload",
        (16, 128, 1024, 16 << 10, 128 << 10, 1 << 20),
        (16, 16 << 10, 1 << 20),
        ("--payload-bytes", "{}", "--backlog-max", "32"),
    ),
    Axis(
        "clients, each publishing with one in flight",
        (1, 8, 64, 250, 500),
        (1, 64, 500),
        ("--publishers", "{}", "--in-flight", "1", "--backlog-max", "4096"),
    ),
    Axis(
        "sites, each publishing with one in flight",
        (1, 5, 20, 50),  # all of them on this machine
        (1, 5),
        ("--publishers", "{}", "--in-flight", "1", "--backlog-max", "4096"),
        is_of_sites=True,
    ),
)


@dataclass(frozen=True, slots=True)
class Step:
    """One size, and what was found; the reason if it failed."""

    axis: str
    size: int
    outcome: Outcome | None
    failure: str = ""


def main(arguments: Sequence[str]) -> int:
    """Run all sizes, with `--short` some; other arguments are words in titles of axes."""
    parser = argparse.ArgumentParser(prog="python -m bench scaling")
    parser.add_argument("--short", action="store_true", help="fewer sizes")
    parser.add_argument("--json", action="store_true", help="one JSON text besides, on stdout")
    parser.add_argument("word", nargs="*", help="of titles of axes; all by default")
    given = parser.parse_args(arguments)
    is_short, is_json, words = given.short, given.json, given.word
    console = wide_console(is_stderr=is_json)
    steps: list[Step] = []
    for axis in AXES:
        if words and not any(word in axis.title for word in words):
            continue
        for size in axis.short if is_short else axis.sizes:
            console.print(f"{size:,} {axis.title}", style="dim", highlight=False)
            steps.append(_step(axis, size))
    console.print(to_table(steps))
    for step in steps:
        reason = step.failure or (step.outcome.fault if step.outcome else "")
        if reason:
            console.print(f"{step.size:,} {step.axis}: {reason}", style="yellow", soft_wrap=True)
    found = [asdict(step) for step in steps]
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "scaling.json").write_text(json.dumps(found, indent=1) + "\n")
    if is_json:
        print(json.dumps(found))
    return 0


def _step(axis: Axis, size: int) -> Step:
    """Run one size on fresh routers, so that memory is that of this size."""
    arguments = [word.format(size) for word in axis.arguments]
    with (
        tempfile.TemporaryDirectory(prefix="wavemq-bench-") as folder,
        running(Path(folder), site_count=size if axis.is_of_sites else 0) as place,
    ):
        target = from_sites(place) if axis.is_of_sites else our_target(place, Layout.ONE)
        try:
            asyncio.run(find_proofs(place))
            return Step(axis.title, size, run_load(target, (*TIMING, *arguments)))
        except LoadFailedError as error:
            return Step(axis.title, size, None, str(error))


async def find_proofs(place: Place) -> None:
    """Publish once at each site, so that it knows the proof before all of them are busy.

    Many sites that look for it at once, on the cores of one machine, take longer than its limit.

    Raises:
        LoadFailedError: a site accepted nothing within `PROOF_SECONDS_MAX`.
    """
    namespace = Hash.from_bytes(bytes.fromhex(place.namespace))
    for site in place.sites:
        await _find_proof(site, place.entity, namespace)


async def _find_proof(site: RouterProcess, entity: Path, namespace: Hash) -> None:
    give_up = time.monotonic() + PROOF_SECONDS_MAX
    async with wavemq.connect(site.local, entity=entity, namespace=namespace) as bus:
        while True:
            try:
                return await bus.publish("load/begin", b"")
            except WaveMQError as error:
                if time.monotonic() > give_up:
                    raise LoadFailedError(f"{site.name} accepts nothing: {error}") from error
            await asyncio.sleep(PROOF_PAUSE_SECONDS)


def from_sites(place: Place) -> Target:
    """Return where publishers at every site and a subscriber above go; the one above is watched."""
    above = place.designated
    return Target(
        our_target(place, Layout.ONE).arguments,
        tuple(site.local for site in place.sites),
        (above.local,),
        ((above.name, above.pid),),
    )


def to_table(steps: Sequence[Step]) -> Table:
    """Return the table for people."""
    table = Table(
        "of",
        "number",
        "published /s",
        "delivered /s",
        "median ms",
        "99 % ms",
        "CPU us a publish",
        "RSS MiB",
    )
    for step in steps:
        outcome = step.outcome
        if outcome is None:
            table.add_row(step.axis, f"{step.size:,}", "failed")
            continue
        table.add_row(
            step.axis,
            f"{step.size:,}",
            f"{outcome.published_per_s:,.0f}",
            f"{outcome.delivered_per_s:,.0f}",
            f"{outcome.latency_p50_us / 1e3:,.2f}",
            f"{outcome.latency_p99_us / 1e3:,.2f}",
            f"{outcome.cpu_us_per_message:,.0f}",
            f"{outcome.rss_mib:,.0f}",
        )
    return table
