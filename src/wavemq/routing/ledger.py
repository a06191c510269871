"""Every message that some queue holds, once; and what of it the journal does not know yet.

Owns the count of references to each message, which messages are in memory, and the sequence of
writes: one at a time, and what happens meanwhile goes into the next. Refuses to know readers,
filters and links. Fault model: a write may fail, and what must be kept is then kept in memory and
written later; a message may turn out to be unreadable on disk, which is the loss of that one.

Memory holds the messages that are not on disk yet, those being sent, and of the rest as many as the
budget allows. Those came first, so they are needed first; later ones are read back in their turn.
Of a message that is on disk only, memory has its place in the queues that hold it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Final

from wavemq.limits import MIB
from wavemq.messages.message import Message
from wavemq.messages.topic import Topic
from wavemq.messages.verified import Verified
from wavemq.routing.draft import Draft, Waiter
from wavemq.routing.entries import made_entry, record_of
from wavemq.routing.events import BatchId
from wavemq.routing.queue import NOTHING_DROPPED, Dropped, HoldingQueue
from wavemq.routing.records import (
    DownlinkPosition,
    Entry,
    JournalChanges,
    LaneKey,
    QueueDefinition,
    QueueId,
    RecordId,
    Scope,
)
from wavemq.routing.snapshot import Snapshot
from wavemq.routing.stored import StoredReferences
from wavemq.wave.hashes import Hash

READ_COUNT_MAX: Final = 256
"""Messages read back at a time for one queue."""
READ_BYTES_MAX: Final = MIB
"""Bytes of them; one message may exceed it."""
HELD_OVERHEAD_BYTES: Final = 1024
"""What a message takes in memory beyond the bytes that it has on the wire."""


class _Held:
    """A message that some queue holds and that is more than a number here.

    `message` is None while it is read back, and after that if it is corrupt.
    """

    __slots__ = (
        "dropped_count",
        "is_corrupt",
        "is_durable",
        "is_loading",
        "message",
        "outgoing",
        "pins",
        "references",
        "size_bytes",
    )

    def __init__(self, message: Verified[Message] | None, size_bytes: int, references: int) -> None:
        self.message = message
        # As it last left a queue, with that queue's count of drops: most queues have dropped none.
        self.outgoing: Message | None = None
        self.dropped_count = 0
        self.size_bytes = size_bytes + HELD_OVERHEAD_BYTES
        self.references = references
        self.pins = 0
        self.is_durable = message is None
        self.is_loading = False
        self.is_corrupt = False


class Ledger:
    """Keeps queues, messages and the journal in step.

    Args:
        snapshot: what the journal holds.
        resident_bytes_max: budget of memory for messages that need not be there.
        numbers_skipped: that a former life may have used for messages which never got to disk.
    """

    def __init__(
        self, snapshot: Snapshot, *, resident_bytes_max: int, numbers_skipped: int = 0
    ) -> None:
        self._resident_bytes_max = resident_bytes_max
        self._held: dict[RecordId, _Held] = {}
        self._stored = StoredReferences([one.entries.records() for one in snapshot.queues])
        self._resident_bytes = 0
        self._durable_count = len(self._stored)
        self._next_record = RecordId(snapshot.next_record + numbers_skipped)
        self._next_queue = snapshot.next_queue
        self._draft = Draft()
        self._writing: Draft | None = None
        self._batch = BatchId(0)
        self._last_written = BatchId(0)
        self._wanted: list[RecordId] = []
        self._unwritten_queues: set[QueueId] = set()

    # --- sums -------------------------------------------------------------------------------

    @property
    def record_count(self) -> int:
        """Messages held."""
        return len(self._held) + len(self._stored)

    @property
    def durable_count(self) -> int:
        """Messages held that are on disk."""
        return self._durable_count

    @property
    def resident_bytes(self) -> int:
        """Bytes of the messages in memory."""
        return self._resident_bytes

    # --- queues -----------------------------------------------------------------------------

    def create_queue(self, definition: QueueDefinition) -> QueueId:
        """Return the id of a new queue."""
        queue = self._next_queue
        self._next_queue = QueueId(queue + 1)
        self._draft.queues[queue] = definition
        self._unwritten_queues.add(queue)
        return queue

    def redefine_queue(self, queue: QueueId, definition: QueueDefinition) -> None:
        """Replace the definition of a queue."""
        self._draft.queues[queue] = definition

    def remove_queue(self, queue_id: QueueId, queue: HoldingQueue) -> int:
        """Remove a queue and all that only it holds; return how many references it held."""
        is_being_written = self._writing is not None and queue_id in self._writing.queues
        is_written = is_being_written or queue_id not in self._unwritten_queues
        self._draft.remove_queue(queue_id, is_written=is_written)
        self._unwritten_queues.discard(queue_id)
        for entry in queue.in_flight():
            self.unpin(entry.record)
        removed = queue.clear()
        self._draft.remove_records([one.record for one in removed if self._forget(one.record)])
        return len(removed)

    # --- messages in ------------------------------------------------------------------------

    def keep(self, message: Verified[Message], lane: LaneKey, *, references: int) -> Entry:
        """Take a message that is about to be put into so many queues; return its place in them."""
        record = self._next_record
        self._next_record = RecordId(record + 1)
        size_bytes = message.value.size_bytes
        held = self._held[record] = _Held(message, size_bytes, references)
        self._resident_bytes += held.size_bytes
        self._draft.records[record] = message
        return made_entry((record, size_bytes, lane))

    def append(self, queue_id: QueueId, queue: HoldingQueue, entries: list[Entry]) -> Dropped:
        """Put messages that were kept at the end of a queue; return what was dropped for them."""
        dropped = queue.extend(entries)
        keys = zip(repeat(queue_id), map(record_of, entries), strict=False)
        self._draft.entries.update(zip(keys, entries, strict=True))
        if dropped is not NOTHING_DROPPED:
            self.drop(queue_id, queue, dropped.entries)
        return dropped

    def follow(self, queue_id: QueueId, position: DownlinkPosition) -> None:
        """Note how far a queue has followed its designated router."""
        self._draft.positions[queue_id] = position

    def recognise(self, scope: Scope, identity: int) -> None:
        """Note that a message will be recognised when it comes again."""
        self._draft.removed_scopes.pop(scope, None)
        self._draft.identities[scope, identity] = None

    def forget_identity(self, scope: Scope, identity: int) -> None:
        """Note that a message will not be recognised, since it could not be written."""
        self._draft.identities.pop((scope, identity), None)

    def forget_scope(self, scope: Scope) -> None:
        """Note that nothing of a scope will be recognised any more."""
        self._draft.remove_scope(scope)

    def retain(self, namespace: Hash, topic: Topic, message: Verified[Message]) -> None:
        """Make a message the retained one of its topic."""
        self._draft.retained[namespace, topic] = message

    # --- messages out -----------------------------------------------------------------------

    def drop(self, queue_id: QueueId, queue: HoldingQueue, dropped: Sequence[Entry]) -> None:
        """Note that a queue dropped messages."""
        self.note_dropped(queue_id, queue)
        self.release(queue_id, dropped)

    def note_dropped(self, queue_id: QueueId, queue: HoldingQueue) -> None:
        """Note how many messages a queue has dropped."""
        self._draft.dropped_counts[queue_id] = queue.dropped_count

    def let_go(self, left: Sequence[tuple[QueueId, Entry]]) -> None:
        """Note that messages that were being sent have left queues."""
        self._draft.remove_entries([(queue_id, entry[0]) for queue_id, entry in left])
        gone: list[RecordId] = []
        for _, entry in left:
            record = entry.record
            held = self._held[record]
            held.pins -= 1
            if self._forget(record):
                gone.append(record)
            else:
                self._evict_if_over_budget(record, held)
        self._draft.remove_records(gone)

    def release(self, queue_id: QueueId, entries: Sequence[Entry]) -> None:
        """Note that messages left a queue."""
        self._draft.remove_entries([(queue_id, entry.record) for entry in entries])
        gone = [entry.record for entry in entries if self._forget(entry.record)]
        self._draft.remove_records(gone)

    @property
    def unsettled_removals(self) -> int:
        """References that have left their queues, but would be back after a crash now."""
        writing = 0 if self._writing is None else len(self._writing.removed_entries)
        return len(self._draft.removed_entries) + writing

    def _forget(self, record: RecordId) -> bool:
        """Take one reference from a message; the last takes it along, and this returns whether."""
        held = self._held.get(record)
        if held is None:
            is_last = self._stored.release(record)
            self._durable_count -= is_last
            return is_last
        held.references -= 1
        if held.references > 0:
            return False
        if held.message is not None:
            self._resident_bytes -= held.size_bytes
        self._durable_count -= held.is_durable
        del self._held[record]
        return True

    # --- memory -----------------------------------------------------------------------------

    def is_corrupt(self, record: RecordId) -> bool:
        """Return whether a message turned out to be unreadable."""
        held = self._held.get(record)
        return held is not None and held.is_corrupt

    def is_held(self, record: RecordId) -> bool:
        """Return whether a message is in memory, or on its way there."""
        return record in self._held

    def message(self, record: RecordId) -> Verified[Message] | None:
        """Return a message; None: it is on disk only."""
        held = self._held.get(record)
        return None if held is None else held.message

    def send(
        self, entries: Iterable[Entry], dropped_count: int, *, is_durable_only: bool
    ) -> list[Message]:
        """Return messages as they leave a queue, and keep them in memory while they are being sent.

        Args:
            entries: the messages.
            dropped_count: of the queue.
            is_durable_only: what is not on disk yet does not go.

        Returns:
            Those in front of the first that must not go yet, or is not in memory.
        """
        messages: list[Message] = []
        for entry in entries:
            held = self._held.get(entry.record)
            if held is None or held.message is None:
                break
            if is_durable_only and not held.is_durable:
                break
            held.pins += 1
            if held.outgoing is None or held.dropped_count != dropped_count:
                held.outgoing = held.message.value.dequeued(dropped_count)
                held.dropped_count = dropped_count
            messages.append(held.outgoing)
        return messages

    def is_durable(self, record: RecordId) -> bool:
        """Return whether a message is on disk."""
        held = self._held.get(record)
        return held is None or held.is_durable

    def pin(self, record: RecordId) -> None:
        """Keep a message that is in memory there while it is being sent."""
        self._held[record].pins += 1

    def unpin(self, record: RecordId) -> None:
        """Undo one `pin`."""
        held = self._held[record]
        held.pins -= 1
        self._evict_if_over_budget(record, held)

    def want(self, entries: Iterable[Entry]) -> None:
        """Ask for messages to be read back, the first of them at least."""
        size_bytes = 0
        for entry in entries:
            if entry.record in self._held:
                continue
            if size_bytes > 0 and size_bytes + entry.size_bytes > READ_BYTES_MAX:
                break
            size_bytes += entry.size_bytes
            held = _Held(None, entry.size_bytes, references=self._stored.take(entry.record))
            held.is_loading = True
            self._held[entry.record] = held
            self._wanted.append(entry.record)

    def take_wanted(self) -> Sequence[RecordId]:
        """Return the messages to be read back, each once."""
        wanted, self._wanted = self._wanted, []
        return wanted

    def arrive(self, record: RecordId, message: Verified[Message] | None) -> bool:
        """Take a message that was read back; return False if it is corrupt and still needed."""
        held = self._held.get(record)
        if held is None or not held.is_loading:
            return True
        held.is_loading = False
        if message is None:
            held.is_corrupt = True
            return False
        held.message = message
        self._resident_bytes += held.size_bytes
        return True

    def give_up(self, records: Iterable[RecordId]) -> None:
        """Note that messages could not be read back for now."""
        for record in records:
            held = self._held.get(record)
            if held is not None and held.is_loading:
                self._put_away(record, held)

    def _evict_if_over_budget(self, record: RecordId, held: _Held) -> None:
        if (
            held.is_durable
            and held.pins <= 0
            and held.message is not None
            and self._resident_bytes > self._resident_bytes_max
        ):
            self._resident_bytes -= held.size_bytes
            self._put_away(record, held)

    def _put_away(self, record: RecordId, held: _Held) -> None:
        """Keep no more of a message than its number."""
        del self._held[record]
        self._stored.add(record, held.references)

    # --- writes -----------------------------------------------------------------------------

    @property
    def is_writing(self) -> bool:
        """Whether a write has been ordered and not reported yet."""
        return self._writing is not None

    @property
    def draft(self) -> Draft:
        """What the next write will hold."""
        return self._draft

    @property
    def next_batch(self) -> BatchId:
        """The write that will hold what changes now."""
        return BatchId(self._batch + 1)

    def is_written(self, batch: BatchId) -> bool:
        """Return whether a write is durable; what it held is, also if it failed at first."""
        return batch <= self._last_written

    def wait(self, waiter: Waiter) -> bool:
        """Let a waiter wait for all changes so far; return False if all that matter are on disk."""
        if self._draft.is_urgent:
            self._draft.waiters.append(waiter)
        elif self._writing is not None:
            self._writing.waiters.append(waiter)
        else:
            return False
        return True

    def take_idle_waiters(self) -> Sequence[Waiter]:
        """Return the waiters of a draft out of which all that they waited for has gone."""
        if self._draft.is_urgent:
            return ()
        waiters, self._draft.waiters = self._draft.waiters, []
        if self._writing is None:
            return waiters
        self._writing.waiters += waiters  # they may wait for what is being written, too
        return ()

    def begin_write(self) -> tuple[BatchId, JournalChanges]:
        """Make the draft the write in flight, and begin a new one."""
        assert self._writing is None
        self._writing, self._draft = self._draft, Draft()
        self._batch = BatchId(self._batch + 1)
        return self._batch, self._writing.changes()

    def finish_write(self, batch: BatchId) -> tuple[Sequence[Waiter], Sequence[QueueId]]:
        """Note that a write is durable; return who waited for it, and the queues that it filled."""
        written = self._writing
        if written is None or batch != self._batch:
            return (), ()
        self._writing = None
        self._last_written = batch
        self._unwritten_queues.difference_update(written.queues)
        for record in written.records:
            held = self._held.get(record)
            if held is not None:
                held.is_durable = True
                self._durable_count += 1
                self._evict_if_over_budget(record, held)
        return written.waiters, tuple(dict.fromkeys(queue for queue, _ in written.entries))

    def fail_write(self, batch: BatchId) -> Sequence[Waiter] | None:
        """Note that a write failed; return who waited for it, None if it is not known.

        Its changes are in the draft again, in front of those made meanwhile.
        """
        failed = self._writing
        if failed is None or batch != self._batch:
            return None
        self._writing = None
        waiters, failed.waiters = failed.waiters, []
        failed.absorb(self._draft)
        self._draft = failed
        return waiters
