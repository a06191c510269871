"""Between the core, which speaks of messages, and the disk, which keeps bytes.

Owns the encoding of records, queues and retained messages, and the router's id. Refuses to decide
anything. Fault model: the disk may fail or hold unsound bytes, which journals find by checksum;
what is sound but does not parse counts as corrupt too and is set aside. All calls block; they are
for the journal's thread, but for `read` and `retained`, which may have threads of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from wavemq.messages.message import Message
from wavemq.messages.topic import TopicFilter
from wavemq.messages.verified import Verified
from wavemq.routing.records import JournalChanges, RecordId, Snapshot
from wavemq.storage.journal import Journal
from wavemq.storage.retained import RetainedStore
from wavemq.wave.hashes import Hash


class Recorder:
    """Performs `WriteJournal`, `ReadRecords` and `ReadRetained`.

    Args:
        journal: of queues.
        retained: of retained messages.
    """

    def __init__(self, journal: Journal, retained: RetainedStore) -> None: ...

    def router_id(self, make: Callable[[], str]) -> str:
        """Return the id that is kept with the journal; make and keep one the first time.

        Raises:
            StorageFaultError: the disk fails.
        """
        ...

    def snapshot(self) -> Snapshot:
        """Return what a core starts from.

        Raises:
            StorageFaultError: the disk fails.
        """
        ...

    def write(self, changes: JournalChanges) -> None:
        """Perform a `WriteJournal`.

        Raises:
            StorageFaultError: report `JournalFailed` with it.
        """
        ...

    def read(
        self, records: Sequence[RecordId]
    ) -> Sequence[tuple[RecordId, Verified[Message] | None]]:
        """Perform a `ReadRecords`; the result is what `RecordsRead` holds.

        Raises:
            StorageFaultError: report `RecordsUnread` with it.
        """
        ...

    def retained(self, namespace: Hash, topic_filter: TopicFilter) -> Iterator[Sequence[Message]]:
        """Perform a `ReadRetained`: give batches of messages, ascending by topic.

        Raises:
            StorageFaultError: the disk fails.
        """
        ...
