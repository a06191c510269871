"""What README and docs show: commands run, configuration files load, help is what is said."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from wavemq.router.config import parse_config
from wavemq.testing.processes import command_path

ROOT = Path(__file__).resolve().parents[3]
README = (ROOT / "README.md").read_text()
RUN_A_ROUTER = (ROOT / "docs/how-to/run-a-router.md").read_text()


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.DOTALL | re.MULTILINE)


def wv_lines(page: str) -> list[str]:
    return [
        line
        for block in blocks(page, "sh")
        for line in block.splitlines()
        if line.startswith("wv ")
    ]


def run(line: str, directory: Path) -> str:
    words = shlex.split(line)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WAVE_")}
    done = subprocess.run(
        [command_path(words[0]), *words[1:]],
        cwd=directory,
        env={**kept, "WAVE_HOME": str(directory / "home")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_routing_proof_is_made_as_the_page_says(tmp_path: Path) -> None:
    run("wv mkentity --nopassphrase -o namespace.pem", tmp_path)
    lines = wv_lines(RUN_A_ROUTER)
    assert len(lines) == 3
    for line in lines:
        run(line, tmp_path)
    assert "Permissions: route" in run("wv verify namespace.routing.pem", tmp_path)


@pytest.mark.parametrize("index", [0, 1], ids=["site", "cloud"])
def test_configuration_files_of_the_page_load(index: int) -> None:
    config = parse_config(blocks(RUN_A_ROUTER, "toml")[index], {})
    assert bool(config.uplinks) == (index == 0)
    assert bool(config.designated_files) == (index == 1)
    assert (config.peer_listen is not None) == (index == 1)


def test_every_command_answers_help() -> None:
    for name in ("wavemq", "wv", "waved"):
        done = subprocess.run(
            [command_path(name), "--help"], capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 0
        assert done.stdout.startswith("Usage: ")


def test_program_of_the_readme_compiles_and_uses_what_exists() -> None:
    import wavemq

    (program,) = blocks(README, "python")
    compile(program, "README.md", "exec")
    for name in re.findall(r"wavemq\.([a-z_]+)\(", program):
        assert hasattr(wavemq, name)
