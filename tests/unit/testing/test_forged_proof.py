"""The forgery that tests and the demonstration use lacks its root of trust, and nothing else."""

from __future__ import annotations

import pytest

from wavemq.authz.verifier import ProofWorld, verify_proof
from wavemq.clock import Instant, instant_from_seconds
from wavemq.errors import ProofInvalidError
from wavemq.testing.forgery import NOWHERE, forge_proof
from wavemq.wave.hashes import WAVEMQ_PERMISSION_SET, Hash
from wavemq.wave.keyring import EntitySecret
from wavemq.wave.policy import RTreePolicy, Statement

NOW = instant_from_seconds(1_800_000_000)


@pytest.fixture(scope="module")
def forger() -> EntitySecret:
    return EntitySecret.create(
        not_before=NOW, not_after=Instant(NOW + 10**15), revocation_location=None
    )


def required(namespace: Hash) -> RTreePolicy:
    statement = Statement(WAVEMQ_PERMISSION_SET, ("publish",), "example/topic")
    return RTreePolicy(namespace, NOWHERE, 0, (statement,))


def test_same_chain_holds_where_the_forger_is_the_namespace(forger: EntitySecret) -> None:
    own = forger.entity.hash
    proof = forge_proof(
        forger.to_bytes(), namespace=own, resource="example/*", permission="publish", now=NOW
    )
    verdict = verify_proof(proof.der, ProofWorld(), now=NOW, required=required(own), subject=own)
    assert verdict.subject == own


def test_chain_in_a_foreign_namespace_is_refused(forger: EntitySecret) -> None:
    foreign = Hash(bytes(32))
    proof = forge_proof(
        forger.to_bytes(), namespace=foreign, resource="example/*", permission="publish", now=NOW
    )
    with pytest.raises(ProofInvalidError):
        verify_proof(
            proof.der,
            ProofWorld(),
            now=NOW,
            required=required(foreign),
            subject=forger.entity.hash,
        )
