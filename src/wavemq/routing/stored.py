"""How many queues hold each message that is on disk only.

Owns the counts, and of a message that one queue holds not even a number: a million of them would
take 90 MB. Refuses to know queues. Fault model: none; who asks for a message knows that it is here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence


class StoredReferences:
    """References to messages.

    Args:
        queues: the records that each queue holds, ascending.
    """

    __slots__ = ("_count", "_shared")

    def __init__(self, queues: Sequence[Sequence[int]]) -> None:
        smaller = sorted(queues, key=len)
        largest = smaller.pop() if smaller else ()
        others: Counter[int] = Counter()
        for records in smaller:
            others.update(records)
        for record in set(others).intersection(largest) if others else ():
            others[record] += 1
        in_largest = others.total() - sum(map(len, smaller))
        self._count = len(largest) + len(others) - in_largest
        # Of those that more than one queue holds.
        self._shared = {record: count for record, count in others.items() if count > 1}

    def __len__(self) -> int:
        """Return how many messages there are."""
        return self._count

    def add(self, record: int, references: int) -> None:
        """Add a message that so many queues hold, at least one."""
        self._count += 1
        if references > 1:
            self._shared[record] = references

    def take(self, record: int) -> int:
        """Remove a message; return how many queues hold it."""
        self._count -= 1
        return self._shared.pop(record, 1)

    def release(self, record: int) -> bool:
        """Take one reference from a message; return whether it was the last, and it is gone."""
        left = self._shared.pop(record, 1) - 1
        if left > 1:
            self._shared[record] = left
        if left == 0:
            self._count -= 1
        return left == 0
