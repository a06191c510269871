"""One attempt to open one name declaration with everything that a perspective has.

Owns the order in which keys are tried (wave.md 11.2). Refuses to know where the declaration came
from and what follows from it; runs in worker threads and touches nothing. Fault model: as in
`opening`: what is unsound raises an error that the caller turns into an outcome, and the number of
keys tried is bounded by what `HeldKeys` offers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wavemq.wave.encrypted import namespace_envelope_key
from wavemq.wave.name import (
    ENVELOPE_KEY_BYTES,
    NAME_KEY_BYTES,
    NameDeclaration,
    OpenedName,
    open_labelled_name,
    open_name_with_key,
    open_public_name,
)

if TYPE_CHECKING:
    from wavemq.authz.held_keys import HeldKeys
    from wavemq.wave.hashes import Hash
    from wavemq.wave.keyring import EntitySecret
    from wavemq.wave.partition import Partition


@dataclass(frozen=True, slots=True)
class OpenedDeclaration:
    """The body is readable. The attester's signature has not been checked."""

    declaration: NameDeclaration
    content: OpenedName = field(repr=False)


@dataclass(frozen=True, slots=True)
class LockedDeclaration:
    """No key opens the body yet.

    Attributes:
        declaration: the public part.
        namespace: whose keys are waited for.
        partition: of its body, where the envelope could be read ("labelled").
        envelope_key: what opened the envelope, 28 bytes, or None ("pending").
        revision: of the namespace's held keys that were tried.
    """

    declaration: NameDeclaration
    namespace: Hash
    partition: Partition | None
    envelope_key: bytes | None = field(repr=False)
    revision: int


def try_to_open_name(
    content: bytes, key: bytes | None, reader: EntitySecret, held: HeldKeys
) -> OpenedDeclaration | LockedDeclaration:
    """Return what became of the attempt.

    Args:
        content: the wire object.
        key: what opened it earlier: the name's key (56 bytes), the envelope's (28), or None.
        reader: the perspective's own keys.
        held: the keys that it was given.

    Raises:
        ObjectError: it is no name declaration, or an unsound one.
    """
    declaration = NameDeclaration.from_bytes(content)
    sealed = declaration.key
    if sealed is None:
        return OpenedDeclaration(declaration, open_public_name(declaration))
    if key is not None and len(key) == NAME_KEY_BYTES:
        return OpenedDeclaration(declaration, open_name_with_key(declaration, key))
    # Read before the keys are: keys that come meanwhile must cause another attempt.
    revision = held.revision(sealed.namespace)
    envelope_key = key if key is not None and len(key) == ENVELOPE_KEY_BYTES else None
    if envelope_key is None:
        envelope_key = namespace_envelope_key(sealed, reader, held.reader_keys)
    if envelope_key is None:
        return LockedDeclaration(declaration, sealed.namespace, None, None, revision)
    partition, opened = open_labelled_name(
        declaration, sealed, envelope_key, reader, held.reader_keys
    )
    if opened is None:
        return LockedDeclaration(declaration, sealed.namespace, partition, envelope_key, revision)
    return OpenedDeclaration(declaration, opened)
