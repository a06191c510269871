"""What strangers choose of a log line cannot act on the terminal that shows it."""

from __future__ import annotations

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
