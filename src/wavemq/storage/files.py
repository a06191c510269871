"""The few things that a journal does to files of one directory, so that a test can cut any of them.

Owns the Protocol of a directory of files. Refuses to know what is in them. Fault model: as POSIX
has it. Until `sync` of a file returned, any part of what was appended to it may be gone after a
power cut, in any order, torn anywhere; until `sync_directory` returned, a new, renamed or removed
name may not be there, or still be. A failing or full disk is a `StorageFaultError`; of an append
that failed, any part may be in the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class AppendFile(Protocol):
    """A file open for appending; one owner."""

    def append(self, parts: Sequence[bytes]) -> None:
        """Write bytes at the end.

        Raises:
            StorageFaultError: some of them may have been written.
        """
        ...

    def sync(self) -> None:
        """Make what was appended survive a power cut.

        Raises:
            StorageFaultError: nobody knows what of it does; the file must not be appended to again.
        """
        ...

    def close(self) -> None:
        """Release the file."""
        ...


class Directory(Protocol):
    """Files of one directory, by name; names hold no separator.

    Every method may raise `StorageFaultError`, with the name of the file in its reason.
    """

    def names(self) -> Sequence[str]:
        """Return the names of all files, ascending."""
        ...

    def size_bytes(self, name: str) -> int:
        """Return the length of a file."""
        ...

    def read(self, name: str, offset: int, length: int) -> bytes:
        """Return bytes of a file; fewer where it ends. From any thread."""
        ...

    def create(self, name: str) -> AppendFile:
        """Make a file, empty it if it is there, and open it."""
        ...

    def rename(self, name: str, new_name: str) -> None:
        """Give a file another name; a file that has it is replaced."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file; nothing happens if it is not there."""
        ...

    def sync_directory(self) -> None:
        """Make names survive a power cut."""
        ...

    def close(self) -> None:
        """Let another process use the directory."""
        ...
