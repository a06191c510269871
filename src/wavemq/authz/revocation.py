"""Whether revocation options have been exercised.

Owns the lookup of options in storage (wave.md 5), what is remembered about them and for how long.
Refuses to know which objects the options belong to. Fault model: storage may be away. What it
answered before then holds for a bounded grace, since sites must go on without it; of what it was
never asked nothing is known: that is `StorageError`, or, where the operator chose
`default_to_unrevoked`, an assumption. Assumptions are short-lived and never kept on disk. A server
that hides a revocation cannot be noticed (wave.md 8.6). A revocation once seen is for ever.
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
    from collections.abc import Iterable, Sequence

    from wavemq.authz.objects import ObjectStore
    from wavemq.authz.state import AuthorityState, PastCheck
    from wavemq.wave.hashes import Hash
    from wavemq.wave.location import Location
    from wavemq.wave.revocation import RevocationOption

_log = structlog.get_logger(__name__)

OPTIONS_REMEMBERED_MAX: Final = 65_536
"""Checks kept in memory; older ones are read from disk or looked up again."""
UNWRITTEN_MAX: Final = 1024
"""Answers that wait in memory to be written together; older ones need not be."""
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
        epoch: of the checker, when it was asked; an answer of an earlier epoch does not count.
        revoked: the exercised option that was found first, or None.
    """

    standing: Standing
    fresh_until: Instant
    epoch: int
    revoked: RevocationOption | None = None


@dataclass(frozen=True, slots=True)
class _Check:
    """One remembered lookup; `is_revoked` ones are good for ever.

    Attributes:
        fresh_until: until when it may be used.
        checked: when storage answered.
        is_revoked: what it answered.
    """

    fresh_until: Instant
    checked: Instant
    is_revoked: bool

    def is_usable(self, now: Instant, until: Instant) -> bool:
        """Whether the answer holds until then; one from the future was made by a clock set back."""
        return self.is_revoked or (self.checked <= now and until < self.fresh_until)


@dataclass(frozen=True, slots=True, eq=False)
class _Batch:
    """Options that one caller asks about, to be read from disk together."""

    options: tuple[RevocationOption, ...]


_FOREVER: Final = Instant(2**63 - 1)


