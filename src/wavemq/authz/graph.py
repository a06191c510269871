"""What one perspective knows: whom it is interested in, what their queues hold, what is active.

Owns the states of wave.md 7.1 and the rules of the closure of 7.2: what becomes interesting, which
keys belong to whom, what is to be tried again. Refuses to know storage, disk, the clock and how
attestations are opened; it is told and it answers what to do next. Fault model: everybody may put
anything into anybody's queue and grant anything to anybody, so entities and entries are bounded,
and nothing counts as a grant or a name before its signatures have been checked by the caller. Not
safe for threads: it belongs to the event loop.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Final

import structlog

from wavemq.authz.held_keys import HeldKeys
from wavemq.authz.known_names import KnownName, KnownNames
from wavemq.authz.state import EntryState, QueueEntry, QueuePosition
from wavemq.wave.policy import RTreePolicy
from wavemq.wave.public_key import IBE_PARAMS, OAQUE_PARAMS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wavemq.authz.opening import Opened
    from wavemq.wave.attestation import VerifierBody
    from wavemq.wave.entity import Entity
    from wavemq.wave.hashes import Hash
    from wavemq.wave.location import Location
    from wavemq.wave.partition import Partition
    from wavemq.wave.revocation import RevocationOption

_log = structlog.get_logger(__name__)

INTERESTING_QUEUES_MAX: Final = 10_000
"""Queues that one perspective reads."""
ENTRIES_MAX: Final = 100_000
"""Queue entries that one perspective remembers over all queues."""
ENTRIES_FORGOTTEN_AT_ONCE: Final = 10_000
"""Entries without use that are forgotten when there is no room for another."""
RETRIES_MAX: Final = 256
"""Entries whose objects or entities are missing that one synchronization asks for again."""


@dataclass(frozen=True, slots=True)
class ActiveGrant:
    """An attestation that is open and genuine; whether it is valid depends on the time.

    The object itself, about 100 KiB, stays in the library.

    Attributes:
        hash: of the attestation.
        subject_location: where it is stored.
        revocations: how it could be revoked.
        body: what the attester signed.
        attester: who granted, decoded.
        subject: who was granted to, decoded.
        partition: the slots of its body's key, where they are known.
        verifier_key: opens the body for a verifier; empty for plaintext.
        prover_key: opens everything; empty for plaintext.
    """

    hash: Hash
    subject_location: Location
    revocations: tuple[RevocationOption, ...]
    body: VerifierBody
    attester: Entity
    subject: Entity
    partition: Partition | None
    verifier_key: bytes = field(repr=False)
    prover_key: bytes = field(repr=False)


@dataclass(slots=True)
class Entry:
    """A queue entry and what has been tried.

    Attributes:
        hash: of the object.
        location: where it is.
        state: what it turned out to be.
        key: what opens it without pairing work (see `EntryState`), or None.
    """

    hash: Hash
    location: Location
    state: EntryState = EntryState.MISSING
    key: bytes | None = field(default=None, repr=False)


@dataclass(slots=True)
class _Locked:
    """Entries that one entity's keys do not open, and the revision of the keys they have seen."""

    entries: dict[Hash, None] = field(default_factory=dict)
    revision: int = 0


