"""Entities, namespaces and permission sets as they are typed: a file, a hash, or a name.

Owns the order of these readings (wave.md 13.1). Refuses to judge validity. Fault model: a file of
that name may hold anything; a wrong reading is a clear refusal, never a guess.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from wavemq.agent import calls
from wavemq.cli.wv.files import read_file, reason_of
from wavemq.cli.wv.session import Session
from wavemq.cli.wv.text import TypedStatement, UsageFaultError, quote
from wavemq.errors import InvalidParameterError, LookupFailureError, WaveMQError
from wavemq.wave.entity import parse_entity
from wavemq.wave.hashes import (
    JEDI_PERMISSION_SET,
    WAVE_PERMISSION_SET,
    WAVEMQ_PERMISSION_SET,
    Hash,
)
from wavemq.wave.name import split_full_name
from wavemq.wire import wave_pb2 as pb

HASH_CHARACTERS: Final = 48
BUILT_IN: Final = {
    "wave": WAVE_PERMISSION_SET,
    "wavemq": WAVEMQ_PERMISSION_SET,
    "jedi": JEDI_PERMISSION_SET,
}
"""Permission sets that have names of their own."""


async def identify(
    session: Session, argument: str, perspective: pb.Perspective | None = None
) -> Hash:
    """Return the hash that an argument means.

    Args:
        session: whose agent resolves names.
        argument: a file, a hash of 48 characters, a built-in permission set, or a name.
        perspective: in which names are resolved; without one there are none.

    Raises:
        UsageFaultError: it means nothing, or the file holds no entity.
        InvalidMultihashError: it is a hash of no known kind.
    """
    known = identify_without_names(argument)
    if known is not None:
        return known
    try:
        found = await resolve_name(session, argument, perspective)
    except LookupFailureError as error:
        raise UsageFaultError(
            f"could not resolve name {quote(argument)}: {error}", code=int(error.code)
        ) from error
    return Hash.from_bytes(found.entity.hash)


def identify_without_names(argument: str) -> Hash | None:
    """Return the hash that an argument means, or None where it can only be a name.

    Raises:
        UsageFaultError: it means nothing, or the file holds no entity.
        InvalidMultihashError: it is a hash of no known kind.
    """
    content = _content_of_file(argument)
    if content is not None:
        try:
            return parse_entity(content).hash
        except WaveMQError as error:
            raise UsageFaultError(
                f"file {quote(argument)} holds no entity: {error}", code=int(error.code)
            ) from error
    if is_hash_text(argument):
        return parse_hash(argument)
    if argument in BUILT_IN:
        return BUILT_IN[argument]
    try:
        split_full_name(argument)
    except WaveMQError as error:
        unresolved = LookupFailureError("name could not be resolved", cause=error)
        raise UsageFaultError(
            f"could not resolve name {quote(argument)}: {unresolved}", code=int(unresolved.code)
        ) from error
    return None


async def resolve_name(
    session: Session, name: str, perspective: pb.Perspective | None
) -> pb.ResolveNameResponse:
    """Return what a name stands for.

    Raises:
        LookupFailureError: it stands for nothing that the perspective knows.
    """
    if perspective is None:
        cause = InvalidParameterError(
            "names are looked up for an entity: name it with --perspective"
        )
        raise LookupFailureError("name could not be resolved", cause=cause)
    request = pb.ResolveNameParams(perspective=perspective, name=name)
    return await session.ask(calls.RESOLVE_NAME, request)


def is_hash_text(argument: str) -> bool:
    """Whether an argument is read as a hash rather than as a name."""
    return len(argument) == HASH_CHARACTERS and "." not in argument


def parse_hash(argument: str) -> Hash:
    """Return the hash of 48 characters.

    Raises:
        UsageFaultError: they are not base64.
        InvalidMultihashError: it is a hash of no known kind.
    """
    try:
        b64decode(argument.encode("ascii"), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise UsageFaultError(f"bad base64: {quote(argument)}") from error
    return Hash.from_text(argument)


async def identify_statements(
    session: Session, typed: Sequence[TypedStatement], perspective: pb.Perspective
) -> tuple[Hash, list[pb.RTreePolicyStatement]]:
    """Return the common namespace of statements, and the statements.

    Raises:
        UsageFaultError: a name means nothing, or there are several namespaces.
        InvalidMultihashError: something is a hash of no known kind.
    """
    known: dict[str, Hash] = {}
    for statement in typed:
        for argument in (statement.namespace, statement.permission_set):
            if argument not in known:
                known[argument] = await identify(session, argument, perspective)
    if len({known[statement.namespace] for statement in typed}) != 1:
        raise UsageFaultError(
            "all statements in a single attestation must concern the same namespace"
        )
    statements = [
        pb.RTreePolicyStatement(
            permissionSet=known[statement.permission_set].to_bytes(),
            permissions=statement.permissions,
            resource=statement.resource,
        )
        for statement in typed
    ]
    return known[typed[0].namespace], statements


def _content_of_file(argument: str) -> bytes | None:
    # A directory is no file: one called "wavemq" in the way must not hide the name.
    if not argument or "\0" in argument or Path(argument).is_dir():
        return None
    try:
        return read_file(argument)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageFaultError(
            f"Error opening file {quote(argument)}: open {argument}: {reason_of(error)}"
        ) from error
