"""Pages that show a terminal: commands after `$ `, and below each what it printed.

What differs from run to run is compared by its place: the first hash that a page shows stands for
the first hash that is printed, and must do so everywhere below; times, and the numbers of a
synchronization, only have to be there.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wavemq.testing.processes import command_path

_BLOCK = re.compile(r"^```console\n(.*?)^```", re.DOTALL | re.MULTILINE)
_HASH = re.compile(r"Gy[A-Za-z0-9_-]{44}==")
_SHORT_HASH = re.compile(r"Gy[A-Za-z0-9_-]{4,12}(?:…|\.\.\.)")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?(\.\d+)?( [+-]\d{4} \w+|Z| UTC)?")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_SYNCHRONIZED = re.compile(r"(Synchronized \d+/\d+ entities\n)+")
_SLOTS = re.compile(r"\(\d+ \d+ \d+ \d+\)")


@dataclass(frozen=True, slots=True)
class Step:
    """One command and what the page says that it prints."""

    command: str
    output: str


def steps_of(page: str) -> list[Step]:
    """Return the commands of a page, in order."""
    steps = []
    for block in _BLOCK.findall(page):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            steps.append(Step(command, output))
    return steps


class Shape:
    """Replaces what differs from run to run; keep one for all outputs of a run."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def of(self, text: str) -> str:
        """Return the text with hashes numbered in the order of their first appearance."""
        text = _SYNCHRONIZED.sub("Synchronized\n", text)
        for pattern, name in ((_TIME, "TIME"), (_DATE, "DATE"), (_SLOTS, "(SLOTS)")):
            text = pattern.sub(name, text)
        for pattern in (_HASH, _SHORT_HASH):
            text = pattern.sub(lambda match: self._name(match[0]), text)
        return "\n".join(line.rstrip() for line in text.strip("\n").splitlines())

    def _name(self, found: str) -> str:
        return self._names.setdefault(found, f"HASH-{len(self._names)}")


def run_step(step: Step, directory: Path, environment: Mapping[str, str]) -> str:
    """Run a command in a directory and return what it printed, on both streams."""
    words = shlex.split(step.command, comments=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WAVE_")}
    done = subprocess.run(
        [command_path(words[0]), *words[1:]],
        cwd=directory,
        env={**kept, "TZ": "UTC", **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout
