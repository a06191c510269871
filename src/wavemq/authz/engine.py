"""The authority of one process: perspectives, proofs, objects and their validity.

Owns the parts and their shared memory and disk, and is what routers and tools talk to. Refuses to
know routers, topics and the command line, and makes no `Verified`. Fault model: storage may be
slow or away at any time: what is known is used, what is not raises `UnavailableError`, and no such
failure is remembered as an answer. All methods belong to one event loop.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Self

from wavemq.authz.cipher import ContentCipher
from wavemq.authz.config import EngineConfig, EngineStatistics
from wavemq.authz.discovery import SyncProgress, SyncReport
from wavemq.authz.granting import grant
from wavemq.authz.inspection import FoundAttestation, FoundEntity, lookup, resolve
from wavemq.authz.jedi_cipher import JEDICipher
from wavemq.authz.library import Library
from wavemq.authz.naming import Naming
from wavemq.authz.perspective import Perspective
from wavemq.authz.perspectives import Perspectives
from wavemq.authz.proving import prove
from wavemq.authz.revocation import RevocationChecker
from wavemq.authz.revoking import Revoking
from wavemq.authz.skew import SkewWarnings
from wavemq.authz.state import AuthorityState
from wavemq.authz.validity import ValidityChecker
from wavemq.authz.verdicts import BuiltProof, ProofVerdict, Validity
from wavemq.authz.verification import ProofChecker
from wavemq.authz.workers import Workers
from wavemq.errors import LookupFailureError
from wavemq.wave.attestation import Attestation
from wavemq.wave.attestation_open import check_outer_signature
from wavemq.wave.validity import Validity as Period

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import TracebackType

    from wavemq.authz.objects import ObjectStore
    from wavemq.clock import Instant
    from wavemq.wave.attestation import VerifierBody
    from wavemq.wave.attestation_create import CreatedAttestation
    from wavemq.wave.entity import Entity
    from wavemq.wave.hashes import Hash
    from wavemq.wave.keyring import EntitySecret
    from wavemq.wave.location import Location
    from wavemq.wave.policy import Policy, RTreePolicy, Statement

__all__ = [
    "Engine",
    "EngineConfig",
    "EngineStatistics",
    "FoundAttestation",
    "FoundEntity",
    "Perspective",
    "SyncProgress",
    "SyncReport",
]

PATIENCE_SECONDS: Final = 5.0
"""How long building a proof waits to hear whether something in it is revoked."""


class Engine:
    """Authority over one object storage and one state directory.

    Args:
        store: object storage; not closed by the engine.
        state_dir: where to remember things, mode 0700; None keeps everything in memory.
        config: the operator's decisions.

    Attributes:
        jedi: encryption by topic and hour.
        proofs: the verifier; `verify` below is its whole, its parts are for the doors.
        naming: names of entities: making, resolving.
        revoking: revocation of what a perspective made.
        revocations: what is known to be revoked.

    Raises:
        StorageFaultError: the state directory cannot be used.
    """

    def __init__(self, store: ObjectStore, state_dir: Path | None, config: EngineConfig) -> None:
        self.store = store
        self.config = config
        self._state = AuthorityState(state_dir)
        self._workers = Workers()
        self._library = Library(store, self._state, config.locations or (config.default_location,))
        self.revocations = RevocationChecker(
            store,
            self._state,
            ttl_s=config.revocation_ttl_s,
            grace_s=config.revocation_grace_s,
            default_to_unrevoked=config.default_to_unrevoked,
        )
        self._skew = SkewWarnings()
        self._validity = ValidityChecker(self._library, self.revocations, self._skew)
        self._cipher = ContentCipher(self._library, self.revocations, self._workers)
        self.jedi = JEDICipher(self._library, self.revocations, self._workers)
        self.proofs = ProofChecker(self._library, self.revocations, self._workers, self._skew)
        self._perspectives = Perspectives(store, self._library, self._state, self._workers, config)
        self.naming = Naming(store, self._library, self._validity, self._state, self._workers)
        self.revoking = Revoking(store, self._library, self.revocations)
        self._proofs_built = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Cancel what is running in the background and close the state."""
        await self._perspectives.aclose()
        await self._cipher.aclose()
        await self.jedi.aclose()
        await self._library.aclose()
        await self.revocations.aclose()
        await asyncio.to_thread(self._workers.close)
        await asyncio.to_thread(self._state.close)

    def statistics(self) -> EngineStatistics:
        """Return the counts."""
        return EngineStatistics(
            perspectives=len(self._perspectives),
            entities=self._library.statistics(),
            revocation_lookups=self.revocations.lookups,
            revocation_failures=self.revocations.failures,
            proofs_verified=self.proofs.verified,
            proofs_built=self._proofs_built,
            skews_tolerated=self._skew.count,
        )

    # --- perspectives -----------------------------------------------------------------------

    async def perspective(
        self, secret: EntitySecret, location: Location | None = None
    ) -> Perspective:
        """Return the handle of an entity whose secret is open; see `Perspectives.open`."""
        return await self._perspectives.open(secret, location)

    async def resync(
        self,
        perspective: Perspective,
        *,
        now: Instant,
        progress: Callable[[SyncProgress], None] | None = None,
    ) -> SyncReport:
        """Bring the perspective's graph up to date; see `Perspectives.synchronize`."""
        return await self._perspectives.synchronize(perspective, now=now, progress=progress)

    async def mark_interesting(
        self, perspective: Perspective, entity: Hash, location: Location
    ) -> None:
        """Have a perspective read an entity's queue from its next synchronization on.

        Args:
            perspective: who is interested; remembered on disk.
            entity: in whom.
            location: where the entity's queue is.

        Raises:
            InvalidParameterError: the perspective follows as many entities as it may.
        """
        await perspective.state.discovery.follow(entity, location)

    async def add_attestation(
        self, perspective: Perspective, der: bytes, prover_key: bytes = b"", *, now: Instant
    ) -> None:
        """Take an attestation into a perspective's graph (wave.md 14.4), however it came.

        Doing it again changes nothing.

        Args:
            perspective: whose graph.
            der: the wire object, DER or PEM; need not be in storage.
            prover_key: 84 bytes that open it; without it the perspective's own keys are tried,
                and, if they do not open it, those that later grants bring.
            now: the present.

        Raises:
            ObjectError: it is no sound attestation, forged, or the prover key is not its key.
            LookupFailureError: an entity that it names is not in storage.
            StorageError: storage did not answer.
            InvalidParameterError: the perspective has no room for it.
        """
        attestation = Attestation.from_bytes(der)
        await perspective.state.discovery.add(attestation, prover_key)

    def known_perspective(
        self, entity_hash: Hash, location: Location | None = None
    ) -> Perspective | None:
        """Return the handle of an entity whose secret was opened lately; never waits."""
        return self._perspectives.known(entity_hash, location or self.config.default_location)

    def is_synchronizing(self, perspective: Perspective) -> bool:
        """Whether a synchronization of this perspective is running."""
        return self._perspectives.is_synchronizing(perspective)

    # --- proofs -----------------------------------------------------------------------------

    async def prove(
        self,
        perspective: Perspective,
        *,
        namespace: Hash,
        statements: Sequence[Statement],
        now: Instant,
        subject: Hash | None = None,
        patience_s: float = PATIENCE_SECONDS,
    ) -> BuiltProof:
        """Build a proof from what the perspective knows; synchronize first for what is new.

        Args:
            perspective: whose knowledge is used.
            namespace: whose authority is asked for.
            statements: what should be granted.
            now: when the proof must hold.
            subject: who should have it; the perspective if None.
            patience_s: how long to wait for revocation lookups, in seconds; afterwards what is
                not known to be revoked is used, and the verifier decides.

        Raises:
            InvalidParameterError: the request is empty, too large or malformed.
            NoProofFoundError: no combination of known grants gives it.
            StorageError: an attestation was forgotten and storage does not answer.
        """
        built = await prove(
            perspective.state.graph.grants(),
            namespace=namespace,
            subject=subject or perspective.hash,
            statements=statements,
            now=now,
            patience_s=patience_s,
            library=self._library,
            revocations=self.revocations,
            workers=self._workers,
        )
        self._proofs_built += 1
        return built

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
            proof: an ExplicitProof wire object, DER.
            now: the present.
            required: what the proof must grant at least.
            subject: who the proof must be for.

        Raises:
            ProofInvalidError: the proof does not hold, or proves something else.
            StorageError: storage must be asked and does not answer.
        """
        return await self.proofs.verify(proof, now=now, required=required, subject=subject)

    # --- objects ----------------------------------------------------------------------------

    async def entity(self, entity_hash: Hash, location: Location | None = None) -> Entity:
        """Return an entity, genuine but not necessarily valid.

        Args:
            entity_hash: which one.
            location: where it should be; every configured storage is tried if None.

        Raises:
            LookupFailureError: it is not in storage.
            StorageError: storage does not answer.
            ObjectError: the object with that hash is not a sound entity.
        """
        return await self._library.required_entity(entity_hash, (location,))

    async def object(self, object_hash: Hash, locations: Sequence[Location] = ()) -> bytes:
        """Return a wire object, from here or from storage.

        Args:
            object_hash: which one.
            locations: where it should be; every configured storage is tried if there are none.

        Raises:
            LookupFailureError: it is not in storage.
            StorageError: storage does not answer.
        """
        content = await self._library.object(object_hash, locations)
        if content is None:
            raise LookupFailureError(f"the object {object_hash.to_text()} is not in storage")
        return content

    async def valid_entity(
        self, entity_hash: Hash, location: Location | None = None, *, now: Instant
    ) -> Entity:
        """Return an entity that is neither expired, nor revoked, nor of the future.

        Raises:
            LookupFailureError: it is not in storage.
            ProofInvalidError: it is not valid.
            StorageError: storage does not answer.
            ObjectError: the object with that hash is not a sound entity.
        """
        return await self._validity.valid_entity(entity_hash, location, now=now)

    async def entity_validity(self, entity: Entity, *, now: Instant) -> Validity:
        """Return how an entity stands (wave.md 3.5).

        Raises:
            StorageError: its revocation cannot be looked up.
        """
        return await self._validity.entity(entity, now=now)

    async def attestation_validity(
        self, attestation: Attestation, body: VerifierBody | None, *, now: Instant
    ) -> Validity:
        """Return how an attestation stands (wave.md 7.4); `body` is None while it is not open.

        Raises:
            LookupFailureError: an entity that it names is not in storage.
            StorageError: storage does not answer.
        """
        return await self._validity.attestation(attestation, body, now=now)

    def known_entity(self, entity_hash: Hash) -> Entity | None:
        """Return an entity if it is in memory; never waits."""
        return self._library.known_entity(entity_hash)

    # --- contents ---------------------------------------------------------------------------

    async def encrypt(
        self,
        content: bytes,
        *,
        now: Instant,
        namespace: Hash | None = None,
        namespace_location: Location | None = None,
        resource: str = "",
        recipient: Hash | None = None,
        recipient_location: Location | None = None,
        valid_from: Instant | None = None,
        valid_until: Instant | None = None,
    ) -> bytes:
        """Return `content` encrypted end to end; see `ContentCipher.encrypt`."""
        return await self._cipher.encrypt(
            content,
            now=now,
            namespace=namespace,
            namespace_location=namespace_location or self.config.default_location,
            resource=resource,
            recipient=recipient,
            recipient_location=recipient_location,
            period=Period(valid_from or now, valid_until or now),
        )

    async def decrypt(self, perspective: Perspective, ciphertext: bytes) -> bytes:
        """Return what was encrypted; see `ContentCipher.decrypt`."""
        return await self._cipher.decrypt(perspective, ciphertext)

    # --- for tools --------------------------------------------------------------------------

    async def grant(
        self,
        perspective: Perspective,
        *,
        subject: Hash,
        subject_location: Location,
        policy: Policy,
        valid_from: Instant,
        valid_until: Instant,
        now: Instant,
        visibility: Sequence[bytes] = (),
        is_encrypted: bool = True,
    ) -> CreatedAttestation:
        """Make an attestation by the perspective (wave.md 4.2, 14.4); see `granting.grant`."""
        return await grant(
            perspective,
            subject=subject,
            subject_location=subject_location,
            policy=policy,
            period=Period(valid_from, valid_until),
            now=now,
            visibility=visibility,
            is_encrypted=is_encrypted,
            library=self._library,
            validity=self._validity,
            workers=self._workers,
        )

    async def publish_entity(self, entity: Entity, location: Location) -> Hash:
        """Store an entity; return its hash.

        Raises:
            StorageError, UnsupportedLocationSchemeError: it may not have been stored.
        """
        return await self.store.put(location, entity.wire)

    async def publish_attestation(self, attestation: Attestation) -> Hash:
        """Store an attestation at its subject's location and tell the subject's queue (8.3).

        Raises:
            InvalidSignatureError: its outer signature does not hold.
            StorageError, UnsupportedLocationSchemeError: it may not have been stored.
        """
        await self._workers.run(check_outer_signature, attestation)
        place = attestation.subject_location
        stored = await self.store.put(place, attestation.wire)
        await self.store.enqueue(place, attestation.subject, stored)
        return stored

    async def lookup(
        self,
        perspective: Perspective,
        *,
        now: Instant,
        attester: Hash | None = None,
        subject: Hash | None = None,
    ) -> list[FoundAttestation]:
        """Return the open attestations that the perspective knows, with how they stand now.

        Args:
            perspective: whose knowledge.
            now: the present.
            attester: only those by this entity.
            subject: only those to this entity.

        Raises:
            StorageError: a revocation cannot be looked up.
            LookupFailureError: an object was forgotten here and is not in storage any more.
        """
        return await lookup(
            perspective.state.graph.grants(),
            attester=attester,
            subject=subject,
            now=now,
            library=self._library,
            validity=self._validity,
        )

    async def resolve(
        self, object_hash: Hash, *, now: Instant, perspective: Perspective | None = None
    ) -> FoundEntity | FoundAttestation:
        """Return the entity or attestation with that hash, wherever it is stored.

        Args:
            object_hash: of either.
            now: the present.
            perspective: whose keys may open an attestation.

        Raises:
            LookupFailureError: no configured storage has it.
            StorageError: storage does not answer.
            ObjectError: it is neither an entity nor an attestation.
        """
        return await resolve(
            object_hash,
            now=now,
            perspective=perspective,
            locations=self.config.locations or (self.config.default_location,),
            library=self._library,
            store=self.store,
            validity=self._validity,
            workers=self._workers,
        )
