"""A wall clock of real processes that a test sets."""

from __future__ import annotations

import mmap
import struct
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".c")


class SetClock:
    """Moves the wall clock of the processes that are started with its `environment`.

    Args:
        folder: for the compiled library and the offset.
        offset_s: seconds that the clock is ahead at first; negative: behind.
    """

    def __init__(self, folder: Path, offset_s: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        library, offset = folder / "set_clock.so", folder / "offset"
        subprocess.run(
            ["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"], check=True
        )
        offset.write_bytes(struct.pack("<q", offset_s))
        with offset.open("r+b") as file:
            self._offset = mmap.mmap(file.fileno(), 8)
        self.environment = {"LD_PRELOAD": str(library), "WAVEMQ_TEST_CLOCK": str(offset)}

    def set(self, offset_s: int) -> None:
        """Move the clock to so many seconds ahead of the machine's."""
        self._offset[:] = struct.pack("<q", offset_s)
