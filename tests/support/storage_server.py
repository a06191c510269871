"""A storage server as a real process, started by its module."""

from __future__ import annotations

import sys
from pathlib import Path

from wavemq.testing.processes import ServerProcess


def storage_server(data: Path, *, listen: str = "127.0.0.1:0") -> ServerProcess:
    """Return a server of `data`, not yet started; its ready line has the key `http`."""
    arguments = [sys.executable, "-m", "wavemq.cli.storage", "--listen", listen]
    return ServerProcess(
        "storage", [*arguments, "--data", str(data)], log_path=data.with_suffix(".log")
    )


def http_table(server: ServerProcess) -> dict[str, str]:
    """Return the storage table that names a started server."""
    return {"provider": "http_v1", "url": f"http://{server.ready['http']}/v1"}
