"""All perspectives of one engine, in memory and on disk.

Owns who is known, the loading of what earlier processes learned, and that one perspective is
synchronized once at a time. Refuses to know how synchronizing is done and what the graph means.
Fault model: anybody may come with any number of entities; the ones used least recently give way
and are read from disk again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from wavemq.authz.bounded import BoundedCache
from wavemq.authz.discovery import Discovery, SyncProgress, SyncReport
from wavemq.authz.graph import PerspectiveGraph
from wavemq.authz.perspective import (
    Perspective,
    PerspectiveState,
    check_possession,
    check_same_secret,
)
from wavemq.authz.sealing import Sealer
from wavemq.authz.single_flight import SingleFlight

if TYPE_CHECKING:
    from collections.abc import Callable

    from wavemq.authz.config import EngineConfig
    from wavemq.authz.library import Library
    from wavemq.authz.objects import ObjectStore
    from wavemq.authz.state import AuthorityState
    from wavemq.authz.workers import Workers
    from wavemq.clock import Instant
    from wavemq.wave.hashes import Hash
    from wavemq.wave.keyring import EntitySecret
    from wavemq.wave.location import Location

_log = structlog.get_logger(__name__)

PERSPECTIVES_MAX: Final = 256
"""Perspectives in memory; the one used least recently gives way and is read from disk again."""


class Perspectives:
    """Opens and synchronizes perspectives.

    Args:
        store: object storage.
        library: objects and entities.
        state: the disk.
        workers: where pairing work is done.
        config: the operator's decisions.
    """

    def __init__(
        self,
        store: ObjectStore,
        library: Library,
        state: AuthorityState,
        workers: Workers,
        config: EngineConfig,
    ) -> None:
        self._store = store
        self._library = library
        self._state = state
        self._workers = workers
        self._config = config
        self._known: BoundedCache[Hash, PerspectiveState] = BoundedCache(PERSPECTIVES_MAX)
        self._loading: SingleFlight[Hash, PerspectiveState] = SingleFlight()
        self._syncing: SingleFlight[Hash, SyncReport] = SingleFlight()

    def __len__(self) -> int:
        return len(self._known)

    async def aclose(self) -> None:
        """Cancel what is being loaded or synchronized."""
        await self._syncing.aclose()
        await self._loading.aclose()

    async def open(self, secret: EntitySecret, location: Location | None) -> Perspective:
        """Return the handle of an entity whose secret the caller has opened.

        State is kept by entity hash; the secret is checked against the entity every time.

        Args:
            secret: the entity with its keys.
            location: where the entity is stored. If None, grants to it are looked for in every
                configured storage: callers seldom say where their entity lives.

        Raises:
            InvalidParameterError: the keys do not belong to the entity.
        """
        places = (location,) if location else self._config.locations
        location = location or self._config.default_location
        entity_hash = secret.entity.hash
        state = self._known.get(entity_hash)
        if state is None:
            check_possession(secret)
            state = await self._loading.run(entity_hash, lambda: self._load(secret, location))
        check_same_secret(secret, state.secret)
        for place in {location: None, **dict.fromkeys(places)}:
            state.graph.note_interesting(entity_hash, place)
        return Perspective(secret, location, state)

    def known(self, entity_hash: Hash, location: Location) -> Perspective | None:
        """Return the handle of an entity if its perspective is in memory; never waits.

        Args:
            entity_hash: whose perspective.
            location: that attestations by the entity name as its place.
        """
        state = self._known.get(entity_hash)
        return None if state is None else Perspective(state.secret, location, state)

    def is_synchronizing(self, perspective: Perspective) -> bool:
        """Whether a synchronization of this perspective is running."""
        return self._syncing.is_running(perspective.hash)

    async def synchronize(
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

    async def _load(self, secret: EntitySecret, location: Location) -> PerspectiveState:
        await self._library.keep_entity(secret.entity)
        discovery = Discovery(
            graph=PerspectiveGraph(secret.entity.hash, location),
            reader=secret,
            sealer=Sealer(secret.secret64),
            store=self._store,
            library=self._library,
            state=self._state,
            workers=self._workers,
        )
        await discovery.load()
        state = PerspectiveState(secret, discovery)
        self._known.put(secret.entity.hash, state)
        return state

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
