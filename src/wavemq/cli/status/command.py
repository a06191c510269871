"""`wavemq status`: show how a running router fares.

Owns the command's arguments, what goes to which stream, and its exit status. Refuses to know the
page. Fault model: a router that cannot be asked is one sentence on stderr and status 2; while
watching, it is asked again.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Final

import click

from wavemq.cli.status.fetching import (
    PageAddress,
    UnreachableError,
    fetch_page,
    parse_address,
)
from wavemq.cli.status.table import page_text

HEALTHY: Final = 0
UNHEALTHY: Final = 1
UNREACHABLE: Final = 2
REFRESH_SECONDS: Final = 1.0
CLEAR: Final = "\x1b[H\x1b[2J"
"""Lets a terminal begin anew at its upper left corner."""


@click.command("status", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("address", required=False)
@click.option("--json", "is_json", is_flag=True, help="Print the page, one line of JSON.")
@click.option(
    "--watch", "is_watching", is_flag=True, help="Show it anew each second, until Ctrl-C."
)
def status(address: str | None, is_json: bool, is_watching: bool) -> None:  # noqa: FBT001 - click's way
    """Show uplinks, fullest queues, drops and disk of a running router.

    ADDRESS is HOST:PORT or a URL of its metrics: what follows metrics= in its ready line. Without
    it, $METRICS_ADDRESS or else 127.0.0.1:6060.

    The exit status is 0 if all is well, 1 if the disk fails or an uplink is down, and 2 if the
    router cannot be asked; when watching, that of the last look.
    """
    try:
        where = parse_address(address, os.environ)
    except UnreachableError as error:
        print(f"wavemq status: {error}", file=sys.stderr)
        sys.exit(UNREACHABLE)
    code = UNREACHABLE
    try:
        code = _show(where, is_json=is_json, is_clearing=is_watching)
        while is_watching:
            time.sleep(REFRESH_SECONDS)
            if not is_json and not sys.stdout.isatty():
                print()  # between one look and the next
            code = _show(where, is_json=is_json, is_clearing=True)
    except KeyboardInterrupt:
        pass  # how watching ends
    sys.exit(code)


def _show(where: PageAddress, *, is_json: bool, is_clearing: bool) -> int:
    """Print one look at the page; return its exit status."""
    clear = CLEAR if is_clearing and not is_json and sys.stdout.isatty() else ""
    try:
        page = fetch_page(where)
    except UnreachableError as error:
        print(clear, end="", flush=True)
        print(f"wavemq status: {error}", file=sys.stderr)
        return UNREACHABLE
    text = json.dumps(page.raw) if is_json else page_text(page)
    print(f"{clear}{text}", flush=True)
    return HEALTHY if page.is_healthy else UNHEALTHY
