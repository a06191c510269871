"""The disks of a simulated router: journals that keep what was written, and fail when told to.

Owns what survives a crash, and the faults. Refuses to know files: engines are cut, torn and flipped
by tests of their own; here a write happens whole or not at all, as every journal promises. Fault
model: full or failing for a while; a planted one that promises and forgets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wavemq.errors import CorruptRecordError, StorageFaultError
from wavemq.router.recording import Recorder
from wavemq.routing.records import JournalChanges
from wavemq.storage.journal import JournalBatch, RecordRow
from wavemq.storage.memory import MemoryJournal, MemoryRetained


class SimulatedJournal(MemoryJournal):
    """A journal that outlives its router."""

    def __init__(self) -> None:
        super().__init__()
        self.fault: StorageFaultError | None = None
        self.failed_count = 0

    def write(self, batch: JournalBatch) -> None:
        """Take changes, unless the disk fails."""
        if self.fault is not None:
            self.failed_count += 1
            raise self.fault
        super().write(batch)

    def read(self, records: Sequence[int]) -> Mapping[int, RecordRow | CorruptRecordError]:
        """Return bodies, unless the disk fails; a full one can be read."""
        if self.fault is not None and "full" not in self.fault.reason:
            raise self.fault
        return super().read(records)


class SimulatedDisk:
    """What a router finds again when it starts."""

    def __init__(self) -> None:
        self.journal = SimulatedJournal()
        self.retained = MemoryRetained()

    def recorder(self) -> SimulatedRecorder:
        """Return access for one life of a router."""
        return SimulatedRecorder(self)


class SimulatedRecorder(Recorder):
    """A router's access to its disk, which ends with the router."""

    def __init__(self, disk: SimulatedDisk) -> None:
        super().__init__(disk.journal, disk.retained)
        self.is_over = False

    def write(self, changes: JournalChanges) -> None:
        """Write, unless the process has died before the write began."""
        if self.is_over:
            raise StorageFaultError("the process is dead")
        super().write(changes)
