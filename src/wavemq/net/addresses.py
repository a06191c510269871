"""Where to listen and whom to dial: a host and a port.

Owns the text form `host:port` and the binding of listening sockets. Refuses to know protocols.
Fault model: the text comes from an operator; the port may be taken, the name unknown.
"""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass
from typing import Final

from wavemq.errors import ConfigError

PORT_MAX: Final = 65535
BACKLOG: Final = 128
_NOT_HERE: Final = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


@dataclass(frozen=True, slots=True)
class Address:
    """A host, as name or number, and a TCP port; 0 asks for any free one."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """Return the address that `text` names: `host:port`, `[ipv6]:port`, or `:port` for all.

        Raises:
            ConfigError: the text has another form.
        """
        host, separator, port = text.rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            separator = ""  # an IPv6 address without brackets leaves open where the port begins
        if "[" in host or "]" in host:
            separator = ""
        is_port = port.isascii() and port.isdecimal() and len(port) <= 5 and int(port) <= PORT_MAX
        if not separator or not is_port or any(letter.isspace() for letter in host):
            raise ConfigError(f"{text!r} is not host:port, such as 127.0.0.1:4516")
        return cls(host or "0.0.0.0", int(port))  # noqa: S104 - `:port` means it, as in Go

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def listen(address: Address) -> socket.socket:
    """Return a listening TCP socket.

    Raises:
        ConfigError: the address cannot be listened at.
    """
    try:
        family, kind, protocol, _, bind_to = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigError(f"cannot listen at {address}: {error.strerror}") from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6 and bind_to[0] != "::":
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind(bind_to)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise ConfigError(f"cannot listen at {address}: {error.strerror}") from error
    return listening


def listen_everywhere(address: Address) -> list[socket.socket]:
    """Return listening TCP sockets at all addresses that the host stands for, at one port.

    `localhost` is mostly two, and clients may try either. What this machine does not have, such as
    IPv6, is left out.

    Raises:
        ConfigError: none can be listened at, or one is taken.
    """
    try:
        found = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise ConfigError(f"cannot listen at {address}: {error.strerror}") from error
    sockets: list[socket.socket] = []
    port = address.port
    for number in dict.fromkeys(str(bind_to[0]) for *_, bind_to in found):
        try:
            listening = listen(Address(number, port))
        except ConfigError as error:
            cause = error.__cause__
            if isinstance(cause, OSError) and cause.errno in _NOT_HERE and len(found) > 1:
                continue
            for one in sockets:
                one.close()
            raise ConfigError(f"cannot listen at {address}: {_reason(cause)}") from error
        sockets.append(listening)
        port = bound_address(listening).port
    if not sockets:
        raise ConfigError(f"cannot listen at {address}: this machine has no such address")
    return sockets


def _reason(cause: BaseException | None) -> str:
    return (isinstance(cause, OSError) and cause.strerror) or "the address cannot be bound"


def bound_address(listening: socket.socket) -> Address:
    """Return where a socket listens, its real port included."""
    host, port = listening.getsockname()[:2]
    return Address(str(host), int(port))
