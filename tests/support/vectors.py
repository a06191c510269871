"""The vector files, parsed once, and their spellings of bytes."""

from __future__ import annotations

import base64
import json
from functools import cache
from pathlib import Path
from typing import Any

DATA = Path(__file__).parents[1] / "vectors" / "data"


@cache
def vectors(name: str) -> dict[str, Any]:
    """Return a vector file."""
    parsed: dict[str, Any] = json.loads((DATA / f"{name}.json").read_bytes())
    return parsed


def b64(text: str) -> bytes:
    """Return the bytes of standard base64."""
    return base64.b64decode(text)


def scalar(text: str) -> bytes:
    """Return a hexadecimal number as 32 bytes, most significant first."""
    return int(text, 16).to_bytes(32, "big")


def fixed(attributes: dict[str, int]) -> list[tuple[int, bytes]]:
    """Return slots and values, as the kernel takes them."""
    return [(int(slot), value.to_bytes(32, "big")) for slot, value in attributes.items()]
