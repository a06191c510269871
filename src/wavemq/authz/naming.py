"""Names of entities, from one perspective's point of view (wave.md 11).

Owns making, finding and resolving name declarations, and reverse names. Refuses to know the format
of declarations and how they are discovered. Fault model: anybody may declare any name; only
declarations of the asked attester count, compared exactly. Storage that does not say whether a
declaration is revoked is an error, never a name.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Final

import structlog

from wavemq.authz.validity import period_of_name
from wavemq.errors import (
    CorruptRecordError,
    InvalidParameterError,
    LookupFailureError,
    ObjectError,
    ProofInvalidError,
    StorageError,
    WaveMQError,
)
from wavemq.wave.hashes import Hash
from wavemq.wave.name import NameBody, declare_name, split_full_name
from wavemq.wave.validity import Validity as Period

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wavemq.authz.known_names import KnownName
    from wavemq.authz.library import Library
    from wavemq.authz.objects import ObjectStore
    from wavemq.authz.perspective import Perspective
    from wavemq.authz.state import AuthorityState
    from wavemq.authz.validity import ValidityChecker
    from wavemq.authz.verdicts import Validity
    from wavemq.authz.workers import Workers
    from wavemq.clock import Instant
    from wavemq.wave.entity import Entity
    from wavemq.wave.location import Location
    from wavemq.wave.name import NameDeclaration
    from wavemq.wave.partition import Partition

_log = structlog.get_logger(__name__)

CANDIDATES_MAX: Final = 64
"""Declarations of one name within their periods that are looked up, the latest first."""


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
        reader = None
        if namespace is not None:
            places = (namespace_location, *self._library.locations)
            reader = await self._library.required_entity(namespace, places)
        body = NameBody(name, subject, subject_location, Period(valid_from, valid_until))
        created = await self._workers.run(
            declare_name,
            perspective.secret,
            perspective.location,
            body,
            namespace=reader,
            namespace_location=namespace_location,
            partition=partition,
        )
        declaration = created.declaration
        stored = await self._store.put(perspective.location, declaration.wire)
        if stored != declaration.hash:
            raise StorageError(f"{perspective.location.url} stored the name under another hash")
        await self._store.enqueue(perspective.location, perspective.hash, stored)
        await perspective.state.discovery.add_name(created)
        if not created.opened.body.validity.is_expired(now):
            await self._remember(perspective, subject, name)
        return declaration

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
        try:
            parts = split_full_name(name)
        except InvalidParameterError as error:
            raise _unresolved(error) from error
        attester = top_level or perspective.hash
        location: Location | None = None
        derivation: list[FoundName] = []
        for part in parts:
            if attester != perspective.hash:
                # Nothing counts that somebody says whose entity has been revoked or has expired.
                await self._require_valid(attester, location, now)
            found = await self._current(perspective, attester, part, now)
            if found is None:
                raise _unresolved()
            derivation.append(found)
            attester, location = found.body.subject, found.body.subject_location
        assert location is not None  # a name has at least one part
        try:
            places = (location, *self._library.locations)
            entity = await self._library.required_entity(attester, places)
        except (LookupFailureError, ObjectError) as error:
            raise _unresolved(error) from error
        validity = await self._validity.entity(entity, now=now)
        if top_level is None or top_level == perspective.hash:
            await self._remember(perspective, entity.hash, name)
        return ResolvedName(entity, location, validity, tuple(derivation))

    async def reverse(self, perspective: Perspective, object_hash: Hash) -> str | None:
        """Return the name under which the perspective knows an object, or None.

        It is the one that was declared or resolved last. Nothing is looked up: whether it still
        stands for the object is what `resolve` says.
        """
        sealed = await asyncio.to_thread(self._state.sealed_name, perspective.hash, object_hash)
        if sealed is None:
            return None
        try:
            return perspective.state.discovery.sealer.open(object_hash, sealed).decode()
        except CorruptRecordError as error:
            _log.warning("sealed_name_damaged", named=object_hash.to_text(), reason=error.reason)
            return None

    async def declarations(
        self, perspective: Perspective, attester: Hash | None = None, *, now: Instant
    ) -> list[FoundName]:
        """Return the declarations that the perspective can read, with how they stand.

        Args:
            perspective: whose knowledge is used.
            attester: only those by this entity.
            now: the present.

        Raises:
            StorageError: a revocation cannot be looked up.
        """
        names = perspective.state.graph.names
        known = names.all() if attester is None else names.by(attester)
        found = await asyncio.gather(*(self._found(name, now) for name in known))
        return sorted(
            found,
            key=lambda one: (
                one.declaration.attester,
                one.body.name,
                one.body.validity.not_before,
                one.declaration.hash,
            ),
        )

    async def _current(
        self, perspective: Perspective, attester: Hash, part: str, now: Instant
    ) -> FoundName | None:
        """Return the valid declaration that begins last; the hash decides between equal ones."""
        candidates = [
            one
            for one in perspective.state.graph.names.candidates(attester, part)
            if period_of_name(one.body, now).is_valid
        ]
        candidates.sort(key=attrgetter("body.validity.not_before", "declaration.hash"))
        for one in candidates[: -CANDIDATES_MAX - 1 : -1]:
            found = await self._found(one, now)
            if found.validity.is_valid:
                return found
        return None

    async def _found(self, name: KnownName, now: Instant) -> FoundName:
        validity = await self._validity.name(name.declaration, name.body, now=now)
        return FoundName(name.declaration, name.body, name.partition, validity)

    async def _require_valid(self, entity: Hash, location: Location | None, now: Instant) -> None:
        """Check that an attester of names is valid.

        Raises:
            LookupFailureError: it is not, or cannot be found.
            StorageError: storage does not answer.
        """
        try:
            places = (location, *self._library.locations)
            await self._library.required_entity(entity, places)
            await self._validity.valid_entity(entity, location, now=now)
        except (LookupFailureError, ProofInvalidError, ObjectError) as error:
            raise _unresolved(error) from error

    async def _remember(self, perspective: Perspective, named: Hash, name: str) -> None:
        """Keep the reverse of a name."""
        sealer = perspective.state.discovery.sealer
        await asyncio.to_thread(
            self._state.remember_name,
            perspective.hash,
            named,
            tag=sealer.tag(name.encode()),
            sealed=sealer.seal(named, name.encode()),
        )


def _unresolved(cause: WaveMQError | None = None) -> LookupFailureError:
    return LookupFailureError("name could not be resolved", cause=cause)
