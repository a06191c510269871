"""The README's walk through WAVE: each command is run, and prints what the page shows."""

from __future__ import annotations

from pathlib import Path

from tests.support.console_pages import Shape, run_step, steps_of

README = (Path(__file__).resolve().parents[3] / "README.md").read_text()


def test_readme_prints_what_it_shows(tmp_path: Path) -> None:
    steps = steps_of(README)
    assert len(steps) >= 10
    shown, printed = Shape(), Shape()
    for step in steps:
        output = run_step(step, tmp_path, {"WAVE_HOME": str(tmp_path / "home")})
        assert printed.of(output) == shown.of(step.output), f"$ {step.command}\n{output}"
