"""The 16 bytes that stand for a proof that a peer has already seen.

Owns the reference of wavemq.md 5. Refuses to know who remembers which proof. Fault model: none.
CityHash128 is not collision resistant: a reference only selects among proofs that were sent in
full before, and what it selects is verified like any other proof.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from wavemq.crypto.hashing import cityhash128
from wavemq.limits import MIB

PROOF_REFERENCE_BYTES: Final = 16
REMEMBERED_BYTES_MAX: Final = 16 * MIB
"""Proofs whose references are remembered; nearly all messages of a source have the same one."""


def proof_reference(proof: bytes) -> bytes:
    """Return the reference of an explicit proof (DER).

    It is CityHash128 v1.1, high 64 bits big-endian, then low 64 bits big-endian (wavemq.md 5).
    """
    low, high = cityhash128(proof)
    return high.to_bytes(8, "big") + low.to_bytes(8, "big")


class ProofReferences:
    """Remembers references of proofs lately asked for; it belongs to one event loop.

    A proof is found by all of its bytes; for the same object, as messages share it, that is free.

    Args:
        bytes_max: of all proofs together.
    """

    __slots__ = ("_bytes", "_bytes_max", "_references")

    def __init__(self, bytes_max: int = REMEMBERED_BYTES_MAX) -> None:
        self._references: OrderedDict[bytes, bytes] = OrderedDict()
        self._bytes = 0
        self._bytes_max = bytes_max

    @property
    def size_bytes(self) -> int:
        """Bytes of all proofs that are remembered."""
        return self._bytes

    def of(self, proof: bytes) -> bytes:
        """Return the reference of a proof."""
        known = self._references.get(proof)
        if known is not None:
            return known
        reference = proof_reference(proof)
        self._references[proof] = reference
        self._bytes += len(proof)
        while self._bytes > self._bytes_max:
            oldest, _ = self._references.popitem(last=False)
            self._bytes -= len(oldest)
        return reference
