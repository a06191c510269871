"""Name declarations: an attester's word that a name stands for an entity (wave.md 11).

Owns the format, creation, and the ways to read one with given keys. Refuses to know which keys a
perspective holds and how names are resolved.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from wavemq.wave.hashes import Hash
    from wavemq.wave.location import Location
    from wavemq.wave.revocation import RevocationOption
    from wavemq.wave.validity import Validity

NAME_DECLARATION_KIND: Final = (2, 6)


@dataclass(frozen=True, slots=True)
class NameBody:
    """What a declaration says, once it can be read.

    Attributes:
        name: one part of a name.
        subject: what it stands for.
        subject_location: where that is stored.
        validity: from when to when.
    """

    name: str
    subject: Hash
    subject_location: Location
    validity: Validity


@dataclass(frozen=True, slots=True)
class NameDeclaration:
    """The public part of a declaration.

    Attributes:
        wire: the wire object.
        hash: of the wire object.
        attester: whose word it is.
        attester_location: where the attester is stored.
        revocations: how it could be revoked.
        namespace: whose keys open it; None: anybody may read it.
        namespace_location: where the namespace is stored; None with `namespace`.
    """

    wire: bytes
    hash: Hash
    attester: Hash
    attester_location: Location
    revocations: tuple[RevocationOption, ...]
    namespace: Hash | None
    namespace_location: Location | None
