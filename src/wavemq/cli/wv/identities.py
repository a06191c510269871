"""Entities, namespaces and permission sets as they are typed: a file, a hash, or a known name.

Owns the order of these readings (wave.md 13.1). Refuses to judge validity. Fault model: a file of
that name may hold anything; a wrong reading is a clear refusal, never a guess.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from wavemq.cli.wv.files import read_file, reason_of
from wavemq.cli.wv.text import TypedStatement, UsageFaultError, quote
from wavemq.errors import InvalidParameterError, LookupFailureError, WaveMQError
from wavemq.wave.entity import parse_entity
from wavemq.wave.hashes import (
    JEDI_PERMISSION_SET,
    WAVE_PERMISSION_SET,
    WAVEMQ_PERMISSION_SET,
    Hash,
)
from wavemq.wave.policy import Statement

HASH_CHARACTERS: Final = 48
_KNOWN: Final = {
    "wave": WAVE_PERMISSION_SET,
    "wavemq": WAVEMQ_PERMISSION_SET,
    "jedi": JEDI_PERMISSION_SET,
}


def identify(argument: str) -> Hash:
    """Return the hash that an argument means.

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
    if argument in _KNOWN:
        return _KNOWN[argument]
    raise UsageFaultError(
        f"could not resolve name {quote(argument)}: {unresolved_name(argument)}",
        code=int(LookupFailureError.code),
    )


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


def unresolved_name(name: str) -> LookupFailureError:
    """Return the error of a name; names can be looked up from a later release on."""
    if not name or not all(part.isprintable() and part for part in name.split(".")):
        cause = InvalidParameterError("invalid WAVE name")
    else:
        cause = InvalidParameterError(
            "this version looks up no names: use a file or a hash of 48 characters"
        )
    return LookupFailureError("name could not be resolved", cause=cause)


def identify_statements(typed: Sequence[TypedStatement]) -> tuple[Hash, tuple[Statement, ...]]:
    """Return the common namespace of statements, and the statements.

    Raises:
        UsageFaultError: a name means nothing, or there are several namespaces.
        InvalidMultihashError: something is a hash of no known kind.
    """
    namespaces = {statement.namespace: identify(statement.namespace) for statement in typed}
    if len(set(namespaces.values())) != 1:
        raise UsageFaultError(
            "all statements in a single attestation must concern the same namespace"
        )
    statements = tuple(
        Statement(identify(statement.permission_set), statement.permissions, statement.resource)
        for statement in typed
    )
    return namespaces[typed[0].namespace], statements


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
