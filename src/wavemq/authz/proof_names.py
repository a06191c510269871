"""Collision-free names of proofs, without hashing a known proof again.

Owns the proofs that were found to grant something lately, each with the SHA-256 that stands for it
in the keys of other caches. Refuses to know what a proof grants. Fault model: callers offer proofs
of their choice. A proof is recognised by comparing all of its bytes; the fingerprint that finds the
candidate is cheap and may collide, which costs the hash that was to be saved and never yields
another proof's name. Only proofs that granted something are kept, so that changed copies of a
proof do not displace it; memory is bounded in bytes. It belongs to the event loop.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from typing import Final

from wavemq.limits import MIB

NAMED_BYTES_MAX: Final = 32 * MIB
"""Proofs kept for comparison, in bytes; about 200 proofs of three hops. Others are hashed."""
SAMPLES: Final = 64
"""Bytes of a proof that make its fingerprint, at places that nobody else knows."""
_OFFSET_BITS: Final = 64

_Fingerprint = tuple[int, bytes]


class ProofNames:
    """Gives every proof its name.

    Args:
        bytes_max: how many bytes of proofs are kept.
    """

    __slots__ = ("_bytes", "_bytes_max", "_named", "_offset")

    def __init__(self, bytes_max: int = NAMED_BYTES_MAX) -> None:
        self._named: OrderedDict[_Fingerprint, tuple[bytes, bytes]] = OrderedDict()
        self._bytes = 0
        self._bytes_max = bytes_max
        self._offset = secrets.randbits(_OFFSET_BITS)

    @property
    def kept_bytes(self) -> int:
        """How many bytes of proofs are kept."""
        return self._bytes

    def name(self, proof: bytes) -> bytes:
        """Return the SHA-256 of `proof`, 32 bytes; the wire's 128-bit reference could collide."""
        fingerprint = self._fingerprint(proof)
        named = self._named.get(fingerprint)
        if named is not None and named[0] == proof:
            self._named.move_to_end(fingerprint)
            return named[1]
        return hashlib.sha256(proof).digest()

    def keep(self, proof: bytes, name: bytes) -> None:
        """Have `proof`, which granted something, recognised as `name` from now on."""
        if len(proof) > self._bytes_max:
            return
        fingerprint = self._fingerprint(proof)
        replaced = self._named.pop(fingerprint, None)
        if replaced is not None:
            self._bytes -= len(replaced[0])
        self._named[fingerprint] = (proof, name)
        self._bytes += len(proof)
        while self._bytes > self._bytes_max:
            _, (oldest, _) = self._named.popitem(last=False)
            self._bytes -= len(oldest)

    def _fingerprint(self, proof: bytes) -> _Fingerprint:
        """Return length and some bytes of a proof."""
        stride = len(proof) // SAMPLES + 1
        return len(proof), proof[self._offset % stride :: stride]
