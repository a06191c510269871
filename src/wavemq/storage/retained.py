"""The last persisted message of each topic, as bytes.

Owns the Protocol of retained stores and their rows. Refuses to know what the bytes mean and how a
filter matches: it walks topics in order from a prefix and asks. Fault model: as of a journal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from wavemq.limits import MIB

PAGE_ROWS_MAX: Final = 256
PAGE_BYTES_MAX: Final = MIB
"""Bodies of a page; one row may exceed it."""


@dataclass(frozen=True, slots=True)
class RetainedRow:
    """A body under its namespace and topic, with its proof."""

    namespace: bytes
    topic: str
    body: bytes = field(repr=False)
    proof: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class RetainedPage:
    """Part of an answer.

    Attributes:
        rows: ascending by topic.
        next_after: give it as `after` to go on; None: that was all.
    """

    rows: Sequence[RetainedRow]
    next_after: str | None


@dataclass(frozen=True, slots=True)
class RetainedStatistics:
    """What a store holds now; `corrupt_count` rows were set aside, others repaired."""

    topics: int
    corrupt_count: int
    repaired_count: int = 0


class RetainedStore(Protocol):
    """Keeps one row per namespace and topic. Calls block; `write` comes from one thread."""

    def write(self, rows: Sequence[RetainedRow]) -> None:
        """Keep rows in place of those of the same topics, durably.

        Raises:
            StorageFaultError: nothing was written.
        """
        ...

    def find(
        self,
        namespace: bytes,
        *,
        prefix: str,
        is_wanted: Callable[[str], bool],
        after: str | None = None,
    ) -> RetainedPage:
        """Return a page of rows whose topic begins with `prefix` and is wanted.

        Args:
            namespace: where.
            prefix: of the topics looked at.
            is_wanted: decides about each topic.
            after: where the page before ended.

        Raises:
            StorageFaultError: the disk fails.
        """
        ...

    def statistics(self) -> RetainedStatistics:
        """Return counts."""
        ...

    def close(self) -> None:
        """Release files; nothing else may be called after."""
        ...
