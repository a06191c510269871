"""`wavemq storage`: run an object storage server.

Owns the command's arguments and what it prints. Refuses to know the protocol. Fault model: wrong
arguments, a port in use or an unusable directory end it with one sentence and status 1.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from wavemq.errors import WaveMQError

DEFAULT_LISTEN = "127.0.0.1:8080"
PORT_MAX = 65535


@click.command("storage", context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--listen",
    default=DEFAULT_LISTEN,
    show_default=True,
    metavar="HOST:PORT",
    help="Where to listen; port 0 takes any free one, the ready line tells which.",
)
@click.option(
    "--data",
    required=True,
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory of objects and queues; made if missing.",
)
@click.option(
    "--prefix",
    default="/v1",
    show_default=True,
    help="Path of the API; part of the URL in storage configurations.",
)
def storage(listen: str, data: Path, prefix: str) -> None:
    """Serve WAVE objects and queues over HTTP.

    Prints one line, `ready http=HOST:PORT`, when it answers; SIGTERM ends it in order. Point
    routers and wv at it with provider = "http_v1" and url = "http://HOST:PORT/v1".
    It knows no users: whoever reaches it may add objects. Every answered write is on disk.
    """
    # The server's libraries are loaded for those who serve, not for `--help`.
    import structlog

    from wavemq.net.object_server import serve_objects

    # Standard output is for the ready line.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    address = _parse_listen(listen)
    if not prefix.startswith("/") or prefix.strip("/") == "":
        raise click.BadParameter("it begins with / and is more than that", param_hint="--prefix")
    try:
        asyncio.run(serve_objects(data, address, prefix=prefix, on_ready=_print_ready))
    except WaveMQError as error:
        print(f"wavemq storage: {error.reason}", file=sys.stderr)
        sys.exit(1)


def _parse_listen(text: str) -> tuple[str, int]:
    host, separator, port = text.rpartition(":")
    is_port = port.isascii() and port.isdecimal() and int(port) <= PORT_MAX
    if not separator or not host or not is_port:
        raise click.BadParameter(
            f"{text!r} is not HOST:PORT, such as {DEFAULT_LISTEN}", param_hint="--listen"
        )
    return host.removeprefix("[").removesuffix("]"), int(port)


def _print_ready(address: str) -> None:
    print(f"ready http={address}", flush=True)


if __name__ == "__main__":
    storage(prog_name="wavemq storage")
