"""Between the core, which speaks of messages, and the disk, which keeps bytes.

Owns the encoding of records, queues and retained messages, and the router's id. Refuses to decide
anything. Fault model: the disk may fail or hold unsound bytes, which journals find by checksum;
what is sound but does not parse counts as corrupt too. All calls but `begin` block; there is one
write at a time, `read` and `retained` may come from other threads.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from google.protobuf.message import DecodeError

from wavemq.clock import Instant
from wavemq.errors import CorruptRecordError, RemoteProtocolError, WaveMQError
from wavemq.messages.message import Message, SubscriptionRequest
from wavemq.messages.topic import ANY_LEVELS, ONE_LEVEL, SEPARATOR, Topic, TopicFilter
from wavemq.messages.verified import Verified, restored_from_journal
from wavemq.routing.entries import EntryFifo
from wavemq.routing.records import (
    ConsumerQueueDefinition,
    DownlinkPosition,
    JournalChanges,
    QueueDefinition,
    QueueId,
    RecordId,
    Scope,
    UplinkQueueDefinition,
)
from wavemq.routing.snapshot import Snapshot, StoredQueue
from wavemq.storage.journal import (
    Journal,
    JournalBatch,
    JournalContents,
    QueueRow,
    RecordRow,
)
from wavemq.storage.retained import RetainedRow, RetainedStore
from wavemq.wave.hashes import Hash
from wavemq.wire import mqpb_pb2 as mqpb
from wavemq.wire.convert import (
    location_from_wire,
    location_to_wire,
    message_from_wire,
    subscription_from_wire,
    subscription_to_wire,
)
from wavemq.wire.encoding import encoded_behind, parts_of

ROUTER_ID: Final = "router_id"
_FORMAT: Final = 1
_RECORD: Final = struct.Struct(">Bq")
"""Format, granted until."""
_QUEUE: Final = struct.Struct(">BBqH")
"""Format, kind, granted until, length of the source's location."""
_POSITION: Final = struct.Struct(">Q")
"""Index; the name of the journal follows."""
_INSTANT_MAX: Final = Instant(2**63 - 1)
"""The latest that is kept, in 2262; proofs may say 9999."""
_KIND_UPLINK: Final = 0
_KIND_LOCAL: Final = 1
_KIND_PEER: Final = 2


class Recorder:
    """Performs `WriteJournal`, `ReadRecords` and `ReadRetained`.

    Args:
        journal: of queues.
        retained: of retained messages.
    """

    def __init__(self, journal: Journal, retained: RetainedStore) -> None:
        self._journal = journal
        self._retained = retained

    def router_id(self, make: Callable[[], str]) -> str:
        """Return the id that is kept with the journal; make and keep one the first time.

        Raises:
            StorageFaultError: the disk fails.
        """
        kept = self._journal.setting(ROUTER_ID)
        if kept is not None:
            return kept.decode()
        made = make()
        self._journal.keep_setting(ROUTER_ID, made.encode())
        return made

    def snapshot(self) -> Snapshot:
        """Return what a core starts from.

        Raises:
            StorageFaultError: the disk fails.
        """
        return snapshot_from(self._journal.contents())

    def write(self, changes: JournalChanges) -> None:
        """Perform a `WriteJournal`.

        Raises:
            StorageFaultError: report `JournalFailed` with it.
        """
        if changes.retained:
            # First, since what follows can be repeated: a repeated row replaces itself.
            self._retained.write(
                [
                    RetainedRow(namespace.to_bytes(), topic.text, body, message.value.proof)
                    for ((namespace, topic), message), body in zip(
                        changes.retained.items(), _bodies(changes.retained.values()), strict=True
                    )
                ]
            )
        self._journal.write(_batch(changes))

    def begin(self, changes: JournalChanges) -> bool:
        """Begin to perform a `WriteJournal`; False: it would take long, so `write` is to do it."""
        return not changes.retained and self._journal.begin(_batch(changes))

    def end(self) -> None:
        """Wait for the end of what was begun; call it once.

        Raises:
            StorageFaultError: report `JournalFailed` with it.
        """
        self._journal.end()

    def descriptor(self) -> int | None:
        """Return what is readable when what was begun has ended; None if nothing ever begins."""
        return self._journal.descriptor()

    def read(
        self, records: Sequence[RecordId]
    ) -> Sequence[tuple[RecordId, Verified[Message] | None]]:
        """Perform a `ReadRecords`; the result is what `RecordsRead` holds.

        Raises:
            StorageFaultError: report `RecordsUnread` with it.
        """
        rows = self._journal.read(records)
        return [(record, _message_or_none(rows[record])) for record in records]

    def retained(self, namespace: Hash, topic_filter: TopicFilter) -> Iterator[Sequence[Message]]:
        """Perform a `ReadRetained`: give batches of messages, ascending by topic.

        Raises:
            StorageFaultError: the disk fails.
        """
        after: str | None = None
        while True:
            page = self._retained.find(
                namespace.to_bytes(),
                prefix=_fixed_prefix(topic_filter),
                is_wanted=lambda text: topic_filter.matches(Topic(text)),
                after=after,
            )
            found = (_message_or_none(row) for row in page.rows)
            messages = [message.value for message in found if message is not None]
            if messages:
                yield messages
            if page.next_after is None:
                return
            after = page.next_after


