"""Log lines: what strangers choose of them does not act on a terminal; they show no variables."""

from __future__ import annotations

import subprocess
import sys

import pytest
import structlog

from wavemq.router.logs import console_renderer


def test_control_characters_of_strangers_are_shown_and_not_sent() -> None:
    line = console_renderer()(None, "info", {"event": "peer_gone", "reason": "\x1b]0;owned\x07"})
    assert "\\x1b]0;owned\\x07" in line
    assert "\x1b]" not in line
    assert "\x07" not in line


def test_lines_for_programs_are_one_line_each() -> None:
    line = structlog.processors.JSONRenderer()(None, "info", {"reason": "a\nb\x1b"})
    assert line == '{"reason": "a\\nb\\u001b"}'


def test_tracebacks_show_no_local_variables(capfd: pytest.CaptureFixture[str]) -> None:
    program = """
import sys
from wavemq.router import logs
import subprocess
import sys

import pytest
import structlog
sys.stderr.isatty = lambda: True
logs.set_up_logging()
def fail(passphrase):
    raise RuntimeError("a defect")
try:
    fail("hunter" + "2")
except RuntimeError:
    structlog.get_logger("test").exception("door_failed")
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True)
    shown = capfd.readouterr().err
    assert "a defect" in shown
    assert "hunter2" not in shown
