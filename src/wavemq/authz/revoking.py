"""Revoking what a perspective has made: itself, its grants, its names.

Owns which blob is published where (wave.md 5). Refuses to look anything up about others'
revocations. Fault model: storage may not answer; what was published then is remembered as
revoked, what was not is not, and the caller is told which place failed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from wavemq.errors import (
    InternalError,
    InvalidParameterError,
    LookupFailureError,
    StorageError,
    UnavailableError,
    UnsupportedLocationSchemeError,
    WaveMQError,
)
from wavemq.wave.attestation import Attestation
from wavemq.wave.hashes import Hash
from wavemq.wave.name import NameDeclaration, name_revocation_blob
from wavemq.wave.revocation import attestation_revocation_blob, exercised_by

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wavemq.authz.library import Library
    from wavemq.authz.objects import ObjectStore
    from wavemq.authz.perspective import Perspective
    from wavemq.authz.revocation import RevocationChecker
    from wavemq.wave.location import Location
    from wavemq.wave.revocation import RevocationOption

_log = structlog.get_logger(__name__)


class Revoking:
    """Publishes revocations and makes this process forget that it knew better.

    Args:
        store: where blobs go.
        library: where attestations and declarations are looked for.
        revocations: what this process remembers.
    """

    def __init__(
        self, store: ObjectStore, library: Library, revocations: RevocationChecker
    ) -> None:
        self._store = store
        self._library = library
        self._revocations = revocations

    async def revoke_entity(self, perspective: Perspective) -> None:
        """Revoke the perspective's own entity, at every place that its options name.

        Places that no storage here serves are left out, unless there is no other.

        Raises:
            InvalidParameterError: the entity has no option that could be exercised.
            StorageError: a place did not take the revocation.
            UnsupportedLocationSchemeError: no storage here serves any of the places.
        """
        blob = perspective.secret.revocation_blob
        options = _options(
            perspective.entity.revocations,
            blob,
            "the entity has no revocation option",
            "the entity cannot be revoked with its secret",
        )
        await self._exercise(options, blob)

    async def revoke_attestation(self, perspective: Perspective, attestation: Hash) -> None:
        """Revoke an attestation that the perspective made.

        Raises:
            LookupFailureError: no configured storage has it.
            InvalidParameterError: it was made by somebody else, or has no option.
            StorageError: storage did not answer.
            UnsupportedLocationSchemeError: no storage here serves the place of the revocation.
            ObjectError: the object with that hash is no sound attestation.
        """
        found = Attestation.from_bytes(await self._required(attestation, "attestation"))
        blob = attestation_revocation_blob(perspective.secret.secret64, found.ephemeral_key)
        options = _options(
            found.revocations,
            blob,
            "the attestation has no revocation option",
            "attestation was not created by the given entity",
        )
        await self._exercise(options, blob)

    async def revoke_name(self, perspective: Perspective, declaration: Hash) -> None:
        """Revoke a name declaration that the perspective made.

        The blob goes to the place that the option names and to the attester's (wave.md 5 FIX).

        Raises:
            LookupFailureError: no configured storage has it.
            InvalidParameterError: it was made by somebody else, or has no option.
            StorageError: storage did not answer.
            UnsupportedLocationSchemeError: no storage here serves the place of the revocation.
            ObjectError: the object with that hash is no sound name declaration.
        """
        found = NameDeclaration.from_bytes(await self._required(declaration, "name declaration"))
        blob = name_revocation_blob(perspective.secret.secret64, found)
        options = _options(
            found.revocations,
            blob,
            "the name declaration has no revocation option",
            "name declaration was not created by the given entity",
        )
        await self._exercise(options, blob, also=(found.attester_location,))

    async def _required(self, object_hash: Hash, what: str) -> bytes:
        """Return an object from here or from any configured storage.

        Raises:
            LookupFailureError: none has it.
            StorageError: none has it, but at least one did not answer.
        """
        content = await self._library.object(object_hash, self._library.locations)
        if content is None:
            raise LookupFailureError(f"the {what} {object_hash.to_text()} is not in storage")
        return content

    async def _exercise(
        self, options: Iterable[RevocationOption], blob: bytes, *, also: Iterable[Location] = ()
    ) -> None:
        """Publish a blob at the places of all options, and remember where that succeeded.

        Args:
            options: which it exercises.
            blob: to be published.
            also: further places, where nobody needs to find it.

        Raises:
            StorageError: a place of an option did not take it.
            UnsupportedLocationSchemeError: no storage here serves any place of the options.
        """
        failures: list[WaveMQError] = []
        places = set()
        for option in options:
            place = option.location
            if place is None:
                raise InternalError("an option without a place was to be exercised")
            try:
                await self._publish(place, blob)
            except (UnavailableError, UnsupportedLocationSchemeError) as error:
                failures.append(error)
                continue
            places.add(place)
            await self._revocations.note_revoked(option)
        for place in dict.fromkeys(also):
            if place not in places:
                await self._publish_as_well(place, blob)
        unserved = [one for one in failures if isinstance(one, UnsupportedLocationSchemeError)]
        if len(unserved) < len(failures):
            raise next(one for one in failures if one not in unserved)
        if failures and not places:
            raise failures[0]

    async def _publish(self, place: Location, blob: bytes) -> None:
        """Store a blob.

        Raises:
            StorageError: the place did not take it.
            UnsupportedLocationSchemeError: no storage here serves the place.
        """
        try:
            stored = await self._store.put(place, blob)
        except UnavailableError as error:
            raise StorageError(
                f"the revocation could not be published at {place.url}", cause=error
            ) from error
        if stored != Hash.of(blob):
            raise StorageError(f"{place.url} stored the revocation under another hash")
        _log.info("revocation_published", location=place.url, option=stored.to_text())

    async def _publish_as_well(self, place: Location, blob: bytes) -> None:
        """Store a blob where nobody needs to find it."""
        try:
            await self._publish(place, blob)
        except (UnavailableError, UnsupportedLocationSchemeError) as error:
            _log.info("revocation_copy_not_published", location=place.url, reason=error.reason)


def _options(
    options: Iterable[RevocationOption], blob: bytes, absent: str, foreign: str
) -> tuple[RevocationOption, ...]:
    """Return the options that a blob exercises.

    Args:
        options: of the object.
        blob: derived from the caller's secret.
        absent: what to say if there is no option at all.
        foreign: what to say if there are only others.

    Raises:
        InvalidParameterError: there are none.
    """
    known = [option for option in options if option.hash is not None]
    if not known:
        raise InvalidParameterError(absent)
    exercised = exercised_by(blob, known)
    if not exercised:
        raise InvalidParameterError(foreign)
    return exercised
