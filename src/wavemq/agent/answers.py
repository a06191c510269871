"""Our values as the agent's messages (wave.md 14.3).

Owns the correspondence of fields. Refuses to know the calls. Times go out in milliseconds since
the epoch, hashes as multihashes of 34 bytes, and every location with both of its forms.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from wavemq.agent.desk import UNKNOWN_LOCATION
from wavemq.authz.inspection import FoundAttestation, FoundEntity
from wavemq.authz.naming import FoundName
from wavemq.authz.verdicts import Validity, ValidityState
from wavemq.clock import milliseconds_from_instant
from wavemq.errors import WaveMQError
from wavemq.wave.attestation import VerifierBody
from wavemq.wave.location import Location
from wavemq.wave.policy import Policy, RTreePolicy
from wavemq.wire import wave_pb2 as pb

NameOf = Callable[[Location], str | None]
"""Gives a location's name, or None for one that is not configured."""
ERROR_CHARACTERS_MAX: Final = 4096


def error_to_wire(error: WaveMQError) -> pb.Error:
    """Return the in-band form of an error: its code, and `(code: reason)`."""
    return pb.Error(code=int(error.code), message=str(error)[:ERROR_CHARACTERS_MAX])


def location_to_wire(location: Location, name_of: NameOf) -> pb.Location:
    """Return a location with its address and its name."""
    return pb.Location(
        locationURI=pb.LocationURI(URI=location.url, version=location.version),
        agentLocation=name_of(location) or UNKNOWN_LOCATION,
    )


def entity_to_wire(found: FoundEntity) -> pb.Entity:
    """Return an entity with how it stands."""
    state = found.validity.state
    return pb.Entity(
        hash=found.entity.hash.to_bytes(),
        validFrom=milliseconds_from_instant(found.entity.validity.not_before),
        validUntil=milliseconds_from_instant(found.entity.validity.not_after),
        validity=pb.EntityValidity(
            valid=found.validity.is_valid,
            revoked=state is ValidityState.REVOKED,
            expired=state is ValidityState.EXPIRED,
            notValidYet=state is ValidityState.NOT_YET_VALID,
            message=found.validity.message,
        ),
    )


def attestation_to_wire(
    found: FoundAttestation, name_of: NameOf, *, prover_key: bytes = b""
) -> pb.Attestation:
    """Return an attestation, as far as it can be read."""
    attestation = found.attestation
    answer = pb.Attestation(
        DER=attestation.wire,
        hash=attestation.hash.to_bytes(),
        verifierKey=found.verifier_key or b"",
        proverKey=prover_key,
        subjectHash=attestation.subject.to_bytes(),
        subjectLocation=location_to_wire(attestation.subject_location, name_of),
        validity=_attestation_validity(found.validity),
        partition=found.partition or (),
    )
    if found.body is not None:
        visibility = () if found.partition is None else _visibility(found.partition)
        answer.body.CopyFrom(_body_to_wire(found.body, name_of, visibility))
    return answer


def name_to_wire(found: FoundName, name_of: NameOf) -> pb.NameDeclaration:
    """Return a name declaration that can be read."""
    declaration, body, state = found.declaration, found.body, found.validity.state
    answer = pb.NameDeclaration(
        hash=declaration.hash.to_bytes(),
        name=body.name,
        subject=body.subject.to_bytes(),
        subjectLocation=location_to_wire(body.subject_location, name_of),
        attester=declaration.attester.to_bytes(),
        attesterLocation=location_to_wire(declaration.attester_location, name_of),
        validFrom=milliseconds_from_instant(body.validity.not_before),
        validUntil=milliseconds_from_instant(body.validity.not_after),
        partition=found.partition or (),
        validity=pb.NameDeclarationValidity(
            valid=found.validity.is_valid,
            revoked=state is ValidityState.REVOKED,
            expired=state is ValidityState.EXPIRED,
            notValidYet=state is ValidityState.NOT_YET_VALID,
            message=found.validity.message,
        ),
    )
    if declaration.namespace is not None and declaration.namespace_location is not None:
        answer.namespace = declaration.namespace.to_bytes()
        answer.namespaceLocation.CopyFrom(location_to_wire(declaration.namespace_location, name_of))
    return answer


def policy_to_wire(policy: Policy, visibility: tuple[bytes, ...] = ()) -> pb.Policy:
    """Return a policy; its visibility URI is not part of it and comes from the partition."""
    if not isinstance(policy, RTreePolicy):
        return pb.Policy(trustLevelPolicy=pb.TrustLevelPolicy(trust=policy.trust))
    return pb.Policy(
        rTreePolicy=pb.RTreePolicy(
            namespace=policy.namespace.to_bytes(),
            indirections=policy.indirections,
            statements=[
                pb.RTreePolicyStatement(
                    permissionSet=statement.permission_set.to_bytes(),
                    permissions=statement.permissions,
                    resource=statement.resource,
                )
                for statement in policy.statements
            ],
            visibilityURI=visibility,
        )
    )


def _body_to_wire(
    body: VerifierBody, name_of: NameOf, visibility: tuple[bytes, ...]
) -> pb.AttestationBody:
    return pb.AttestationBody(
        DecodedBodyDER=body.to_der(),
        attesterHash=body.attester.to_bytes(),
        attesterLocation=location_to_wire(body.attester_location, name_of),
        policy=policy_to_wire(body.policy, visibility),
        validFrom=milliseconds_from_instant(body.validity.not_before),
        validUntil=milliseconds_from_instant(body.validity.not_after),
    )


def _visibility(partition: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Return slots 1 to 11 without the empty ones at the end."""
    slots = list(partition[1:12])
    while slots and not slots[-1]:
        slots.pop()
    return tuple(slots)


def _attestation_validity(validity: Validity) -> pb.AttestationValidity:
    state = validity.state
    return pb.AttestationValidity(
        valid=validity.is_valid,
        revoked=state is ValidityState.REVOKED,
        expired=state is ValidityState.EXPIRED,
        notDecrypted=state is ValidityState.NOT_DECRYPTED,
        srcInvalid=state is ValidityState.ATTESTER_INVALID,
        dstInvalid=state is ValidityState.SUBJECT_INVALID,
        notValidYet=state is ValidityState.NOT_YET_VALID,
        message=validity.message,
    )
