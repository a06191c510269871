"""Names of entities, from one perspective's point of view (wave.md 11).

Owns making, finding and resolving name declarations, and reverse names. Refuses to know the format
of declarations and how they are discovered. Fault model: anybody may declare any name; only
declarations of the asked attester count, compared exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wavemq.errors import InternalError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wavemq.authz.library import Library
    from wavemq.authz.objects import ObjectStore
    from wavemq.authz.perspective import Perspective
    from wavemq.authz.state import AuthorityState
    from wavemq.authz.validity import ValidityChecker
    from wavemq.authz.verdicts import Validity
    from wavemq.authz.workers import Workers
    from wavemq.clock import Instant
    from wavemq.wave.entity import Entity
    from wavemq.wave.hashes import Hash
    from wavemq.wave.location import Location
    from wavemq.wave.name import NameBody, NameDeclaration
    from wavemq.wave.partition import Partition


@dataclass(frozen=True, slots=True)
class FoundName:
    """A name declaration that can be read.

    Attributes:
        declaration: the public part.
        body: name, subject, period.
        partition: the twenty slots of its key; None for a public one.
        validity: how it stands.
    """

    declaration: NameDeclaration
    body: NameBody
    partition: Partition | None
    validity: Validity


@dataclass(frozen=True, slots=True)
class ResolvedName:
    """What a name stands for.

    Attributes:
        entity: the entity.
        location: where it is stored, as the last declaration says.
        validity: how the entity stands.
        derivation: the declarations that were followed, the rightmost part's first.
    """

    entity: Entity
    location: Location
    validity: Validity
    derivation: tuple[FoundName, ...]


class Naming:
    """Names for one engine.

    Args:
        store: object storage.
        library: resolves entities.
        validity: checks them.
        state: reverse names on disk.
        workers: where pairing work is done.
    """

    def __init__(
        self,
        store: ObjectStore,
        library: Library,
        validity: ValidityChecker,
        state: AuthorityState,
        workers: Workers,
    ) -> None:
        self._store = store
        self._library = library
        self._validity = validity
        self._state = state
        self._workers = workers

    async def create(
        self,
        perspective: Perspective,
        *,
        name: str,
        subject: Hash,
        subject_location: Location,
        valid_from: Instant,
        valid_until: Instant,
        now: Instant,
        namespace: Hash | None = None,
        namespace_location: Location | None = None,
        partition: Sequence[bytes] = (),
    ) -> NameDeclaration:
        """Declare a name, publish it, and remember its reverse (wave.md 11, 14.4).

        Args:
            perspective: the attester.
            name: one part, `[a-z0-9_-]{1,63}`.
            subject: what it stands for.
            subject_location: where that is stored.
            valid_from: first instant.
            valid_until: last instant.
            now: the present.
            namespace: who may read it: those with keys of this namespace for `partition`;
                everybody if None.
            namespace_location: where that is stored; goes together with `namespace`.
            partition: up to twelve components, as they are, without a type tag.

        Raises:
            InvalidParameterError: name, period, partition or their combination is wrong.
            LookupFailureError: the namespace cannot be found.
            StorageError: it may not have been stored.
        """
        raise InternalError("not here yet")

    async def resolve(
        self,
        perspective: Perspective,
        name: str,
        *,
        now: Instant,
        top_level: Hash | None = None,
    ) -> ResolvedName:
        """Return what a full name such as `superapp.acme` stands for (wave.md 11.4).

        Args:
            perspective: whose knowledge is used.
            name: parts joined by dots; the rightmost is looked up first.
            now: the present.
            top_level: whose declaration the rightmost part must be; the perspective if None.

        Raises:
            LookupFailureError: it stands for nothing that is known.
            StorageError: a revocation cannot be looked up.
        """
        raise InternalError("not here yet")

    async def reverse(self, perspective: Perspective, object_hash: Hash) -> str | None:
        """Return the name under which the perspective knows an object, or None."""
        raise InternalError("not here yet")
