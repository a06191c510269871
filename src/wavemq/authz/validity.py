"""Whether entities and attestations are valid at an instant.

Owns the order of the questions in wave.md 3.5 and 7.4 and the sentences of their answers. Refuses
to know proofs and graphs. Fault model: storage may have no answer about a revocation or an
entity; that is raised, never turned into a state.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from wavemq.authz.revocation import Standing
from wavemq.authz.verdicts import VALID, Validity, ValidityState
from wavemq.errors import ProofInvalidError

if TYPE_CHECKING:
    from wavemq.authz.library import Library
    from wavemq.authz.revocation import RevocationChecker
    from wavemq.authz.skew import SkewWarnings
    from wavemq.clock import Instant
    from wavemq.wave.attestation import Attestation, VerifierBody
    from wavemq.wave.entity import Entity
    from wavemq.wave.hashes import Hash
    from wavemq.wave.location import Location
    from wavemq.wave.name import NameBody, NameDeclaration
    from wavemq.wave.validity import Validity as Period

ENTITY_REVOKED: Final = Validity(ValidityState.REVOKED, "Entity has been revoked")


@dataclass(frozen=True, slots=True)
class ValidityChecker:
    """Answers for one engine.

    Attributes:
        library: resolves the entities that an attestation names.
        revocations: looks revocation options up.
        skew: told what begins in the future.
    """

    library: Library
    revocations: RevocationChecker
    skew: SkewWarnings

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
            return ENTITY_REVOKED
        self.skew.note(entity.validity.not_before, now=now)
        return period

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
            raise ProofInvalidError(f"the entity {entity_hash.to_text()}: {validity.explanation}")
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
            return Validity(
                ValidityState.SUBJECT_INVALID, f"Subject invalid: {standing.message}", standing.note
            )
        if body is None:
            return Validity(ValidityState.NOT_DECRYPTED, "Attestation encrypted")
        attester = await self.library.required_entity(body.attester, (body.attester_location,))
        standing = await self.entity(attester, now=now)
        if not standing.is_valid:
            return Validity(
                ValidityState.ATTESTER_INVALID,
                f"Attester invalid: {standing.message}",
                standing.note,
            )
        period = period_of_body(body, now)
        if period.is_valid:
            self.skew.note(body.validity.not_before, now=now)
        return period

    async def name(
        self, declaration: NameDeclaration, body: NameBody | None, *, now: Instant
    ) -> Validity:
        """Return how the name declaration stands (wave.md 7.4); `body` is None when it is not open.

        Raises:
            StorageError: its revocation could not be looked up.
        """
        finding = await self.revocations.check(declaration.revocations, now=now)
        if finding.standing is Standing.REVOKED:
            return Validity(ValidityState.REVOKED, "Name declaration has been revoked")
        if body is None:
            return Validity(ValidityState.NOT_DECRYPTED, "Name declaration encrypted")
        period = period_of_name(body, now)
        if period.is_valid:
            self.skew.note(body.validity.not_before, now=now)
        return period


def period_of_entity(entity: Entity, now: Instant) -> Validity:
    """Return how the entity stands, revocations aside."""
    return standing_of_period(
        entity.validity, now, expired="Entity expired", pending="Entity not valid yet"
    )


def period_of_body(body: VerifierBody, now: Instant) -> Validity:
    """Return how an attestation stands, revocations and entities aside."""
    return standing_of_period(
        body.validity, now, expired="Attestation expired", pending="Attestation not yet valid"
    )


def period_of_name(body: NameBody, now: Instant) -> Validity:
    """Return how a name declaration stands, revocations aside."""
    return standing_of_period(
        body.validity,
        now,
        expired="Name declaration expired",
        pending="Name declaration not yet valid",
    )


def standing_of_period(period: Period, now: Instant, *, expired: str, pending: str) -> Validity:
    """Return how something stands by its period alone.

    Args:
        period: of the object.
        now: the present.
        expired: the message if it is over.
        pending: the message if it has not begun, nor begins within the tolerated skew.
    """
    if period.is_expired(now):
        return Validity(ValidityState.EXPIRED, expired)
    if period.is_pending(now):
        return Validity(ValidityState.NOT_YET_VALID, pending, period.clock_note(now))
    if period.not_before > now:
        return Validity(ValidityState.VALID, note=period.clock_note(now))
    return VALID
