"""The load generator of `bench/load`, as a command.

Owns its arguments and what it prints. Refuses to start servers. Fault model: it may fail (a server
refused or died; the error holds its words) or hang; both end within a bound.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).resolve().parent / "load"
PROGRAM: Final = FOLDER / "target" / "release" / "wavemq-load"
RUN_SECONDS_MAX: Final = 600.0


class LoadFailedError(Exception):
    """The generator could not finish a run; the text is what it said."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run found; the names are those of the generator's JSON.

    Rates are of the measured time, CPU and RSS of the servers' processes together. Counts of what
    went wrong cover the whole run, warm-up included.
    """

    seconds: float
    published_per_s: float
    delivered_per_s: float
    latency_p50_us: float
    latency_p99_us: float
    latency_max_us: float
    cpu_us_per_message: float
    rss_mib: float
    generator_cpu_us_per_message: float
    published: int
    dropped: int
    duplicated: int
    reordered: int
    foreign: int
    unanswered: int

    @property
    def fault(self) -> str:
        """What was wrong with the deliveries, in words; empty if nothing was."""
        found = {name: getattr(self, name) for name in FAULTS}
        return ", ".join(f"{count} {name}" for name, count in found.items() if count)


FAULTS: Final = ("dropped", "duplicated", "reordered", "foreign", "unanswered")


def outcome_from_json(text: str) -> Outcome:
    """Read what the generator printed.

    Raises:
        LoadFailedError: it is something else.
    """
    try:
        found = json.loads(text)
        return Outcome(**{field.name: found[field.name] for field in fields(Outcome)})
    except (ValueError, KeyError, TypeError) as error:
        raise LoadFailedError(f"the generator printed {text[:200]!r}") from error


@dataclass(frozen=True, slots=True)
class Target:
    """Where the load goes.

    Args:
        arguments: the protocol, and who publishes.
        publish_to: addresses, `host:port`.
        subscribe_to: the same.
        watched: processes whose CPU time and memory are the servers', by name.
        command: what makes the load; another program takes the options it knows.
    """

    arguments: tuple[str, ...]
    publish_to: tuple[str, ...]
    subscribe_to: tuple[str, ...]
    watched: tuple[tuple[str, int], ...]
    command: tuple[str, ...] = (str(PROGRAM),)


_run_numbers = itertools.count(1)


def run_load(target: Target, arguments: Sequence[str]) -> Outcome:
    """Run the generator once and return what it found.

    Raises:
        LoadFailedError: it is not built, failed, or did not end in time.
    """
    if not PROGRAM.exists():
        raise LoadFailedError("the load generator is not built: run `make bench-load`")
    watched = [word for name, pid in target.watched for word in ("--watch", f"{name}={pid}")]
    command = [
        *target.command,
        *target.arguments,
        *("--publish-to", ",".join(target.publish_to)),
        *("--subscribe-to", ",".join(target.subscribe_to)),
        *("--run", f"r{os.getpid()}-{next(_run_numbers)}"),
        *watched,
        *arguments,
    ]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=RUN_SECONDS_MAX, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise LoadFailedError(f"no end within {RUN_SECONDS_MAX:g} s") from error
    if done.returncode != 0:
        raise LoadFailedError(done.stderr.strip() or f"it ended with status {done.returncode}")
    return outcome_from_json(done.stdout)