def snapshot_from(contents: JournalContents) -> Snapshot:
    """Return the contents of a journal as a core starts from them; it takes over their columns."""
    queues: list[StoredQueue] = []
    corrupt_count = contents.corrupt_count
    for found in contents.queues:
        try:
            definition = _queue_from_bytes(found.definition, found.proof)
        except CorruptRecordError:
            corrupt_count += 1
            continue
        columns = found.entries
        queues.append(
            StoredQueue(
                QueueId(found.queue),
                definition,
                found.dropped_count,
                _position_from_bytes(found.mark),
                EntryFifo(columns.records, columns.sizes_bytes, columns.lanes),
            )
        )
    return Snapshot(
        queues,
        {Scope(scope): identities for scope, identities in contents.identities.items()},
        next_queue=QueueId(contents.next_queue),
        next_record=RecordId(contents.next_record),
        corrupt_count=corrupt_count,
    )


def _fixed_prefix(topic_filter: TopicFilter) -> str:
    """Return what every topic that matches begins with."""
    fixed: list[str] = []
    for level in topic_filter.levels:
        if level in (ONE_LEVEL, ANY_LEVELS):
            break
        fixed.append(level)
    return SEPARATOR.join(fixed)


def _batch(changes: JournalChanges) -> JournalBatch:
    return JournalBatch(
        queues=[
            QueueRow(queue, *_queue_to_bytes(definition))
            for queue, definition in changes.queues.items()
        ],
        dropped_counts={int(queue): count for queue, count in changes.dropped_counts.items()},
        marks={
            int(queue): _position_to_bytes(position)
            for queue, position in changes.positions.items()
        },
        records=_record_rows(changes.records),
        entries=[
            (queue, record, size_bytes, lane)
            for (queue, _), (record, size_bytes, lane) in changes.entries.items()
        ],
        identities=changes.identities,
        removed_entries=changes.removed_entries,
        removed_queues=changes.removed_queues,
        removed_records=changes.removed_records,
        removed_scopes=changes.removed_scopes,
    )


# --- messages -----------------------------------------------------------------------------------


def _record_rows(records: Mapping[RecordId, Verified[Message]]) -> list[RecordRow]:
    proofs = [message.value.proof for message in records.values()]
    return list(map(_made_row, zip(records, _bodies(records.values()), proofs, strict=True)))


_made_row: Final[Callable[[tuple[int, bytes, bytes]], RecordRow]] = partial(
    tuple.__new__, RecordRow
)


