"""Stories about one core: each file holds commands and, below each, exactly what the core orders.

After a change that is meant, `WAVEMQ_REWRITE=1 pytest tests/golden/routing` writes the files anew;
commit a difference only if you understand every line of it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.core_script import Story

STORIES = sorted(Path(__file__).parent.glob("*.txt"))
COMMAND = "> "


def retold(text: str) -> str:
    """Return a story with the effects that its commands have now."""
    story = Story()
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith(COMMAND):
            lines += [line, *story.run(line.removeprefix(COMMAND)), ""]
        elif line.startswith("#"):
            lines.append(line)
    return "\n".join(lines).rstrip() + "\n"


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_core_does_what_the_story_says(path: Path) -> None:
    told = path.read_text()
    found = retold(told)
    if os.environ.get("WAVEMQ_REWRITE") == "1":
        path.write_text(found)
    else:
        assert found == told


def test_there_are_stories() -> None:
    assert len(STORIES) >= 8
