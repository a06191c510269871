"""`python -m wavemq.testing --seed N`: run simulated worlds, and tell which promises they broke."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator

from wavemq.testing.simulation.world import Outcome, run_seed


def main() -> int:
    """Run what the command line asks for; 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m wavemq.testing", description=__doc__)
    parser.add_argument("--seed", type=int, help="run this world")
    parser.add_argument("--seeds", help="run the worlds FIRST..LAST")
    parser.add_argument("--minutes", type=float, help="run fresh worlds for so long")
    arguments = parser.parse_args()
    broken = [outcome for outcome in map(_tell, _outcomes(arguments)) if outcome.violations]
    verdict = f"{len(broken)} worlds broke a promise" if broken else "every promise was kept"
    sys.stdout.write(f"{verdict}\n")
    return 1 if broken else 0


def _outcomes(arguments: argparse.Namespace) -> Iterator[Outcome]:
    if arguments.seed is not None:
        yield run_seed(arguments.seed)
    if arguments.seeds:
        first, _, last = arguments.seeds.partition("..")
        yield from map(run_seed, range(int(first), int(last) + 1))
    if arguments.minutes:
        end = time.monotonic() + 60 * arguments.minutes
        seed = time.time_ns()
        while time.monotonic() < end:
            yield run_seed(seed)
            seed += 1


def _tell(outcome: Outcome) -> Outcome:
    if outcome.violations or sys.stdout.isatty():
        sys.stdout.write(
            f"seed {outcome.seed}: {outcome.answered} answered, {outcome.dropped} dropped, "
            f"{outcome.kills} kills, quiet after {outcome.seconds:.0f} s\n"
        )
    for violation in outcome.violations:
        sys.stdout.write(f"  {violation}\n")
    return outcome


if __name__ == "__main__":
    raise SystemExit(main())
