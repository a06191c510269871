"""`waved`: the WAVE daemon, which comes in a later release.

Owns one honest sentence. Refuses to pretend: nothing listens. Fault model: none.
"""

from __future__ import annotations

import click

COMPATIBLE_VERSION = "0.4.2"
"""The version of the original that it will replace."""


@click.command(
    context_settings={
        "help_option_names": ["-h", "--help"],
        "ignore_unknown_options": True,
        "allow_extra_args": True,
    }
)
@click.option("--config", default="/etc/wave/wave.toml", show_default=True, metavar="FILE")
@click.version_option(COMPATIBLE_VERSION, prog_name="waved", message="%(prog)s version %(version)s")
@click.pass_context
def waved(ctx: click.Context, config: str) -> None:
    """Serve WAVE to other programs (in a later release)."""
    del config
    print("waved: the WAVE agent comes in a later release; wv and routers work without it")
    ctx.exit(1)


def main() -> None:
    """Run `waved`."""
    waved(prog_name="waved")


if __name__ == "__main__":
    main()
