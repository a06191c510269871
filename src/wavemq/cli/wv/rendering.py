"""Entities, attestations and verdicts as the original shows them (wave.md 13.2), and as JSON.

Owns every blank and colon of these blocks. Refuses to look anything up: the names of locations
come in as a function. Fault model: values are sound; texts inside them may hold anything and are
quoted where the original quotes them, else stripped of control characters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from wavemq.authz.verdicts import ValidityState
from wavemq.cli.wv.text import format_bool, format_time, quote
from wavemq.wave.policy import TrustLevelPolicy

if TYPE_CHECKING:
    from wavemq.authz.inspection import FoundAttestation, FoundEntity
    from wavemq.authz.verdicts import ProofVerdict, Validity
    from wavemq.cli.wv.output import Json
    from wavemq.wave.location import Location
    from wavemq.wave.policy import RTreePolicy, Statement

UNKNOWN: Final = "< unknown >"
UNKNOWN_LOCATION: Final = "unknown"
TEXT_SLOTS: Final = 12
"""Slots of a partition that hold text; the other eight hold times."""
_BEGIN_SLOTS: Final = slice(12, 16)
_END_SLOTS: Final = slice(16, 20)

NameOf = Callable[["Location"], str | None]


def entity_lines(found: FoundEntity, name_of: NameOf | None = None) -> list[str]:
    """Return the block of an entity.

    Args:
        found: the entity and how it stands.
        name_of: names of locations, for `resolve`; without it the block is that of `inspect`.
    """
    validity, entity = found.validity, found.entity
    lines = ["= Entity"]
    if name_of is not None:
        lines.append(f"  Location: {_location(found.location, name_of)}")
    lines.append(f"      Hash: {entity.hash.to_text()}")
    if name_of is not None:
        lines.append(f"  Known as: {UNKNOWN}")
    return [
        *lines,
        f"   Created: {format_time(entity.validity.not_before)}",
        f"   Expires: {format_time(entity.validity.not_after)}",
        "  Validity:",
        f"   - Valid: {format_bool(validity.is_valid)}",
        f"   - Expired: {_is(validity, ValidityState.EXPIRED)}",
        "   - Malformed: false",
        f"   - Revoked: {_is(validity, ValidityState.REVOKED)}",
        f"   - Message: {validity.message}",
    ]


def inspected_attestation_lines(found: FoundAttestation, file: str) -> list[str]:
    """Return the block of an attestation from a file."""
    lines = [f"= Attestation {quote(file)}", f"  Hash : {found.attestation.hash.to_text()}"]
    if found.body is not None:
        lines += [
            f"  Created: {format_time(found.body.validity.not_before)}",
            f"  Expires: {format_time(found.body.validity.not_after)}",
        ]
    return [*lines, *_attestation_validity(found)]


def resolved_attestation_lines(found: FoundAttestation, name_of: NameOf) -> list[str]:
    """Return the block of an attestation from storage."""
    attestation, body = found.attestation, found.body
    lines = [
        "= Attestation",
        f"    Location: {_location(found.location, name_of)}",
        f"        Hash: {attestation.hash.to_text()}",
        f"   Partition: {partition_text(found.partition)}",
        f"     Subject: {attestation.subject.to_text()}",
        f"  Subj. Name: {UNKNOWN}",
        f"  SubjectLoc: {_location(attestation.subject_location, name_of)}",
    ]
    if body is None:
        return [*lines, *_attestation_validity(found)]
    lines += [
        f"     Created: {format_time(body.validity.not_before)}",
        f"     Expires: {format_time(body.validity.not_after)}",
        f"    Attester: {body.attester.to_text()}",
        f"   Att. Name: {UNKNOWN}",
        f" AttesterLoc: {_location(body.attester_location, name_of)}",
        *_attestation_validity(found),
    ]
    return [*lines, *_policy_lines(body.policy)]


def verdict_lines(verdict: ProofVerdict, name_of: NameOf) -> list[str]:
    """Return what `verify` says about a proof that holds."""
    lines = ["Referenced attestations:"]
    lines += [
        f" [{index:02d}] Hash: {attestation.to_text()}"
        for index, attestation in enumerate(verdict.attestations)
    ]
    lines.append("Paths:")
    lines += [
        f" [{index:02d}] {' '.join(f'{element:02d}' for element in path)}"
        for index, path in enumerate(verdict.paths)
    ]
    lines += [
        f"Subject: {verdict.subject.to_text()}",
        f"SubjectLoc: {_location(verdict.subject_location, name_of)}",
        f"Expires: {format_time(verdict.expiry)}",
        "Policy: RTree",
        f" Namespace: {verdict.policy.namespace.to_text()}",
        f" Indirections: {verdict.policy.indirections}",
        " Statements:",
    ]
    for index, statement in enumerate(verdict.policy.statements):
        lines += [
            f" [{index:02d}] Permission set: {statement.permission_set.to_text()}",
            f"      Permissions: {_permissions(statement)}",
            f"      URI: {_plain(statement.resource)}",
        ]
    return lines


def partition_text(partition: tuple[bytes, ...] | None) -> str:
    """Return the text slots up to the first empty one, quoted, and both times as numbers."""
    if partition is None:
        return UNKNOWN
    texts = []
    for slot in partition[:TEXT_SLOTS]:
        if not slot:
            break
        texts.append(quote(slot) + "/")
    begin, end = partition[_BEGIN_SLOTS], partition[_END_SLOTS]
    return f"[{''.join(texts)}] ({_numbers(begin)})({_numbers(end)})"


def entity_json(found: FoundEntity, name_of: NameOf) -> dict[str, Json]:
    """Return an entity for programs."""
    entity = found.entity
    return {
        "kind": "entity",
        "hash": entity.hash.to_text(),
        "location": None if found.location is None else _location(found.location, name_of),
        "created": format_time(entity.validity.not_before),
        "expires": format_time(entity.validity.not_after),
        "validity": _validity_json(found.validity),
    }


def attestation_json(found: FoundAttestation, name_of: NameOf) -> dict[str, Json]:
    """Return an attestation for programs; what cannot be read is left out."""
    attestation, body = found.attestation, found.body
    fields: dict[str, Json] = {
        "kind": "attestation",
        "hash": attestation.hash.to_text(),
        "location": None if found.location is None else _location(found.location, name_of),
        "subject": attestation.subject.to_text(),
        "subject_location": _location(attestation.subject_location, name_of),
        "validity": _validity_json(found.validity),
    }
    if body is not None:
        fields |= {
            "attester": body.attester.to_text(),
            "attester_location": _location(body.attester_location, name_of),
            "created": format_time(body.validity.not_before),
            "expires": format_time(body.validity.not_after),
            "policy": _policy_json(body.policy),
        }
    return fields


def verdict_json(verdict: ProofVerdict, name_of: NameOf) -> dict[str, Json]:
    """Return a verdict for programs."""
    return {
        "kind": "proof",
        "attestations": [attestation.to_text() for attestation in verdict.attestations],
        "paths": [list(path) for path in verdict.paths],
        "subject": verdict.subject.to_text(),
        "subject_location": _location(verdict.subject_location, name_of),
        "expires": format_time(verdict.expiry),
        "policy": _policy_json(verdict.policy),
    }


def _attestation_validity(found: FoundAttestation) -> list[str]:
    validity = found.validity
    lines = [
        "  Validity:",
        f"   - Readable: {format_bool(found.body is not None)}",
        f"   - Revoked: {_is(validity, ValidityState.REVOKED)}",
        "   - Malformed: false",
        f"   - Subject invalid: {_is(validity, ValidityState.SUBJECT_INVALID)}",
    ]
    if found.body is not None:
        lines += [
            f"   - Valid: {format_bool(validity.is_valid)}",
            f"   - Expired: {_is(validity, ValidityState.EXPIRED)}",
            f"   - Attester invalid: {_is(validity, ValidityState.ATTESTER_INVALID)}",
        ]
    return lines


def _policy_lines(policy: RTreePolicy | TrustLevelPolicy) -> list[str]:
    if isinstance(policy, TrustLevelPolicy):
        return ["  Policy: Trust level", f"   - Trust: {policy.trust}"]
    lines = [
        "  Policy: RTree",
        f"   - Namespace: {policy.namespace.to_text()}",
        f"   - NS Name: {UNKNOWN}",
        f"   - Indirections: {policy.indirections}",
        "   - Statements:",
    ]
    for index, statement in enumerate(policy.statements):
        lines += [
            f"     [{index:02d}] Permission set: {statement.permission_set.to_text()}",
            f"          PSET Name: {UNKNOWN}",
            f"          Permissions: {_permissions(statement)}",
            f"          URI: {_plain(statement.resource)}",
        ]
    return lines


def _policy_json(policy: RTreePolicy | TrustLevelPolicy) -> dict[str, Json]:
    if isinstance(policy, TrustLevelPolicy):
        return {"trust": policy.trust}
    return {
        "namespace": policy.namespace.to_text(),
        "indirections": policy.indirections,
        "statements": [
            {
                "permission_set": statement.permission_set.to_text(),
                "permissions": list(statement.permissions),
                "resource": statement.resource,
            }
            for statement in policy.statements
        ],
    }


def _validity_json(validity: Validity) -> dict[str, Json]:
    return {
        "valid": validity.is_valid,
        "state": validity.state.value,
        "message": validity.message,
        "note": validity.note,
    }


def _location(location: Location | None, name_of: NameOf) -> str:
    name = None if location is None else name_of(location)
    return UNKNOWN_LOCATION if name is None else name


def _permissions(statement: Statement) -> str:
    return ", ".join(_plain(permission) for permission in statement.permissions)


def _numbers(slots: tuple[bytes, ...]) -> str:
    return " ".join(str(int.from_bytes(slot, "big")) for slot in slots)


def _is(validity: Validity, state: ValidityState) -> str:
    return format_bool(validity.state is state)


def _plain(text: str) -> str:
    """Return text that a stranger chose, harmless to a terminal."""
    return text if text.isprintable() else quote(text)
