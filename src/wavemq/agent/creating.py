"""Calls that make things: entities, grants, names, revocations, signatures (wave.md 14.4).

Owns the defaults of these calls and what they check. Refuses to know how objects are made.
"""

from __future__ import annotations

import asyncio
from typing import Final

from wavemq.agent.desk import Desk, components_of, hash_of, object_bytes, rtree_policy
from wavemq.clock import NANOSECONDS_PER_SECOND, Instant
from wavemq.errors import (
    InternalError,
    InvalidParameterError,
    LookupFailureError,
    StorageError,
)
from wavemq.wave.attestation import Attestation
from wavemq.wave.entity import parse_entity
from wavemq.wave.keyring import EntitySecret
from wavemq.wave.policy import Policy, TrustLevelPolicy
from wavemq.wave.signature import sign as sign_content
from wavemq.wave.signature import verify as verify_content
from wavemq.wire import wave_pb2 as pb

_DAY_NS: Final = 86_400 * NANOSECONDS_PER_SECOND
MONTH_NS: Final = 30 * _DAY_NS
"""How long entities and grants last where a request does not say."""
THREE_YEARS_NS: Final = 3 * 365 * _DAY_NS
"""How long names last where a request does not say."""
TRUST_LEVELS: Final = range(1, 5)
VISIBILITY_COMPONENTS_MAX: Final = 11
"""As many slots of a partition are for them (wave.md 4.3, 12.2)."""
_WR1: Final = {"", "wr1", "1.3.6.1.4.1.51157.3.2"}
_PLAINTEXT: Final = {"plaintext", "1.3.6.1.4.1.51157.3.1"}


async def create_entity(desk: Desk, request: pb.CreateEntityParams) -> pb.CreateEntityResponse:
    """Make an entity; it is not published."""
    now = desk.now()
    given = request.revocationLocation if request.HasField("revocationLocation") else None
    not_before = desk.instant(request.validFrom, now)
    not_after = desk.instant(request.validUntil, Instant(now + MONTH_NS))
    place = desk.location(given)
    passphrase = request.SecretPassphrase.encode() or None

    def make() -> tuple[EntitySecret, bytes]:
        secret = EntitySecret.create(
            not_before=not_before, not_after=not_after, revocation_location=place
        )
        return secret, secret.to_bytes(passphrase)

    # Making keys and protecting them takes 0.1 s and more, in which others want to be answered.
    secret, protected = await asyncio.to_thread(make)
    return pb.CreateEntityResponse(
        PublicDER=secret.entity.wire,
        SecretDER=protected,
        hash=secret.entity.hash.to_bytes(),
    )


async def create_attestation(
    desk: Desk, request: pb.CreateAttestationParams
) -> pb.CreateAttestationResponse:
    """Make a grant, and publish it where asked to."""
    scheme = request.bodyScheme
    if scheme not in _WR1 | _PLAINTEXT:
        raise InvalidParameterError("invalid body scheme")
    perspective = await desk.perspective(
        request.perspective, is_given=request.HasField("perspective")
    )
    subject = hash_of(request.subjectHash, "subject")
    place = desk.location(request.subjectLocation if request.HasField("subjectLocation") else None)
    policy = await _policy(desk, request.policy)
    now = desk.now()
    visibility = tuple(request.policy.rTreePolicy.visibilityURI)
    if len(visibility) > VISIBILITY_COMPONENTS_MAX:
        raise InvalidParameterError(
            f"a visibility URI has at most {VISIBILITY_COMPONENTS_MAX} components"
        )
    created = await desk.engine.grant(
        perspective,
        subject=subject,
        subject_location=place,
        policy=policy,
        valid_from=desk.instant(request.validFrom, now),
        valid_until=desk.instant(request.validUntil, Instant(now + MONTH_NS)),
        now=now,
        visibility=visibility,
        is_encrypted=scheme in _WR1,
    )
    if request.publish:
        await desk.engine.publish_attestation(created.attestation)
    return pb.CreateAttestationResponse(
        DER=created.attestation.wire,
        verifierKey=created.verifier_key,
        proverKey=created.prover_key,
        hash=created.attestation.hash.to_bytes(),
    )