class PerspectiveGraph:
    """The knowledge of one perspective.

    Args:
        own: the perspective's entity.
        location: where its own queue is.
    """

    def __init__(self, own: Hash, location: Location) -> None:
        self.own = own
        self.keys = HeldKeys()
        self.names = KnownNames(own)
        self._interesting: set[Hash] = set()
        self._queues: dict[tuple[Hash, Location], QueuePosition] = {}
        self._unread: dict[tuple[Hash, Location], None] = {}
        self._entries: dict[Hash, Entry] = {}
        self._fresh: dict[Hash, None] = {}
        self._resting: dict[Hash, None] = {}
        self._unsettled: dict[Hash, None] = {}
        self._locked: defaultdict[Hash, _Locked] = defaultdict(_Locked)
        self._changed: dict[Hash, None] = {}
        self._active: dict[Hash, ActiveGrant] = {}
        self.note_interesting(own, location)

    # --- queues -----------------------------------------------------------------------------

    def note_interesting(self, entity: Hash, location: Location) -> QueuePosition | None:
        """Have the queue of `entity` at `location` read from now on, and those of whom it named.

        Returns how far it has been read; None where there is no room for it.
        """
        wanted = [(entity, location)]
        while wanted:
            key = wanted.pop()
            if key in self._queues:
                continue
            if len(self._queues) >= INTERESTING_QUEUES_MAX:
                _log.warning("interesting_queues_full", perspective=self.own.to_text())
                break
            self._queues[key] = QueuePosition(*key, "", 0)
            self._unread[key] = None
            if key[0] not in self._interesting:
                self._interesting.add(key[0])
                named = (name.body for name in self.names.by(key[0]))
                wanted += [(body.subject, body.subject_location) for body in named]
        return self._queues.get((entity, location))

    def begin_synchronization(self) -> None:
        """Have every queue read once more, and everything tried again that may have changed."""
        self._unread = dict.fromkeys(self._queues)
        self._fresh.update(self._resting)
        self._resting.clear()
        for key in list(islice(self._unsettled, RETRIES_MAX)):
            del self._unsettled[key]  # if it stays unsettled it goes to the end: everybody's turn
            self._fresh[key] = None

    def put_back(self, queue: Hash, location: Location) -> None:
        """Have a queue that was not read to its end read again, after all others."""
        self._unread[(queue, location)] = None

    def take_unread(self, count: int) -> list[QueuePosition]:
        """Return up to `count` queues that are to be read now; each is handed out once."""
        keys = [key for key, _ in zip(self._unread, range(count), strict=False)]
        for key in keys:
            del self._unread[key]
        return [self._queues[key] for key in keys]

    def advance(self, position: QueuePosition, entries: Iterable[Hash]) -> list[QueueEntry]:
        """Note how far a queue has been read and what was found; return what is new in it."""
        self._queues[(position.queue, position.location)] = position
        new = []
        for found in entries:
            known = self._entries.get(found)
            if known is not None:
                if known.state is EntryState.MISSING and known.location != position.location:
                    known.location = position.location  # it may well be here
                    self._unsettled.pop(found, None)
                    self._fresh[found] = None
                continue
            if len(self._entries) >= ENTRIES_MAX and not self._make_room():
                _log.warning("queue_entries_full", perspective=self.own.to_text())
                break
            self._entries[found] = Entry(found, position.location)
            self._fresh[found] = None
            new.append(QueueEntry(found, position.location, EntryState.MISSING))
        return new

    # --- entries ----------------------------------------------------------------------------

    def entry(self, found: Hash, location: Location) -> Entry | None:
        """Return the entry of an object that came by another way than a queue.

        Args:
            found: the object.
            location: where it should be.

        Returns None where there is no room for another.
        """
        known = self._entries.get(found)
        if known is None and (len(self._entries) < ENTRIES_MAX or self._make_room()):
            known = self._entries[found] = Entry(found, location)
            self._changed[found] = None
        return known

    def try_at_once(self, entry: Entry) -> None:
        """Have an entry that is not open tried by whoever opens entries next."""
        if entry.state is not EntryState.OPENED:
            self._fresh[entry.hash] = None

    def restore(self, positions: Sequence[QueuePosition], entries: Sequence[Entry]) -> None:
        """Take over what an earlier process knew; `entries` carry their opened keys.

        What was open is opened again at once, which needs no pairing work; what was not waits
        for the next synchronization.
        """
        for position in positions:
            key = (position.queue, position.location)
            if key in self._queues or len(self._queues) < INTERESTING_QUEUES_MAX:
                self._queues[key] = position
                self._interesting.add(position.queue)
        for entry in entries[:ENTRIES_MAX]:
            self._entries[entry.hash] = entry
            if entry.state is EntryState.OPENED:
                self._fresh[entry.hash] = None
            elif entry.state in (EntryState.PENDING, EntryState.LABELLED):
                self._resting[entry.hash] = None
            elif entry.state is EntryState.MISSING:
                self._unsettled[entry.hash] = None

    def take_to_open(self, count: int) -> list[Entry]:
        """Return up to `count` entries that are worth an attempt now; each is handed out once."""
        if not self._fresh:
            for owner, locked in self._locked.items():
                revision = self.keys.revision(owner)
                if revision > locked.revision:
                    self._fresh.update(locked.entries)
                    locked.entries.clear()
                    locked.revision = revision
        ready = [key for key, _ in zip(self._fresh, range(count), strict=False)]
        for key in ready:
            del self._fresh[key]
        return [self._entries[key] for key in ready]

    def keep_unsettled(self, entry: Entry) -> None:
        """Have a later synchronization try again: the object, or an entity it names, is missing."""
        if self._is_known(entry):
            self._unsettled[entry.hash] = None

    def keep_locked(
        self, entry: Entry, owner: Hash, *, tried: int, envelope_key: bytes | None
    ) -> None:
        """Note that no key opens the body yet; `envelope_key` is known once it is labelled.

        Args:
            entry: what was tried.
            owner: whose keys are waited for: an attestation's subject, a name's namespace.
            tried: the revision of the owner's keys that did not open it.
            envelope_key: 28 bytes, or None.
        """
        if not self._is_known(entry):
            return
        state = EntryState.PENDING if envelope_key is None else EntryState.LABELLED
        self._change(entry, state, envelope_key)
        locked = self._locked[owner]
        if not locked.entries:
            locked.revision = max(locked.revision, tried)
        if tried < locked.revision:
            self._fresh[entry.hash] = None  # keys came while it was being tried
        else:
            locked.entries[entry.hash] = None

    def discard(self, entry: Entry) -> None:
        """Note that the entry is of no use to anybody."""
        self._change(entry, EntryState.DISCARDED, None)

    def keep_opened(self, entry: Entry, key: bytes) -> None:
        """Note that `key` opens the body: no pairing work is ever needed for it again."""
        self._change(entry, EntryState.OPENED, key)

    def accept(self, opened: Opened, grant: ActiveGrant, namespace: Entity | None) -> None:
        """Take in an attestation whose signatures have been checked (wave.md 7.2 step 4).

        Args:
            opened: the attestation with its keys.
            grant: the same, as an edge.
            namespace: the namespace entity of its policy, None for a policy without namespace.
        """
        self._active[grant.hash] = grant
        self.note_interesting(grant.attester.hash, grant.body.attester_location)
        if namespace is not None and isinstance(grant.body.policy, RTreePolicy):
            self.note_interesting(namespace.hash, grant.body.policy.namespace_location)
        owners = (grant.attester,) if namespace is None else (grant.attester, namespace)
        for label_key in opened.content.label_keys:
            owner = _owner(owners, IBE_PARAMS, label_key.params)
            if owner is not None:
                self.keys.add_label_key(
                    owner, label_key, is_from_owner=owner.hash == grant.attester.hash
                )
        for bundle in opened.content.bundles:
            owner = _owner(owners, OAQUE_PARAMS, bundle.params)
            if owner is not None:
                self.keys.add_content_keys(
                    owner, bundle.keys, is_from_owner=owner.hash == grant.attester.hash
                )

    def accept_name(self, name: KnownName) -> None:
        """Take in a name declaration whose signature has been checked (wave.md 11.4).

        The subject becomes interesting with its attester, not before: an honest declaration is in
        the queue of its attester, which is read; and nobody whose queue is not read can have the
        perspective read further ones.
        """
        is_followed = name.declaration.attester in self._interesting
        is_kept = self.names.add(name)
        if not is_kept and is_followed:
            self._forget_names_of_strangers()
            is_kept = self.names.add(name)
        if not is_kept:
            _log.warning("names_full", perspective=self.own.to_text())
        elif is_followed:
            self.note_interesting(name.body.subject, name.body.subject_location)

    def is_active(self, grant: Hash) -> bool:
        """Whether an attestation is open and genuine."""
        return grant in self._active

    def take_changes(self) -> list[Entry]:
        """Return the entries that the disk does not know yet, and consider them written."""
        changed = [self._entries[key] for key in self._changed]
        self._changed.clear()
        return changed

    # --- answers ----------------------------------------------------------------------------

    def grants(self) -> list[ActiveGrant]:
        """Return every attestation that is open and genuine."""
        return list(self._active.values())

    def locked(self) -> list[Entry]:
        """Return attestations and name declarations that are known and not open."""
        return [self._entries[key] for locked in self._locked.values() for key in locked.entries]

    def queue_count(self) -> int:
        """Return how many queues are read."""
        return len(self._queues)

    def _make_room(self) -> bool:
        """Forget the oldest useless entries; return whether that made room.

        A flood of them is how one would try to hide a grant from its subject.
        """
        useless = (EntryState.MISSING, EntryState.DISCARDED)
        forgettable = (key for key, entry in self._entries.items() if entry.state in useless)
        for key in list(islice(forgettable, ENTRIES_FORGOTTEN_AT_ONCE)):
            del self._entries[key]
            self._fresh.pop(key, None)
            self._unsettled.pop(key, None)
            self._changed.pop(key, None)
        if len(self._entries) >= ENTRIES_MAX:
            self._forget_names_of_strangers()
        return len(self._entries) < ENTRIES_MAX

    def _forget_names_of_strangers(self) -> None:
        """Forget names by entities that are of no interest.

        They are found again in the queues of these entities, once those are of interest.
        """
        strange = (
            name.declaration
            for name in self.names.all()
            if name.declaration.attester not in self._interesting
        )
        for declaration in list(islice(strange, ENTRIES_FORGOTTEN_AT_ONCE)):
            self.names.forget(declaration.hash, declaration.attester)
            self._entries.pop(declaration.hash, None)
            self._changed.pop(declaration.hash, None)

    def _is_known(self, entry: Entry) -> bool:
        """Whether the entry was not forgotten, to make room, while it was being tried."""
        return self._entries.get(entry.hash) is entry

    def _change(self, entry: Entry, state: EntryState, key: bytes | None) -> None:
        """Give an entry a new state, and have it written if it really is new."""
        if self._is_known(entry) and entry.state is not state:
            entry.state, entry.key = state, key
            self._changed[entry.hash] = None


def _owner(candidates: Iterable[Entity], kind: tuple[int, int], params: bytes) -> Entity | None:
    """Return whose system a granted key belongs to: the first candidate whose parameters they are.

    The parameters that count are an entity's first of that kind (wave.md 3.2).
    """
    for candidate in candidates:
        own = next((key.content for key in candidate.keys if key.kind == kind), None)
        if own == params:
            return candidate
    return None
