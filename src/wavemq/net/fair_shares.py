"""Who gives way when there are as many connections as there may be.

Owns the counting of connections by where they come from. Refuses to know what they are for. Fault
model: one host, or one network of IPv6, may open as many as it likes, as fast as it likes; it then
loses its own, and those of others stay.
"""

from __future__ import annotations

import ipaddress
from typing import Final

IPV6_NETWORK_BITS: Final = 64
"""One host has all addresses of such a network."""


def source_of(address: object) -> str:
    """Return where a connection comes from, given the address of its other end.

    Args:
        address: as `socket.accept` gives it.
    """
    host = str(address[0]) if isinstance(address, tuple) and address else ""
    try:
        parsed = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(parsed), IPV6_NETWORK_BITS), strict=False))


class FairShares:
    """Connections by their source, each source's in the order in which they came.

    Args:
        connections_max: bound of all together.
    """

    def __init__(self, connections_max: int) -> None:
        self._connections_max = connections_max
        self._sources: dict[int, str] = {}
        self._numbers: dict[str, dict[int, None]] = {}

    def __len__(self) -> int:
        return len(self._sources)

    def __contains__(self, number: int) -> bool:
        return number in self._sources

    @property
    def is_full(self) -> bool:
        """Whether one more needs another to give way."""
        return len(self._sources) >= self._connections_max

    def add(self, number: int, source: str) -> None:
        """Take note of a connection."""
        self._sources[number] = source
        self._numbers.setdefault(source, {})[number] = None

    def discard(self, number: int) -> None:
        """Take note of the end of a connection, if it is known."""
        source = self._sources.pop(number, None)
        if source is not None:
            numbers = self._numbers[source]
            del numbers[number]
            if not numbers:
                del self._numbers[source]

    def oldest_of_largest(self) -> int:
        """Return the oldest connection of the source that has most; there is at least one."""
        numbers = max(self._numbers.values(), key=len)
        return next(iter(numbers))

    def giving_way_to(self, source: str) -> int | None:
        """Return which connection to end for one more of a source; None: it has its share.

        That is one of the source that has most, as long as the newcomer's has fewer, also with it.
        """
        largest = max(self._numbers.values(), key=len, default={})
        own = len(self._numbers.get(source, {}))
        return next(iter(largest)) if own + 1 < len(largest) else None
