"""What is compared with other brokers, each workload one entry of a table.

Owns names, arguments of the load generator, and bounds. Refuses to run anything.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from bench.load_generator import Outcome
from bench.topology import PARTITION


class Layout(enum.Enum):
    """Where a workload of ours publishes and subscribes."""

    ONE = "one router"
    UP = "site to designated router"
    DOWN = "designated router to site"


class Figure(enum.Enum):
    """What is read off a run."""

    DELIVERED = "/s"
    P50 = "ms, median"
    P99 = "ms, 99 %"
    CPU = "us of CPU"

    def of(self, outcome: Outcome) -> float:
        """Return the figure in its unit."""
        match self:
            case Figure.DELIVERED:
                return outcome.delivered_per_s
            case Figure.P50:
                return outcome.latency_p50_us / 1e3
            case Figure.P99:
                return outcome.latency_p99_us / 1e3
            case Figure.CPU:
                return outcome.cpu_us_per_message

    @property
    def is_more_better(self) -> bool:
        """Whether a higher figure is a better one."""
        return self is Figure.DELIVERED


@dataclass(frozen=True, slots=True)
class Bound:
    """What a figure must keep.

    Args:
        figure: of ours.
        ratio: to NATS in the same run: at least, or at most where less is better.
        value: the same without a comparison, in the figure's unit.
        reference: key of the workload whose NATS run is compared with; None for the same.
        original: what the original implementation managed, on another day, for information.
    """

    figure: Figure
    ratio: float | None = None
    value: float | None = None
    reference: str | None = None
    original: float | None = None


@dataclass(frozen=True, slots=True)
class Workload:
    """One row of work.

    Args:
        key: its name on the command line.
        title: its name for people.
        arguments: of the generator, for all brokers.
        ours: more of them, for ours.
        theirs: more of them, for the others; None where they have nothing like it.
        layout: of ours.
        bounds: what ours must keep.
    """

    key: str
    title: str
    arguments: tuple[str, ...] = ()
    ours: tuple[str, ...] = ()
    theirs: tuple[str, ...] | None = ("--acknowledge",)
    layout: Layout = Layout.ONE
    bounds: tuple[Bound, ...] = ()


BASE: Final = "unary-16"
ROUTED: Final = ("--backlog-max", "4096")
"""Between routers the publisher waits for deliveries that lag: what is measured is what arrives."""
STREAM: Final = ("--call", "stream", "--acknowledge")

WORKLOADS: Final = (
    Workload(
        BASE,
        "Publish to Subscribe, 16 in flight",
        bounds=(
            Bound(Figure.DELIVERED, ratio=0.6, original=2300.0),
            Bound(Figure.CPU, value=90.0),
        ),
    ),
    Workload(
        "unary-64",
        "the same, 64 in flight",
        ("--in-flight", "64"),
        bounds=(Bound(Figure.DELIVERED, original=3900.0),),
    ),
    Workload(
        "stream",
        "PublishStream to Consume, 1,024 in flight",
        ("--in-flight", "1024"),
        ours=STREAM,
        bounds=(Bound(Figure.DELIVERED, ratio=1.0, reference=BASE), Bound(Figure.DELIVERED)),
    ),
    Workload(
        "latency",
        "200 messages a second",
        ("--rate", "200", "--in-flight", "1000"),
        bounds=(
            Bound(Figure.P50, ratio=2.0, original=1.0),
            Bound(Figure.P99, value=3.0, original=2.4),
        ),
    ),
    Workload(
        "fan-out-4",
        "one to 4 subscribers, deliveries",
        ("--subscribers", "4"),
        bounds=(
            Bound(Figure.DELIVERED, ratio=1.2, reference=BASE, original=4300.0),
            Bound(Figure.DELIVERED),
        ),
    ),
    Workload(
        "fan-out-1000",
        "one to 1,000 subscribers, deliveries",
        ("--subscribers", "1000", "--subscriber-connections", "4", "--backlog-max", "64"),
        bounds=(Bound(Figure.DELIVERED, value=100_000.0),),
    ),
    Workload(
        "up",
        "site to designated router",
        ROUTED,
        theirs=None,
        layout=Layout.UP,
        bounds=(Bound(Figure.DELIVERED, ratio=0.6, reference=BASE, original=2100.0),),
    ),
    Workload(
        "down",
        "designated router to site",
        ROUTED,
        theirs=None,
        layout=Layout.DOWN,
        bounds=(Bound(Figure.DELIVERED, ratio=0.6, reference=BASE, original=2800.0),),
    ),
    Workload(
        "persist",
        "persisted publish, 16 in flight",
        ours=("--persist",),
        theirs=None,
        bounds=(Bound(Figure.DELIVERED, ratio=0.5, reference=BASE, original=2200.0),),
    ),
    Workload(
        "encrypted",
        "end-to-end encrypted, publish to decrypt",
        ours=("--partition", PARTITION),
        theirs=None,
        bounds=(Bound(Figure.DELIVERED, value=600.0, original=60.0),),
    ),
)
