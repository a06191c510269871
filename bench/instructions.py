"""`python -m bench instructions`: what the kernel's hot paths take, against a baseline.

Owns the counting, by callgrind, and the comparison. Refuses to know what the works do
(`kernel/src/measured.rs`). Fault model: valgrind or the compiler may be missing, which is said; a
processor of other features chooses other code, and its counts are not compared.

A count does not depend on how busy a machine is, so that a few per cent more are a finding.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

ROOT: Final = Path(__file__).parent.parent
BASELINE: Final = Path(__file__).parent / "instructions.json"
PROGRAM: Final = ROOT / "kernel/target/release/examples/hot_paths"
TOLERANCE: Final = 0.05
"""So much more than the baseline is a regression, so much less a reason to accept a new one."""
REPETITIONS: Final = 16
RUN_SECONDS_MAX: Final = 300.0
_COLLECTED: Final = re.compile(r"Collected : (\d+)")


class CountingFailedError(Exception):
    """Nothing could be counted; the text says what is missing."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What was counted, and where.

    Attributes:
        features: of the processor, as the counted program saw them.
        compiler: that built it.
        instructions: of one repetition, by work.
    """

    features: str
    compiler: str
    instructions: Mapping[str, int]

    @classmethod
    def from_json(cls, text: str) -> Counts:
        """Return what `to_json` wrote."""
        found = json.loads(text)
        return cls(found["features"], found["compiler"], found["instructions"])

    def to_json(self) -> str:
        """Return a text to be committed."""
        found = {
            "features": self.features,
            "compiler": self.compiler,
            "instructions": dict(self.instructions),
        }
        return json.dumps(found, indent=2) + "\n"


def regressions(counts: Counts, baseline: Counts) -> list[str]:
    """Return the works that take more than they may, or are not in the baseline, or only there."""
    known, found = baseline.instructions, counts.instructions
    slower = [
        name for name in found if name in known and found[name] > known[name] * (1 + TOLERANCE)
    ]
    return slower + sorted(known.keys() ^ found.keys())


def count_all() -> Counts:
    """Build the works and count all of them.

    Raises:
        CountingFailedError: valgrind, cargo or a work fails or is missing.
    """
    for tool, hint in (
        ("valgrind", "Debian: apt install valgrind"),
        ("cargo", "https://rustup.rs"),
    ):
        if shutil.which(tool) is None:
            raise CountingFailedError(f"missing: {tool} ({hint}); nothing was counted")
    manifest = str(ROOT / "kernel/Cargo.toml")
    build = ["cargo", "build", "--quiet", "--release", "--locked"]
    _run([*build, "--example", "hot_paths", "--manifest-path", manifest])
    features, *names = _run(["valgrind", "-q", "--tool=none", str(PROGRAM)]).splitlines()
    return Counts(
        features=features,
        compiler=_run(["rustc", "--version"]).strip(),
        instructions={name: _count(name) for name in names},
    )


def _count(name: str) -> int:
    """Return the instructions of one repetition: what preparation takes is in both runs."""
    few, many = (_collected(name, count) for count in (1, 1 + REPETITIONS))
    return (many - few) // REPETITIONS


def _collected(name: str, count: int) -> int:
    tool = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    found = _COLLECTED.search(_run([*tool, str(PROGRAM), name, str(count)]))
    if found is None:
        raise CountingFailedError(f"callgrind told no count of {name!r}")
    return int(found[1])


def _run(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=RUN_SECONDS_MAX, check=True
        )
    except subprocess.CalledProcessError as error:
        raise CountingFailedError(f"{' '.join(command)} failed: {error.stderr[-500:]}") from error
    except subprocess.TimeoutExpired as error:
        raise CountingFailedError(f"{' '.join(command)} takes too long") from error
    return done.stdout + done.stderr


def show(counts: Counts, baseline: Counts | None, console: Console) -> None:
    """Print one row for each work."""
    table = Table("hot path", "instructions", "baseline", "change")
    for name, instructions in counts.instructions.items():
        known = baseline.instructions.get(name) if baseline else None
        change = "" if known is None else f"{instructions / known - 1:+.1%}"
        table.add_row(name, f"{instructions:,}", "" if known is None else f"{known:,}", change)
    console.print(table)


def main(arguments: list[str]) -> int:
    """Count and compare; `--accept` makes the counts the baseline.

    Returns:
        1: a work takes more than it may. 2: nothing could be counted or compared.
    """
    parser = argparse.ArgumentParser(prog="python -m bench instructions")
    parser.add_argument("--accept", action="store_true", help="make the counts the baseline")
    is_accepting = parser.parse_args(arguments).accept
    console = Console()
    try:
        counts = count_all()
    except CountingFailedError as error:
        print(error, file=sys.stderr)
        return 2
    baseline = Counts.from_json(BASELINE.read_text()) if BASELINE.exists() else None
    show(counts, baseline, console)
    if is_accepting:
        BASELINE.write_text(counts.to_json())
        return 0
    if baseline is None or baseline.features != counts.features:
        there = "there is none" if baseline is None else f"it is of {baseline.features!r}"
        print(f"no baseline for {counts.features!r}: {there}; --accept makes one", file=sys.stderr)
        return 2
    if baseline.compiler != counts.compiler:
        print(f"the baseline is of {baseline.compiler}, these counts of {counts.compiler}")
    worse = regressions(counts, baseline)
    for name in worse:
        print(f"REGRESSION {name}: more than {TOLERANCE:.0%} over the baseline, or only in one")
    return 1 if worse else 0
