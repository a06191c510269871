"""`python -m bench`: every benchmark of this folder.

`compare` (with `--quick`: shortly, judged) measures against other brokers, `scaling` shows how ours
grows, `instructions` (with `--accept`: makes the baseline) counts those of the kernel's hot paths;
the names of suites run those, in one table.
"""

from __future__ import annotations

import argparse
import json
import sys
from importlib import import_module

from rich.console import Console
from rich.table import Table

from bench import comparing, instructions, scaling
from bench.load_generator import LoadFailedError
from bench.measurement import Measurement

SUITES = (
    "crypto",
    "authority",
    "graphs",
    "sync",
    "journal",
    "waiting",
    "throughput",
    "links",
    "encryption",
)
LOADS = {"compare": comparing.main, "scaling": scaling.main, "instructions": instructions.main}


def main(arguments: list[str]) -> int:
    """Run what `arguments` name: one of `LOADS` with its arguments, or suites, all by default.

    With `--json` one JSON text is printed instead of a table. Returns 0; a bound that a suite
    misses is marked in the table but fails nothing, since machines differ.
    """
    if arguments and arguments[0] in LOADS:
        try:
            return LOADS[arguments[0]](arguments[1:])
        except LoadFailedError as error:
            print(error, file=sys.stderr)
            return 1
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=f"{', '.join(LOADS)} (each with --help), or suites, all by default.",
    )
    parser.add_argument("--json", action="store_true", help="one JSON text instead of a table")
    parser.add_argument("suite", nargs="*", metavar="suite", help=", ".join(SUITES))
    given = parser.parse_args(arguments)
    if unknown := sorted(set(given.suite) - set(SUITES)):
        parser.error(f"there is no {', '.join(unknown)}")
    is_json = given.json
    console = Console(stderr=is_json)
    found: list[tuple[str, Measurement]] = []
    for name in given.suite or SUITES:
        console.print(f"running {name} ...", style="dim")
        found.extend((name, one) for one in import_module(f"bench.{name}").measurements())
    if is_json:
        print(
            json.dumps(
                [
                    {
                        "suite": suite,
                        "name": one.name,
                        "value": one.value,
                        "unit": one.unit,
                        "bound": one.bound,
                        "note": one.note,
                    }
                    for suite, one in found
                ]
            )
        )
        return 0
    table = Table("suite", "what", "figure", "bound", "note")
    for suite, one in found:
        sign = "" if one.bound is None else ("ok " if one.is_within_bound else "MISSED ")
        relation = ">=" if one.unit.endswith("/s") else "<="
        bound = "" if one.bound is None else f"{sign}{relation} {one.bound:g}"
        table.add_row(suite, one.name, f"{one.value:,.3f} {one.unit}", bound, one.note)
    console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
