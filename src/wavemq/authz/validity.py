"""Whether entities and attestations are valid at an instant.

Owns the order of the questions in wave.md 3.5 and 7.4 and the sentences of their answers. Refuses
to know proofs and graphs. Fault model: storage may have no answer about a revocation or an
entity; that is raised, never turned into a state.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wavemq.authz.revocation import Standing
from wavemq.authz.verdicts import VALID, Validity, ValidityState
from wavemq.errors import ProofInvalidError

if TYPE_CHECKING:
    from wavemq.authz.library import Library
    from wavemq.authz.revocation import RevocationChecker
    from wavemq.clock import Instant
    from wavemq.wave.attestation import Attestation, VerifierBody
    from wavemq.wave.entity import Entity
    from wavemq.wave.hashes import Hash
    from wavemq.wave.location import Location


@dataclass(frozen=True, slots=True)
class ValidityChecker:
    """Answers for one engine.

    Attributes:
        library: resolves the entities that an attestation names.
        revocations: looks revocation options up.
    """

    library: Library
    revocations: RevocationChecker

    async def entity(self, entity: Entity, *, now: Instant) -> Validity:
        """Return how the entity stands (wave.md 3.5).

        Raises:
            StorageError: its revocation could not be looked up.
        """
        period = period_of_entity(entity, now)
        if not period.is_valid:
            return period
        finding = await self.revocations.check(entity.revocations, now=now)
        if finding.standing is Standing.REVOKED:
            return Validity(ValidityState.REVOKED, "Entity has been revoked")
        return VALID

    async def valid_entity(
        self, entity_hash: Hash, location: Location | None, *, now: Instant
    ) -> Entity:
        """Return the entity, which must be valid.

        Raises:
            LookupFailureError: it is not in storage.
            ProofInvalidError: it is not valid.
            StorageError: storage did not answer.
            ObjectError: the object with that hash is not a sound entity.
        """
        entity = await self.library.required_entity(entity_hash, (location,))
        validity = await self.entity(entity, now=now)
        if not validity.is_valid:
            raise ProofInvalidError(f"the entity {entity_hash.to_text()}: {validity.message}")
        return entity

    async def attestation(
        self, attestation: Attestation, body: VerifierBody | None, *, now: Instant
    ) -> Validity:
        """Return how the attestation stands (wave.md 7.4); `body` is None when it is not open.

        Raises:
            LookupFailureError: an entity that it names is not in storage.
            StorageError: storage did not answer.
            ObjectError: what has the hash of an entity is none.
        """
        finding = await self.revocations.check(attestation.revocations, now=now)
        if finding.standing is Standing.REVOKED:
            return Validity(ValidityState.REVOKED, "attestation has been revoked")
        subject = await self.library.required_entity(
            attestation.subject, (attestation.subject_location,)
        )
        standing = await self.entity(subject, now=now)
        if not standing.is_valid:
            return Validity(ValidityState.SUBJECT_INVALID, f"Subject invalid: {standing.message}")
        if body is None:
            return Validity(ValidityState.NOT_DECRYPTED, "Attestation encrypted")
        attester = await self.library.required_entity(body.attester, (body.attester_location,))
        standing = await self.entity(attester, now=now)
        if not standing.is_valid:
            return Validity(ValidityState.ATTESTER_INVALID, f"Attester invalid: {standing.message}")
        return period_of_body(body, now)


def period_of_entity(entity: Entity, now: Instant) -> Validity:
    """Return how the entity stands, revocations aside."""
    if now > entity.validity.not_after:
        return Validity(ValidityState.EXPIRED, "Entity expired")
    if now < entity.validity.not_before:
        return Validity(ValidityState.NOT_YET_VALID, "Entity not valid yet")
    return VALID


def period_of_body(body: VerifierBody, now: Instant) -> Validity:
    """Return how an attestation stands, revocations and entities aside."""
    if now > body.validity.not_after:
        return Validity(ValidityState.EXPIRED, "Attestation expired")
    if now < body.validity.not_before:
        return Validity(ValidityState.NOT_YET_VALID, "Attestation not yet valid")
    return VALID
