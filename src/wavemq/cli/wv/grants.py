"""`rtgrant`, `rtprove`, `verify`: giving authority, showing it, checking it.

Owns what these commands do and print. Refuses to decide authority: the engine does. Fault model:
storage may be away or lie; a grant is written to its file before it is published.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wavemq.authz.inspection import FoundEntity
from wavemq.authz.perspective import Perspective
from wavemq.cli.wv.entities import bracketed, require_files
from wavemq.cli.wv.files import PUBLIC_MODE, read_file, reason_of, replace_file
from wavemq.cli.wv.identities import identify, identify_statements
from wavemq.cli.wv.pem_files import marker_of, pem_block
from wavemq.cli.wv.rendering import verdict_json, verdict_lines
from wavemq.cli.wv.session import Session, open_secret, read_secret_file
from wavemq.cli.wv.text import (
    UsageFaultError,
    format_rfc3339,
    instant_after,
    parse_indirections,
    parse_statements,
    quote,
)
from wavemq.errors import (
    InvalidParameterError,
    LookupFailureError,
    MissingParameterError,
    WaveMQError,
)
from wavemq.wave.hashes import Hash
from wavemq.wave.location import Location
from wavemq.wave.pem import ATTESTATION, EXPLICIT_PROOF, encode_pem
from wavemq.wave.policy import RTreePolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantRequest:
    """What `rtgrant` was asked for; texts as typed, the passphrase hidden."""

    expiry: str
    attester: str
    subject: str
    indirections: str
    partition: str
    passphrase: str = field(repr=False)
    is_published: bool
    is_synchronized: bool
    outfile: str
    statements: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofRequest:
    """What `rtprove` was asked for; texts as typed, the passphrase hidden."""

    subject: str
    passphrase: str = field(repr=False)
    is_synchronized: bool
    outfile: str
    statements: Sequence[str]


async def grant(session: Session, request: GrantRequest) -> None:
    """Attest a grant, write it, publish it.

    Raises:
        UsageFaultError: an argument is wrong or the file cannot be written.
        WaveMQError: an entity is unknown or invalid, the grant impossible, or storage failed.
    """
    # What needs no storage is checked first.
    try:
        parse_until = instant_after(session.now(), request.expiry)
    except UsageFaultError as error:
        raise UsageFaultError("bad expiry") from error
    typed = parse_statements(request.statements)
    indirections = parse_indirections(request.indirections)
    der = read_secret_file(request.attester, "attesting")
    secret = open_secret(der, request.attester, request.passphrase)
    namespace, statements = identify_statements(typed)
    subject = identify(request.subject)

    perspective = await session.perspective(secret)
    if request.is_synchronized:
        await session.synchronize_or_warn(perspective)
    found_namespace = await _find_namespace(session, perspective, namespace)
    found_subject = await _find(session, perspective, subject)
    if not found_subject.validity.is_valid:
        raise MissingParameterError(f"subject is not valid: {found_subject.validity.explanation}")
    policy = RTreePolicy(
        namespace=namespace,
        namespace_location=_location(session, found_namespace),
        indirections=indirections,
        statements=statements,
    )
    now = session.now()
    created = await session.engine.grant(
        perspective,
        subject=subject,
        subject_location=_location(session, found_subject),
        policy=policy,
        valid_from=now,
        valid_until=max(now, parse_until),
        now=now,
        visibility=_visibility(request.partition),
    )
    attestation = created.attestation
    attestation_hash = attestation.hash.to_text()
    file = request.outfile or f"att_{attestation_hash}.pem"
    _write(file, ATTESTATION, attestation.wire)
    session.output.line(f"wrote attestation: {file}")
    if request.is_published:
        await session.engine.publish_attestation(attestation)
        session.output.line("published attestation")
    session.output.result(
        {
            "kind": "attestation",
            "file": file,
            "hash": attestation_hash,
            "published": request.is_published,
        }
    )


async def prove(session: Session, request: ProofRequest) -> None:
    """Build a proof of statements and write it.

    Raises:
        UsageFaultError: an argument is wrong or the file cannot be written.
        NoProofFoundError: no chain of grants reaches the subject.
        WaveMQError: the subject is invalid, or storage failed.
    """
    typed = parse_statements(request.statements)
    der = read_secret_file(request.subject, "subject")
    secret = open_secret(der, request.subject, request.passphrase)
    namespace, statements = identify_statements(typed)
    perspective = await session.perspective(secret)
    if request.is_synchronized:
        await session.synchronize_or_warn(perspective)
    now = session.now()
    proof = await session.engine.prove(
        perspective, namespace=namespace, statements=statements, now=now
    )
    file = request.outfile or f"proof_{format_rfc3339(now)}.pem"
    _write(file, EXPLICIT_PROOF, proof.der)
    session.output.line(f"wrote proof: {file}")
    session.output.result({"kind": "proof", "file": file, "subject": proof.subject.to_text()})


async def verify(session: Session, files: Sequence[str]) -> None:
    """Verify proofs and show what they prove; files that are no PEM are reported and skipped.

    Raises:
        UsageFaultError: a proof does not hold, or could not be checked.
    """
    require_files(files)
    for file in files:
        try:
            block = pem_block(read_file(file), file)
        except OSError as error:
            session.output.failure(f"could not read file {quote(file)}: {reason_of(error)}")
            continue
        except UsageFaultError as error:
            session.output.failure(str(error))
            continue
        try:
            verdict = await session.engine.verify(block.der, now=session.now())
        except WaveMQError as error:
            raise bracketed("error", error) from error
        session.output.lines(verdict_lines(verdict, session.storages.name_of))
        session.output.result(verdict_json(verdict, session.storages.name_of) | {"file": file})


async def _find_namespace(
    session: Session, perspective: Perspective, namespace: Hash
) -> FoundEntity:
    try:
        found = await _find(session, perspective, namespace)
    except LookupFailureError as error:
        raise LookupFailureError("failed to find namespace", cause=error) from error
    if not found.validity.is_valid:
        raise InvalidParameterError(f"namespace is not valid: {found.validity.explanation}")
    return found


async def _find(session: Session, perspective: Perspective, entity_hash: Hash) -> FoundEntity:
    found = await session.engine.resolve(entity_hash, now=session.now(), perspective=perspective)
    if not isinstance(found, FoundEntity):
        raise InvalidParameterError(f"{entity_hash.to_text()} is not an entity")
    return found


def _location(session: Session, found: FoundEntity) -> Location:
    return found.location or session.storages.default_location


def _visibility(partition: str) -> tuple[bytes, ...]:
    return tuple(part.encode() for part in partition.split("/")) if partition else ()


def _write(file: str, kind: str, der: bytes) -> None:
    replace_file(Path(file), encode_pem(kind, der), marker=marker_of(kind), mode=PUBLIC_MODE)
