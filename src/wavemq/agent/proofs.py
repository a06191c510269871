"""Calls about proofs: building, verifying, compacting (wave.md 14.4).

Owns what these calls check and how their results are told: elements in the order of the DER's
indices. Refuses to judge: the engine does.
"""

from __future__ import annotations

from wavemq.agent.answers import attestation_to_wire, location_to_wire, policy_to_wire
from wavemq.agent.desk import Desk, hash_of, object_bytes, rtree_policy, statements_of
from wavemq.authz.inspection import FoundAttestation
from wavemq.authz.verdicts import VALID
from wavemq.clock import milliseconds_from_instant
from wavemq.errors import (
    InternalError,
    InvalidParameterError,
    LookupFailureError,
    ObjectError,
    ProofInvalidError,
    UnavailableError,
    WaveMQError,
)
from wavemq.wave.attestation import Attestation
from wavemq.wave.attestation_open import open_with_verifier_key
from wavemq.wave.policy import RTreePolicy
from wavemq.wave.proof import AttestationReference, ExplicitProof
from wavemq.wire import wave_pb2 as pb


async def build_rtree_proof(
    desk: Desk, request: pb.BuildRTreeProofParams
) -> pb.BuildRTreeProofResponse:
    """Build a proof from what the perspective knows."""
    perspective = await desk.perspective(
        request.perspective, is_given=request.HasField("perspective")
    )
    namespace = hash_of(request.namespace, "namespace")
    subject = hash_of(request.subjectHash, "subject") if request.subjectHash else None
    statements = statements_of(request.statements)
    if request.resyncFirst:
        await desk.engine.resync(perspective, now=desk.now())
    built = await desk.engine.prove(
        perspective, namespace=namespace, statements=statements, now=desk.now(), subject=subject
    )
    proof = ExplicitProof.from_bytes(built.der)
    result = pb.Proof(
        elements=[await _element(desk, reference) for reference in proof.attestations],
        paths=[pb.ProofPath(elements=path) for path in built.paths],
        policy=policy_to_wire(built.policy),
        expiry=milliseconds_from_instant(built.expiry),
    )
    return pb.BuildRTreeProofResponse(result=result, proofDER=built.der)


async def verify_proof(desk: Desk, request: pb.VerifyProofParams) -> pb.VerifyProofResponse:
    """Check a proof, and that it grants what is required to whom it should."""
    try:
        der = object_bytes(request.proofDER)
    except (InvalidParameterError, ObjectError) as error:
        raise ProofInvalidError("asn1 is malformed (3)") from error
    subject = hash_of(request.subject, "subject") if request.subject else None
    required = None
    if request.HasField("requiredRTreePolicy"):
        required = await _required(desk, request.requiredRTreePolicy)
    try:
        verdict = await desk.engine.verify(der, now=desk.now(), required=required, subject=subject)
        proof = ExplicitProof.from_bytes(der)
        elements = [await _element(desk, reference) for reference in proof.attestations]
    except UnavailableError as error:
        raise InternalError("could not check attestation", cause=error) from error
    name_of = desk.storages.name_of
    return pb.VerifyProofResponse(
        result=pb.Proof(
            elements=elements,
            paths=[pb.ProofPath(elements=path) for path in verdict.paths],
            policy=policy_to_wire(verdict.policy),
            expiry=milliseconds_from_instant(verdict.expiry),
            subject=verdict.subject.to_bytes(),
            subjectLocation=location_to_wire(verdict.subject_location, name_of),
        )
    )


async def compact_proof(_desk: Desk, request: pb.CompactProofParams) -> pb.CompactProofResponse:
    """Return the proof without the objects that a verifier can fetch."""
    try:
        proof = ExplicitProof.from_bytes(object_bytes(request.DER))
    except (InvalidParameterError, ObjectError) as error:
        raise ProofInvalidError("asn1 is malformed (3)", cause=error) from error
    return pb.CompactProofResponse(proofDER=proof.compact().to_bytes())


async def _required(desk: Desk, given: pb.RTreePolicy) -> RTreePolicy:
    """Return what a proof must grant; its namespace must be found and valid.

    Raises:
        ProofInvalidError: it is not.
        InternalError: storage does not say.
    """
    try:
        namespace = hash_of(given.namespace, "namespace")
        location = await desk.namespace_location(namespace)
        await desk.engine.valid_entity(namespace, location, now=desk.now())
        return rtree_policy(given, namespace, location)
    except (LookupFailureError, InvalidParameterError, ProofInvalidError, ObjectError) as error:
        raise ProofInvalidError("could not parse required rtree policy", cause=error) from error
    except UnavailableError as error:
        raise InternalError("could not check the required namespace", cause=error) from error


async def _element(desk: Desk, reference: AttestationReference) -> pb.Attestation:
    """Return one reference of a proof that holds."""
    content = reference.content
    if content is None:
        content = await desk.engine.object(reference.hash, reference.locations)
    attestation = Attestation.from_bytes(content)
    try:
        body = open_with_verifier_key(attestation, reference.verifier_key)
    except WaveMQError as error:
        raise ProofInvalidError("could not read an attestation", cause=error) from error
    found = FoundAttestation(attestation, None, body, None, reference.verifier_key, VALID)
    return attestation_to_wire(found, desk.storages.name_of)
