"""The security model claims nothing without a module that enforces and a test that shows it."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs/security-model.md").read_text()
TESTS = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))
MODULES = sorted(set(re.findall(r"`(wavemq(?:\.\w+)+)`", PAGE)))


def test_the_page_names_modules_and_tests() -> None:
    assert len(TESTS) >= 30
    assert len(MODULES) >= 15


@pytest.mark.parametrize(("file", "function"), TESTS)
def test_named_test_exists(file: str, function: str) -> None:
    parsed = ast.parse((ROOT / file).read_bytes())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    assert function in {one.name for one in parsed.body if isinstance(one, kinds)}


@pytest.mark.parametrize("module", MODULES)
def test_named_module_exists(module: str) -> None:
    assert importlib.util.find_spec(module) is not None


def test_every_row_of_what_is_enforced_has_both() -> None:
    section = PAGE.split("## What is enforced, and where")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")][2:]
    assert rows
    for row in rows:
        _, statement, enforcing, shown, _ = row.split("|")
        assert "tests/" in shown, statement
        assert "`wavemq." in enforcing or "every decoder" in enforcing, statement


def test_the_policy_leads_to_the_model() -> None:
    assert "(docs/security-model.md)" in (ROOT / "SECURITY.md").read_text()
