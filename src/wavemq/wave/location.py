"""Where an object is stored (wave.md 2.2)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from wavemq.errors import UnsupportedLocationSchemeError
from wavemq.wave import der

_REMEMBERED_MAX: Final = 1024
_REMEMBERED_BYTES_MAX: Final = 512
"""Decoded locations in memory, and the longest encoding that is remembered."""


@dataclass(frozen=True, slots=True, order=True)
class Location:
    """A storage URL, prefix of the API included.

    Args:
        url: compared as it is; a trailing slash makes another location.
        version: always 1.
    """

    url: str
    version: int = 1

    def to_der(self) -> bytes:
        """Return the `Location` element."""
        value = der.sequence(der.text(self.url), der.integer(self.version))
        return der.external((8, 1), value)

    @classmethod
    def read(cls, reader: der.Reader) -> Location:
        """Read a `Location` element.

        Raises:
            UnsupportedLocationSchemeError: it is of another scheme.
            MalformedDERError: the element is malformed.
        """
        element = reader.element(der.EXTERNAL)
        # Few locations are named again and again: in every revocation option, grant and proof.
        if len(element) > _REMEMBERED_BYTES_MAX:
            return _decoded(element)
        return _remembered(element)


def _decoded(element: bytes) -> Location:
    kind, value = der.Reader(element).external()
    if kind != (8, 1):
        raise UnsupportedLocationSchemeError("unsupported location scheme")
    inner = value.sequence()
    value.finish()
    location = Location(inner.text(), inner.integer())
    inner.finish()
    return location


@lru_cache(maxsize=_REMEMBERED_MAX)
def _remembered(element: bytes) -> Location:
    return _decoded(element)
