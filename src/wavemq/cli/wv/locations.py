"""`listlocations`: the configured storages.

Owns two lines of output. Refuses to contact any storage. Fault model: a daemon may be away.
"""

from __future__ import annotations

from typing import Final

from wavemq.agent import calls
from wavemq.cli.wv.session import Session
from wavemq.wire import wave_pb2 as pb

_LOCAL: Final = "local:"


async def list_locations(session: Session) -> None:
    """Show every storage location by name."""
    found = await session.ask(calls.LIST_LOCATIONS, pb.ListLocationsParams())
    for name, location in sorted(found.agentLocations.items(), key=_default_first):
        url = location.locationURI.URI
        kind = "local" if url.startswith(_LOCAL) else "HTTP v1"
        session.output.line(f"{name} : {kind} at {url}")
        session.output.result({"kind": "location", "name": name, "url": url})


def _default_first(item: tuple[str, pb.Location]) -> tuple[bool, str]:
    return item[0] != "default", item[0]
