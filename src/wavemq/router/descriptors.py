"""How many connections this process can hold, given how many files it may have open.

Owns raising that limit and sharing it out. Refuses to know doors. Fault model: the limit may be too
low for the bounds of the doors; these are then lowered, so that the journal, storage and uplinks
are never without descriptors because somebody opens connections.
"""

from __future__ import annotations

import resource
from dataclasses import dataclass
from typing import Final

import structlog

RESERVED_MAX: Final = 512
"""For everything but accepted connections; of a low limit, half."""
PROGRAMS_PART: Final = 0.7
"""Of the rest, to programs; what remains, to peers."""

_log = structlog.get_logger("wavemq.router.descriptors")


@dataclass(frozen=True, slots=True)
class ConnectionBounds:
    """Connections that each door may have.

    Attributes:
        programs: at the local door.
        links: at the peering door, established.
        handshakes: at the peering door, under way.
    """

    programs: int
    links: int
    handshakes: int


def bounds_within(files_max: int, wanted: ConnectionBounds) -> ConnectionBounds:
    """Return what is wanted, lowered as far as so many open files demand; each is 1 at least."""
    room = files_max - min(RESERVED_MAX, files_max // 2)
    programs = min(wanted.programs, int(room * PROGRAMS_PART))
    peers = room - int(room * PROGRAMS_PART)
    handshakes = min(wanted.handshakes, peers // 4)
    return ConnectionBounds(
        programs=max(1, programs),
        links=max(1, min(wanted.links, peers - handshakes)),
        handshakes=max(1, handshakes),
    )


def connection_bounds(wanted: ConnectionBounds) -> ConnectionBounds:
    """Raise this process's limit of open files as far as it may; return what fits."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = RESERVED_MAX + int((wanted.links + wanted.handshakes) / (1 - PROGRAMS_PART)) + 1
    needed = max(needed, RESERVED_MAX + int(wanted.programs / PROGRAMS_PART) + 1)
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    found = wanted if soft == resource.RLIM_INFINITY else bounds_within(soft, wanted)
    if found != wanted:
        _log.warning(
            "few_open_files", limit=soft, programs_max=found.programs, links_max=found.links
        )
    return found