def _bodies(messages: Collection[Verified[Message]]) -> list[bytes]:
    """Return what is kept of each, its proof left out."""
    return encoded_behind(
        [
            (_RECORD.pack(_FORMAT, min(one.granted_until, _INSTANT_MAX)), parts_of(one.value))
            for one in messages
        ]
    )


def _message_or_none(row: RecordRow | RetainedRow | CorruptRecordError) -> Verified[Message] | None:
    """Return the message of a row; None if it is corrupt."""
    if isinstance(row, CorruptRecordError):
        return None
    try:
        kept_format, granted_until = _RECORD.unpack_from(row.body)
        if kept_format != _FORMAT:
            return None
        wire = mqpb.Message.FromString(row.body[_RECORD.size :])
        message = replace(message_from_wire(wire), proof=row.proof)
    except (struct.error, DecodeError, WaveMQError):
        return None
    return restored_from_journal(message, Instant(granted_until))


# --- positions ----------------------------------------------------------------------------------


def _position_to_bytes(position: DownlinkPosition) -> bytes:
    return _POSITION.pack(position.index) + position.journal.encode()


def _position_from_bytes(mark: bytes) -> DownlinkPosition | None:
    """Return a position; None if there is none, or what is there is damaged."""
    if len(mark) < _POSITION.size:
        return None
    (index,) = _POSITION.unpack_from(mark)
    try:
        return DownlinkPosition(mark[_POSITION.size :].decode(), index)
    except (UnicodeDecodeError, RemoteProtocolError):
        return None


# --- queues -------------------------------------------------------------------------------------


def _queue_to_bytes(definition: QueueDefinition) -> tuple[bytes, bytes]:
    """Return the bytes of a definition, and its proof, which is kept apart."""
    if isinstance(definition, UplinkQueueDefinition):
        head = _QUEUE.pack(_FORMAT, _KIND_UPLINK, 0, 0)
        return head + definition.namespace.to_bytes(), b""
    request = definition.subscription.value
    location = b""
    if request.source_location is not None:
        location = location_to_wire(request.source_location).SerializeToString()
    kind = _KIND_LOCAL if definition.is_local else _KIND_PEER
    granted_until = min(definition.subscription.granted_until, _INSTANT_MAX)
    head = _QUEUE.pack(_FORMAT, kind, granted_until, len(location))
    end = request.absolute_expiry
    kept = replace(
        request, proof=b"", absolute_expiry=None if end is None else min(end, _INSTANT_MAX)
    )
    wire = subscription_to_wire(kept)
    return head + location + wire.SerializeToString(), request.proof


def _queue_from_bytes(content: bytes, proof: bytes) -> QueueDefinition:
    """Return a definition.

    Raises:
        CorruptRecordError: the bytes are none.
    """
    try:
        kept_format, kind, granted_until, location_length = _QUEUE.unpack_from(content)
        rest = content[_QUEUE.size :]
        if kept_format != _FORMAT or kind not in (_KIND_UPLINK, _KIND_LOCAL, _KIND_PEER):
            raise CorruptRecordError("the definition of a queue has an unknown form")
        if kind == _KIND_UPLINK:
            return UplinkQueueDefinition(Hash.from_bytes(rest))
        request = _request_from_bytes(rest, location_length, proof)
    except (struct.error, DecodeError, WaveMQError) as error:
        raise CorruptRecordError(f"the definition of a queue does not parse: {error}") from error
    subscription = restored_from_journal(request, Instant(granted_until))
    return ConsumerQueueDefinition(subscription, is_local=kind == _KIND_LOCAL)


def _request_from_bytes(content: bytes, location_length: int, proof: bytes) -> SubscriptionRequest:
    location = None
    if location_length:
        wire = mqpb.LocationURI.FromString(content[:location_length])
        location = location_from_wire(wire)
    params = mqpb.PeerSubscribeParams.FromString(content[location_length:])
    return replace(subscription_from_wire(params), source_location=location, proof=proof)
