"""A proof reference selects among proofs that were sent and admitted; it never stands for trust."""

from __future__ import annotations

import pytest

from wavemq.errors import ProofNotCachedError, RemoteProtocolError
from wavemq.net.proof_memory import ProofMemory, ReceivedProofs, SentProofs
from wavemq.wave.hashes import Hash
from wavemq.wire.proof_reference import proof_reference

NAMESPACE, OTHER_NAMESPACE = Hash(bytes(32)), Hash(b"\x01" * 32)
SOURCE, OTHER_SOURCE = Hash(b"\x02" * 32), Hash(b"\x03" * 32)
PROOF, OTHER_PROOF = b"proof" * 100, b"other" * 100


def test_proof_is_restored_for_its_own_namespace_and_source_only() -> None:
    memory = ProofMemory()
    memory.remember(NAMESPACE, SOURCE, PROOF)
    reference = proof_reference(PROOF)
    assert memory.restore(NAMESPACE, SOURCE, reference) == PROOF
    for namespace, source in ((NAMESPACE, OTHER_SOURCE), (OTHER_NAMESPACE, SOURCE)):
        with pytest.raises(ProofNotCachedError):
            memory.restore(namespace, source, reference)
    with pytest.raises(ProofNotCachedError):
        memory.restore(NAMESPACE, SOURCE, proof_reference(OTHER_PROOF))


def test_memory_is_bounded_and_the_least_used_goes_first() -> None:
    memory = ProofMemory(bytes_max=2 * len(PROOF))
    memory.remember(NAMESPACE, SOURCE, PROOF)
    memory.remember(NAMESPACE, OTHER_SOURCE, PROOF)
    memory.restore(NAMESPACE, SOURCE, proof_reference(PROOF))
    memory.remember(NAMESPACE, SOURCE, OTHER_PROOF)
    assert memory.size_bytes == 2 * len(PROOF)
    assert memory.restore(NAMESPACE, SOURCE, proof_reference(PROOF)) == PROOF
    with pytest.raises(ProofNotCachedError):
        memory.restore(NAMESPACE, OTHER_SOURCE, proof_reference(PROOF))


def test_stream_restores_what_was_sent_on_it_and_nothing_else() -> None:
    sent, received = SentProofs(), ReceivedProofs()
    for proof in (PROOF, OTHER_PROOF, PROOF):
        assert received.restore(*sent.elide(proof)) == proof
    with pytest.raises(RemoteProtocolError):
        received.restore(b"", proof_reference(b"never sent"))
    with pytest.raises(RemoteProtocolError):
        ReceivedProofs().restore(b"", proof_reference(PROOF))


def test_stream_that_sends_too_many_proofs_is_ended() -> None:
    received = ReceivedProofs(bytes_max=len(PROOF))
    received.restore(PROOF, b"")
    with pytest.raises(RemoteProtocolError):
        received.restore(OTHER_PROOF, b"")
