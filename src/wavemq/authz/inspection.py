"""Finding objects and saying how they stand, for the people who look at them.

Owns lookups by hash over all storages and over what a perspective knows (wave.md 14.4). Refuses to
decide anything: its answers are shown, not acted upon. Fault model: one storage that errs does
not keep an object from being found in another.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wavemq.authz.opening import Opened, check_grant, try_to_open
from wavemq.errors import (
    LookupFailureError,
    UnavailableError,
    UnexpectedObjectError,
    UnsupportedLocationSchemeError,
)
from wavemq.wave.attestation import Attestation, VerifierBody
from wavemq.wave.attestation_open import check_outer_signature
from wavemq.wave.entity import Entity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wavemq.authz.graph import ActiveGrant
    from wavemq.authz.library import Library
    from wavemq.authz.objects import ObjectStore
    from wavemq.authz.perspective import Perspective
    from wavemq.authz.validity import ValidityChecker
    from wavemq.authz.verdicts import Validity
    from wavemq.authz.workers import Workers
    from wavemq.clock import Instant
    from wavemq.wave.hashes import Hash
    from wavemq.wave.location import Location
    from wavemq.wave.partition import Partition


@dataclass(frozen=True, slots=True)
class FoundEntity:
    """An entity, where it was found (None: only on this machine) and how it stands."""

    entity: Entity
    location: Location | None
    validity: Validity


@dataclass(frozen=True, slots=True)
class FoundAttestation:
    """An attestation, as far as it can be read.

    Attributes:
        attestation: the public part.
        location: where it was found; None: only on this machine.
        body: what is granted, if it can be read.
        partition: of the body, if the envelope can be read.
        verifier_key: 28 bytes, if the body can be read; empty for a plain one.
        validity: how it stands.
    """

    attestation: Attestation
    location: Location | None
    body: VerifierBody | None
    partition: Partition | None
    verifier_key: bytes | None = field(repr=False)
    validity: Validity


async def lookup(
    grants: Iterable[ActiveGrant],
    *,
    attester: Hash | None,
    subject: Hash | None,
    now: Instant,
    library: Library,
    validity: ValidityChecker,
) -> list[FoundAttestation]:
    """Return those of `grants` that are by `attester` and to `subject`, where given.

    Raises:
        StorageError: a revocation cannot be looked up, or an object was forgotten here and cannot
            be fetched.
        LookupFailureError: it is not in storage any more.
    """
    found = []
    for grant in grants:
        if attester not in (None, grant.attester.hash) or subject not in (None, grant.subject.hash):
            continue
        content = await library.object(grant.hash, (grant.subject_location,))
        if content is None:
            raise LookupFailureError(f"the attestation {grant.hash.to_text()} is gone from storage")
        attestation = Attestation.from_bytes(content)
        found.append(
            FoundAttestation(
                attestation=attestation,
                location=grant.subject_location,
                body=grant.body,
                partition=grant.partition,
                verifier_key=grant.verifier_key,
                validity=await validity.attestation(attestation, grant.body, now=now),
            )
        )
    return found


async def resolve(
    object_hash: Hash,
    *,
    now: Instant,
    perspective: Perspective | None,
    locations: tuple[Location, ...],
    library: Library,
    store: ObjectStore,
    validity: ValidityChecker,
    workers: Workers,
) -> FoundEntity | FoundAttestation:
    """Return the entity or attestation with that hash.

    Raises:
        LookupFailureError: no configured storage has it.
        StorageError: storage does not answer.
        ObjectError: it is neither an entity nor an attestation.
    """
    location, content = await _locate(object_hash, locations, library, store)
    try:
        entity = Entity.from_bytes(content)
    except UnexpectedObjectError:
        attestation = Attestation.from_bytes(content)
    else:
        return FoundEntity(entity, location, await validity.entity(entity, now=now))
    check_outer_signature(attestation)
    body = partition = verifier_key = None
    if perspective is not None:
        attempt = await workers.run(
            try_to_open, content, None, perspective.secret, perspective.state.graph.keys
        )
        if isinstance(attempt, Opened):
            opened = attempt.content
            attester = await library.required_entity(
                opened.body.attester, (opened.body.attester_location,)
            )
            check_grant(attempt, attester)
            body, partition, verifier_key = opened.body, opened.partition, opened.verifier_key
    return FoundAttestation(
        attestation=attestation,
        location=location,
        body=body,
        partition=partition,
        verifier_key=verifier_key,
        validity=await validity.attestation(attestation, body, now=now),
    )


async def _locate(
    object_hash: Hash, locations: tuple[Location, ...], library: Library, store: ObjectStore
) -> tuple[Location | None, bytes]:
    """Return an object and where it is stored."""
    failure: UnavailableError | None = None
    for location in locations:
        try:
            content = await store.get(location, object_hash)
        except UnsupportedLocationSchemeError:
            continue
        except UnavailableError as error:
            failure = error
            continue
        if content is not None:
            return location, content
    known = await library.remembered(object_hash)
    if known is not None:
        return None, known
    if failure is not None:
        raise failure
    raise LookupFailureError(f"no objects found with the hash {object_hash.to_text()}")
