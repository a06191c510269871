"""`resolve`, `resync`: looking at storage through an entity's eyes.

Owns what these commands do and print. Refuses to change anything but what the agent has learned.
Fault model: storage may be away; then these commands fail and say which one.
"""

from __future__ import annotations

from collections.abc import Sequence

from wavemq.agent import calls
from wavemq.cli.wv.identities import is_hash_text, parse_hash, resolve_name
from wavemq.cli.wv.rendering import (
    Names,
    attestation_json,
    entity_json,
    entity_lines,
    hash_text,
    location_text,
    nameless,
    resolved_attestation_lines,
)
from wavemq.cli.wv.session import Session, perspective_of, storage_failures
from wavemq.cli.wv.text import UsageFaultError, bracketed, quote
from wavemq.errors import WaveMQError
from wavemq.wire import wave_pb2 as pb


async def resolve(
    session: Session,
    arguments: Sequence[str],
    *,
    perspective_file: str,
    passphrase: str,
    is_synchronized: bool,
) -> None:
    """Show the objects that hashes and names stand for.

    Raises:
        UsageFaultError: there is nothing to resolve, or a name stands for nothing.
        WaveMQError: an object is unknown, or storage failed.
    """
    if not arguments:
        raise UsageFaultError("need to specify some hashes or names")
    perspective: pb.Perspective | None = None
    if perspective_file:
        perspective = perspective_of(perspective_file, "perspective", passphrase)
        if is_synchronized:
            await session.synchronize_or_warn(perspective)
    for argument in arguments:
        if is_hash_text(argument):
            multihash = parse_hash(argument).to_bytes()
            request = pb.ResolveHashParams(hash=multihash, perspective=perspective)
            found = await session.ask(calls.RESOLVE_HASH, request)
        else:
            try:
                named = await resolve_name(session, argument, perspective)
            except WaveMQError as error:
                raise bracketed("could not resolve name", error) from error
            found = pb.ResolveHashResponse(entity=named.entity, location=named.location)
        await _show(session, argument, found, perspective)


async def _show(
    session: Session,
    argument: str,
    found: pb.ResolveHashResponse,
    perspective: pb.Perspective | None,
) -> None:
    location = location_text(found.location)
    placed = location if found.HasField("location") else None
    session.output.line(f"{quote(argument)}:")
    if found.HasField("entity"):
        entity = found.entity
        names = await names_of(session, perspective, [entity.hash])
        note = session.clock_note(entity.validFrom)
        session.output.lines(entity_lines(entity, location=location, known_as=names(entity.hash)))
        fields = entity_json(entity, location=placed, note=note)
        session.output.result(fields | {"name": names(entity.hash) or None})
    else:
        attestation = found.attestation
        names = await names_of(session, perspective, _mentioned(attestation))
        note = session.clock_note(attestation.body.validFrom)
        session.output.lines(resolved_attestation_lines(attestation, location, names))
        session.output.result(attestation_json(attestation, location=placed, note=note))


def _mentioned(attestation: pb.Attestation) -> list[bytes]:
    """Return the hashes in an attestation that may have names."""
    policy = attestation.body.policy.rTreePolicy
    sets = [statement.permissionSet for statement in policy.statements]
    return [attestation.subjectHash, attestation.body.attesterHash, policy.namespace, *sets]


async def names_of(
    session: Session, perspective: pb.Perspective | None, hashes: Sequence[bytes]
) -> Names:
    """Return the names under which a perspective knows hashes."""
    if perspective is None:
        return nameless
    known: dict[bytes, str] = {}
    for multihash in dict.fromkeys(hashes):
        if multihash:
            request = pb.ResolveReverseNameParams(perspective=perspective, hash=multihash)
            answer = await session.agent.call(calls.RESOLVE_REVERSE_NAME, request)
            known[multihash] = answer.name  # the original answers an error where there is none
    return lambda multihash: known.get(multihash, "")


async def resync(session: Session, *, perspective_file: str, passphrase: str) -> None:
    """Learn everything that storage holds for a perspective.

    Raises:
        UsageFaultError: the file is no entity secret.
        StorageError: a storage did not answer; the others were read.
    """
    perspective = perspective_of(perspective_file, "perspective", passphrase)
    failures = await session.synchronize(perspective)
    if failures:
        raise storage_failures(failures)
    entity = await session.ask(
        calls.INSPECT, pb.InspectParams(content=perspective.entitySecret.DER)
    )
    session.output.result({"kind": "synchronized", "perspective": hash_text(entity.entity.hash)})
