"""The first steps of a router's process, in the order that makes it ready soonest.

Owns that order: the configuration, the disk in a thread of its own, and meanwhile the rest of the
program. Refuses to know the parts. Fault model: as `process`, whose errors pass through.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from wavemq.router.config import load_config
from wavemq.router.disk import opening_disk


def run_router(path: Path, *, on_ready: Callable[[str], None]) -> None:
    """Run the router of a configuration file until SIGTERM or SIGINT.

    Args:
        path: of the configuration.
        on_ready: given the ready line.

    Raises:
        ConfigError: the configuration, or a file or address that it names, is not usable.
        UnavailableError: what is needed from storage to begin is not to be had.
        StorageFaultError: the disk fails.
        InternalError: a defect of ours.
    """
    config = load_config(path, os.environ)
    disk = opening_disk(config)
    # Most of the program is loaded while SQLite reads: with a million messages queued, a router is
    # ready a third of a second sooner.
    from wavemq.router.process import run_until_signal

    run_until_signal(config, disk, on_ready)
