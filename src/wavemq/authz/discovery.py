"""Reverse discovery: bringing a perspective's graph up to date with storage (wave.md 7.2).

Owns the loop that reads queues, fetches what they name, has it opened in worker threads, resolves
the entities concerned, and repeats until nothing is new. Refuses to decide what any of it means:
that is the graph's. Fault model: every queue may be poisoned or endless, every object may be
missing or garbage, every server may be away, at any point; each such thing is skipped, counted
and told about, and never keeps the rest from being found. What is known is written to disk as the
loop goes, so a process that dies goes on where it was.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import structlog

from wavemq.authz.graph import ActiveGrant, Entry
from wavemq.authz.known_names import KnownName
from wavemq.authz.name_opening import LockedDeclaration, OpenedDeclaration
from wavemq.authz.opening import Attempt, Discarded, Locked, Opened, check_grant, try_to_open
from wavemq.authz.queue_reading import Outcome, Reading, read_round
from wavemq.authz.state import EntryState, QueueEntry, QueuePosition
from wavemq.errors import (
    CorruptRecordError,
    InvalidParameterError,
    LookupFailureError,
    ObjectError,
    UnavailableError,
)
from wavemq.wave.attestation_open import check_outer_signature, open_with_prover_key
from wavemq.wave.name import check_name_signature
from wavemq.wave.policy import RTreePolicy

if TYPE_CHECKING:
    from collections.abc import Callable

    from wavemq.authz.graph import PerspectiveGraph
    from wavemq.authz.library import Library
    from wavemq.authz.objects import ObjectStore
    from wavemq.authz.sealing import Sealer
    from wavemq.authz.state import AuthorityState
    from wavemq.authz.workers import Workers
    from wavemq.clock import Instant
    from wavemq.wave.attestation import Attestation
    from wavemq.wave.entity import Entity
    from wavemq.wave.hashes import Hash
    from wavemq.wave.keyring import EntitySecret
    from wavemq.wave.location import Location
    from wavemq.wave.name import CreatedName

_log = structlog.get_logger(__name__)

QUEUES_AT_ONCE_MAX: Final = 8
"""Queues that are read at one time."""
ATTEMPTS_AT_ONCE_MAX: Final = 16
"""Objects that are fetched and opened as one piece of work."""
FAILURES_REPORTED_MAX: Final = 32
"""Different failures that one report lists."""


@dataclass(frozen=True, slots=True)
class SyncProgress:
    """How far a synchronization is: queues asked for, queues read to the end, grants open."""

    requested: int
    completed: int
    opened: int


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What a synchronization came to.

    Attributes:
        requested: queues that were to be read.
        completed: queues that were read to their end.
        opened: attestations that are open in the graph now.
        failures: sentences about storage that did not answer; empty if all of it did.
    """

    requested: int
    completed: int
    opened: int
    failures: tuple[str, ...]

    @property
    def is_complete(self) -> bool:
        """Whether everything that could be known is known."""
        return not self.failures and self.completed == self.requested


@dataclass(slots=True)
class _Tally:
    started_s: float = 0.0
    requested: int = 0
    completed: int = 0
    failures: dict[str, None] = field(default_factory=dict)

    def fail(self, sentence: str) -> None:
        if len(self.failures) < FAILURES_REPORTED_MAX:
            self.failures[sentence] = None


