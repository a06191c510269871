"""`revoke`: taking back an entity, a grant or a name.

Owns what the command does and prints. Refuses to know how revocations are published. Fault model:
storage may be away; nothing is revoked then, and the status says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from wavemq.agent import calls
from wavemq.cli.wv.files import read_file, reason_of
from wavemq.cli.wv.identities import is_hash_text, resolve_name
from wavemq.cli.wv.rendering import hash_text
from wavemq.cli.wv.session import Session, perspective_of
from wavemq.cli.wv.text import UsageFaultError, quote
from wavemq.errors import WaveMQError
from wavemq.wave.attestation import Attestation
from wavemq.wave.hashes import Hash
from wavemq.wire import wave_pb2 as pb


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeRequest:
    """What `revoke` was asked for; texts as typed, the passphrase hidden."""

    attester: str
    attestation: str
    entity: str
    name: str
    passphrase: str = field(repr=False)


async def revoke(session: Session, request: RevokeRequest) -> None:
    """Revoke what was named; nothing named is no error, as in the original.

    Raises:
        UsageFaultError: an argument is wrong.
        WaveMQError: the object is unknown or somebody else's, or storage failed.
    """
    if request.entity:
        perspective = perspective_of(request.entity, "revoking", request.passphrase)
        params = pb.RevokeParams(perspective=perspective, revokePerspective=True)
        await session.ask(calls.REVOKE, params)
        _tell(session, "entity", None)
    if request.attestation:
        perspective = perspective_of(request.attester, "attesting", request.passphrase)
        attestation = _attestation(request.attestation)
        params = pb.RevokeParams(perspective=perspective, attestationHash=attestation)
        await session.ask(calls.REVOKE, params)
        _tell(session, "attestation", attestation)
    if request.name:
        perspective = perspective_of(request.attester, "attesting", request.passphrase)
        declaration = await _declaration(session, request.name, perspective)
        params = pb.RevokeParams(perspective=perspective, nameDeclarationHash=declaration)
        await session.ask(calls.REVOKE, params)
        _tell(session, "name declaration", declaration)


def _tell(session: Session, what: str, multihash: bytes | None) -> None:
    session.output.line(f"{what} revoked")
    found = None if multihash is None else hash_text(multihash)
    session.output.result({"kind": "revoked", "what": what, "hash": found})


def _attestation(argument: str) -> bytes:
    """Return the hash of an attestation that was given as a file or a hash.

    Raises:
        UsageFaultError: it is neither.
    """
    if Path(argument).is_file():
        try:
            return Attestation.from_bytes(read_file(argument)).hash.to_bytes()
        except OSError as error:
            raise UsageFaultError(
                f"could not read file {quote(argument)}: {reason_of(error)}"
            ) from error
        except WaveMQError as error:
            raise UsageFaultError(
                f"file {quote(argument)} holds no attestation: {error}", code=int(error.code)
            ) from error
    return _hash(argument)


async def _declaration(session: Session, argument: str, perspective: pb.Perspective) -> bytes:
    """Return the hash of a name declaration that was given as a hash or a name.

    Raises:
        UsageFaultError: it is a malformed hash.
        LookupFailureError: the name stands for nothing.
    """
    if is_hash_text(argument):
        return _hash(argument)
    await session.synchronize_quietly(perspective)
    found = await resolve_name(session, argument, perspective)
    return found.derivation[-1].hash


def _hash(argument: str) -> bytes:
    try:
        return Hash.from_text(argument).to_bytes()
    except WaveMQError as error:
        raise UsageFaultError("malformed hash", code=int(error.code)) from error
