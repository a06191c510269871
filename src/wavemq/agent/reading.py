"""Calls that look: locations, objects, grants, names, messages (wave.md 14.4).

Owns what these calls accept and how they tell what they found. Refuses to decide anything.
"""

from __future__ import annotations

from wavemq.agent.answers import (
    attestation_to_wire,
    entity_to_wire,
    location_to_wire,
    name_to_wire,
)
from wavemq.agent.desk import Desk, hash_of, object_bytes
from wavemq.authz.inspection import FoundAttestation, FoundEntity
from wavemq.errors import (
    InvalidMultihashError,
    InvalidParameterError,
    ObjectError,
    UnexpectedObjectError,
)
from wavemq.wave.attestation import Attestation, PlainBody, VerifierBody
from wavemq.wave.attestation_open import (
    check_outer_signature,
    check_signatures,
    open_with_prover_key,
    open_with_verifier_key,
)
from wavemq.wave.entity import Entity, parse_entity
from wavemq.wave.hashes import Hash
from wavemq.wave.partition import Partition
from wavemq.wire import wave_pb2 as pb


async def list_locations(desk: Desk, _request: pb.ListLocationsParams) -> pb.ListLocationsResponse:
    """Return the configured locations by name."""
    name_of = desk.storages.name_of
    return pb.ListLocationsResponse(
        agentLocations={
            name_of(location) or "": location_to_wire(location, name_of)
            for location in desk.storages.locations
        }
    )


async def inspect(desk: Desk, request: pb.InspectParams) -> pb.InspectResponse:
    """Show an entity, an entity secret or an attestation; keys open the latter."""
    parsed = _parse(request.content)
    if isinstance(parsed, Entity):
        standing = await desk.engine.entity_validity(parsed, now=desk.now())
        return pb.InspectResponse(entity=entity_to_wire(FoundEntity(parsed, None, standing)))
    body, partition, verifier_key = await _open(desk, parsed, request)
    standing = await desk.engine.attestation_validity(parsed, body, now=desk.now())
    found = FoundAttestation(parsed, None, body, partition, verifier_key, standing)
    answer = attestation_to_wire(
        found, desk.storages.name_of, prover_key=request.proverKey if body is not None else b""
    )
    return pb.InspectResponse(attestation=answer)


def _parse(content: bytes) -> Entity | Attestation:
    """Return the object of a request.

    Raises:
        InvalidParameterError: it is neither an entity nor an attestation.
    """
    try:
        der = object_bytes(content)
        try:
            return Attestation.from_bytes(der)
        except UnexpectedObjectError:
            return parse_entity(der)
    except ObjectError as error:
        raise InvalidParameterError("could not decode contents", cause=error) from error


async def _open(
    desk: Desk, attestation: Attestation, request: pb.InspectParams
) -> tuple[VerifierBody | None, Partition | None, bytes | None]:
    """Return body, partition and verifier key, as far as the keys of a request open them.

    Raises:
        ObjectError: a signature does not hold, or a key does not open it.
        LookupFailureError: the attester is not in storage.
    """
    partition, verifier_key = None, None
    if request.proverKey:
        opened = open_with_prover_key(attestation, request.proverKey)
        body, partition, verifier_key = opened.body, opened.partition, opened.verifier_key
    elif request.verifierKey or isinstance(attestation.content, PlainBody):
        body = open_with_verifier_key(attestation, request.verifierKey or None)
        verifier_key = request.verifierKey
    else:
        check_outer_signature(attestation)
        return None, None, None
    attester = await desk.engine.entity(body.attester, body.attester_location)
    check_signatures(attestation, body, attester)
    return body, partition, verifier_key


async def resolve_hash(desk: Desk, request: pb.ResolveHashParams) -> pb.ResolveHashResponse:
    """Show the entity or attestation with a hash, wherever it is stored."""
    object_hash = hash_of(request.hash, "object")
    perspective = None
    if request.HasField("perspective"):
        perspective = await desk.perspective(request.perspective, is_given=True)
    found = await desk.engine.resolve(object_hash, now=desk.now(), perspective=perspective)
    name_of = desk.storages.name_of
    answer = pb.ResolveHashResponse()
    if found.location is not None:
        answer.location.CopyFrom(location_to_wire(found.location, name_of))
    if isinstance(found, FoundEntity):
        answer.entity.CopyFrom(entity_to_wire(found))
    else:
        answer.attestation.CopyFrom(attestation_to_wire(found, name_of))
    return answer


