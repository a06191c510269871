"""What every call of the agent needs: its engine, its storages, its clock, and its callers.

Owns reading the parts that requests share: perspectives, hashes, locations, times, policies.
Refuses to know the calls. Fault model: callers may send anything; what breaks a rule raises an
error of ours with one sentence (wave.md 12.2), and a secret is opened and its passphrase checked
anew for every call (wave.md 14.4).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from wavemq.authz.callers import Callers
from wavemq.authz.engine import Engine
from wavemq.authz.perspective import Perspective
from wavemq.clock import Clock, Instant, instant_from_milliseconds
from wavemq.errors import (
    InvalidMultihashError,
    InvalidParameterError,
    UnavailableError,
    WaveMQError,
)
from wavemq.net.objects import LocationRouter
from wavemq.wave.hashes import Hash
from wavemq.wave.location import Location
from wavemq.wave.pem import decode_pem_or_der
from wavemq.wave.policy import RTreePolicy, Statement
from wavemq.wire import wave_pb2 as pb

MILLISECONDS_MAX: Final = 2**63 // 1_000_000 - 1
"""Times are nanoseconds in 64 bits within: until the year 2262."""
LOCATION_VERSION: Final = 1
UNKNOWN_LOCATION: Final = "unknown"
STATEMENTS_MAX: Final = 1000
"""Statements of one request; as many as a policy may have (wave.md 6.5)."""
COMPONENTS_MAX: Final = 64
"""Components of one partition or visibility URI that are looked at."""


@dataclass(frozen=True, slots=True)
class Desk:
    """One agent's tools.

    Attributes:
        engine: authority.
        storages: names of locations.
        clock: what time it is.
        callers: opens the secrets that callers hand over.
    """

    engine: Engine
    storages: LocationRouter
    clock: Clock
    callers: Callers

    def now(self) -> Instant:
        """Return the present instant."""
        return self.clock.now()

    # --- requests -------------------------------------------------------------------------------

    async def perspective(self, given: pb.Perspective, *, is_given: bool) -> Perspective:
        """Return the perspective of a request.

        Args:
            given: the field.
            is_given: whether the field was there at all.

        Raises:
            InvalidParameterError: it is missing, cannot be opened, or its entity is not valid.
        """
        try:
            if not is_given:
                raise InvalidParameterError("missing perspective")
            if not given.HasField("entitySecret") or not given.entitySecret.DER:
                raise InvalidParameterError("the perspective has no entity secret")
            location = self.location(given.location) if given.HasField("location") else None
            return await self.callers.identify(
                given.entitySecret.DER, given.entitySecret.passphrase, location, self.now()
            )
        except WaveMQError as error:
            raise InvalidParameterError("could not create perspective", cause=error) from error

    def location(self, given: pb.Location | None) -> Location:
        """Return the location of a request; an absent one is the default.

        Raises:
            UnsupportedLocationSchemeError: no storage has that name (910).
            InvalidParameterError: it is malformed.
        """
        if given is None:
            return self.storages.default_location
        if given.HasField("locationURI"):
            uri = given.locationURI
            if not uri.URI:
                raise InvalidParameterError("the location has an empty URI")
            if uri.version != LOCATION_VERSION:
                raise InvalidParameterError(
                    f"the version of a location is {LOCATION_VERSION}, not {uri.version}"
                )
            return Location(uri.URI, uri.version)
        return self.storages.location_of(given.agentLocation)

    def instant(self, milliseconds: int, default: Instant) -> Instant:
        """Return the instant of a request; zero means the default.

        Raises:
            InvalidParameterError: it is outside the range of times.
        """
        if not milliseconds:
            return default
        if not 0 < milliseconds <= MILLISECONDS_MAX:
            raise InvalidParameterError(f"{milliseconds} ms is outside the range of times")
        return instant_from_milliseconds(milliseconds)

    async def namespace_location(self, namespace: Hash) -> Location:
        """Return where a namespace is stored, looking in every configured storage.

        Raises:
            LookupFailureError: no storage has it.
            StorageError: a storage did not answer, and no other has it.
        """
        for location in self.storages.locations:
            try:
                if await self.engine.store.get(location, namespace) is not None:
                    return location
            except UnavailableError:
                continue
        await self.engine.entity(namespace)  # known here, or an error that says why not
        return self.storages.default_location


def hash_of(given: bytes, what: str) -> Hash:
    """Return the hash of a request, 34 bytes or 48 characters.

    Raises:
        InvalidParameterError: it is none (code 304).
    """
    try:
        return Hash.parse(given)
    except InvalidMultihashError as error:
        raise InvalidParameterError(f"bad {what} hash", cause=error) from error


def object_bytes(given: bytes) -> bytes:
    """Return the DER of a request's object, which may be PEM.

    Raises:
        InvalidParameterError: there is none.
        ObjectError: it is no PEM that we can read.
    """
    if not given:
        raise InvalidParameterError("missing content")
    return decode_pem_or_der(given)


def statements_of(given: Iterable[pb.RTreePolicyStatement]) -> tuple[Statement, ...]:
    """Return the statements of a request.

    Raises:
        InvalidParameterError: there are too many, or a permission set is no hash.
    """
    statements: list[Statement] = []
    for one in given:
        if len(statements) == STATEMENTS_MAX:
            raise InvalidParameterError(f"more than {STATEMENTS_MAX} statements")
        statements.append(
            Statement(
                hash_of(one.permissionSet, "permission set"), tuple(one.permissions), one.resource
            )
        )
    return tuple(statements)


def rtree_policy(given: pb.RTreePolicy, namespace: Hash, location: Location) -> RTreePolicy:
    """Return the policy of a request, its namespace being at `location`.

    Raises:
        InvalidParameterError: a permission set is no hash.
    """
    return RTreePolicy(namespace, location, given.indirections, statements_of(given.statements))


def components_of(given: Iterable[bytes]) -> tuple[bytes, ...]:
    """Return the components of a partition or visibility URI.

    Raises:
        InvalidParameterError: there are too many to look at.
    """
    components = tuple(given)
    if len(components) > COMPONENTS_MAX:
        raise InvalidParameterError(f"a partition has {len(components)} components")
    return components
