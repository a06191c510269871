"""`mkentity`, `inspect`, `publish`: entities and the files they live in.

Owns what these commands do and print. Refuses to know flags. Fault model: storage may be away
after the file was written: the file stays, and the user is told to publish it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wavemq.agent import calls
from wavemq.cli.wv.files import SECRET_MODE, read_file, reason_of, write_new
from wavemq.cli.wv.passphrases import ask_passphrase, is_terminal
from wavemq.cli.wv.pem_files import pem_block
from wavemq.cli.wv.rendering import (
    attestation_json,
    entity_json,
    entity_lines,
    hash_text,
    inspected_attestation_lines,
)
from wavemq.cli.wv.session import Session
from wavemq.cli.wv.text import UsageFaultError, bracketed, instant_after, quote
from wavemq.clock import milliseconds_from_instant
from wavemq.errors import WaveMQError
from wavemq.wave.pem import ATTESTATION, ENTITY, ENTITY_SECRET, encode_pem
from wavemq.wire import wave_pb2 as pb

NEW_PASSPHRASE_PROMPT = "enter a passphrase for your entity: "  # noqa: S105 - a question


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityRequest:
    """What `mkentity` was asked for; texts as typed, the passphrase hidden."""

    expiry: str
    revocation_location: str
    passphrase: str
    is_unprotected: bool
    is_published: bool
    outfile: str

    def __repr__(self) -> str:
        return f"EntityRequest(outfile={self.outfile!r})"


async def make_entity(session: Session, request: EntityRequest) -> None:
    """Make an entity, write its secret, publish it.

    Raises:
        UsageFaultError: an argument is wrong, the file exists, or publishing failed.
    """
    now = session.now()
    try:
        not_after = instant_after(now, request.expiry)
    except UsageFaultError as error:
        raise UsageFaultError(f"bad expiry: {error}") from error
    location = pb.Location(agentLocation=request.revocation_location)
    try:
        passphrase = _new_passphrase(request)
        created = await session.ask(
            calls.CREATE_ENTITY,
            pb.CreateEntityParams(
                validFrom=milliseconds_from_instant(now),
                validUntil=milliseconds_from_instant(not_after),
                revocationLocation=location,
                SecretPassphrase=passphrase,
            ),
        )
    except WaveMQError as error:
        raise bracketed("error", error) from error
    entity_hash = hash_text(created.hash)
    file = request.outfile or f"ent_{entity_hash}.pem"
    write_new(Path(file), encode_pem(ENTITY_SECRET, created.SecretDER), mode=SECRET_MODE)
    session.output.line(f"wrote entity: {file}")
    if request.is_published:
        try:
            await session.ask(
                calls.PUBLISH_ENTITY,
                pb.PublishEntityParams(DER=created.PublicDER, location=location),
            )
        except WaveMQError as error:
            raise UsageFaultError(f"publish error: {error}", code=int(error.code)) from error
    session.output.result(
        {"kind": "entity", "file": file, "hash": entity_hash, "published": request.is_published}
    )


def _new_passphrase(request: EntityRequest) -> str:
    if request.is_unprotected:
        return ""
    if request.passphrase:
        return request.passphrase
    if not is_terminal():
        raise UsageFaultError(
            "there is no terminal to ask for a passphrase at: give --passphrase, "
            "or --nopassphrase for a secret without protection"
        )
    # An empty answer means a secret without protection, as in the original.
    try:
        return ask_passphrase(NEW_PASSPHRASE_PROMPT).decode()
    except UnicodeDecodeError as error:
        raise UsageFaultError("the passphrase is not UTF-8 text") from error


async def inspect(session: Session, files: Sequence[str]) -> None:
    """Show what is in files of entities and attestations.

    Raises:
        UsageFaultError: a file cannot be read.
        InvalidParameterError: a file holds something else.
        StorageError: a revocation could not be checked.
    """
    require_files(files)
    for file in files:
        found = await session.ask(calls.INSPECT, pb.InspectParams(content=_read(file)))
        if found.HasField("entity"):
            note = session.clock_note(found.entity.validFrom)
            session.output.lines(entity_lines(found.entity))
            session.output.result(entity_json(found.entity, note=note) | {"file": file})
        else:
            attestation = found.attestation
            note = session.clock_note(attestation.body.validFrom)
            session.output.lines(inspected_attestation_lines(attestation, file))
            session.output.result(attestation_json(attestation, note=note) | {"file": file})


async def publish(session: Session, files: Sequence[str], locations: Sequence[str]) -> None:
    """Put entities at locations, and attestations where their subjects are.

    Raises:
        UsageFaultError: a file cannot be read or is of another kind.
        WaveMQError: an object is malformed, a location unknown, or storage failed.
    """
    require_files(files)
    for file in files:
        block = pem_block(_read(file), file)
        if block.kind in {ENTITY_SECRET, ENTITY}:
            published = b""
            for name in locations or ("default",):
                request = pb.PublishEntityParams(
                    DER=block.der, location=pb.Location(agentLocation=name)
                )
                published = (await session.ask(calls.PUBLISH_ENTITY, request)).hash
        elif block.kind == ATTESTATION:
            if locations:
                session.output.line("ignoring location parameter for published attestation")
            grant = pb.PublishAttestationParams(DER=block.der)
            published = (await session.ask(calls.PUBLISH_ATTESTATION, grant)).hash
        else:
            raise UsageFaultError(f"unknown block type {quote(block.kind)}")
        session.output.result({"kind": "published", "file": file, "hash": hash_text(published)})


def require_files(files: Sequence[str]) -> None:
    """Refuse a command line without files.

    Raises:
        UsageFaultError: there are none.
    """
    if not files:
        raise UsageFaultError("need to specify some files")


def _read(file: str) -> bytes:
    try:
        return read_file(file)
    except OSError as error:
        raise UsageFaultError(f"could not read file {quote(file)}: {reason_of(error)}") from error
