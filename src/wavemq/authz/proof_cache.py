"""Proofs that this process built for its own clients, while they may be used.

Owns how long a found proof, and the absence of one, is remembered (wavemq.md 6). Refuses to know
how proofs are built and who looks revocations up. Fault model: a proof may be revoked while it is
remembered; whoever uses one asks first whether that is known freshly enough.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from wavemq.authz.bounded import BoundedCache, CacheStatistics
from wavemq.authz.revocation import Standing
from wavemq.clock import NANOSECONDS_PER_SECOND, Instant
from wavemq.wave.hashes import WAVEMQ_PERMISSION_SET, Hash
from wavemq.wave.policy import Statement, is_subset

if TYPE_CHECKING:
    from wavemq.authz.revocation import RevocationFinding
    from wavemq.authz.verdict_cache import Claim
    from wavemq.authz.verdicts import BuiltProof

FOUND_SECONDS_MAX: Final = 6 * 3600
"""How long a built proof is used at most."""
NOT_FOUND_SECONDS_MAX: Final = 5 * 60
"""How long "no proof" holds when everything that could be known was known."""
OUTCOMES_MAX: Final = 16_384
"""Outcomes in memory; many share one proof."""
ENTITIES_MAX: Final = 512
"""(Namespace, entity) pairs whose proofs are shared between claims."""
PROOFS_PER_ENTITY_MAX: Final = 4
"""Proofs of one pair that are tried on a new claim, about 55 KiB each."""


@dataclass(frozen=True, slots=True)
class NotFound:
    """There was no proof."""

    reason: str


@dataclass(slots=True)
class HeldProof:
    """A built proof and what is known of its revocation; all claims that it covers share one.

    Attributes:
        proof: as it was built.
        since: when.
        until: when it is built anew.
        fresh_until: until when its revocation options need not be looked up again.
        epoch: of the revocations that were known when they were.
        is_revoked: whether one was exercised.
    """

    proof: BuiltProof
    since: Instant
    until: Instant
    fresh_until: Instant
    epoch: int = -1
    is_revoked: bool = False

    def is_usable(self, now: Instant) -> bool:
        """Whether it may be shown, as far as is known."""
        return self.since <= now < self.until and not self.is_revoked

    def is_fresh(self, now: Instant, epoch: int) -> bool:
        """Whether that need not be looked up again."""
        return now < self.fresh_until and epoch == self.epoch

    def take(self, finding: RevocationFinding) -> None:
        """Take note of what was looked up."""
        self.fresh_until, self.epoch = finding.fresh_until, finding.epoch
        self.is_revoked = finding.standing is Standing.REVOKED


@dataclass(frozen=True, slots=True)
class _Absence:
    outcome: NotFound
    since: Instant
    until: Instant

    def is_usable(self, now: Instant) -> bool:
        return self.since <= now < self.until


class ProofCache:
    """Remembers the outcomes of building proofs, by everything that was asked for.

    A proof that was built for one topic mostly covers the entity's other topics as well; it is
    then shared, which saves building, memory, and sending it again to a peer.
    """

    __slots__ = ("_outcomes", "_shared")

    def __init__(self) -> None:
        self._outcomes: BoundedCache[Claim, HeldProof | _Absence] = BoundedCache(OUTCOMES_MAX)
        self._shared: BoundedCache[tuple[Hash, Hash], tuple[HeldProof, ...]] = BoundedCache(
            ENTITIES_MAX
        )

    def get(self, claim: Claim, *, now: Instant) -> HeldProof | NotFound | None:
        """Return the outcome for `claim`, if there is one that may still be used."""
        remembered = self._outcomes.get(claim)
        if remembered is not None and remembered.is_usable(now):
            return remembered if isinstance(remembered, HeldProof) else remembered.outcome
        required = (Statement(WAVEMQ_PERMISSION_SET, (claim.permission,), claim.resource),)
        for held in self._shared.get((claim.namespace, claim.entity)) or ():
            policy = held.proof.policy
            if held.is_usable(now) and is_subset(replace(policy, statements=required), policy):
                self._outcomes.put(claim, held)
                return held
        return None

    def put(self, claim: Claim, outcome: BuiltProof | NotFound, *, now: Instant) -> None:
        """Remember an outcome reached at `now`; a proof's revocations are to be looked up yet."""
        if isinstance(outcome, NotFound):
            end = now + NOT_FOUND_SECONDS_MAX * NANOSECONDS_PER_SECOND
            self._outcomes.put(claim, _Absence(outcome, now, Instant(end)))
            return
        end = min(now + FOUND_SECONDS_MAX * NANOSECONDS_PER_SECOND, outcome.expiry)
        held = HeldProof(outcome, now, Instant(end), fresh_until=now)
        self._outcomes.put(claim, held)
        pair = (claim.namespace, claim.entity)
        others = tuple(one for one in self._shared.get(pair) or () if one.is_usable(now))
        self._shared.put(pair, (held, *others)[:PROOFS_PER_ENTITY_MAX])

    def statistics(self) -> CacheStatistics:
        """Return how the cache fares."""
        return self._outcomes.statistics()
