"""Where the log of a process goes and what a line looks like.

Owns the set-up of `structlog` and of the standard library's logging. Refuses to decide what is
logged. Fault model: none. Lines are for people on a terminal and JSON elsewhere, on stderr, since
stdout belongs to the ready line.
"""

from __future__ import annotations

import logging
import sys
from typing import Final

import structlog

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def console_renderer() -> structlog.dev.ConsoleRenderer:
    """Return what writes lines for people.

    Values are quoted: peers and storage servers choose parts of them, and must not move the cursor.
    """
    return structlog.dev.ConsoleRenderer(repr_native_str=True)


def set_up_logging(level: str = "info") -> None:
    """Send every log line to stderr.

    Args:
        level: one of `LEVELS`; lesser lines are left out.
    """
    renderer: structlog.typing.Processor = (
        console_renderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            # Before the renderer, whose own tracebacks would show local variables: secrets.
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    # Libraries' lines: gRPC and asyncio speak of their own defects only from here on.
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.WARNING,
        format='{"event": "%(name)s", "level": "%(levelname)s", "message": "%(message)s"}',
    )
