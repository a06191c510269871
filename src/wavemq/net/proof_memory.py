"""Proofs that peers have sent, so that each is sent once (wavemq.md 5).

Owns three memories: proofs that may be restored from a reference (`ProofMemory`), references that
a stream's reader already got the proof for (`SentProofs`), and proofs that a stream's sender has
sent us (`ReceivedProofs`). Refuses to judge proofs: what comes out is verified again, like a proof
sent in full. Fault model: peers may send references at will; a proof is found only under the source
entity and namespace for which it was admitted before, since the reference is no secure hash.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from wavemq.errors import ProofNotCachedError, RemoteProtocolError
from wavemq.limits import MIB
from wavemq.wave.hashes import Hash
from wavemq.wire.proof_reference import ProofReferences, proof_reference

PROOF_MEMORY_BYTES_MAX: Final = 64 * MIB
SENT_PROOFS_MAX: Final = 256
"""Proofs that a stream's reader must remember, at about 55 kB each."""
RECEIVED_PROOFS_BYTES_MAX: Final = 64 * MIB


class ProofMemory:
    """Admitted proofs by namespace, source entity and reference; the least used go first.

    Args:
        bytes_max: of all proofs together.
    """

    def __init__(self, bytes_max: int = PROOF_MEMORY_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._proofs: OrderedDict[tuple[Hash, Hash, bytes], bytes] = OrderedDict()

    @property
    def size_bytes(self) -> int:
        """Bytes of all proofs that are remembered."""
        return self._bytes

    def restore(self, namespace: Hash, source: Hash, reference: bytes) -> bytes:
        """Return the proof that a reference stands for.

        Raises:
            ProofNotCachedError: it is not known here; the sender repeats with the full proof.
        """
        key = (namespace, source, reference)
        proof = self._proofs.get(key)
        if proof is None:
            raise ProofNotCachedError("this proof is not known here; send it in full")
        self._proofs.move_to_end(key)
        return proof

    def remember(self, namespace: Hash, source: Hash, proof: bytes) -> None:
        """Keep a proof that was admitted for its source."""
        key = (namespace, source, proof_reference(proof))
        known = self._proofs.pop(key, b"")
        self._proofs[key] = proof
        self._bytes += len(proof) - len(known)
        while self._bytes > self._bytes_max and self._proofs:
            _, dropped = self._proofs.popitem(last=False)
            self._bytes -= len(dropped)


class SentProofs:
    """What the reader of one stream can restore.

    Args:
        proofs_max: references remembered; when it is reached, all proofs are sent once more.
        references: of proofs, shared with others.
    """

    def __init__(
        self, proofs_max: int = SENT_PROOFS_MAX, *, references: ProofReferences | None = None
    ) -> None:
        self._proofs_max = proofs_max
        self._references = references or ProofReferences()
        self._sent: set[bytes] = set()

    def elide(self, proof: bytes) -> tuple[bytes, bytes]:
        """Return proof and reference as they go into the next message; one of them is empty."""
        reference = self._references.of(proof)
        if reference in self._sent:
            return b"", reference
        if len(self._sent) >= self._proofs_max:
            self._sent.clear()
        self._sent.add(reference)
        return proof, b""


class ReceivedProofs:
    """What the sender of one stream has sent.

    Args:
        bytes_max: of all proofs together; a stream that needs more is begun anew.
    """

    def __init__(self, bytes_max: int = RECEIVED_PROOFS_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._proofs: dict[bytes, bytes] = {}

    def restore(self, proof: bytes, reference: bytes) -> bytes:
        """Return the proof of the next message, given what the message holds.

        Raises:
            RemoteProtocolError: it holds neither a proof nor a reference that is known, or the
                stream holds too many proofs; begin it anew.
        """
        if proof:
            reference = proof_reference(proof)
            if reference not in self._proofs:
                self._bytes += len(proof)
                self._proofs[reference] = proof
            if self._bytes > self._bytes_max:
                raise RemoteProtocolError("the stream holds more proofs than are kept for one")
            # The same object for the same proof: a message more costs no copy of it.
            known = self._proofs[reference]
            return known if known == proof else proof
        known_proof = self._proofs.get(reference)
        if known_proof is None:
            raise RemoteProtocolError("the message has neither a proof nor a known reference")
        return known_proof
