"""The 16 bytes that stand for a proof that a peer has already seen.

Owns the reference of wavemq.md 5. Refuses to know who remembers which proof. Fault model: none.
CityHash128 is not collision resistant: a reference only selects among proofs that were sent in
full before, and what it selects is verified like any other proof.
"""

from __future__ import annotations

from typing import Final

from wavemq.crypto.hashing import cityhash128

PROOF_REFERENCE_BYTES: Final = 16


def proof_reference(proof: bytes) -> bytes:
    """Return the reference of an explicit proof (DER).

    It is CityHash128 v1.1, high 64 bits big-endian, then low 64 bits big-endian (wavemq.md 5).
    """
    low, high = cityhash128(proof)
    return high.to_bytes(8, "big") + low.to_bytes(8, "big")
