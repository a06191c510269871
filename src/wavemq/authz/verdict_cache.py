"""Verdicts about claims, remembered under every input that they depend on.

Owns the key, the two lives (granted and denied) and the bound. Refuses to know how a verdict is
reached. Fault model: callers offer proofs of their choice, so the number of verdicts is bounded;
a verdict is found again only for the same namespace, entity, permission, resource and, byte for
byte, the same proof. "Could not fetch" is never given to this cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from wavemq.authz.bounded import BoundedCache, CacheStatistics
from wavemq.authz.proof_names import ProofNames
from wavemq.clock import NANOSECONDS_PER_SECOND, Instant

if TYPE_CHECKING:
    from wavemq.wave.entity import Entity
    from wavemq.wave.hashes import Hash

GRANTED_SECONDS_MAX: Final = 6 * 3600
"""How long a verdict "granted" is used at most (wavemq.md 9)."""
DENIED_SECONDS_MAX: Final = 5 * 60
"""How long a verdict "denied" is used."""
VERDICTS_MAX: Final = 65_536
"""Verdicts in memory, about 1 KiB each with their revocation options."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What somebody says a proof allows him.

    Attributes:
        namespace: whose authority is used.
        entity: who uses it.
        permission: of the WAVEMQ permission set.
        resource: the topic or topic filter.
    """

    namespace: Hash
    entity: Hash
    permission: str
    resource: str


@dataclass(frozen=True, slots=True)
class Granted:
    """The claim holds.

    Attributes:
        until: the first instant at which a part of the proof ceases to be valid.
        fresh_until: until when its revocation options need not be looked up again.
        epoch: of the revocations that were known then; in a later one they must be.
        signer: the entity that claims, whose signature the request must bear.
    """

    until: Instant
    fresh_until: Instant
    epoch: int
    signer: Entity


@dataclass(frozen=True, slots=True)
class Denied:
    """The claim does not hold, for this reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class _Remembered:
    verdict: Granted | Denied
    since: Instant
    until: Instant


class VerdictCache:
    """Remembers verdicts while they may be used.

    Args:
        verdicts_max: how many.
        names: what a proof is called in the key.
    """

    __slots__ = ("_names", "_verdicts")

    def __init__(
        self, verdicts_max: int = VERDICTS_MAX, *, names: ProofNames | None = None
    ) -> None:
        self._names = ProofNames() if names is None else names
        self._verdicts: BoundedCache[tuple[Claim, bytes], _Remembered] = BoundedCache(verdicts_max)

    def get(self, claim: Claim, proof: bytes, *, now: Instant) -> Granted | Denied | None:
        """Return the verdict on `claim` by `proof`, if there is one that may still be used."""
        remembered = self._verdicts.get((claim, self._names.name(proof)))
        if remembered is None or not remembered.since <= now < remembered.until:
            return None
        return remembered.verdict

    def put(self, claim: Claim, proof: bytes, verdict: Granted | Denied, *, now: Instant) -> None:
        """Remember a verdict reached at `now`."""
        name = self._names.name(proof)
        if isinstance(verdict, Granted):
            self._names.keep(proof, name)
            # A proof is good through its last instant, so it ends just after it.
            end = min(now + GRANTED_SECONDS_MAX * NANOSECONDS_PER_SECOND, verdict.until + 1)
        else:
            end = now + DENIED_SECONDS_MAX * NANOSECONDS_PER_SECOND
        self._verdicts.put((claim, name), _Remembered(verdict, now, Instant(end)))

    def statistics(self) -> CacheStatistics:
        """Return how the cache fares."""
        return self._verdicts.statistics()