async def lookup_attestations(
    desk: Desk, request: pb.LookupAttestationsParams
) -> pb.LookupAttestationsResponse:
    """Return the grants that a perspective knows by, or to, one entity."""
    perspective = await desk.perspective(
        request.perspective, is_given=request.HasField("perspective")
    )
    if bool(request.fromEntity) == bool(request.toEntity):
        raise InvalidParameterError("give exactly one of fromEntity and toEntity")
    wanted = _multihash(request.fromEntity or request.toEntity)
    found = await desk.engine.lookup(
        perspective,
        now=desk.now(),
        attester=wanted if request.fromEntity else None,
        subject=wanted if request.toEntity else None,
    )
    name_of = desk.storages.name_of
    return pb.LookupAttestationsResponse(
        results=[attestation_to_wire(one, name_of) for one in found]
    )


def _multihash(given: bytes) -> Hash:
    """Return a hash; this call has a code of its own for a bad one (305).

    Raises:
        InvalidMultihashError: it is none.
    """
    try:
        return Hash.parse(given)
    except InvalidMultihashError as error:
        raise InvalidMultihashError("bad entity hash", cause=error) from error


async def resolve_name(desk: Desk, request: pb.ResolveNameParams) -> pb.ResolveNameResponse:
    """Return what a full name stands for."""
    perspective = await desk.perspective(
        request.perspective, is_given=request.HasField("perspective")
    )
    attester = None
    if request.topLevelAttester:
        attester = hash_of(request.topLevelAttester, "top level attester")
    found = await desk.engine.naming.resolve(
        perspective, request.name, now=desk.now(), top_level=attester
    )
    name_of = desk.storages.name_of
    return pb.ResolveNameResponse(
        entity=entity_to_wire(FoundEntity(found.entity, found.location, found.validity)),
        derivation=[name_to_wire(one, name_of) for one in found.derivation],
        location=location_to_wire(found.location, name_of),
    )


async def resolve_reverse_name(
    desk: Desk, request: pb.ResolveReverseNameParams
) -> pb.ResolveReverseNameResponse:
    """Return the name under which a perspective knows an object; empty where it knows none."""
    perspective = await desk.perspective(
        request.perspective, is_given=request.HasField("perspective")
    )
    name = await desk.engine.naming.reverse(perspective, hash_of(request.hash, "object"))
    return pb.ResolveReverseNameResponse(name=name or "")


async def encrypt_message(
    desk: Desk, request: pb.EncryptMessageParams
) -> pb.EncryptMessageResponse:
    """Encrypt end to end, for an entity, for readers under a namespace, or for both."""
    now = desk.now()
    if not request.content:
        raise InvalidParameterError("message to be encrypted is empty")
    place = desk.location(request.subjectLocation) if request.HasField("subjectLocation") else None
    namespace_place = None
    if request.HasField("namespaceLocation"):
        namespace_place = desk.location(request.namespaceLocation)
    namespace = hash_of(request.namespace, "namespace") if request.namespace else None
    if namespace is not None and namespace_place is None:
        namespace_place = await desk.namespace_location(namespace)
    ciphertext = await desk.engine.encrypt(
        request.content,
        now=now,
        namespace=namespace,
        namespace_location=namespace_place,
        resource=request.resource,
        recipient=hash_of(request.subjectHash, "subject") if request.subjectHash else None,
        recipient_location=place,
        valid_from=desk.instant(request.validFrom, now),
        valid_until=desk.instant(request.validUntil, now),
    )
    return pb.EncryptMessageResponse(ciphertext=ciphertext)


async def decrypt_message(
    desk: Desk, request: pb.DecryptMessageParams
) -> pb.DecryptMessageResponse:
    """Decrypt with what the perspective holds."""
    perspective = await desk.perspective(
        request.perspective, is_given=request.HasField("perspective")
    )
    if request.resyncFirst:
        await desk.engine.resync(perspective, now=desk.now())
    content = await desk.engine.decrypt(perspective, request.ciphertext)
    return pb.DecryptMessageResponse(content=content)
