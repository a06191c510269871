"""The authority of one process: perspectives, proofs, objects and their validity.

Owns the parts and their shared memory and disk, and is what routers and tools talk to. Refuses to
know routers, topics and the command line, and makes no `Verified`. Fault model: storage may be
slow or away at any time: what is known is used, what is not raises `UnavailableError`, and no such
failure is remembered as an answer. All methods belong to one event loop.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Self

import structlog

from wavemq.authz.discovery import Discovery, SyncProgress, SyncReport
from wavemq.authz.granting import grant
from wavemq.authz.graph import PerspectiveGraph
from wavemq.authz.inspection import FoundAttestation, FoundEntity, lookup, resolve
from wavemq.authz.library import Library
from wavemq.authz.perspective import (
    Perspective,
    PerspectiveState,
    check_possession,
    check_same_secret,
)
from wavemq.authz.proving import prove
from wavemq.authz.revocation import RevocationChecker, Standing
from wavemq.authz.sealing import Sealer
from wavemq.authz.single_flight import SingleFlight
from wavemq.authz.state import AuthorityState
from wavemq.authz.validity import ValidityChecker, period_of_entity
from wavemq.authz.verdicts import (
    BuiltProof,
    MissingObjectsError,
    Need,
    ProofVerdict,
    Validity,
)
from wavemq.authz.verifier import ProofWorld, verify_proof
from wavemq.authz.workers import Workers
from wavemq.errors import (
    InternalError,
    InvalidParameterError,
    LookupFailureError,
    ProofInvalidError,
)
from wavemq.wave.attestation_open import check_outer_signature
from wavemq.wave.encrypted import decrypt_message, encrypt_message
from wavemq.wave.validity import Validity as Period

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path
    from types import TracebackType

    from wavemq.authz.bounded import CacheStatistics
    from wavemq.authz.objects import ObjectStore
    from wavemq.clock import Instant
    from wavemq.wave.attestation import Attestation, VerifierBody
    from wavemq.wave.attestation_create import CreatedAttestation
    from wavemq.wave.entity import Entity
    from wavemq.wave.hashes import Hash
    from wavemq.wave.keyring import EntitySecret
    from wavemq.wave.location import Location
    from wavemq.wave.policy import Policy, RTreePolicy, Statement
    from wavemq.wave.revocation import RevocationOption

_log = structlog.get_logger(__name__)

PERSPECTIVES_MAX: Final = 1024
"""Perspectives that one engine holds; the clients of a site router are far fewer."""
FETCH_ROUNDS_MAX: Final = 4
"""Times that one verification may ask for objects: contents, then entities, and some to spare."""
FETCHED_PER_ROUND_MAX: Final = 4096
"""Objects that one verification may ask for at a time (the verifier's own bounds are below)."""
ENCRYPTION_PATIENCE_SECONDS: Final = 0.25
"""How long encrypting waits to hear whether whom it is for was revoked."""
PATIENCE_SECONDS: Final = 5.0
"""How long building a proof waits to hear whether something in it is revoked."""


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """What the operator decides about authority.

    Attributes:
        default_location: the storage named `default`.
        locations: every configured storage, in the order in which objects of unknown place are
            looked for; the default one alone if empty.
        default_to_unrevoked: treat a revocation that cannot be looked up as not made.
        revocation_ttl_s: how long "not revoked" holds before it is looked up again, in seconds.
    """

    default_location: Location
    locations: tuple[Location, ...] = ()
    default_to_unrevoked: bool = False
    revocation_ttl_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class EngineStatistics:
    """How an engine fares; all numbers but `perspectives` and `entities` only grow."""

    perspectives: int
    entities: CacheStatistics
    revocation_lookups: int
    revocation_failures: int
    proofs_verified: int
    proofs_built: int


class Engine:
    """Authority over one object storage and one state directory.

    Args:
        store: object storage; not closed by the engine.
        state_dir: where to remember things, mode 0700; None keeps everything in memory.
        config: the operator's decisions.

    Raises:
        StorageFaultError: the state directory cannot be used.
    """

    def __init__(self, store: ObjectStore, state_dir: Path | None, config: EngineConfig) -> None:
        self.store = store
        self.config = config
        self._state = AuthorityState(state_dir)
        self._workers = Workers()
        self._library = Library(store, self._state, config.locations or (config.default_location,))
        self._revocations = RevocationChecker(
            store,
            self._state,
            ttl_s=config.revocation_ttl_s,
            default_to_unrevoked=config.default_to_unrevoked,
        )
        self._validity = ValidityChecker(self._library, self._revocations)
        self._perspectives: dict[Hash, PerspectiveState] = {}
        self._loading: SingleFlight[Hash, PerspectiveState] = SingleFlight()
        self._syncing: SingleFlight[Hash, SyncReport] = SingleFlight()
        self._proofs_verified = 0
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
        await self._syncing.aclose()
        await self._loading.aclose()
        await self._library.aclose()
        await self._revocations.aclose()
        await asyncio.to_thread(self._workers.close)
        await asyncio.to_thread(self._state.close)

    def statistics(self) -> EngineStatistics:
        """Return the counts."""
        return EngineStatistics(
            perspectives=len(self._perspectives),
            entities=self._library.statistics(),
            revocation_lookups=self._revocations.lookups,
            revocation_failures=self._revocations.failures,
            proofs_verified=self._proofs_verified,
            proofs_built=self._proofs_built,
        )

    # --- perspectives -----------------------------------------------------------------------

    async def perspective(
        self, secret: EntitySecret, location: Location | None = None
    ) -> Perspective:
        """Return the handle of an entity whose secret the caller has opened.

        State is kept by entity hash; the secret is checked against the entity every time.

        Args:
            secret: the entity with its keys.
            location: where the entity is stored; the default location if None.

        Raises:
            InvalidParameterError: the keys do not belong to the entity, or there are too many
                perspectives.
        """
        location = location or self.config.default_location
        entity_hash = secret.entity.hash
        state = self._perspectives.get(entity_hash)
        if state is None:
            check_possession(secret)
            if len(self._perspectives) + len(self._loading) >= PERSPECTIVES_MAX:
                raise InvalidParameterError(
                    f"there are {PERSPECTIVES_MAX} perspectives in use already"
                )
            state = await self._loading.run(entity_hash, lambda: self._load(secret, location))
        check_same_secret(secret, state.secret)
        state.graph.note_interesting(entity_hash, location)
        return Perspective(secret, location, state)

    async def _load(self, secret: EntitySecret, location: Location) -> PerspectiveState:
        self._library.remember_entity(secret.entity)
        discovery = Discovery(
            graph=PerspectiveGraph(secret.entity.hash, location),
            reader=secret,
            sealer=Sealer(secret.secret64),
            store=self.store,
            library=self._library,
            state=self._state,
            workers=self._workers,
        )
        await discovery.load()
        state = PerspectiveState(secret, discovery)
        self._perspectives[secret.entity.hash] = state
        return state

    async def resync(
        self,
        perspective: Perspective,
        *,
        now: Instant,
        progress: Callable[[SyncProgress], None] | None = None,
    ) -> SyncReport:
        """Bring the perspective's graph up to date with storage.

        Storage that does not answer is reported, not raised. Callers at the same time share one
        synchronization; only the first one's `progress` is called.

        Args:
            perspective: whose graph.
            now: the present.
            progress: told whenever the numbers change.
        """
        state = perspective.state
        return await self._syncing.run(
            perspective.hash, lambda: self._synchronize(state, now, progress)
        )

    def is_synchronizing(self, perspective: Perspective) -> bool:
        """Whether a synchronization of this perspective is running."""
        return self._syncing.is_running(perspective.hash)

    async def _synchronize(
        self,
        state: PerspectiveState,
        now: Instant,
        progress: Callable[[SyncProgress], None] | None,
    ) -> SyncReport:
        state.attempted = now
        report = await state.discovery.synchronize(now=now, progress=progress)
        if report.is_complete:
            state.synchronized = now
        _log.info(
            "perspective_synchronized",
            perspective=state.secret.entity.hash.to_text(),
            queues=report.completed,
            grants=report.opened,
            failures=len(report.failures),
        )
        return report

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
            revocations=self._revocations,
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
        """Return what a proof proves, revocations aside; fetches objects that it lacks.

        `namespace`, where given, is whose authority the proof must be about.

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
            self._proofs_verified += 1
            self._library.remember_entity(verdict.subject_entity)
            return verdict
        raise InternalError("a proof kept asking for objects that it had been given")

    async def check_unrevoked(
        self, options: Iterable[RevocationOption], *, now: Instant
    ) -> Instant:
        """Check that nothing is revoked; return until when that need not be asked again.

        Raises:
            ProofInvalidError: something is.
            StorageError: storage must be asked and does not answer.
        """
        finding = await self._revocations.check(options, now=now)
        if finding.standing is Standing.REVOKED:
            raise ProofInvalidError("proof contains expired or revoked attestations")
        return finding.fresh_until

    async def _fetch(self, world: ProofWorld, needs: frozenset[Need]) -> ProofWorld:
        """Return `world` with the objects that a verification lacks, or with their absence.

        Raises:
            StorageError: storage does not answer.
        """
        wanted = sorted(needs, key=lambda need: need.hash.to_bytes())[:FETCHED_PER_ROUND_MAX]
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
        """Return `content` encrypted end to end (wave.md 10.2).

        Args:
            content: at least one byte.
            now: the present; readers need a grant for this time unless told otherwise.
            namespace: readers are those with `wave:decrypt` on `resource` here.
            namespace_location: where the namespace's entity is stored; default location if None.
            resource: without wildcards.
            recipient: one entity that may read it.
            recipient_location: where that entity is stored; tried everywhere if None.
            valid_from: first instant for which readers need a grant.
            valid_until: last instant of it.

        Raises:
            InvalidParameterError: nothing to encrypt, nobody to encrypt to, or a bad period.
            InvalidE2EEGrantError: the resource breaks a rule.
            LookupFailureError: an entity is not in storage, or not valid.
            StorageError: an entity is not known here and storage does not answer.
        """
        reader = namespace_entity = None
        if recipient is not None:
            reader = await self._usable_entity(recipient, recipient_location, now)
        if namespace is not None:
            namespace_entity = await self._usable_entity(namespace, namespace_location, now)
        return await self._workers.run(
            encrypt_message,
            content,
            recipient=reader,
            namespace=namespace_entity,
            namespace_location=namespace_location or self.config.default_location,
            resource=resource,
            not_before=now if valid_from is None else valid_from,
            not_after=now if valid_until is None else valid_until,
        )

    async def decrypt(self, perspective: Perspective, ciphertext: bytes) -> bytes:
        """Return what was encrypted, with the keys that the perspective has now.

        Raises:
            InvalidParameterError: this is no encrypted message.
            MalformedObjectError: a key opened it, but what it leads to is unsound.
            MessageDecryptError: there is no key for it; after `resync` there may be.
        """
        return await self._workers.run(
            decrypt_message,
            ciphertext,
            perspective.secret,
            perspective.state.graph.keys.reader_keys,
        )

    async def _usable_entity(
        self, entity_hash: Hash, location: Location | None, now: Instant
    ) -> Entity:
        """Return an entity to encrypt to; silence about its revocation is no hindrance."""
        entity = await self._library.required_entity(entity_hash, (location,))
        validity = period_of_entity(entity, now)
        if not validity.is_valid:
            raise LookupFailureError(f"the entity {entity_hash.to_text()}: {validity.message}")
        revoked = await self._revocations.first_revoked(
            entity.revocations, now=now, patience_s=ENCRYPTION_PATIENCE_SECONDS
        )
        if revoked is not None:
            raise LookupFailureError(f"the entity {entity_hash.to_text()} has been revoked")
        return entity

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
        """
        return await lookup(
            perspective.state.graph.grants(),
            attester=attester,
            subject=subject,
            now=now,
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
