"""The long run: every fuzz target under atheris, guided by coverage (docs/fuzzing.md).

Owns the division of time over the targets, one process per target after the other, and the table
of figures. What breaks the property is written to the directory of findings, once for each kind
and place, and the run goes on. Refuses to know any format: that is the targets' part.

    python -m tests.fuzz.coverage_guided --seconds 3600 --directory .fuzz
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import re
import resource
import subprocess
import sys
import time
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

UNIT_SECONDS_MAX: Final = 10
"""After so long libFuzzer calls one input a hang and ends the target."""
MEMORY_GROWTH_MIB_MAX: Final = 100
START_MIB: Final = 400
"""Allowance for interpreter, instrumented modules and libFuzzer's own corpus."""
STRUCTURED_SHARE: Final = 2
"""One input in so many is changed as DER; the others as libFuzzer likes."""
_FIGURES: Final = re.compile(r"#(\d+)\s+(\w+)\s+cov: (\d+) ft: (\d+)(?:.*?rss: (\d+)Mb)?")
_EXECUTED: Final = re.compile(r"stat::number_of_executed_units:\s+(\d+)")
_PEAK: Final = re.compile(r"stat::peak_rss_mb:\s+(\d+)")


@dataclass
class Figures:
    """What the run of one target came to.

    Attributes:
        target: its name.
        seconds: of the wall clock, start of the process included.
        executions: inputs that were run.
        coverage_first: edges that the seeds reached.
        coverage_last: edges reached at the end.
        features_first: libFuzzer's finer count, of the seeds.
        features_last: the same at the end.
        growth_mib: largest resident memory over that after the seeds.
        peak_mib: largest resident memory of the process, libFuzzer's corpus included.
        findings: files with inputs that broke the property.
        ended_early: why the process ended before its time; empty when it did not.
    """

    target: str
    seconds: float
    executions: int
    coverage_first: int
    coverage_last: int
    features_first: int
    features_last: int
    growth_mib: float
    peak_mib: int
    findings: list[str]
    ended_early: str


def run_all(seconds: int, directory: Path, names: list[str]) -> list[Figures]:
    """Run targets one after the other, an equal time each, and write the figures after each."""
    from tests.fuzz.every_target import TARGETS

    chosen = names or sorted(TARGETS)
    found = []
    end = time.monotonic() + seconds
    for number, name in enumerate(chosen):
        left = end - time.monotonic()
        share = max(1, int(left / (len(chosen) - number)))
        found.append(_run_in_process(name, share, directory))
        figures = [asdict(one) for one in found]
        (directory / "figures.json").write_text(json.dumps(figures, indent=1) + "\n")
        sys.stdout.write(_line(found[-1]) + "\n")
        sys.stdout.flush()
    return found


def _run_in_process(name: str, seconds: int, directory: Path) -> Figures:
    place = directory / name
    (place / "corpus").mkdir(parents=True, exist_ok=True)
    (place / "findings").mkdir(exist_ok=True)
    command = [
        *(sys.executable, "-m", "tests.fuzz.coverage_guided"),
        *("--target", name, "--seconds", str(seconds), "--directory", str(directory)),
    ]
    begun = time.monotonic()
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    spent = time.monotonic() - begun
    (place / "log").write_text(ended.stderr)
    return _figures(name, spent, ended.returncode, ended.stderr, place)


def _figures(name: str, seconds: float, status: int, log: str, place: Path) -> Figures:
    lines = [match for match in map(_FIGURES.search, log.splitlines()) if match]
    seeds = [one for one in lines if one[2] == "INITED"] or lines
    executed, peak = _EXECUTED.search(log), _PEAK.search(log)
    memory = place / "memory"
    return Figures(
        target=name,
        seconds=round(seconds, 1),
        executions=int(executed[1]) if executed else int(lines[-1][1]) if lines else 0,
        coverage_first=int(seeds[0][3]) if seeds else 0,
        coverage_last=int(lines[-1][3]) if lines else 0,
        features_first=int(seeds[0][4]) if seeds else 0,
        features_last=int(lines[-1][4]) if lines else 0,
        growth_mib=float(memory.read_text()) if memory.exists() else 0.0,
        peak_mib=int(peak[1]) if peak else 0,
        findings=sorted(one.name for one in (place / "findings").iterdir() if one.suffix != ".txt"),
        ended_early="" if status == 0 else _last_words(log),
    )


