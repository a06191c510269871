"""Proofs that this process built for its own clients, while they may be used.

Owns how long a found proof, and the absence of one, is remembered (wavemq.md 6). Refuses to know
how proofs are built. Fault model: a proof may be revoked while it is remembered; everybody who is
shown it checks that, and here it is built anew before long.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from wavemq.authz.bounded import BoundedCache, CacheStatistics
from wavemq.authz.verdicts import BuiltProof
from wavemq.clock import NANOSECONDS_PER_SECOND, Instant
from wavemq.wave.hashes import WAVEMQ_PERMISSION_SET, Hash
from wavemq.wave.policy import Statement, is_subset

if TYPE_CHECKING:
    from wavemq.authz.verdict_cache import Claim

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


@dataclass(frozen=True, slots=True)
class _Remembered:
    outcome: BuiltProof | NotFound
    since: Instant
    until: Instant

    def is_usable(self, now: Instant) -> bool:
        return self.since <= now < self.until


class ProofCache:
    """Remembers the outcomes of building proofs, by everything that was asked for.

    A proof that was built for one topic mostly covers the entity's other topics as well; it is
    then shared, which saves building, memory, and sending it again to a peer.

    Args:
        found_s: how long a proof is used before it is built anew, which finds revocations, in
            seconds; at most `FOUND_SECONDS_MAX`.
    """

    __slots__ = ("_found_ns", "_outcomes", "_shared")

    def __init__(self, *, found_s: float = FOUND_SECONDS_MAX) -> None:
        self._found_ns = round(min(found_s, FOUND_SECONDS_MAX) * NANOSECONDS_PER_SECOND)
        self._outcomes: BoundedCache[Claim, _Remembered] = BoundedCache(OUTCOMES_MAX)
        self._shared: BoundedCache[tuple[Hash, Hash], tuple[_Remembered, ...]] = BoundedCache(
            ENTITIES_MAX
        )

    def get(self, claim: Claim, *, now: Instant) -> BuiltProof | NotFound | None:
        """Return the outcome for `claim`, if there is one that may still be used."""
        remembered = self._outcomes.get(claim)
        if remembered is not None and remembered.is_usable(now):
            return remembered.outcome
        required = (Statement(WAVEMQ_PERMISSION_SET, (claim.permission,), claim.resource),)
        for shared in self._shared.get((claim.namespace, claim.entity)) or ():
            proof = shared.outcome
            if (
                isinstance(proof, BuiltProof)
                and shared.is_usable(now)
                and is_subset(replace(proof.policy, statements=required), proof.policy)
            ):
                self._outcomes.put(claim, shared)
                return proof
        return None

    def put(self, claim: Claim, outcome: BuiltProof | NotFound, *, now: Instant) -> None:
        """Remember an outcome reached at `now`."""
        if isinstance(outcome, NotFound):
            end = now + NOT_FOUND_SECONDS_MAX * NANOSECONDS_PER_SECOND
            self._outcomes.put(claim, _Remembered(outcome, now, Instant(end)))
            return
        end = min(now + self._found_ns, outcome.expiry)
        remembered = _Remembered(outcome, now, Instant(end))
        self._outcomes.put(claim, remembered)
        pair = (claim.namespace, claim.entity)
        others = self._shared.get(pair) or ()
        self._shared.put(pair, (remembered, *others)[:PROOFS_PER_ENTITY_MAX])

    def statistics(self) -> CacheStatistics:
        """Return how the cache fares."""
        return self._outcomes.statistics()
