"""How secret bytes could look in text, so that tests can search logs and errors for them."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator

from wavemq.wave.keyring import EntitySecret

SHOWN_BYTES_MIN = 12
"""So many bytes of a secret in a row count as shown."""


def spellings(secret: bytes) -> Iterator[str]:
    """Yield the texts in which the beginning of a secret could be found."""
    start = secret[:SHOWN_BYTES_MIN]
    yield start.hex()
    yield repr(start)[2:-1]
    yield start.decode("latin-1")
    yield ", ".join(map(str, start))
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for shift in range(3):
            # What stands before decides how six bits are cut: characters at the edges are left out.
            text = encode(bytes(shift) + start).decode().rstrip("=")
            yield text[2 * (shift > 0) : len(start) + 1][2:]


def shown(text: str, secrets: Iterable[bytes]) -> list[str]:
    """Return the spellings of any of the secrets that a text holds."""
    return [
        spelling
        for secret in secrets
        for spelling in spellings(secret)
        if len(spelling) > 6 and spelling in text
    ]


def secrets_of(entity: EntitySecret) -> list[bytes]:
    """Return every private key of an entity."""
    return [entry.secret for entry in entity.entries]
