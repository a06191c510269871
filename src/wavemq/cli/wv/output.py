"""What a command prints: lines for people, or JSON for programs.

Owns standard output and error. Refuses to know what the lines mean. Fault model: the reader may
have gone (`wv ... | head`); `main` ends the command quietly then.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping

Json = str | int | bool | None | list["Json"] | dict[str, "Json"]


class Output:
    """Prints lines, or, for programs, one JSON object per result.

    Args:
        is_json: whether results are printed as JSON and lines are left out.
    """

    def __init__(self, *, is_json: bool) -> None:
        self.is_json = is_json

    def line(self, text: str) -> None:
        """Print a line for people."""
        if not self.is_json:
            print(text, flush=True)

    def lines(self, lines: Iterable[str]) -> None:
        """Print lines for people."""
        for text in lines:
            self.line(text)

    def result(self, fields: Mapping[str, Json]) -> None:
        """Print a result for programs."""
        if self.is_json:
            self.object(fields)

    def object(self, fields: Mapping[str, Json]) -> None:
        """Print an object for programs, whatever the form of the other results."""
        print(json.dumps(fields, ensure_ascii=False), flush=True)

    def failure(self, text: str, *, code: int | None = None) -> None:
        """Say what went wrong: on standard output, as the original does."""
        self.line(text)
        self.result({"error": {"code": code, "message": text}})

    def warn(self, text: str) -> None:
        """Say what the user should know although the command goes on; on standard error."""
        print(f"warning: {text}", file=sys.stderr, flush=True)
