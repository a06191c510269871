"""`waved`: the WAVE daemon, which serves authority to other programs.

Owns its arguments, what it prints and its exit statuses. Refuses to know the calls. Fault model: a
configuration, database or address that cannot be used ends it with one sentence and status 1.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wavemq.errors import WaveMQError

if TYPE_CHECKING:
    from wavemq.agent.running import BoundAgent

COMPATIBLE_VERSION = "0.4.2"
"""The version of the original whose behaviour this command has."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    default="/etc/wave/wave.toml",
    show_default=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="TOML with database, listenIp, httpListenIp, listenUnix, [storage.NAME] tables.",
)
@click.version_option(COMPATIBLE_VERSION, prog_name="waved", message="%(prog)s version %(version)s")
def waved(config: Path) -> None:
    """Serve WAVE to other programs, over gRPC and HTTP, until SIGTERM or SIGINT.

    Callers hand over entity secrets in every call, without encryption on the way: listen at
    127.0.0.1 or a Unix socket only. Prints `server started on ADDRESS` when it answers; the log,
    which names all addresses, goes to stderr.
    """
    # The server's libraries are loaded for those who serve, not for `--help`.
    from wavemq.agent.running import run_agent
    from wavemq.router.logs import set_up_logging

    set_up_logging()
    try:
        run_agent(config, on_ready=_print_ready)
    except WaveMQError as error:
        print(error.reason)
        sys.exit(1)


def _print_ready(bound: BoundAgent) -> None:
    print(bound.line(), flush=True)


def main() -> None:
    """Run `waved`."""
    waved(prog_name="waved")


if __name__ == "__main__":
    main()
