"""`mkentity`, `inspect`, `publish`: entities and the files they live in.

Owns what these commands do and print. Refuses to know flags. Fault model: storage may be away
after the file was written: the file stays, and the user is told to publish it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wavemq.authz.inspection import FoundAttestation, FoundEntity
from wavemq.cli.wv.files import SECRET_MODE, read_file, reason_of, write_new
from wavemq.cli.wv.passphrases import ask_passphrase, is_terminal
from wavemq.cli.wv.pem_files import pem_block
from wavemq.cli.wv.rendering import (
    attestation_json,
    entity_json,
    entity_lines,
    inspected_attestation_lines,
)
from wavemq.cli.wv.session import Session
from wavemq.cli.wv.text import UsageFaultError, instant_after, quote
from wavemq.errors import InvalidParameterError, UnexpectedObjectError, WaveMQError
from wavemq.wave.attestation import Attestation, PlainBody, VerifierBody
from wavemq.wave.attestation_open import check_outer_signature, check_signatures
from wavemq.wave.entity import Entity, parse_entity
from wavemq.wave.keyring import EntitySecret
from wavemq.wave.pem import ATTESTATION, ENTITY, ENTITY_SECRET, decode_pem_or_der, encode_pem

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
    try:
        location = session.storages.location_of(request.revocation_location)
        passphrase = _new_passphrase(request)
        secret = EntitySecret.create(
            not_before=now, not_after=not_after, revocation_location=location
        )
        content = encode_pem(ENTITY_SECRET, secret.to_bytes(passphrase))
    except WaveMQError as error:
        raise bracketed("error", error) from error
    entity_hash = secret.entity.hash.to_text()
    file = request.outfile or f"ent_{entity_hash}.pem"
    write_new(Path(file), content, mode=SECRET_MODE)
    session.output.line(f"wrote entity: {file}")
    if request.is_published:
        try:
            await session.engine.publish_entity(secret.entity, location)
        except WaveMQError as error:
            raise UsageFaultError(f"publish error: {error}", code=int(error.code)) from error
    session.output.result(
        {"kind": "entity", "file": file, "hash": entity_hash, "published": request.is_published}
    )


def _new_passphrase(request: EntityRequest) -> bytes | None:
    if request.is_unprotected:
        return None
    if request.passphrase:
        return request.passphrase.encode()
    if not is_terminal():
        raise UsageFaultError(
            "there is no terminal to ask for a passphrase at: give --passphrase, "
            "or --nopassphrase for a secret without protection"
        )
    # An empty answer means a secret without protection, as in the original.
    return ask_passphrase(NEW_PASSPHRASE_PROMPT) or None


async def inspect(session: Session, files: Sequence[str]) -> None:
    """Show what is in files of entities and attestations.

    Raises:
        UsageFaultError: a file cannot be read.
        InvalidParameterError: a file holds something else.
        StorageError: a revocation could not be checked.
    """
    require_files(files)
    name_of = session.storages.name_of
    for file in files:
        parsed = _parse_object(_read(file))
        now = session.now()
        if isinstance(parsed, Entity):
            standing = await session.engine.entity_validity(parsed, now=now)
            entity = FoundEntity(parsed, None, standing)
            session.output.lines(entity_lines(entity))
            session.output.result(entity_json(entity, name_of) | {"file": file})
        else:
            body = await _genuine_body(session, parsed)
            standing = await session.engine.attestation_validity(parsed, body, now=now)
            attestation = FoundAttestation(parsed, None, body, None, None, standing)
            session.output.lines(inspected_attestation_lines(attestation, file))
            session.output.result(attestation_json(attestation, name_of) | {"file": file})


async def publish(session: Session, files: Sequence[str], locations: Sequence[str]) -> None:
    """Put entities at locations, and attestations where their subjects are.

    Raises:
        UsageFaultError: a file cannot be read or is of another kind.
        WaveMQError: an object is malformed, a location unknown, or storage failed.
    """
    require_files(files)
    targets = [session.storages.location_of(name) for name in locations or ("default",)]
    for file in files:
        block = pem_block(_read(file), file)
        if block.kind in {ENTITY_SECRET, ENTITY}:
            entity = parse_entity(block.der)
            for location in targets:
                await session.engine.publish_entity(entity, location)
            published = entity.hash
        elif block.kind == ATTESTATION:
            if locations:
                session.output.line("ignoring location parameter for published attestation")
            attestation = Attestation.from_bytes(block.der)
            await session.engine.publish_attestation(attestation)
            published = attestation.hash
        else:
            raise UsageFaultError(f"unknown block type {quote(block.kind)}")
        session.output.result({"kind": "published", "file": file, "hash": published.to_text()})


def bracketed(prefix: str, error: WaveMQError) -> UsageFaultError:
    """Return an error in the form `error: [910] (910: ...)`."""
    return UsageFaultError(f"{prefix}: [{int(error.code)}] {error}", code=int(error.code))


def require_files(files: Sequence[str]) -> None:
    """Refuse a command line without files.

    Raises:
        UsageFaultError: there are none.
    """
    if not files:
        raise UsageFaultError("need to specify some files")


async def _genuine_body(session: Session, attestation: Attestation) -> VerifierBody | None:
    """Return what anyone can read, after checking the signatures; None if it is encrypted.

    Raises:
        InvalidSignatureError: somebody else made it.
        StorageError, LookupFailureError: the attester cannot be looked up.
    """
    if not isinstance(attestation.content, PlainBody):
        check_outer_signature(attestation)
        return None
    body = attestation.content.body
    attester = await session.engine.entity(body.attester, body.attester_location)
    check_signatures(attestation, body, attester)
    return body


def _read(file: str) -> bytes:
    try:
        return read_file(file)
    except OSError as error:
        raise UsageFaultError(f"could not read file {quote(file)}: {reason_of(error)}") from error


def _parse_object(content: bytes) -> Entity | Attestation:
    try:
        try:
            return Attestation.from_bytes(decode_pem_or_der(content))
        except UnexpectedObjectError:
            return parse_entity(content)
    except WaveMQError as error:
        raise InvalidParameterError("could not decode contents") from error
