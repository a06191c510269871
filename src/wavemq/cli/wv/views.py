"""`resolve`, `resync`: looking at storage through an entity's eyes.

Owns what these commands do and print. Refuses to change anything but what this machine has
learned. Fault model: storage may be away; then these commands fail and say which one.
"""

from __future__ import annotations

from collections.abc import Sequence

from wavemq.authz.inspection import FoundEntity
from wavemq.authz.perspective import Perspective
from wavemq.cli.wv.entities import bracketed
from wavemq.cli.wv.identities import is_hash_text, parse_hash, unresolved_name
from wavemq.cli.wv.rendering import (
    attestation_json,
    entity_json,
    entity_lines,
    resolved_attestation_lines,
)
from wavemq.cli.wv.session import Session, open_secret, read_secret_file, storage_failures
from wavemq.cli.wv.text import UsageFaultError, quote


async def resolve(
    session: Session,
    arguments: Sequence[str],
    *,
    perspective_file: str,
    passphrase: str,
    is_synchronized: bool,
) -> None:
    """Show the objects that hashes stand for.

    Raises:
        UsageFaultError: an argument is no hash.
        WaveMQError: an object is unknown, or storage failed.
    """
    if not arguments:
        raise UsageFaultError("need to specify some hashes or names")
    perspective: Perspective | None = None
    if perspective_file:
        perspective = await _perspective(session, perspective_file, passphrase)
        if is_synchronized:
            await session.synchronize_or_warn(perspective)
    name_of = session.storages.name_of
    for argument in arguments:
        if not is_hash_text(argument):
            raise bracketed("could not resolve name", unresolved_name(argument))
        found = await session.engine.resolve(
            parse_hash(argument), now=session.now(), perspective=perspective
        )
        session.output.line(f"{quote(argument)}:")
        if isinstance(found, FoundEntity):
            session.output.lines(entity_lines(found, name_of))
            session.output.result(entity_json(found, name_of))
        else:
            session.output.lines(resolved_attestation_lines(found, name_of))
            session.output.result(attestation_json(found, name_of))


async def resync(session: Session, *, perspective_file: str, passphrase: str) -> None:
    """Learn everything that storage holds for a perspective.

    Raises:
        UsageFaultError: the file is no entity secret.
        StorageError: a storage did not answer; the others were read.
    """
    perspective = await _perspective(session, perspective_file, passphrase)
    failures = await session.synchronize(perspective)
    if failures:
        raise storage_failures(failures)
    session.output.result({"kind": "synchronized", "perspective": perspective.hash.to_text()})


async def _perspective(session: Session, file: str, passphrase: str) -> Perspective:
    der = read_secret_file(file, "perspective")
    return await session.perspective(open_secret(der, file, passphrase))