class RevocationChecker:
    """Looks options up, each at most once at a time, and remembers the answers.

    Args:
        store: where options are looked up.
        state: what earlier processes found out.
        ttl_s: how long "not found" holds, in seconds.
        grace_s: how long after it was given that answer still holds while storage is silent.
        default_to_unrevoked: what the operator wants when storage does not answer.

    Attributes:
        epoch: grows whenever a revocation is found, and whatever depends on any option should then
            look again: that costs little, since the answers are in memory.
    """

    def __init__(
        self,
        store: ObjectStore,
        state: AuthorityState,
        *,
        ttl_s: float,
        default_to_unrevoked: bool,
        grace_s: float = 0.0,
    ) -> None:
        self._store = store
        self._state = state
        self._ttl_ns = round(ttl_s * NANOSECONDS_PER_SECOND)
        self._grace_ns = round(grace_s * NANOSECONDS_PER_SECOND)
        self._assumption_ns = min(round(ASSUMPTION_SECONDS * NANOSECONDS_PER_SECOND), self._ttl_ns)
        self._default_to_unrevoked = default_to_unrevoked
        self._checks: BoundedCache[RevocationOption, _Check] = BoundedCache(OPTIONS_REMEMBERED_MAX)
        self._silences: BoundedCache[RevocationOption, _Check] = BoundedCache(
            OPTIONS_REMEMBERED_MAX
        )
        self._flights: SingleFlight[tuple[RevocationOption, bool], _Check] = SingleFlight()
        self._slots = asyncio.Semaphore(LOOKUPS_AT_ONCE_MAX)
        self._lookups = 0
        self._failures = 0
        self._recalls: SingleFlight[_Batch, None] = SingleFlight()
        self._unwritten: list[tuple[Hash, Location, Instant]] = []
        self.epoch = 0

    @property
    def lookups(self) -> int:
        """How many options were asked of storage so far."""
        return self._lookups

    @property
    def failures(self) -> int:
        """How many of them had no answer."""
        return self._failures

    async def check(
        self,
        options: Iterable[RevocationOption],
        *,
        now: Instant,
        is_lenient: bool = False,
        is_ahead: bool = False,
        is_anew: bool = False,
    ) -> RevocationFinding:
        """Return whether any of the options has been exercised.

        Args:
            options: what to look up; none at all are trivially unrevoked.
            now: the present; remembered answers older than the time to live do not count.
            is_lenient: treat "no answer" as unrevoked whatever the operator chose. For building
                proofs, where the verifier asks again; never for admitting anything.
            is_ahead: ask already about answers that hold for less than half the time to live. For
                whoever looks regularly, so that nobody else needs to wait.
            is_anew: ask again about all that is not known to be revoked. For whoever was told that
                something may have happened; he must not do so often.

        Raises:
            StorageError: a location did not answer and nothing may be assumed.
        """
        epoch = self.epoch
        hold_ns = self._ttl_ns if is_anew else self._ttl_ns // 2 if is_ahead else 0
        until = Instant(now + hold_ns)
        wanted = tuple(dict.fromkeys(options))
        is_silence_borne = is_lenient and hold_ns == 0
        finding, unknown = self._in_memory(wanted, now, until, epoch, is_lenient=is_silence_borne)
        if not unknown:
            return finding
        fresh_until = finding.fresh_until
        batch = _Batch(tuple(unknown))
        checks = await asyncio.gather(
            *(self._ask(option, batch, now, until, is_lenient=is_lenient) for option in unknown),
            return_exceptions=True,
        )
        failure: BaseException | None = None
        for option, check in zip(unknown, checks, strict=True):
            if isinstance(check, BaseException):
                failure = failure or check
            elif check.is_revoked:
                return RevocationFinding(Standing.REVOKED, _FOREVER, epoch, option)
            else:
                fresh_until = min(fresh_until, check.fresh_until)
        await self._write_down()
        if failure is not None:
            raise failure
        return RevocationFinding(Standing.UNREVOKED, fresh_until, epoch)

    async def check_patiently(
        self, options: Iterable[RevocationOption], *, now: Instant, patience_s: float
    ) -> RevocationFinding:
        """Return whether an option is known to have been exercised, without waiting for long.

        For deciding what to use, never whom to admit: silence and slowness count as "not known",
        and are not waited for again before long.

        Args:
            options: what to look up.
            now: the present.
            patience_s: how long to wait for storage, in seconds.
        """
        wanted = tuple(dict.fromkeys(options))
        epoch = self.epoch
        known, unknown = self._in_memory(wanted, now, now, epoch, is_lenient=True)
        if not unknown:  # as with nearly every publish: it must not cost a timer
            return known
        try:
            async with asyncio.timeout(max(0.0, patience_s)):
                return await self.check(wanted, now=now, is_lenient=True)
        except TimeoutError:
            _log.warning("revocation_lookup_slow")
        for option in wanted:
            if self._known(option, now, now, is_lenient=False) is None:
                self._note_silence(option, now)
        return RevocationFinding(Standing.UNREVOKED, Instant(now + self._assumption_ns), epoch)

    async def first_revoked(
        self, options: Iterable[RevocationOption], *, now: Instant, patience_s: float
    ) -> RevocationOption | None:
        """Return an option that is known to have been exercised; see `check_patiently`."""
        finding = await self.check_patiently(options, now=now, patience_s=patience_s)
        return finding.revoked

    def known_revoked(self, options: Iterable[RevocationOption]) -> RevocationOption | None:
        """Return an option that is known in memory to have been exercised; never waits."""
        for option in options:
            if option.hash is None or option.location is None:
                if option.is_critical:
                    return option
                continue
            check = self._checks.get(option)
            if check is not None and check.is_revoked:
                return option
        return None

    async def note_revoked(self, option: RevocationOption) -> None:
        """Remember that an option was exercised through this process.

        Raises:
            StorageFaultError: the disk failed; memory has it all the same.
        """
        self._keep(option, _Check(_FOREVER, _FOREVER, is_revoked=True))
        if option.hash is not None:
            await asyncio.to_thread(self._state.remember_revoked, option.hash)

    async def aclose(self) -> None:
        """Cancel lookups in flight."""
        await self._flights.aclose()
        await self._recalls.aclose()

    def _in_memory(
        self,
        options: Iterable[RevocationOption],
        now: Instant,
        until: Instant,
        epoch: int,
        *,
        is_lenient: bool,
    ) -> tuple[RevocationFinding, list[RevocationOption]]:
        """Return what memory says of the options, and those of which it says nothing."""
        fresh_until = _FOREVER
        unknown = []
        for option in options:
            known = self._known(option, now, until, is_lenient=is_lenient)
            if known is None:
                unknown.append(option)
            elif known.is_revoked:
                return RevocationFinding(Standing.REVOKED, _FOREVER, epoch, option), []
            else:
                fresh_until = min(fresh_until, known.fresh_until)
        return RevocationFinding(Standing.UNREVOKED, fresh_until, epoch), unknown

    async def _recall(self, options: Sequence[RevocationOption], now: Instant) -> None:
        """Take what the disk knows of options into memory, all in one read."""
        named = [
            (option, option.hash, option.location)
            for option in options
            if option.hash is not None and option.location is not None
        ]
        recalled = await asyncio.to_thread(
            self._state.checks, [(name, place) for _, name, place in named]
        )
        for (option, _, _), past in zip(named, recalled, strict=True):
            check = self._check_of(past, now)
            known = self._checks.get(option)
            if check is not None and (known is None or known.checked <= check.checked):
                self._keep(option, check)

    def _check_of(self, past: PastCheck, now: Instant) -> _Check | None:
        """Return an answer that an earlier process had, whether it may still be used or not."""
        if past.is_revoked:
            return _Check(_FOREVER, now, is_revoked=True)
        if past.unrevoked_since is None:
            return None
        fresh_until = Instant(past.unrevoked_since + self._ttl_ns)
        return _Check(fresh_until, past.unrevoked_since, is_revoked=False)

    async def _write_down(self) -> None:
        """Write the answers of storage that are not on disk yet, all at once.

        They save a later process some lookups, nothing more; a caller that was cancelled leaves
        its own to the next.
        """
        unwritten, self._unwritten = self._unwritten, []
        if unwritten:
            await asyncio.to_thread(self._state.remember_all_unrevoked, unwritten)

    def _known(
        self, option: RevocationOption, now: Instant, until: Instant, *, is_lenient: bool
    ) -> _Check | None:
        """Return what is in memory and still holds."""
        if option.hash is None or option.location is None:
            # A way to revoke that is not understood counts as used if it is critical (5).
            return _Check(_FOREVER, now, is_revoked=option.is_critical)
        check = self._checks.get(option)
        if check is not None and check.is_usable(now, until):
            return check
        silence = self._silences.get(option) if is_lenient else None
        return silence if silence is not None and silence.is_usable(now, until) else None

    def _keep(self, option: RevocationOption, check: _Check) -> None:
        """Remember an answer; a revocation that is news is the end of an epoch."""
        known = self._checks.get(option)
        if known is not None and known.is_revoked:
            return  # for ever, also when an older lookup comes back now
        if check.is_revoked:
            self.epoch += 1
        self._checks.put(option, check)

    def _note_silence(self, option: RevocationOption, now: Instant) -> None:
        silence = _Check(Instant(now + self._assumption_ns), now, is_revoked=False)
        self._silences.put(option, silence)

    async def _ask(
        self,
        option: RevocationOption,
        batch: _Batch,
        now: Instant,
        until: Instant,
        *,
        is_lenient: bool,
    ) -> _Check:
        """Return what disk or storage says, or what may be assumed."""
        place, name = option.location, option.hash
        if place is None or name is None:
            raise InternalError("an option without a place was to be looked up")
        try:
            return await self._flights.run(
                (option, until > now),
                lambda: self._find_out(option, place, name, batch, now, until),
            )
        except UnavailableError as error:
            return await self._assume(option, now, error, is_lenient=is_lenient)

    async def _find_out(
        self,
        option: RevocationOption,
        place: Location,
        name: Hash,
        batch: _Batch,
        now: Instant,
        until: Instant,
    ) -> _Check:
        """Return an answer from disk if it may still be used, else from storage.

        The disk is read once for the whole batch, by whoever comes first.

        Raises:
            UnavailableError: there was no usable answer.
        """
        await self._recalls.run(batch, lambda: self._recall(batch.options, now))
        known = self._checks.get(option)
        if known is not None and known.is_usable(now, until):
            return known
        try:
            check = await self._look_up(place, name, now)
        except UnavailableError:
            self._note_silence(option, now)
            raise
        self._keep(option, check)
        return self._checks.get(option) or check

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
            self._unwritten = [*self._unwritten, (name, place, now)][-UNWRITTEN_MAX:]
        else:
            check = _Check(_FOREVER, now, is_revoked=True)
            await asyncio.to_thread(self._state.remember_revoked, name)
            _log.info("revocation_found", option=name.to_text())
        return check

    async def _assume(
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
        earlier = self._checks.get(option)
        if earlier is None:
            await self._recall((option,), now)
            earlier = self._checks.get(option)
        if earlier is not None and earlier.is_usable(now, now):
            return earlier  # it was asked for ahead of time
        end = now + self._assumption_ns
        if self._default_to_unrevoked:
            assumed = _Check(Instant(end), now, is_revoked=False)
            self._keep(option, assumed)
            return assumed
        if earlier is not None and earlier.checked <= now < earlier.checked + self._grace_ns:
            end = min(end, earlier.checked + self._grace_ns)
            assumed = _Check(Instant(end), earlier.checked, is_revoked=False)
            self._keep(option, assumed)
            return assumed
        if is_lenient:
            return _Check(Instant(end), now, is_revoked=False)
        raise StorageError("a revocation could not be looked up", cause=cause) from cause
