"""`listlocations`: the configured storages.

Owns two lines of output. Refuses to contact anyone. Fault model: none; the settings are sound.
"""

from __future__ import annotations

from wavemq.cli.wv.output import Output
from wavemq.net.objects import LocationRouter


def list_locations(storages: LocationRouter, output: Output) -> None:
    """Show every storage location by name."""
    for storage in storages.storages:
        output.line(f"{storage.name} : {storage}")
        output.result({"kind": "location", "name": storage.name, "url": storage.location.url})
