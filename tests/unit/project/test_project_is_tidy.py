"""The repository's own promises about itself: sizes, links, dependencies, no leftovers."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
MODULE_LINES_MAX = 500


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", *patterns], cwd=ROOT, capture_output=True, check=True
    ).stdout
    return [ROOT / name.decode() for name in listed.split(b"\0") if name]


def test_modules_stay_small_enough_to_read() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in tracked("src/*.py", "kernel/src/*.rs")
        if not path.name.endswith("_pb2.py")
        and (lines := len(path.read_text().splitlines())) > MODULE_LINES_MAX
    }
    assert long == {}


def test_no_unfinished_work_is_marked_in_the_code() -> None:
    marker = re.compile("TO" + "DO|FIX" + "ME|NotImplemented" + r"Error|\bunimplemented!|\btodo!")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in tracked("*.py", "*.rs")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if marker.search(line) and path != Path(__file__)
    ]
    assert found == []


def test_no_test_is_skipped_or_expected_to_fail() -> None:
    marker = re.compile(r"pytest\.(mark\.)?(skip|skipif|xfail|importorskip)\b")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in tracked("tests/*.py")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if marker.search(line) and path != Path(__file__)
    ]
    assert found == []


@pytest.mark.parametrize("page", tracked("*.md"), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert missing == []


def test_every_runtime_dependency_has_its_line_in_the_decision_record() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[<>=\[ ]", requirement)[0] for requirement in project["dependencies"]}
    recorded = set(
        re.findall(r"`([a-z0-9-]+)`", (ROOT / "docs/adr/0002-dependencies.md").read_text())
    )
    assert names <= recorded


def test_every_crate_has_its_line_in_the_decision_record() -> None:
    crate = tomllib.loads((ROOT / "kernel/Cargo.toml").read_text())
    recorded = set(
        re.findall(r"`([a-z0-9-]+)`", (ROOT / "docs/adr/0002-dependencies.md").read_text())
    )
    assert set(crate["dependencies"]) <= recorded


def test_versions_agree() -> None:
    import wavemq

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    crate = tomllib.loads((ROOT / "kernel/Cargo.toml").read_text())["package"]
    assert project["version"] == crate["version"] == wavemq.__version__
