"""Where a router's status page is, and getting it.

Owns the forms of an address that a person may type, and one HTTP request. Refuses to know what is
on the page beyond its form. Fault model: nobody may be there, or somebody who is slow, endless or
no router: each is an `UnreachableError` whose sentence says what to do.
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from wavemq.cli.status.page import PageFormError, StatusPage, parse_page
from wavemq.cli.wv.text import printable

VARIABLE: Final = "METRICS_ADDRESS"
DEFAULT_ADDRESS: Final = "127.0.0.1:6060"
OFF: Final = "off"
PATH: Final = "/status"
PAGE_BYTES_MAX: Final = 4 << 20
STEP_SECONDS_MAX: Final = 5.0
"""For one step of the request, such as to connect."""
FETCH_SECONDS_MAX: Final = 10.0
"""For the whole page."""
READ_BYTES: Final = 1 << 16
EVERYWHERE: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - not bound
"""What a router listens at that means every address of its machine, and whom to ask then."""
STATUS_OK: Final = 200


class UnreachableError(Exception):
    """There is no status page to be had; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class PageAddress:
    """Where a page is."""

    is_encrypted: bool
    host: str
    port: int | None
    path: str

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port is None else f":{self.port}"
        return f"{'https' if self.is_encrypted else 'http'}://{host}{port}{self.path}"


def parse_address(text: str | None, environment: Mapping[str, str]) -> PageAddress:
    """Return the address of the page that a person means.

    Args:
        text: `host:port`, `:port` or a URL; None: where a router of this machine has it.
        environment: where METRICS_ADDRESS may be, as the router reads it.

    Raises:
        UnreachableError: that is no address.
    """
    chosen = text or environment.get(VARIABLE, "") or DEFAULT_ADDRESS
    if text is None and chosen == OFF:
        raise UnreachableError(
            f"{VARIABLE} is {OFF}, so a router here shows no status; "
            "start it with an address there, or name the router: wavemq status HOST:PORT"
        )
    url = chosen if "://" in chosen else f"http://{chosen}"
    wrong = UnreachableError(
        f"{printable(chosen)} is no address; give HOST:PORT, such as {DEFAULT_ADDRESS}, or a URL"
    )
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise wrong from error
    is_plain = url.isascii() and url.isprintable() and " " not in url
    if parts.scheme not in ("http", "https") or not is_plain or "@" in parts.netloc:
        raise wrong
    if "://" not in chosen and port is None:
        raise wrong
    path = PATH if parts.path in ("", "/") else parts.path
    return PageAddress(parts.scheme == "https", EVERYWHERE.get(host, host), port, path)


def fetch_page(address: PageAddress) -> StatusPage:
    """Return the page at an address.

    Raises:
        UnreachableError: there is none.
    """
    kind = http.client.HTTPSConnection if address.is_encrypted else http.client.HTTPConnection
    connection = kind(address.host, address.port, timeout=STEP_SECONDS_MAX)
    try:
        connection.request("GET", address.path, headers={"Accept": "application/json"})
        response = connection.getresponse()
        if response.status != STATUS_OK:
            raise _foreign(address, f"it answers with status {response.status}")
        content = _read(address, response)
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise UnreachableError(
            f"no router answers at {address}: {printable(reason)}; see that it runs, and that "
            f"this is the address after metrics= in its ready line ({VARIABLE})"
        ) from error
    finally:
        connection.close()
    try:
        return parse_page(content)
    except PageFormError as error:
        raise _foreign(address, str(error)) from error


def _read(address: PageAddress, response: http.client.HTTPResponse) -> bytes:
    """Return the body; exceptions as `fetch_page`."""
    deadline = time.monotonic() + FETCH_SECONDS_MAX
    content = bytearray()
    while part := response.read1(READ_BYTES):
        content += part
        if len(content) > PAGE_BYTES_MAX:
            raise _foreign(address, "it is endless")
        if time.monotonic() > deadline:
            raise TimeoutError(f"it takes more than {FETCH_SECONDS_MAX:g} s")
    return bytes(content)


def _foreign(address: PageAddress, reason: str) -> UnreachableError:
    return UnreachableError(
        f"what is at {address} is no router's status page: {reason}; give the address after "
        "metrics= in the router's ready line"
    )
