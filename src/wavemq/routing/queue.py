"""One queue: which messages wait, in what order, and when the oldest of them go.

Owns order, limits and the step from waiting to in flight. Refuses to know messages, subscriptions,
links and disk: an entry is a number, a size and a lane. Fault model: none of its own; a caller that
confirms what is not in flight is told so.

An entry waits until it is taken, and is in flight until it is confirmed, given back, or returned
for later. What is in flight or returned is never dropped by a limit, since it may have been seen.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Final, Protocol

from wavemq.clock import Instant
from wavemq.routing.config import QueueLimits
from wavemq.routing.entries import EntryFifo
from wavemq.routing.records import Entry, Place

NEXT_ONES_MAX: Final = 64
"""Messages that are looked at together, as candidates to be sent."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """What left a queue without a reader, by the limit that it was over.

    Attributes:
        by_length: since too many messages waited.
        by_size: since they were too many bytes.
    """

    by_length: Sequence[Entry] = ()
    by_size: Sequence[Entry] = ()

    @property
    def entries(self) -> Sequence[Entry]:
        """All of them."""
        return (*self.by_length, *self.by_size)

    def after(self, too_large: Sequence[Entry]) -> Dropped:
        """Return the same behind messages that are over the limit by themselves."""
        return Dropped(self.by_length, (*too_large, *self.by_size)) if too_large else self


NOTHING_DROPPED: Final = Dropped()


def told_apart(entries: list[Entry], bytes_max: int) -> tuple[list[Entry], list[Entry]]:
    """Return what a limit takes, mostly the argument itself, and what is over it by itself."""
    too_large = [entry for entry in entries if entry.size_bytes > bytes_max]
    if not too_large:
        return entries, too_large
    return [entry for entry in entries if entry.size_bytes <= bytes_max], too_large


class HoldingQueue(Protocol):
    """What the ledger needs from a queue of any policy."""

    dropped_count: int

    def extend(self, entries: list[Entry]) -> Dropped:
        """Put messages at the end; one is among what is dropped if it alone is over a limit."""
        ...

    def in_flight(self) -> Sequence[Entry]:
        """Return what is in flight."""
        ...

    def clear(self) -> Sequence[Entry]:
        """Remove everything, count it as dropped, and return it."""
        ...


class WithdrawingQueue(Protocol):
    """What journaling needs from a queue of any policy."""

    def withdraw(self, places: Collection[Place]) -> Sequence[Entry]:
        """Remove those of some places that wait, without counting them as dropped."""
        ...


class MessageQueue:
    """References to messages, first in, first out.

    Args:
        limits: of what waits.
        entries: what it holds; taken over.
        dropped_count: what it dropped before.
    """

    __slots__ = (
        "_attempts",
        "_in_flight",
        "_in_flight_bytes",
        "_limits",
        "_returned",
        "_returned_bytes",
        "_waiting",
        "dropped_count",
    )

    def __init__(
        self, limits: QueueLimits, entries: EntryFifo | None = None, dropped_count: int = 0
    ) -> None:
        self._limits = limits
        self._waiting = EntryFifo() if entries is None else entries
        self._in_flight: dict[Place, Entry] = {}
        self._in_flight_bytes = 0
        self._returned: list[tuple[Instant, Entry]] = []
        self._returned_bytes = 0
        # Of those that were in flight before and are not confirmed.
        self._attempts: dict[Place, int] = {}
        self.dropped_count = dropped_count

    # --- sums -------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._waiting) + len(self._in_flight) + len(self._returned)

    @property
    def is_empty(self) -> bool:
        """Whether it holds nothing."""
        return not (self._in_flight or self._returned or self._waiting)

    @property
    def size_bytes(self) -> int:
        """Bytes of all that it holds."""
        return self._waiting.size_bytes + self._in_flight_bytes + self._returned_bytes

    @property
    def waiting_count(self) -> int:
        """Messages not in flight."""
        return len(self._waiting) + len(self._returned)

    @property
    def in_flight_count(self) -> int:
        """Messages taken and not confirmed."""
        return len(self._in_flight)

    @property
    def in_flight_bytes(self) -> int:
        """Their bytes."""
        return self._in_flight_bytes

    # --- in ---------------------------------------------------------------------------------

    def extend(self, entries: list[Entry]) -> Dropped:
        """Put messages at the end.

        Returns:
            What was dropped to make room; among it messages that are over the limit by themselves,
            since dropping everything else for them would help nobody.
        """
        fitting, too_large = told_apart(entries, self._limits.bytes_max)
        if fitting:
            self._waiting.extend(fitting)
        self.dropped_count += len(too_large)
        return self.trim().after(too_large)

    def trim(self) -> Dropped:
        """Drop the oldest that wait until the limits hold, and return them."""
        waiting, limits = self._waiting, self._limits
        if len(waiting) <= limits.messages_max and waiting.size_bytes <= limits.bytes_max:
            return NOTHING_DROPPED
        by_length: list[Entry] = []
        by_size: list[Entry] = []
        while len(waiting) > limits.messages_max:
            by_length.append(waiting.popleft())
        while waiting.size_bytes > limits.bytes_max:
            by_size.append(waiting.popleft())
        dropped = Dropped(by_length, by_size)
        self.dropped_count += len(dropped.entries)
        for entry in dropped.entries:
            self._attempts.pop(entry.record, None)
        return dropped

    # --- out --------------------------------------------------------------------------------

    def ahead(self, count_max: int) -> list[Entry]:
        """Return up to so many of the oldest that wait."""
        return self._waiting.ahead(count_max)

    def next_ones(self, credit: int, window_bytes_max: int) -> list[Entry]:
        """Return some of the oldest that wait, as far as they may be put in flight now.

        Args:
            credit: how many may be in flight.
            window_bytes_max: how many bytes; an empty window takes any message.
        """
        room = min(credit - len(self._in_flight), NEXT_ONES_MAX)
        if room <= 0:
            return []
        entries = self._waiting.ahead(room)
        under_way_bytes = self._in_flight_bytes
        if under_way_bytes + self._waiting.size_bytes > window_bytes_max:
            for index, entry in enumerate(entries):
                if under_way_bytes and under_way_bytes + entry.size_bytes > window_bytes_max:
                    return entries[:index]
                under_way_bytes += entry.size_bytes
        return entries

    def take(self, entries: Sequence[Entry]) -> None:
        """Put the oldest that wait, as `next_ones` returned them, in flight."""
        self._waiting.remove_first(entries)
        for entry in entries:
            self._in_flight[entry[0]] = entry
            self._in_flight_bytes += entry[1]

    def attempt(self, place: Place) -> int:
        """Return how often a message was taken, this time included, since the process began."""
        return self._attempts.get(place, 0) + 1

    def attempts(self, entries: Sequence[Entry]) -> Iterable[int]:
        """Return `attempt` of each."""
        if not self._attempts:
            return repeat(1, len(entries))
        return [self.attempt(entry.record) for entry in entries]

    def skip(self) -> Entry:
        """Drop the oldest that waits, and return it."""
        entry = self._waiting.popleft()
        self._attempts.pop(entry.record, None)
        self.dropped_count += 1
        return entry

    def confirm(self, place: Place) -> Entry | None:
        """Remove what is in flight at a place; None if nothing is."""
        return next(iter(self.confirm_all((place,))), None)

    def confirm_all(self, places: Iterable[Place]) -> list[Entry]:
        """Remove what is in flight at some places, and return it."""
        in_flight, attempts = self._in_flight, self._attempts
        confirmed: list[Entry] = []
        for place in places:
            entry = in_flight.pop(place, None)
            if entry is not None:
                confirmed.append(entry)
                self._in_flight_bytes -= entry[1]
                if attempts:
                    attempts.pop(place, None)
        return confirmed

    def confirm_through(self, place: Place) -> list[Entry]:
        """Remove what was taken up to and with what is in flight at a place, and return it."""
        if place not in self._in_flight:
            return []
        through: list[Place] = []
        for taken in self._in_flight:
            through.append(taken)
            if taken == place:
                break
        return self.confirm_all(through)

    def give_back(self) -> tuple[list[Entry], Dropped]:
        """Let all that is in flight wait again, at its old places.

        Returns:
            What was in flight, and what was dropped since the limits count it again.
        """
        returned = sorted(self._in_flight.values())
        self._in_flight.clear()
        self._in_flight_bytes = 0
        for entry in returned:
            self._attempts[entry.record] = self._attempts.get(entry.record, 0) + 1
        self._waiting.merge(returned)
        return returned, self.trim()

    def return_later(self, place: Place, due: Instant) -> Entry | None:
        """Take a message out of flight until an instant; None if it is not in flight."""
        attempts = self.attempt(place)
        entry = self.confirm(place)
        if entry is not None:
            self._attempts[place] = attempts
            heapq.heappush(self._returned, (due, entry))
            self._returned_bytes += entry.size_bytes
        return entry

    def next_due(self) -> Instant | None:
        """Return when the next returned message waits again; None: there is none."""
        return self._returned[0][0] if self._returned else None

    def take_due(self, now: Instant) -> Dropped:
        """Let returned messages whose time has come wait again; return what was dropped."""
        due: list[Entry] = []
        while self._returned and self._returned[0][0] <= now:
            due.append(heapq.heappop(self._returned)[1])
        if not due:
            return NOTHING_DROPPED
        self._returned_bytes -= sum(entry.size_bytes for entry in due)
        self._waiting.merge(sorted(due))
        return self.trim()

    def shift_due(self, by_ns: int) -> None:
        """Move the times of returned messages."""
        self._returned = [(Instant(due + by_ns), entry) for due, entry in self._returned]

    def withdraw(self, places: Collection[Place]) -> list[Entry]:
        """Remove those of some places that wait, without counting them as dropped."""
        return self._waiting.remove(places)

    def is_in_flight(self, place: Place) -> bool:
        """Return whether something is in flight at a place."""
        return place in self._in_flight

    def in_flight(self) -> list[Entry]:
        """Return what is in flight."""
        return list(self._in_flight.values())

    def clear(self) -> list[Entry]:
        """Remove everything, count it as dropped, and return it."""
        returned = [entry for _, entry in self._returned]
        everything = [*self._in_flight.values(), *returned, *self._waiting.clear()]
        self._in_flight.clear()
        self._returned.clear()
        self._attempts.clear()
        self._in_flight_bytes = self._returned_bytes = 0
        self.dropped_count += len(everything)
        return everything