@dataclass(frozen=True, slots=True)
class Discovery:
    """Everything that synchronizing one perspective needs.

    Attributes:
        graph: what is known, and where what is found goes.
        reader: the perspective's own keys.
        sealer: seals opened keys for the disk.
        store: object storage, for queues.
        library: objects and entities.
        state: the disk.
        workers: where pairing work is done.
    """

    graph: PerspectiveGraph
    reader: EntitySecret
    sealer: Sealer
    store: ObjectStore
    library: Library
    state: AuthorityState
    workers: Workers

    async def load(self) -> None:
        """Take over what an earlier process left on disk; needs neither storage nor pairings."""
        positions = await asyncio.to_thread(self.state.queue_positions, self.graph.own)
        rows = await asyncio.to_thread(self.state.entries, self.graph.own)
        self.graph.restore(positions, [_unsealed(row, self.sealer) for row in rows])
        await self._open_everything(_Tally(asyncio.get_running_loop().time()), is_offline=True)

    async def synchronize(
        self, *, now: Instant, progress: Callable[[SyncProgress], None] | None = None
    ) -> SyncReport:
        """Read every interesting queue and open what can be opened, to a fixpoint.

        Args:
            now: entities that have expired by then are not asked about.
            progress: called whenever the numbers change.
        """
        tally = _Tally(asyncio.get_running_loop().time())
        readings: dict[tuple[Hash, Location], Reading] = {}
        self.graph.begin_synchronization()
        while True:
            queues = self.graph.take_unread(QUEUES_AT_ONCE_MAX)
            readable = [queue for queue in queues if self._is_readable(queue, now)]
            tally.requested += sum((one.queue, one.location) not in readings for one in readable)
            self._tell(tally, progress)
            outcomes = await asyncio.gather(
                *(
                    self._read(
                        one, readings.setdefault((one.queue, one.location), Reading()), tally
                    )
                    for one in readable
                )
            )
            for one, outcome in zip(readable, outcomes, strict=True):
                tally.completed += outcome is Outcome.AT_END
                if outcome is Outcome.HAS_MORE:
                    self.graph.put_back(one.queue, one.location)
            await self._open_everything(tally, is_offline=False)
            await self._save()
            self._tell(tally, progress)
            if not queues:
                break
        return SyncReport(
            tally.requested, tally.completed, len(self.graph.grants()), tuple(tally.failures)
        )

    def _tell(self, tally: _Tally, progress: Callable[[SyncProgress], None] | None) -> None:
        if progress is not None:
            progress(SyncProgress(tally.requested, tally.completed, len(self.graph.grants())))

    def _is_readable(self, queue: QueuePosition, now: Instant) -> bool:
        """Whether the queue's entity is one that can still matter (wave.md 7.2 step 2)."""
        entity = self.library.known_entity(queue.queue)
        return entity is None or entity.validity.not_after >= now

    # --- queues -----------------------------------------------------------------------------

    async def _read(self, position: QueuePosition, reading: Reading, tally: _Tally) -> Outcome:
        """Read a queue for one round; see `read_round`."""
        outcome, failure = await read_round(
            position,
            reading,
            store=self.store,
            graph=self.graph,
            state=self.state,
            synchronizing_s=asyncio.get_running_loop().time() - tally.started_s,
        )
        if failure is not None:
            tally.fail(failure)
        return outcome

    # --- objects ----------------------------------------------------------------------------

    async def _open_everything(self, tally: _Tally, *, is_offline: bool) -> None:
        """Try every entry that is worth it until none is."""
        while entries := self.graph.take_to_open(ATTEMPTS_AT_ONCE_MAX):
            contents = await asyncio.gather(
                *(self._content(entry, tally, is_offline=is_offline) for entry in entries)
            )
            present: list[tuple[Entry, bytes]] = []
            for entry, content in zip(entries, contents, strict=True):
                if content is None:
                    self.graph.keep_unsettled(entry)
                else:
                    present.append((entry, content))
            attempts = await asyncio.gather(
                *(
                    self.workers.run(try_to_open, content, entry.key, self.reader, self.graph.keys)
                    for entry, content in present
                )
            )
            for (entry, _), attempt in zip(present, attempts, strict=True):
                await self._take_in(entry, attempt, tally, is_offline=is_offline)
            await self._save()

    async def _content(self, entry: Entry, tally: _Tally, *, is_offline: bool) -> bytes | None:
        if is_offline:
            return await self.library.remembered(entry.hash)
        try:
            return await self.library.object(entry.hash, (entry.location,))
        except UnavailableError as error:
            tally.fail(f"{entry.location.url}: {error.reason}")
            return None

    async def _take_in(
        self, entry: Entry, attempt: Attempt, tally: _Tally, *, is_offline: bool
    ) -> None:
        """Act on the outcome of one attempt."""
        if isinstance(attempt, Discarded):
            _log.info("queue_entry_discarded", entry=entry.hash.to_text(), reason=attempt.reason)
            self.graph.discard(entry)
            return
        if isinstance(attempt, Locked):
            self.graph.keep_locked(
                entry,
                attempt.attestation.subject,
                tried=attempt.revision,
                envelope_key=attempt.envelope_key,
            )
            return
        if isinstance(attempt, LockedDeclaration):
            self.graph.keep_locked(
                entry,
                attempt.namespace,
                tried=attempt.revision,
                envelope_key=attempt.envelope_key,
            )
            return
        try:
            if isinstance(attempt, OpenedDeclaration):
                self.graph.keep_opened(entry, attempt.content.key)
                is_settled = await self._accept_name(attempt, is_offline=is_offline)
            else:
                self.graph.keep_opened(entry, attempt.content.prover_key)
                is_settled = await self._accept_grant(attempt, is_offline=is_offline)
        except UnavailableError as error:
            tally.fail(error.reason)
            is_settled = False
        except ObjectError as error:
            _log.info("queue_entry_discarded", entry=entry.hash.to_text(), reason=error.reason)
            self.graph.discard(entry)
            return
        if not is_settled:
            self.graph.keep_unsettled(entry)

    async def _accept_name(self, opened: OpenedDeclaration, *, is_offline: bool) -> bool:
        """Take in a name that its attester signed; return whether the attester could be found.

        Raises:
            UnavailableError: storage did not answer.
            ObjectError: the attester did not sign it, or what has its hash is no entity.
        """
        declaration = opened.declaration
        places = (declaration.attester_location, *self.library.locations)
        attester = await self.library.entity(declaration.attester, places, is_offline=is_offline)
        if attester is None:
            return False
        await self.workers.run(check_name_signature, declaration, attester)
        content = opened.content
        self.graph.accept_name(KnownName(declaration, content.body, content.partition))
        return True

    async def _accept_grant(self, attempt: Opened, *, is_offline: bool) -> bool:
        """Take in a grant that its attester signed; return whether all parties could be found.

        Raises:
            UnavailableError: storage did not answer.
            ObjectError: the attester did not sign it, or what has a party's hash is no entity.
        """
        parties = await self._parties(attempt, is_offline=is_offline)
        if parties is None:
            return False
        attester, subject, namespace = parties
        await self.workers.run(check_grant, attempt, attester)
        grant = ActiveGrant(
            hash=attempt.attestation.hash,
            subject_location=attempt.attestation.subject_location,
            revocations=attempt.attestation.revocations,
            body=attempt.content.body,
            attester=attester,
            subject=subject,
            partition=attempt.content.partition,
            verifier_key=attempt.content.verifier_key,
            prover_key=attempt.content.prover_key,
        )
        self.graph.accept(attempt, grant, namespace)
        return True

    async def _parties(
        self, opened: Opened, *, is_offline: bool
    ) -> tuple[Entity, Entity, Entity | None] | None:
        """Return attester, subject and namespace; None when one is not in storage.

        Raises:
            UnavailableError: storage did not answer.
            ObjectError: what has the hash of an entity is none.
        """
        body, attestation = opened.content.body, opened.attestation
        wanted = [
            (body.attester, body.attester_location),
            (attestation.subject, attestation.subject_location),
        ]
        if isinstance(body.policy, RTreePolicy):
            wanted.append((body.policy.namespace, body.policy.namespace_location))
        found: list[Entity] = []
        for party, location in wanted:
            # The entity counts, not where somebody says it is.
            places = (location, *self.library.locations)
            entity = await self.library.entity(party, places, is_offline=is_offline)
            if entity is None:
                return None
            found.append(entity)
        return found[0], found[1], found[2] if len(found) > 2 else None

    # --- what comes by another way than a queue ---------------------------------------------

    async def add(self, attestation: Attestation, prover_key: bytes) -> None:
        """Take in an attestation (wave.md 14.4); one that is active already changes nothing.

        Args:
            attestation: need not be in storage.
            prover_key: 84 bytes that open it; empty where the perspective's keys may.

        Raises:
            InvalidSignatureError: it is forged.
            BodySchemeError, MalformedObjectError: the prover key does not open it.
            LookupFailureError: the prover key opens it, and an entity in it is not in storage.
            StorageError: storage did not answer.
            InvalidParameterError: the perspective has no room for it.
        """
        if self.graph.is_active(attestation.hash):
            return
        opened = None
        if prover_key:
            content = await self.workers.run(open_with_prover_key, attestation, prover_key)
            opened = Opened(attestation, content)
            if not await self._accept_grant(opened, is_offline=False):
                raise LookupFailureError("an entity that the attestation names is not in storage")
        else:
            await self.workers.run(check_outer_signature, attestation)
        entry = await self._entry_of(
            attestation.hash, attestation.wire, attestation.subject_location
        )
        if opened is not None:
            self.graph.keep_opened(entry, opened.content.prover_key)
        else:
            self.graph.try_at_once(entry)
        await self._open_everything(_Tally(), is_offline=False)
        await self._save()

    async def add_name(self, created: CreatedName) -> None:
        """Take in a name that the perspective has declared itself.

        Raises:
            InvalidParameterError: the perspective has no room for it.
        """
        declaration, opened = created.declaration, created.opened
        place = declaration.attester_location
        entry = await self._entry_of(declaration.hash, declaration.wire, place)
        self.graph.keep_opened(entry, opened.key)
        self.graph.accept_name(KnownName(declaration, opened.body, opened.partition))
        await self._save()

    async def follow(self, entity: Hash, location: Location) -> None:
        """Have a queue read by every synchronization from now on.

        Raises:
            InvalidParameterError: the perspective reads as many queues as it may.
        """
        position = self.graph.note_interesting(entity, location)
        if position is None:
            raise InvalidParameterError("the perspective follows as many entities as it may")
        await asyncio.to_thread(self.state.save_progress, self.graph.own, positions=[position])

    async def _entry_of(self, found: Hash, wire: bytes, location: Location) -> Entry:
        """Return the entry of an object that is at hand, and remember the object."""
        await asyncio.to_thread(self.state.remember_object, found, wire)
        entry = self.graph.entry(found, location)
        if entry is None:
            raise InvalidParameterError("the perspective remembers as many objects as it may")
        return entry

    # --- disk -------------------------------------------------------------------------------

    async def _save(self) -> None:
        """Write what has changed, with keys sealed."""
        changed = self.graph.take_changes()
        if changed:
            rows = [
                QueueEntry(
                    entry.hash,
                    entry.location,
                    entry.state,
                    None if entry.key is None else self.sealer.seal(entry.hash, entry.key),
                )
                for entry in changed
            ]
            await asyncio.to_thread(self.state.save_progress, self.graph.own, entries=rows)


def _unsealed(row: QueueEntry, sealer: Sealer) -> Entry:
    """Return the entry of a row on disk; a key that does not open is found again."""
    if row.sealed is None:
        return Entry(row.hash, row.location, row.state)
    try:
        return Entry(row.hash, row.location, row.state, sealer.open(row.hash, row.sealed))
    except CorruptRecordError as error:
        _log.warning("sealed_key_damaged", entry=row.hash.to_text(), reason=error.reason)
        return Entry(row.hash, row.location, EntryState.PENDING)
