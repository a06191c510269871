"""Proofs that must be refused, for tests and demonstrations of refusal.

Owns one forgery: an entity that grants itself a permission in a namespace that is not its own. All
its signatures hold, and only the missing root of trust gives it away (wave.md 0.1). Refuses to
make proofs that hold: those come from the prover. Fault model: none; what it makes is worthless.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from wavemq.clock import NANOSECONDS_PER_SECOND, Instant
from wavemq.wave.attestation_create import create_attestation
from wavemq.wave.hashes import WAVEMQ_PERMISSION_SET, Hash
from wavemq.wave.keyring import EntitySecret
from wavemq.wave.location import Location
from wavemq.wave.pem import EXPLICIT_PROOF, encode_pem
from wavemq.wave.policy import RTreePolicy, Statement
from wavemq.wave.proof import AttestationReference, ExplicitProof

VALID_SECONDS: Final = 3600
NOWHERE: Final = Location("http://forgery.invalid/v1")


@dataclass(frozen=True, slots=True)
class ForgedProof:
    """A proof whose chain does not begin at the namespace.

    Args:
        der: the explicit proof.
    """

    der: bytes = field(repr=False)

    @property
    def pem(self) -> bytes:
        """The same as a file."""
        return encode_pem(EXPLICIT_PROOF, self.der)


def forge_proof(
    secret: bytes,
    *,
    namespace: Hash,
    resource: str,
    permission: str,
    now: Instant,
    location: Location = NOWHERE,
) -> ForgedProof:
    """Let the owner of `secret` grant itself a permission of the WAVEMQ set in a foreign namespace.

    Args:
        secret: the forger's unprotected entity secret, DER or PEM.
        namespace: whose authority is usurped.
        resource: pattern of what is claimed.
        permission: such as `publish`.
        now: the grant begins then and is valid for an hour.
        location: where the objects claim to be stored.
    """
    forger = EntitySecret.from_bytes(secret)
    policy = RTreePolicy(
        namespace=namespace,
        namespace_location=location,
        indirections=0,
        statements=(Statement(WAVEMQ_PERMISSION_SET, (permission,), resource),),
    )
    created = create_attestation(
        forger,
        location,
        forger.entity,
        location,
        policy,
        not_before=now,
        not_after=Instant(now + VALID_SECONDS * NANOSECONDS_PER_SECOND),
    )
    reference = AttestationReference(
        hash=created.attestation.hash,
        content=created.attestation.wire,
        locations=(location,),
        verifier_key=created.verifier_key,
    )
    proof = ExplicitProof(attestations=(reference,), paths=((0,),), entities=(forger.entity.wire,))
    return ForgedProof(proof.to_bytes())
