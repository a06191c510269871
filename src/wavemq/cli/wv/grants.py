"""`rtgrant`, `rtprove`, `verify`: giving authority, showing it, checking it.

Owns what these commands do and print. Refuses to decide authority: the agent does. Fault model:
storage may be away or lie; a grant is written to its file before it is published.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wavemq.agent import calls
from wavemq.cli.wv.entities import require_files
from wavemq.cli.wv.files import PUBLIC_MODE, read_file, reason_of, replace_file
from wavemq.cli.wv.identities import (
    identify,
    identify_statements,
    identify_without_names,
)
from wavemq.cli.wv.pem_files import marker_of, pem_block
from wavemq.cli.wv.rendering import hash_text, proof_json, proof_lines
from wavemq.cli.wv.session import Session, perspective_of
from wavemq.cli.wv.text import (
    UsageFaultError,
    bracketed,
    format_rfc3339,
    instant_after,
    parse_indirections,
    parse_statements,
    quote,
)
from wavemq.clock import milliseconds_from_instant
from wavemq.errors import WaveMQError
from wavemq.wave.pem import ATTESTATION, EXPLICIT_PROOF, encode_pem
from wavemq.wire import wave_pb2 as pb


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
    # What needs no agent is checked first.
    try:
        until = instant_after(session.now(), request.expiry)
    except UsageFaultError as error:
        raise UsageFaultError("bad expiry") from error
    typed = parse_statements(request.statements)
    indirections = parse_indirections(request.indirections)
    perspective = perspective_of(request.attester, "attesting", request.passphrase)
    identify_without_names(request.subject)
    if request.is_synchronized:
        await session.synchronize_or_warn(perspective)
    namespace, statements = await identify_statements(session, typed, perspective)
    subject = await identify(session, request.subject, perspective)
    location = await session.locate(subject.to_bytes(), perspective)
    now = session.now()
    created = await session.ask(
        calls.CREATE_ATTESTATION,
        pb.CreateAttestationParams(
            perspective=perspective,
            subjectHash=subject.to_bytes(),
            subjectLocation=location,
            validFrom=milliseconds_from_instant(now),
            validUntil=milliseconds_from_instant(max(now, until)),
            policy=pb.Policy(
                rTreePolicy=pb.RTreePolicy(
                    namespace=namespace.to_bytes(),
                    indirections=indirections,
                    statements=statements,
                    visibilityURI=_visibility(request.partition),
                )
            ),
        ),
    )
    attestation_hash = hash_text(created.hash)
    file = request.outfile or f"att_{attestation_hash}.pem"
    _write(file, ATTESTATION, created.DER)
    session.output.line(f"wrote attestation: {file}")
    if request.is_published:
        publishing = pb.PublishAttestationParams(DER=created.DER)
        await session.ask(calls.PUBLISH_ATTESTATION, publishing)
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
    perspective = perspective_of(request.subject, "subject", request.passphrase)
    if request.is_synchronized:
        await session.synchronize_or_warn(perspective)
    namespace, statements = await identify_statements(session, typed, perspective)
    built = await session.ask(
        calls.BUILD_RTREE_PROOF,
        pb.BuildRTreeProofParams(
            perspective=perspective, namespace=namespace.to_bytes(), statements=statements
        ),
    )
    file = request.outfile or f"proof_{format_rfc3339(session.now())}.pem"
    _write(file, EXPLICIT_PROOF, built.proofDER)
    session.output.line(f"wrote proof: {file}")
    inspected = await session.ask(
        calls.INSPECT, pb.InspectParams(content=perspective.entitySecret.DER)
    )
    session.output.result(
        {"kind": "proof", "file": file, "subject": hash_text(inspected.entity.hash)}
    )


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
            verified = await session.ask(
                calls.VERIFY_PROOF, pb.VerifyProofParams(proofDER=block.der)
            )
        except WaveMQError as error:
            raise bracketed("error", error) from error
        session.output.lines(proof_lines(verified.result))
        session.output.result(proof_json(verified.result) | {"file": file})


def _visibility(partition: str) -> tuple[bytes, ...]:
    return tuple(part.encode() for part in partition.split("/")) if partition else ()


def _write(file: str, kind: str, der: bytes) -> None:
    replace_file(Path(file), encode_pem(kind, der), marker=marker_of(kind), mode=PUBLIC_MODE)
