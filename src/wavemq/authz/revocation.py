"""Whether revocation options have been exercised.

Owns the lookup of options in storage (wave.md 5), what is remembered about them and for how long.
Refuses to know which objects the options belong to. Fault model: storage may be away, then
nothing is known: that is `StorageError`, or, where the operator chose `default_to_unrevoked`, an
assumption that is short-lived and never kept on disk. A server that hides a revocation cannot be
noticed (wave.md 8.6). A revocation once seen is for ever.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

import structlog

from wavemq.authz.bounded import BoundedCache
from wavemq.authz.single_flight import SingleFlight
from wavemq.clock import NANOSECONDS_PER_SECOND, Instant
from wavemq.errors import (
    InternalError,
    StorageError,
    UnavailableError,
    UnsupportedLocationSchemeError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wavemq.authz.objects import ObjectStore
    from wavemq.authz.state import AuthorityState
    from wavemq.wave.hashes import Hash
    from wavemq.wave.location import Location
    from wavemq.wave.revocation import RevocationOption

_log = structlog.get_logger(__name__)

OPTIONS_REMEMBERED_MAX: Final = 65_536
"""Checks kept in memory; older ones are read from disk or looked up again."""
LOOKUPS_AT_ONCE_MAX: Final = 16
"""Lookups in flight at one time, over all callers."""
ASSUMPTION_SECONDS: Final = 30.0
"""How long an option is assumed unrevoked before an unreachable storage is asked again."""


class Standing(Enum):
    """What is known about a set of options."""

    UNREVOKED = "unrevoked"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class RevocationFinding:
    """The answer for a set of options.

    Attributes:
        standing: REVOKED if any option was exercised.
        fresh_until: until when the answer may be used without asking again.
        revoked: the exercised option that was found first, or None.
    """

    standing: Standing
    fresh_until: Instant
    revoked: RevocationOption | None = None


@dataclass(frozen=True, slots=True)
class _Check:
    """One remembered lookup; `is_revoked` ones are good for ever."""

    fresh_until: Instant
    checked: Instant
    is_revoked: bool

    def is_usable(self, now: Instant) -> bool:
        """Whether the answer still holds; one from the future was made by a clock set back."""
        return self.is_revoked or self.checked <= now < self.fresh_until


_FOREVER: Final = Instant(2**63 - 1)


class RevocationChecker:
    """Looks options up, each at most once at a time, and remembers the answers.

    Args:
        store: where options are looked up.
        state: what earlier processes found out.
        ttl_s: how long "not found" holds, in seconds.
        default_to_unrevoked: what the operator wants when storage does not answer.
    """

    def __init__(
        self,
        store: ObjectStore,
        state: AuthorityState,
        *,
        ttl_s: float,
        default_to_unrevoked: bool,
    ) -> None:
        self._store = store
        self._state = state
        self._ttl_ns = round(ttl_s * NANOSECONDS_PER_SECOND)
        self._default_to_unrevoked = default_to_unrevoked
        self._checks: BoundedCache[RevocationOption, _Check] = BoundedCache(OPTIONS_REMEMBERED_MAX)
        self._flights: SingleFlight[RevocationOption, _Check] = SingleFlight()
        self._slots = asyncio.Semaphore(LOOKUPS_AT_ONCE_MAX)
        self._lookups = 0
        self._failures = 0

    @property
    def lookups(self) -> int:
        """How many options were asked of storage so far."""
        return self._lookups

    @property
    def failures(self) -> int:
        """How many of them had no answer."""
        return self._failures

    async def check(
        self, options: Iterable[RevocationOption], *, now: Instant, is_lenient: bool = False
    ) -> RevocationFinding:
        """Return whether any of the options has been exercised.

        Args:
            options: what to look up; none at all are trivially unrevoked.
            now: the present; remembered answers older than the time to live do not count.
            is_lenient: treat "no answer" as unrevoked whatever the operator chose. For building
                proofs, where the verifier asks again; never for admitting anything.

        Raises:
            StorageError: a location did not answer and nothing may be assumed.
        """
        fresh_until = _FOREVER
        unknown = []
        for option in dict.fromkeys(options):
            known = self._known(option, now)
            if known is None:
                unknown.append(option)
            elif known.is_revoked:
                return RevocationFinding(Standing.REVOKED, _FOREVER, option)
            else:
                fresh_until = min(fresh_until, known.fresh_until)
        if not unknown:
            return RevocationFinding(Standing.UNREVOKED, fresh_until)
        checks = await asyncio.gather(
            *(self._ask(option, now, is_lenient=is_lenient) for option in unknown),
            return_exceptions=True,
        )
        failure: BaseException | None = None
        for option, check in zip(unknown, checks, strict=True):
            if isinstance(check, BaseException):
                failure = failure or check
            elif check.is_revoked:
                return RevocationFinding(Standing.REVOKED, _FOREVER, option)
            else:
                fresh_until = min(fresh_until, check.fresh_until)
        if failure is not None:
            raise failure
        return RevocationFinding(Standing.UNREVOKED, fresh_until)

    async def first_revoked(
        self, options: Iterable[RevocationOption], *, now: Instant, patience_s: float
    ) -> RevocationOption | None:
        """Return an option that is known to have been exercised, without waiting for long.

        For deciding what to use, never whom to admit: silence and slowness count as "not known".

        Args:
            options: what to look up.
            now: the present.
            patience_s: how long to wait for storage, in seconds.
        """
        try:
            async with asyncio.timeout(max(0.0, patience_s)):
                finding = await self.check(options, now=now, is_lenient=True)
        except TimeoutError:
            _log.warning("revocation_lookup_slow")
            return None
        return finding.revoked

    async def forget(self, option: RevocationOption) -> None:
        """Drop what is remembered of an option that was just exercised through this process."""
        self._checks.remove(option)
        if option.hash is not None and option.location is not None:
            await asyncio.to_thread(self._state.forget_check, option.hash, option.location)

    async def aclose(self) -> None:
        """Cancel lookups in flight."""
        await self._flights.aclose()

    def _known(self, option: RevocationOption, now: Instant) -> _Check | None:
        """Return what is in memory and still holds."""
        if option.hash is None or option.location is None:
            # A way to revoke that is not understood counts as used if it is critical (5).
            return _Check(_FOREVER, now, is_revoked=option.is_critical)
        check = self._checks.get(option)
        return check if check is not None and check.is_usable(now) else None

    async def _ask(self, option: RevocationOption, now: Instant, *, is_lenient: bool) -> _Check:
        """Return what disk or storage says, or what may be assumed."""
        place, name = option.location, option.hash
        if place is None or name is None:
            raise InternalError("an option without a place was to be looked up")
        try:
            return await self._flights.run(option, lambda: self._find_out(option, place, name, now))
        except UnavailableError as error:
            return self._assume(option, now, error, is_lenient=is_lenient)

    async def _find_out(
        self, option: RevocationOption, place: Location, name: Hash, now: Instant
    ) -> _Check:
        """Return an answer from disk if it may still be used, else from storage.

        Raises:
            UnavailableError: there was no usable answer.
        """
        check = await asyncio.to_thread(self._from_disk, place, name, now)
        if check is None or not check.is_usable(now):
            check = await self._look_up(place, name, now)
        self._checks.put(option, check)
        return check

    def _from_disk(self, place: Location, name: Hash, now: Instant) -> _Check | None:
        if self._state.has_revocation(name):
            return _Check(_FOREVER, now, is_revoked=True)
        checked = self._state.unrevoked_since(name, place)
        if checked is None:
            return None
        return _Check(Instant(checked + self._ttl_ns), checked, is_revoked=False)

    async def _look_up(self, place: Location, name: Hash, now: Instant) -> _Check:
        """Ask storage.

        Raises:
            StorageError: there was no usable answer.
        """
        async with self._slots:
            self._lookups += 1
            try:
                content = await self._store.get(place, name)
            except UnsupportedLocationSchemeError as error:
                self._failures += 1
                raise StorageError("no storage here serves its location", cause=error) from error
            except UnavailableError as error:
                self._failures += 1
                _log.warning("revocation_lookup_failed", location=place.url, reason=error.reason)
                raise
        if content is None:
            check = _Check(Instant(now + self._ttl_ns), now, is_revoked=False)
            await asyncio.to_thread(self._state.remember_unrevoked, name, place, now)
        else:
            check = _Check(_FOREVER, now, is_revoked=True)
            await asyncio.to_thread(self._state.remember_revoked, name)
            _log.info("revocation_found", option=name.to_text())
        return check

    def _assume(
        self,
        option: RevocationOption,
        now: Instant,
        cause: UnavailableError,
        *,
        is_lenient: bool,
    ) -> _Check:
        """Return what may be assumed without an answer.

        Raises:
            StorageError: nothing may be.
        """
        fresh_until = Instant(now + round(ASSUMPTION_SECONDS * NANOSECONDS_PER_SECOND))
        check = _Check(fresh_until, now, is_revoked=False)
        if self._default_to_unrevoked:
            self._checks.put(option, check)
            return check
        if is_lenient:
            return check
        raise StorageError("a revocation could not be looked up", cause=cause) from cause
