"""The `wavemq` command: run a router, check its configuration, show how it fares, serve objects.

Owns arguments, exit status and what is printed. Refuses to know what the parts do; they are
loaded when they are run, so that `--help` is quick. Fault model: wrong arguments, files and
addresses end a command with one sentence on stderr and status 1, wrong usage with status 2.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import click

import wavemq
from wavemq.errors import WaveMQError

_RUN: Final = "run"
_CONFIG = click.Path(path_type=Path, dir_okay=False)


class _Commands(click.Group):
    """Takes a first argument that is no command as the configuration of a router to run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names that help shows."""
        return sorted((*super().list_commands(ctx), "status", "storage"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a command with parts of its own when it is asked for."""
        if cmd_name == "storage":
            from wavemq.cli.storage import storage

            return storage
        if cmd_name == "status":
            from wavemq.cli.status import status

            return status
        return super().get_command(ctx, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Let `wavemq CONFIG.toml` mean `wavemq run CONFIG.toml`."""
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            args = [_RUN, *args]
        return super().resolve_command(ctx, args)


@click.group(
    cls=_Commands,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    options_metavar="",
    subcommand_metavar="CONFIG.toml | COMMAND ...",
)
@click.version_option(wavemq.__version__, "--version", "-V", prog_name="wavemq")
def main() -> None:
    """Secure tiered publish/subscribe: the router and its companions.

    `wavemq CONFIG.toml` runs a router, site or designated, until SIGTERM or SIGINT. Once it serves
    it prints one line, `ready local=HOST:PORT peer=HOST:PORT|- metrics=HOST:PORT|-`; its log goes
    to stderr.
    """


@main.command(_RUN)
@click.argument("config", type=_CONFIG)
def run(config: Path) -> None:
    """Run the router that CONFIG describes; `run` may be left out."""
    from wavemq.router.starting import run_router

    try:
        run_router(config, on_ready=lambda line: print(line, flush=True))
    except WaveMQError as error:
        print(f"wavemq: {error.reason}", file=sys.stderr)
        sys.exit(1)


@main.command()
@click.argument("config", type=_CONFIG)
def check(config: Path) -> None:
    """Check CONFIG and report every mistake in it; nothing is started."""
    import os

    from wavemq.router.config import load_config

    try:
        load_config(config, os.environ)
    except WaveMQError as error:
        print(f"wavemq: {error.reason}", file=sys.stderr)
        sys.exit(1)
    print(f"{config}: ok")


if __name__ == "__main__":
    main(prog_name="wavemq")
