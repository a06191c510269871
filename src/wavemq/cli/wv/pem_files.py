"""PEM files as the original's tools write them (wave.md 3.4).

Owns which kind of block stands in a file, and the sentence when none does. Refuses to know what is
inside. Fault model: a file may hold anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from wavemq.cli.wv.text import UsageFaultError, quote
from wavemq.errors import MalformedDERError
from wavemq.wave.pem import decode_pem


@dataclass(frozen=True, slots=True)
class PemBlock:
    """The first block of a file.

    Attributes:
        kind: its label, such as `WAVE ENTITY SECRET`.
        der: its content.
    """

    kind: str
    der: bytes = field(repr=False)


def pem_block(content: bytes, file: str) -> PemBlock:
    """Return the first block of a file.

    Raises:
        UsageFaultError: there is none.
    """
    try:
        found = decode_pem(content)
    except MalformedDERError as error:
        raise UsageFaultError(f"file {quote(file)} is not a PEM file") from error
    if found is None:
        raise UsageFaultError(f"file {quote(file)} is not a PEM file")
    return PemBlock(*found)


def marker_of(kind: str) -> bytes:
    """Return how a file with a block of this kind begins."""
    return f"-----BEGIN {kind}-----".encode()
