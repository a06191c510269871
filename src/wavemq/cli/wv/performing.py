"""Running one command: opening what it needs, and telling what went wrong.

Owns the way from flags to an exit status. Refuses to know the commands. Fault model: whatever
fails, the command ends with a sentence and a status, never with a traceback.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from wavemq.cli.wv.options import GlobalFlags
    from wavemq.cli.wv.output import Output
    from wavemq.cli.wv.session import Session
    from wavemq.cli.wv.settings import Settings

STATUS_ERROR: Final = 1


def perform(flags: GlobalFlags, work: Callable[[Session], Awaitable[None]]) -> None:
    """Run a command that needs the engine."""
    import asyncio
    import logging

    import structlog

    # The command itself tells what failed; the parts' own log would only repeat it.
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )

    async def with_session(settings: Settings, output: Output) -> None:
        from wavemq.cli.wv.session import open_session
        from wavemq.clock import SystemClock

        async with open_session(settings, SystemClock(), output) as session:
            await work(session)

    _perform_plain(flags, lambda settings, output: asyncio.run(with_session(settings, output)))


def _perform_plain(flags: GlobalFlags, work: Callable[[Settings, Output], None]) -> None:
    """Run a command; print what goes wrong and end with status 1."""
    from wavemq.cli.wv.output import Output
    from wavemq.cli.wv.settings import read_settings
    from wavemq.cli.wv.text import UsageFaultError
    from wavemq.errors import ConfigError, InternalError, WaveMQError

    output = Output(is_json=flags.is_json)
    try:
        work(read_settings(flags.config, os.environ, daemon=flags.agent), output)
    except UsageFaultError as error:
        output.failure(str(error), code=error.code)
    except ConfigError as error:
        output.failure(f"error: {error.reason}", code=int(error.code))
    except WaveMQError as error:
        output.failure(f"error: {error}", code=int(error.code))
    except (BrokenPipeError, click.ClickException, click.exceptions.Exit):
        raise
    except Exception as error:  # noqa: BLE001 - a command line shows no traceback
        fault = InternalError(f"{type(error).__name__}: {error}; please report this")
        output.failure(f"error: {fault}", code=int(fault.code))
    else:
        return
    raise click.exceptions.Exit(STATUS_ERROR)
