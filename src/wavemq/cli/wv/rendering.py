"""Entities, attestations and proofs as the original shows them (wave.md 13.2), and as JSON.

Owns every blank and colon of these blocks. Refuses to look anything up: names come in as a
function. Fault model: a daemon may send anything; texts are quoted where the original quotes them,
else freed of control characters, and what is no hash is shown as unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from wavemq.cli.wv.output import Json
from wavemq.cli.wv.text import format_bool, format_time, printable, quote
from wavemq.clock import Instant, instant_from_milliseconds
from wavemq.errors import InvalidMultihashError
from wavemq.wave.hashes import Hash
from wavemq.wave.partition import SLOTS
from wavemq.wire import wave_pb2 as pb

UNKNOWN: Final = "< unknown >"
UNKNOWN_LOCATION: Final = "unknown"
TEXT_SLOTS: Final = 12
"""Slots of a partition that hold text; the other eight hold times."""
_BEGIN_SLOTS: Final = slice(12, 16)
_END_SLOTS: Final = slice(16, 20)
_MILLISECONDS_MAX: Final = 2**63 // 1_000_000 - 1

Names = Callable[[bytes], str]
"""Gives the name of a hash, or an empty text."""


def nameless(_hash: bytes) -> str:
    """Know no names."""
    return ""


def entity_lines(
    entity: pb.Entity, *, location: str | None = None, known_as: str = ""
) -> list[str]:
    """Return the block of an entity.

    Args:
        entity: with how it stands.
        location: name of the location, for `resolve`; without it the block is that of `inspect`.
        known_as: its name, for `resolve`.
    """
    validity = entity.validity
    lines = ["= Entity"]
    if location is not None:
        lines.append(f"  Location: {location}")
    lines.append(f"      Hash: {hash_text(entity.hash)}")
    if location is not None:
        lines.append(f"  Known as: {printable(known_as) or UNKNOWN}")
    return [
        *lines,
        f"   Created: {time_text(entity.validFrom)}",
        f"   Expires: {time_text(entity.validUntil)}",
        "  Validity:",
        f"   - Valid: {format_bool(validity.valid)}",
        f"   - Expired: {format_bool(validity.expired)}",
        f"   - Malformed: {format_bool(validity.malformed)}",
        f"   - Revoked: {format_bool(validity.revoked)}",
        f"   - Message: {printable(validity.message)}",
    ]


def inspected_attestation_lines(attestation: pb.Attestation, file: str) -> list[str]:
    """Return the block of an attestation from a file."""
    lines = [f"= Attestation {quote(file)}", f"  Hash : {hash_text(attestation.hash)}"]
    if attestation.HasField("body"):
        lines += [
            f"  Created: {time_text(attestation.body.validFrom)}",
            f"  Expires: {time_text(attestation.body.validUntil)}",
        ]
    return [*lines, *_attestation_validity(attestation)]


def resolved_attestation_lines(
    attestation: pb.Attestation, location: str, names: Names = nameless
) -> list[str]:
    """Return the block of an attestation from storage."""
    lines = [
        "= Attestation",
        f"    Location: {location}",
        f"        Hash: {hash_text(attestation.hash)}",
        f"   Partition: {partition_text(attestation.partition)}",
        f"     Subject: {hash_text(attestation.subjectHash)}",
        f"  Subj. Name: {_name(names, attestation.subjectHash)}",
        f"  SubjectLoc: {location_text(attestation.subjectLocation)}",
    ]
    if not attestation.HasField("body"):
        return [*lines, *_attestation_validity(attestation)]
    body = attestation.body
    lines += [
        f"     Created: {time_text(body.validFrom)}",
        f"     Expires: {time_text(body.validUntil)}",
        f"    Attester: {hash_text(body.attesterHash)}",
        f"   Att. Name: {_name(names, body.attesterHash)}",
        f" AttesterLoc: {location_text(body.attesterLocation)}",
        *_attestation_validity(attestation),
    ]
    return [*lines, *_policy_lines(body.policy, names)]


def proof_lines(proof: pb.Proof) -> list[str]:
    """Return what `verify` says about a proof that holds."""
    lines = ["Referenced attestations:"]
    lines += [
        f" [{index:02d}] Hash: {hash_text(element.hash)}"
        for index, element in enumerate(proof.elements)
    ]
    lines.append("Paths:")
    lines += [
        f" [{index:02d}] {' '.join(f'{element:02d}' for element in path.elements)}"
        for index, path in enumerate(proof.paths)
    ]
    policy = proof.policy.rTreePolicy
    lines += [
        f"Subject: {hash_text(proof.subject)}",
        f"SubjectLoc: {location_text(proof.subjectLocation)}",
        f"Expires: {time_text(proof.expiry)}",
        "Policy: RTree",
        f" Namespace: {hash_text(policy.namespace)}",
        f" Indirections: {policy.indirections}",
        " Statements:",
    ]
    for index, statement in enumerate(policy.statements):
        lines += [
            f" [{index:02d}] Permission set: {hash_text(statement.permissionSet)}",
            f"      Permissions: {_permissions(statement)}",
            f"      URI: {printable(statement.resource)}",
        ]
    return lines


def partition_text(partition: Sequence[bytes]) -> str:
    """Return the text slots up to the first empty one, quoted, and both times as numbers."""
    if len(partition) != SLOTS:
        return UNKNOWN
    texts = []
    for slot in partition[:TEXT_SLOTS]:
        if not slot:
            break
        texts.append(quote(slot) + "/")
    begin, end = partition[_BEGIN_SLOTS], partition[_END_SLOTS]
    return f"[{''.join(texts)}] ({_numbers(begin)})({_numbers(end)})"


def entity_json(
    entity: pb.Entity, *, location: str | None = None, note: str = ""
) -> dict[str, Json]:
    """Return an entity for programs."""
    return {
        "kind": "entity",
        "hash": hash_text(entity.hash),
        "location": location,
        "created": time_text(entity.validFrom),
        "expires": time_text(entity.validUntil),
        "validity": _validity_json(entity.validity, note),
    }


def attestation_json(
    attestation: pb.Attestation, *, location: str | None = None, note: str = ""
) -> dict[str, Json]:
    """Return an attestation for programs; what cannot be read is left out."""
    fields: dict[str, Json] = {
        "kind": "attestation",
        "hash": hash_text(attestation.hash),
        "location": location,
        "subject": hash_text(attestation.subjectHash),
        "subject_location": location_text(attestation.subjectLocation),
        "validity": _validity_json(attestation.validity, note),
    }
    if attestation.HasField("body"):
        body = attestation.body
        fields |= {
            "attester": hash_text(body.attesterHash),
            "attester_location": location_text(body.attesterLocation),
            "created": time_text(body.validFrom),
            "expires": time_text(body.validUntil),
            "policy": policy_json(body.policy),
        }
    return fields


def proof_json(proof: pb.Proof) -> dict[str, Json]:
    """Return a proof that holds for programs."""
    return {
        "kind": "proof",
        "attestations": [hash_text(element.hash) for element in proof.elements],
        "paths": [list(path.elements) for path in proof.paths],
        "subject": hash_text(proof.subject),
        "subject_location": location_text(proof.subjectLocation),
        "expires": time_text(proof.expiry),
        "policy": policy_json(proof.policy),
    }


def policy_json(policy: pb.Policy) -> dict[str, Json]:
    """Return a policy for programs."""
    if policy.HasField("trustLevelPolicy"):
        return {"trust": policy.trustLevelPolicy.trust}
    rtree = policy.rTreePolicy
    return {
        "namespace": hash_text(rtree.namespace),
        "indirections": rtree.indirections,
        "statements": [
            {
                "permission_set": hash_text(statement.permissionSet),
                "permissions": list(statement.permissions),
                "resource": statement.resource,
            }
            for statement in rtree.statements
        ],
    }


def hash_text(multihash: bytes) -> str:
    """Return a hash in its 48 characters."""
    try:
        return Hash.from_bytes(multihash).to_text()
    except InvalidMultihashError:
        return UNKNOWN


def location_text(location: pb.Location) -> str:
    """Return the name of a location."""
    return printable(location.agentLocation) or UNKNOWN_LOCATION


def time_text(milliseconds: int) -> str:
    """Return a time as the original prints it."""
    within = min(max(milliseconds, 0), _MILLISECONDS_MAX)
    return format_time(Instant(instant_from_milliseconds(within)))


def state_of(validity: pb.EntityValidity | pb.AttestationValidity) -> str:
    """Return in one word how something stands."""
    if validity.valid:
        return "valid"
    states = {
        "revoked": "revoked",
        "expired": "expired",
        "notValidYet": "not yet valid",
        "notDecrypted": "not decrypted",
        "srcInvalid": "attester invalid",
        "dstInvalid": "subject invalid",
        "malformed": "malformed",
    }
    for field, state in states.items():
        if getattr(validity, field, False):
            return state
    return "unknown"


def _validity_json(
    validity: pb.EntityValidity | pb.AttestationValidity, note: str
) -> dict[str, Json]:
    return {
        "valid": validity.valid,
        "state": state_of(validity),
        "message": validity.message,
        "note": note,
    }


def _attestation_validity(attestation: pb.Attestation) -> list[str]:
    validity, is_readable = attestation.validity, attestation.HasField("body")
    lines = [
        "  Validity:",
        f"   - Readable: {format_bool(is_readable)}",
        f"   - Revoked: {format_bool(validity.revoked)}",
        f"   - Malformed: {format_bool(validity.malformed)}",
        f"   - Subject invalid: {format_bool(validity.dstInvalid)}",
    ]
    if is_readable:
        lines += [
            f"   - Valid: {format_bool(validity.valid)}",
            f"   - Expired: {format_bool(validity.expired)}",
            f"   - Attester invalid: {format_bool(validity.srcInvalid)}",
        ]
    return lines


def _policy_lines(policy: pb.Policy, names: Names) -> list[str]:
    if policy.HasField("trustLevelPolicy"):
        return ["  Policy: Trust level", f"   - Trust: {policy.trustLevelPolicy.trust}"]
    rtree = policy.rTreePolicy
    lines = [
        "  Policy: RTree",
        f"   - Namespace: {hash_text(rtree.namespace)}",
        f"   - NS Name: {_name(names, rtree.namespace)}",
        f"   - Indirections: {rtree.indirections}",
        "   - Statements:",
    ]
    for index, statement in enumerate(rtree.statements):
        lines += [
            f"     [{index:02d}] Permission set: {hash_text(statement.permissionSet)}",
            f"          PSET Name: {_name(names, statement.permissionSet)}",
            f"          Permissions: {_permissions(statement)}",
            f"          URI: {printable(statement.resource)}",
        ]
    return lines


def _name(names: Names, multihash: bytes) -> str:
    return printable(names(multihash)) or UNKNOWN


def _permissions(statement: pb.RTreePolicyStatement) -> str:
    return ", ".join(printable(permission) for permission in statement.permissions)


def _numbers(slots: Sequence[bytes]) -> str:
    return " ".join(str(int.from_bytes(slot, "big")) for slot in slots)