def _last_words(log: str) -> str:
    for line in reversed(log.splitlines()):
        if "ERROR" in line or "SUMMARY" in line:
            return line.strip()
    return "the process ended without a word"


def _line(one: Figures) -> str:
    coverage = f"{one.coverage_first} -> {one.coverage_last}"
    return (
        f"{one.target:30} {one.seconds:7.1f} s {one.executions:9} runs  edges {coverage:14} "
        f"+{one.growth_mib:.1f} MiB  {len(one.findings)} findings {one.ended_early}"
    )


def run_one(name: str, seconds: int, directory: Path) -> None:
    """Run one target in this process, which ends with it."""
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["wavemq", "tomllib", "json"]):
        from tests.fuzz.every_target import TARGETS
    from tests.fuzz.fuzz_target import BrokenPropertyError, check_input

    target = TARGETS[name]
    place = directory / name
    seeds = list(target.seeds())
    for seed in seeds:
        (place / "corpus" / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    memory = _Memory(place / "memory", after=4 * len(seeds) + 50)

    def one_input(given: bytes) -> None:
        try:
            check_input(target, given)
        except BrokenPropertyError as error:
            _note(place / "findings", error, given)
        memory.look()

    def change(given: bytes, size_max: int, seed: int) -> bytes:
        random = Random(seed)
        if random.randrange(STRUCTURED_SHARE) and len(given) > 0:
            return target.change(given, random, seeds)[:size_max]
        changed: bytes = atheris.Mutate(given, size_max)
        return changed

    arguments = [
        *(sys.argv[0], f"-max_total_time={seconds}", f"-max_len={target.size_max}"),
        *(f"-timeout={UNIT_SECONDS_MAX}", f"-rss_limit_mb={START_MIB + MEMORY_GROWTH_MIB_MAX}"),
        *(f"-artifact_prefix={place / 'findings'}/", "-print_final_stats=1"),
        str(place / "corpus"),
    ]
    atheris.Setup(arguments, one_input, custom_mutator=change)
    atheris.Fuzz()


class _Memory:
    """Follows how far the process grows beyond what it needed for its first inputs.

    Args:
        file: where to write the growth, MiB.
        after: inputs after which it counts.
    """

    def __init__(self, file: Path, *, after: int) -> None:
        self._file = file
        self._left = after
        self._start = 0
        self._growth = -1

    def look(self) -> None:
        """Look at the resident memory's largest value; write it down when it has grown."""
        self._left -= 1
        if self._left > 0:
            return
        largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self._start = self._start or largest
        if largest - self._start > self._growth:
            self._growth = largest - self._start
            self._file.write_text(f"{self._growth / 1024:.1f}")


def _note(directory: Path, error: Exception, given: bytes) -> None:
    """Keep an input that broke the property, one for each kind and place of failure."""
    cause = error.__cause__ or error
    frame = traceback.extract_tb(cause.__traceback__)[-1]
    place = f"{type(cause).__name__}-{Path(frame.filename).stem}-{frame.lineno}"
    file = directory / place
    if not file.exists():
        file.write_bytes(given)
        (directory / f"{place}.txt").write_text("".join(traceback.format_exception(error)))


def main() -> None:
    """Run one target or all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=3600, help="over all targets")
    parser.add_argument("--directory", type=Path, default=Path(".fuzz"))
    parser.add_argument("--target", help="run this one in this process")
    parser.add_argument("names", nargs="*", help="run these one after the other; default: all")
    given = parser.parse_args()
    given.directory.mkdir(parents=True, exist_ok=True)
    if given.target:
        run_one(given.target, given.seconds, given.directory)
        return
    found = run_all(given.seconds, given.directory, given.names)
    if any(one.findings or one.ended_early for one in found):
        sys.exit("the property was broken: see the findings")


if __name__ == "__main__":
    main()
