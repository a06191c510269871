"""Making grants in the name of a perspective.

Owns who must be valid before a grant is made, and which of the held keys of a namespace are handed
on with it (wave.md 4.5, 14.4). Refuses to publish, and to know how attestations are built. Fault
model: storage may not answer whether somebody is revoked; no grant is made then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wavemq.errors import (
    InvalidParameterError,
    LookupFailureError,
    MissingParameterError,
)
from wavemq.wave.attestation_create import (
    CreatedAttestation,
    NamespaceKeys,
    create_attestation,
    grants_decryption,
)
from wavemq.wave.pattern import is_within
from wavemq.wave.policy import Policy, RTreePolicy, check_policy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wavemq.authz.library import Library
    from wavemq.authz.perspective import Perspective
    from wavemq.authz.validity import ValidityChecker
    from wavemq.authz.workers import Workers
    from wavemq.clock import Instant
    from wavemq.wave.entity import Entity
    from wavemq.wave.hashes import Hash
    from wavemq.wave.location import Location
    from wavemq.wave.validity import Validity


async def grant(
    perspective: Perspective,
    *,
    subject: Hash,
    subject_location: Location,
    policy: Policy,
    period: Validity,
    now: Instant,
    visibility: Sequence[bytes],
    is_encrypted: bool,
    library: Library,
    validity: ValidityChecker,
    workers: Workers,
) -> CreatedAttestation:
    """Return a fresh attestation by the perspective; it is not published.

    Args:
        perspective: who grants.
        subject: who is granted to.
        subject_location: where the subject is stored.
        policy: what is granted.
        period: from when to when; lowered to the ends of both entities.
        now: the present.
        visibility: components of the visibility URI.
        is_encrypted: WR1 body, or a plain one.
        library: resolves entities.
        validity: checks them.
        workers: where the keys are made.

    Raises:
        LookupFailureError: subject or namespace cannot be found.
        MissingParameterError: the subject is not valid.
        InvalidParameterError: the namespace is not valid, or policy or period are not.
        InvalidE2EEGrantError, InvalidJEDIGrantError, BodySchemeError: a `wave:decrypt` or JEDI
            grant breaks a rule, or the keys that it hands on are not held.
        StorageError: storage does not answer.
    """
    check_policy(policy)
    entity = await library.required_entity(subject, (subject_location,))
    standing = await validity.entity(entity, now=now)
    if not standing.is_valid:
        raise MissingParameterError(f"subject is not valid: {standing.message}")
    namespace_keys = None
    if isinstance(policy, RTreePolicy):
        namespace = await _namespace(policy, library, validity, now)
        if grants_decryption(policy):
            namespace_keys = _keys_to_hand_on(perspective, namespace, policy)
    return await workers.run(
        create_attestation,
        perspective.secret,
        perspective.location,
        entity,
        subject_location,
        policy,
        not_before=period.not_before,
        not_after=period.not_after,
        visibility=visibility,
        namespace_keys=namespace_keys,
        is_encrypted=is_encrypted,
    )


async def _namespace(
    policy: RTreePolicy, library: Library, validity: ValidityChecker, now: Instant
) -> Entity:
    """Return the namespace entity, which must be valid."""
    # The policy may name the wrong place; the entity counts, not where it is (14.4).
    places = (policy.namespace_location, *library.locations)
    try:
        found = await library.required_entity(policy.namespace, places)
    except LookupFailureError as error:
        raise LookupFailureError("failed to find namespace", cause=error) from error
    standing = await validity.entity(found, now=now)
    if not standing.is_valid:
        raise InvalidParameterError(f"namespace is not valid: {standing.explanation}")
    return found


def _keys_to_hand_on(
    perspective: Perspective, namespace: Entity, policy: RTreePolicy
) -> NamespaceKeys:
    """Return what the perspective holds of the namespace's systems."""
    if namespace.hash == perspective.hash:
        return NamespaceKeys(namespace, master=perspective.secret)
    held = perspective.state.graph.keys
    identity = namespace.hash.to_text().encode()
    label_key = next(
        (key for key in held.label_keys(namespace.hash) if key.identity == identity), None
    )
    return NamespaceKeys(
        namespace,
        label_key,
        held.content_keys(namespace.hash),
        periods=_granted_periods(perspective, policy),
    )


def _granted_periods(perspective: Perspective, wanted: RTreePolicy) -> tuple[Validity, ...]:
    """Return for when the perspective itself was granted what it wants to hand on."""
    found: dict[Validity, None] = {}
    for known in perspective.state.graph.grants():
        given = known.body.policy
        if (
            known.subject.hash == perspective.hash
            and isinstance(given, RTreePolicy)
            and given.namespace == wanted.namespace
            and any(
                mine.permission_set == theirs.permission_set
                and is_within(theirs.resource, mine.resource)
                for mine in given.statements
                for theirs in wanted.statements
            )
        ):
            found[known.body.validity] = None
    return tuple(found)
