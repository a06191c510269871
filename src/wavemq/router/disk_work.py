"""What the core orders of the disk, done beside the event loop.

Owns which thread does what: short writes go to the kernel's, which needs the interpreter for
nothing; long ones, reads and searches have workers of their own. Refuses to decide what a failure
means. Fault model: a failing disk is told as the core's events say it; work that raises anything
else is told as `Failed`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from wavemq.errors import WaveMQError
from wavemq.messages.message import Message
from wavemq.router.machine import Failed, Machine
from wavemq.router.recording import Recorder
from wavemq.routing.effects import ReadRecords, ReadRetained, WriteJournal
from wavemq.routing.events import (
    BatchId,
    JournalFailed,
    JournalWritten,
    RecordsRead,
    RecordsUnread,
)

Done = JournalWritten | JournalFailed | RecordsRead | RecordsUnread | Failed


class DiskWork:
    """Performs what concerns the disk.

    Args:
        recorder: does it.
        machine: makes workers.
        done: called in the event loop with what came of an order.
    """

    def __init__(self, recorder: Recorder, machine: Machine, done: Callable[[Done], None]) -> None:
        self._recorder = recorder
        self._done = done
        self._loop = asyncio.get_running_loop()
        self._writer = machine.worker("wavemq-journal")
        self._fetcher = machine.worker("wavemq-records")
        self._searcher = ThreadPoolExecutor(1, thread_name_prefix="wavemq-retained")
        self._begun: BatchId | None = None
        self._descriptor = recorder.descriptor()
        if self._descriptor is not None:
            self._loop.add_reader(self._descriptor, self._end)

    def write(self, order: WriteJournal) -> None:
        """Perform a `WriteJournal`; one at a time."""
        if self._recorder.begin(order.changes):
            self._begun = order.batch
        else:
            work = partial(self._recorder.write, order.changes)
            self._writer.run(partial(_written, order.batch, work), self._done)

    def _end(self) -> None:
        batch, self._begun = self._begun, None
        if batch is not None:
            self._done(_written(batch, self._recorder.end))

    def read(self, order: ReadRecords) -> None:
        """Perform a `ReadRecords`."""
        self._fetcher.run(partial(self._read, order), self._done)

    def _read(self, order: ReadRecords) -> RecordsRead | RecordsUnread:
        try:
            return RecordsRead(self._recorder.read(order.records))
        except WaveMQError as error:
            return RecordsUnread(order.records, error)

    async def retained(self, order: ReadRetained) -> AsyncGenerator[Sequence[Message], None]:
        """Perform a `ReadRetained` in batches.

        Raises:
            StorageFaultError: the disk fails.
        """
        batches = self._recorder.retained(order.namespace, order.topic_filter)
        while True:
            batch = await self._loop.run_in_executor(self._searcher, next, batches, None)
            if batch is None:
                return
            yield batch

    async def aclose(self) -> None:
        """Let go of the threads when what they do is done; what was begun ends by itself."""
        if self._descriptor is not None:
            self._loop.remove_reader(self._descriptor)
        for worker in (self._writer, self._fetcher):
            await worker.aclose()
        await self._loop.run_in_executor(None, self._searcher.shutdown)


def _written(batch: BatchId, work: Callable[[], None]) -> JournalWritten | JournalFailed:
    try:
        work()
    except WaveMQError as error:
        return JournalFailed(batch, error)
    return JournalWritten(batch)
