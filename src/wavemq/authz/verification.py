"""The verifier with everything around it: objects fetched, revocations looked up.

Owns the loop between the pure verifier, which names what it lacks, and storage. Refuses to judge.
Fault model: a proof may ask for any objects; rounds and objects are bounded. Storage that does
not answer is raised and leaves no trace.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from wavemq.authz.revocation import Standing
from wavemq.authz.verdicts import MissingObjectsError, Need, ProofVerdict
from wavemq.authz.verifier import ProofWorld, verify_proof
from wavemq.errors import InternalError, ProofInvalidError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wavemq.authz.library import Library
    from wavemq.authz.revocation import RevocationChecker, RevocationFinding
    from wavemq.authz.skew import SkewWarnings
    from wavemq.authz.workers import Workers
    from wavemq.clock import Instant
    from wavemq.wave.hashes import Hash
    from wavemq.wave.policy import RTreePolicy
    from wavemq.wave.revocation import RevocationOption

FETCH_ROUNDS_MAX: Final = 4
"""Times that one verification may ask for objects: contents, then entities, and some to spare."""


class ProofChecker:
    """Verifies proofs against storage.

    Args:
        library: where missing objects come from.
        revocations: looks revocation options up.
        workers: where the verifier runs.
        skew: told of proofs that begin in the future.
    """

    def __init__(
        self,
        library: Library,
        revocations: RevocationChecker,
        workers: Workers,
        skew: SkewWarnings,
    ) -> None:
        self._skew = skew
        self._library = library
        self._revocations = revocations
        self._workers = workers
        self._verified = 0

    @property
    def verified(self) -> int:
        """How many proofs have been found to hold."""
        return self._verified

    async def verify(
        self,
        proof: bytes,
        *,
        now: Instant,
        required: RTreePolicy | None = None,
        subject: Hash | None = None,
    ) -> ProofVerdict:
        """Return what a proof proves now, revocations included (wave.md 9.3).

        Args:
            proof: an ExplicitProof wire object.
            now: the present.
            required: what the proof must grant at least.
            subject: who the proof must be for.

        Raises:
            ProofInvalidError: the proof does not hold, or proves something else.
            StorageError: storage must be asked and does not answer.
        """
        verdict = await self.verify_structure(proof, now=now, required=required, subject=subject)
        await self.check_unrevoked(verdict.revocations, now=now)
        return verdict

    async def verify_structure(
        self,
        proof: bytes,
        *,
        now: Instant,
        required: RTreePolicy | None = None,
        subject: Hash | None = None,
        namespace: Hash | None = None,
    ) -> ProofVerdict:
        """Return what a proof proves, revocations aside; objects that it lacks are fetched.

        Args:
            proof: an ExplicitProof wire object.
            now: the present.
            required: what the proof must grant at least.
            subject: who the proof must be for.
            namespace: whose authority the proof must be about; that of `required` if None.

        Raises:
            ProofInvalidError: the proof does not hold, or proves something else.
            StorageError: storage must be asked and does not answer.
        """
        world = ProofWorld(entities=self._library.memory)
        for _ in range(FETCH_ROUNDS_MAX):
            try:
                verdict = await self._workers.run(
                    verify_proof,
                    proof,
                    world,
                    now=now,
                    required=required,
                    subject=subject,
                    namespace=namespace,
                )
            except MissingObjectsError as error:
                world = await self._fetch(world, error.needs)
                continue
            self._verified += 1
            self._skew.note(verdict.begins, now=now)
            self._library.remember_entity(verdict.subject_entity)
            return verdict
        raise InternalError("a proof kept asking for objects that it had been given")

    async def check_unrevoked(
        self,
        options: Iterable[RevocationOption],
        *,
        now: Instant,
        is_lenient: bool = False,
        is_ahead: bool = False,
        is_anew: bool = False,
    ) -> RevocationFinding:
        """Check that nothing is revoked; return until when that need not be asked again.

        Args:
            options: what to look up.
            now: the present.
            is_lenient: as in `RevocationChecker.check`.
            is_ahead: as there.
            is_anew: as there.

        Raises:
            ProofInvalidError: something is.
            StorageError: storage must be asked and does not answer.
        """
        finding = await self._revocations.check(
            options, now=now, is_lenient=is_lenient, is_ahead=is_ahead, is_anew=is_anew
        )
        if finding.standing is Standing.REVOKED:
            raise ProofInvalidError("proof contains expired or revoked attestations")
        return finding

    async def _fetch(self, world: ProofWorld, needs: frozenset[Need]) -> ProofWorld:
        """Return `world` with the objects that a verification lacks, or with their absence.

        Raises:
            StorageError: storage does not answer.
        """
        # Their number is bounded by the verifier's own limits on references.
        wanted = sorted(needs, key=lambda need: need.hash.to_bytes())
        contents = await asyncio.gather(
            *(self._library.object(need.hash, need.locations) for need in wanted)
        )
        found = {
            need.hash: content
            for need, content in zip(wanted, contents, strict=True)
            if content is not None
        }
        absent = frozenset(need.hash for need in wanted if need.hash not in found)
        return replace(world, objects={**world.objects, **found}, absent=world.absent | absent)
