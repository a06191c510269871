"""Hash functions under WAVE: SHA3-256, SHAKE256, legacy Keccak-256, and CityHash128.

Owns nothing but names for them. Keccak-256 names objects; messages are signed over SHA3-256;
CityHash128 is not cryptographic and only names proofs on the wire (wavemq.md 5).
"""

from __future__ import annotations

import hashlib

from wavemq._kernel import cityhash128, keccak256, keccak256_many

__all__ = ["cityhash128", "keccak256", "keccak256_many", "sha3_256", "shake256"]


def sha3_256(*parts: bytes) -> bytes:
    """Return the 32-byte SHA3-256 (FIPS 202) of the concatenated parts."""
    hasher = hashlib.sha3_256()
    for part in parts:
        hasher.update(part)
    return hasher.digest()


def shake256(data: bytes, size: int) -> bytes:
    """Return `size` bytes of SHAKE256 (FIPS 202) output."""
    return hashlib.shake_256(data).digest(size)
