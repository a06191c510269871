"""PEM files (wave.md 3.4): 64 columns, LF."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

from wavemq.errors import MalformedDERError

ENTITY_SECRET: Final = "WAVE ENTITY SECRET"  # noqa: S105 - the name of a block, not a secret
ENTITY: Final = "WAVE ENTITY"
ATTESTATION: Final = "WAVE ATTESTATION"
EXPLICIT_PROOF: Final = "WAVE EXPLICIT PROOF"

_BEGIN: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,64})-----\r?\n")


def encode_pem(label: str, der: bytes) -> bytes:
    """Return a PEM file with one block."""
    body = base64.b64encode(der).decode()
    lines = [body[start : start + 64] for start in range(0, len(body), 64)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""]).encode()


def decode_pem(data: bytes) -> tuple[str, bytes] | None:
    """Return type and content of the first block, or None if there is none.

    Raises:
        MalformedDERError: the block is not base64.
    """
    found = _BEGIN.search(data)
    if found is None:
        return None
    # Only the first block is looked at, so that work is linear: this reads bytes from strangers.
    end = data.find(b"-----END " + found[1] + b"-----", found.end())
    if end < 0:
        return None
    try:
        content = base64.b64decode(re.sub(rb"\s+", b"", data[found.end() : end]), validate=True)
    except binascii.Error as error:
        raise MalformedDERError("a PEM block is not base64") from error
    return found[1].decode(), content


def decode_pem_or_der(data: bytes) -> bytes:
    """Return the content of the first PEM block, or the data itself where there is none."""
    found = decode_pem(data) if b"-----BEGIN " in data[:4096] else None
    return data if found is None else found[1]
