"""Where an object is stored (wave.md 2.2)."""

from __future__ import annotations

from dataclasses import dataclass

from wavemq.errors import UnsupportedLocationSchemeError
from wavemq.wave import der


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
        kind, value = reader.external()
        if kind != (8, 1):
            raise UnsupportedLocationSchemeError("unsupported location scheme")
        inner = value.sequence()
        value.finish()
        location = cls(inner.text(), inner.integer())
        inner.finish()
        return location
