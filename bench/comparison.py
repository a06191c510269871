"""Ours and the other brokers under the same load, in turn, and what is to be said of it.

Owns the rounds, the medians and the verdicts. Refuses to draw. Fault model: a broker may be absent
or fail in one workload: its figure stays empty and the reason is told; the others go on.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.load_generator import LoadFailedError, Outcome, Target, run_load
from bench.peers import NATS, PEERS, Peer
from bench.topology import Place, running
from bench.workloads import Bound, Figure, Layout, Workload

OURS: Final = "WAVEMQ"

Ask = Callable[[Workload], tuple[Target, tuple[str, ...]] | None]
"""Asked for target and further arguments of a workload; None where a broker has nothing like it."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How long each run takes, in seconds, and how often the turn comes round."""

    rounds: int
    warmup_s: float
    measured_s: float

    @property
    def arguments(self) -> tuple[str, ...]:
        """For the generator."""
        return ("--warmup-seconds", f"{self.warmup_s:g}", "--seconds", f"{self.measured_s:g}")


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of one workload, with what it is compared with.

    Args:
        workload: what was done.
        bound: what was asked; one without ratio and value asks nothing.
        figures: medians by broker, in the figure's unit; absent ones are missing.
        reference: the figure of NATS that the ratio refers to.
    """

    workload: Workload
    bound: Bound
    figures: dict[str, float]
    reference: float | None

    @property
    def ratio(self) -> float | None:
        """Ours to that of NATS."""
        ours = self.figures.get(OURS)
        return ours / self.reference if ours is not None and self.reference else None

    @property
    def is_kept(self) -> bool | None:
        """Whether the bound is kept; None where nothing is asked, or nothing to compare with."""
        ours = self.figures.get(OURS)
        asked = [
            (self.ratio if self.bound.ratio is not None else None, self.bound.ratio),
            (ours if self.bound.value is not None else None, self.bound.value),
        ]
        judged = [
            (found >= limit) if self.bound.figure.is_more_better else (found <= limit)
            for found, limit in asked
            if found is not None and limit is not None
        ]
        if ours is None and (self.bound.ratio is not None or self.bound.value is not None):
            return False
        return all(judged) if judged else None


@dataclass(slots=True)
class Comparison:
    """All outcomes of a comparison: by workload's key and broker's name, in the order of rounds."""

    workloads: Sequence[Workload]
    outcomes: dict[tuple[str, str], list[Outcome]] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def median(self, key: str, broker: str, figure: Figure) -> float | None:
        """Return the median of a figure; None where there is none."""
        found = self.outcomes.get((key, broker))
        return statistics.median(map(figure.of, found)) if found else None

    def rows(self) -> list[Row]:
        """Return what there is to show."""
        return [
            self._row(workload, bound) for workload in self.workloads for bound in workload.bounds
        ]

    def _row(self, workload: Workload, bound: Bound) -> Row:
        brokers = {broker for key, broker in self.outcomes if key == workload.key}
        medians = {
            broker: self.median(workload.key, broker, bound.figure) for broker in sorted(brokers)
        }
        return Row(
            workload=workload,
            bound=bound,
            figures={broker: value for broker, value in medians.items() if value is not None},
            reference=self.median(bound.reference or workload.key, NATS.name, bound.figure),
        )

    def faults(self) -> list[str]:
        """Return, in words, every run that lost, doubled or reordered messages, or failed."""
        return [
            *(
                f"{broker}, {key}: {outcome.fault}"
                for (key, broker), outcomes in self.outcomes.items()
                for outcome in outcomes
                if outcome.fault
            ),
            *self.failures,
        ]

    def misses(self) -> list[str]:
        """Return, in words, what ours was asked and did not keep."""
        missed = [
            f"{row.workload.key}: {row.bound.figure.value} missed"
            for row in self.rows()
            if row.is_kept is False
        ]
        return missed + [fault for fault in self.faults() if fault.startswith(f"{OURS},")]


@contextmanager
def brokers(peers: Sequence[str], comparison: Comparison) -> Iterator[dict[str, Ask]]:
    """Start ours and the named peers; each is asked for target and arguments of a workload."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wavemq-bench-")))
        place = stack.enter_context(running(folder / "ours", site_count=1))
        found: dict[str, Ask] = {
            OURS: lambda workload: (our_target(place, workload.layout), workload.ours)
        }
        for peer in PEERS:
            if peer.name not in peers:
                continue
            try:
                target = stack.enter_context(peer.running(folder / peer.name))
            except LoadFailedError as error:
                comparison.absent.append(str(error))
                continue
            found[peer.name] = _for_peer(peer, target)
        yield found


def _for_peer(peer: Peer, target: Target) -> Ask:
    def ask(workload: Workload) -> tuple[Target, tuple[str, ...]] | None:
        if workload.theirs is None or not peer.knows((*workload.arguments, *workload.theirs)):
            return None
        return target, workload.theirs

    return ask


def our_target(place: Place, layout: Layout) -> Target:
    """Return where a workload of this layout goes."""
    above = place.designated
    publishing = place.sites[0] if layout is Layout.UP else above
    subscribing = place.sites[0] if layout is Layout.DOWN else above
    watched = {router.name: router.pid for router in (publishing, subscribing)}
    who = ("--entity", str(place.entity), "--namespace", place.namespace)
    return Target(
        ("--protocol", "wavemq", *who),
        (publishing.local,),
        (subscribing.local,),
        tuple(watched.items()),
    )


def compare(
    workloads: Sequence[Workload],
    peers: Sequence[str],
    timing: Timing,
    tell: Callable[[str], None],
) -> Comparison:
    """Run every workload on every broker, `timing.rounds` times in turn."""
    comparison = Comparison(workloads)
    with brokers(peers, comparison) as found:
        for reason in comparison.absent:
            tell(reason)
        for number in range(1, timing.rounds + 1):
            for workload in workloads:
                for name, ask in found.items():
                    asked = ask(workload)
                    if asked is None:
                        continue
                    target, more = asked
                    tell(f"round {number} of {timing.rounds}: {workload.title}, {name}")
                    arguments = (*timing.arguments, *workload.arguments, *more)
                    try:
                        outcome = run_load(target, arguments)
                    except LoadFailedError as error:
                        comparison.failures.append(f"{name}, {workload.key}: {error}")
                        continue
                    comparison.outcomes.setdefault((workload.key, name), []).append(outcome)
    return comparison