async def _policy(desk: Desk, given: pb.Policy) -> Policy:
    """Return the policy of a request.

    Raises:
        InvalidParameterError: there is none, or it is malformed.
        LookupFailureError: its namespace is in no configured storage.
    """
    if given.HasField("rTreePolicy"):
        namespace = hash_of(given.rTreePolicy.namespace, "namespace")
        try:
            location = await desk.namespace_location(namespace)
        except LookupFailureError as error:
            raise LookupFailureError("failed to find namespace", cause=error) from error
        return rtree_policy(given.rTreePolicy, namespace, location)
    if given.HasField("trustLevelPolicy"):
        trust = given.trustLevelPolicy.trust
        if trust not in TRUST_LEVELS:
            raise InvalidParameterError("a trust level is 1 to 4")
        return TrustLevelPolicy(trust)
    raise InvalidParameterError("missing policy")


async def publish_entity(desk: Desk, request: pb.PublishEntityParams) -> pb.PublishEntityResponse:
    """Store the public part of an entity or entity secret."""
    entity = parse_entity(object_bytes(request.DER))
    place = desk.location(request.location if request.HasField("location") else None)
    stored = await desk.engine.publish_entity(entity, place)
    return pb.PublishEntityResponse(hash=stored.to_bytes())


async def publish_attestation(
    desk: Desk, request: pb.PublishAttestationParams
) -> pb.PublishAttestationResponse:
    """Store a grant at its subject's place and tell the subject's queue."""
    attestation = Attestation.from_bytes(object_bytes(request.DER))
    stored = await desk.engine.publish_attestation(attestation)
    return pb.PublishAttestationResponse(hash=stored.to_bytes())


async def create_name(
    desk: Desk, request: pb.CreateNameDeclarationParams
) -> pb.CreateNameDeclarationResponse:
    """Declare a name and publish it."""
    perspective = await desk.perspective(
        request.perspective, is_given=request.HasField("perspective")
    )
    subject = hash_of(request.subject, "subject")
    place = desk.location(request.subjectLocation if request.HasField("subjectLocation") else None)
    now = desk.now()
    namespace = namespace_location = None
    if request.namespace:
        namespace = hash_of(request.namespace, "namespace")
        given = request.namespaceLocation if request.HasField("namespaceLocation") else None
        namespace_location = desk.location(given)
    elif request.HasField("namespaceLocation") or request.partition:
        raise InvalidParameterError("namespace, its location and partition go together")
    declaration = await desk.engine.naming.create(
        perspective,
        name=request.name,
        subject=subject,
        subject_location=place,
        valid_from=desk.instant(request.validFrom, now),
        valid_until=desk.instant(request.validUntil, Instant(now + THREE_YEARS_NS)),
        now=now,
        namespace=namespace,
        namespace_location=namespace_location,
        partition=components_of(request.partition),
    )
    return pb.CreateNameDeclarationResponse(DER=declaration.wire, hash=declaration.hash.to_bytes())


async def revoke(desk: Desk, request: pb.RevokeParams) -> pb.RevokeResponse:
    """Revoke a grant, a name and the perspective itself, whichever are asked for."""
    perspective = await desk.perspective(
        request.perspective, is_given=request.HasField("perspective")
    )
    attestation = declaration = None
    if request.attestationHash:
        attestation = hash_of(request.attestationHash, "attestation")
    if request.nameDeclarationHash:
        declaration = hash_of(request.nameDeclarationHash, "name declaration")
    revoking = desk.engine.revoking
    try:
        if attestation is not None:
            await revoking.revoke_attestation(perspective, attestation)
        if declaration is not None:
            await revoking.revoke_name(perspective, declaration)
        if request.revokePerspective:
            await revoking.revoke_entity(perspective)
    except StorageError as error:
        # The original has this code for it (wave.md 12.1).
        raise InternalError("could not publish the revocation", cause=error) from error
    return pb.RevokeResponse()


async def sign(desk: Desk, request: pb.SignParams) -> pb.SignResponse:
    """Sign the content as it is, with the perspective's message key."""
    perspective = await desk.perspective(
        request.perspective, is_given=request.HasField("perspective")
    )
    return pb.SignResponse(signature=sign_content(perspective.secret, request.content))


async def verify_signature(
    desk: Desk, request: pb.VerifySignatureParams
) -> pb.VerifySignatureResponse:
    """Check a message signature; the signer's validity is not looked at."""
    signer = hash_of(request.signer, "signer")
    place = desk.location(request.signerLocation) if request.HasField("signerLocation") else None
    entity = await desk.engine.entity(signer, place)
    verify_content(entity, request.signature, request.content)
    return pb.VerifySignatureResponse()
