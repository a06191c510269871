"""Proofs for local clients: found in what their perspectives know, kept, and looked at again.

Owns the memory of built proofs, how fresh a perspective must be before "no proof" is believed, and
how long a client waits (wavemq.md 6, 11a). Refuses to know messages and signatures. Fault model:
storage may be away or slow, and what is known is used then; a proof may be revoked while it is
kept, and gives way to another within one time to live of the last lookup.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from wavemq.authz.proof_cache import HeldProof, NotFound, ProofCache
from wavemq.authz.single_flight import SingleFlight
from wavemq.clock import NANOSECONDS_PER_SECOND, Instant
from wavemq.errors import NoProofFoundError, UnavailableError
from wavemq.wave.hashes import WAVEMQ_PERMISSION_SET
from wavemq.wave.policy import Statement

if TYPE_CHECKING:
    from wavemq.authz.admission import Admission
    from wavemq.authz.bounded import CacheStatistics
    from wavemq.authz.engine import Engine
    from wavemq.authz.perspective import Perspective
    from wavemq.authz.verdict_cache import Claim
    from wavemq.authz.verdicts import BuiltProof

_log = structlog.get_logger(__name__)

SYNC_PATIENCE_SECONDS: Final = 0.55
"""How long a publish waits for a synchronization; it must be answered within 1 s (11a)."""
REVOCATION_PATIENCE_SECONDS: Final = 0.15
"""How long building a proof then waits for revocation lookups."""
SYNC_RETRY_SECONDS: Final = 5.0
"""How long after a synchronization that storage did not answer the next is tried."""
SYNC_AGE_SECONDS_MAX: Final = 60.0
"""Age at which a synchronization is repeated before "no proof" is believed."""


class ClientProofs:
    """Finds and keeps proofs.

    Args:
        engine: proves.
        admission: checks proofs that clients bring along.

    Attributes:
        built: proofs looked for and found.
        missing: proofs looked for and not found.
    """

    def __init__(self, engine: Engine, admission: Admission) -> None:
        self._engine = engine
        self._admission = admission
        self._proofs = ProofCache()
        self._building: SingleFlight[Claim, BuiltProof] = SingleFlight()
        self.built = 0
        self.missing = 0

    async def aclose(self) -> None:
        """Cancel proofs being built."""
        await self._building.aclose()

    def statistics(self) -> CacheStatistics:
        """Return how the memory of proofs fares."""
        return self._proofs.statistics()

    async def prove(
        self, perspective: Perspective, claim: Claim, custom_proof: bytes, now: Instant
    ) -> tuple[bytes, Instant]:
        """Return a proof of the claim and until when it holds.

        Args:
            perspective: whose claim it is.
            claim: what should be proved.
            custom_proof: the client's own, which is verified like a stranger's; empty: build one.
            now: the present.

        Raises:
            NoProofFoundError: no known grant gives it.
            ProofInvalidError: the client's own proof does not.
            UnavailableError: the client's own proof could not be checked.
        """
        if custom_proof:
            return custom_proof, await self._admission.check_claim(claim, custom_proof, now)
        found = self._proofs.get(claim, now=now)
        if isinstance(found, NotFound):
            raise NoProofFoundError(found.reason)
        if found is not None and await self._is_unrevoked(found, now):
            return found.proof.der, found.proof.expiry
        built = await self._building.run(claim, lambda: self._build(perspective, claim, now))
        return built.der, built.expiry

    def known(self, claim: Claim, now: Instant) -> HeldProof | None:
        """Return a proof of the claim that was found before; never waits."""
        found = self._proofs.get(claim, now=now)
        return found if isinstance(found, HeldProof) else None

    async def _is_unrevoked(self, held: HeldProof, now: Instant) -> bool:
        """Whether nothing in a proof is known to be revoked; asks unless that is known freshly."""
        revocations = self._engine.revocations
        if not held.is_fresh(now, revocations.epoch):
            held.take(
                await revocations.check_patiently(
                    held.proof.revocations, now=now, patience_s=REVOCATION_PATIENCE_SECONDS
                )
            )
        return not held.is_revoked

    async def _build(self, perspective: Perspective, claim: Claim, now: Instant) -> BuiltProof:
        """Look for a proof: in what is known, after making sure that it is known well enough."""
        state = perspective.state
        if state.synchronized is None:
            await self.synchronize(perspective, now)
        try:
            built = await self._search(perspective, claim, now)
        except NoProofFoundError as error:
            if state.synchronized is not None and not is_up_to_date(perspective, now):
                await self.synchronize(perspective, now)
                try:
                    built = await self._search(perspective, claim, now)
                except NoProofFoundError as again:
                    raise self._not_found(perspective, claim, again, now) from again
            else:
                raise self._not_found(perspective, claim, error, now) from error
        self.built += 1
        self._proofs.put(claim, built, now=now)
        return built

    async def _search(self, perspective: Perspective, claim: Claim, now: Instant) -> BuiltProof:
        statement = Statement(WAVEMQ_PERMISSION_SET, (claim.permission,), claim.resource)
        return await self._engine.prove(
            perspective,
            namespace=claim.namespace,
            statements=(statement,),
            now=now,
            patience_s=REVOCATION_PATIENCE_SECONDS,
        )

    def _not_found(
        self, perspective: Perspective, claim: Claim, error: NoProofFoundError, now: Instant
    ) -> NoProofFoundError:
        """Return the error to raise; remember it only if everything was known."""
        self.missing += 1
        if is_up_to_date(perspective, now):
            self._proofs.put(claim, NotFound(error.reason), now=now)
            return error
        return NoProofFoundError(f"{error.reason}; object storage did not answer, so try again")

    async def synchronize(self, perspective: Perspective, now: Instant) -> None:
        """Bring the graph up to date if storage lets us, without waiting for long."""
        state = perspective.state
        is_running = self._engine.is_synchronizing(perspective)
        if (
            not is_running
            and state.attempted is not None
            and _is_recent(state.attempted, now, SYNC_RETRY_SECONDS)
        ):
            return
        try:
            async with asyncio.timeout(SYNC_PATIENCE_SECONDS):
                await self._engine.resync(perspective, now=now)
        except TimeoutError:
            _log.warning("synchronization_slow", perspective=perspective.hash.to_text())
        except UnavailableError as error:
            _log.warning("synchronization_failed", reason=error.reason)


def is_up_to_date(perspective: Perspective, now: Instant) -> bool:
    """Whether the perspective was synchronized lately."""
    synchronized = perspective.state.synchronized
    return synchronized is not None and _is_recent(synchronized, now, SYNC_AGE_SECONDS_MAX)


def _is_recent(instant: Instant, now: Instant, seconds: float) -> bool:
    """Whether `instant` is at most `seconds` before `now` (or after it: the clock was set back)."""
    return now - instant <= seconds * NANOSECONDS_PER_SECOND
