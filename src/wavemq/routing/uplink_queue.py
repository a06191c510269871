"""The queue toward a designated router: two lanes, and topics that are held up by themselves.

Owns which message goes next: of what is published now and of what has waited through an outage.
Refuses to know messages, links and disk. Fault model: the designated router may refuse a message
for now; then nothing of its origin and topic may overtake it, and all others go on.

The messages of one origin and topic (below: of one key) are sent in the order of their numbers.
Therefore each key has its messages in this order: those in the live lane or, of a key that is held
up, those put aside; then those in the backlog. Of a key that is held up the live lane holds none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from wavemq.clock import Instant
from wavemq.limits import KIB
from wavemq.routing.config import QueueLimits
from wavemq.routing.entries import EntryFifo
from wavemq.routing.queue import NOTHING_DROPPED, Dropped, told_apart
from wavemq.routing.records import Entry, LaneKey, Place

LIVE_BYTES_MAX: Final = 64 * KIB
"""What waits in the live lane; when more comes than the link carries, it is a backlog."""
LIVE_SHARE: Final = 3
"""While both lanes wait, so many bytes of the live lane go for each of the backlog."""


class Lane(Enum):
    """Where a message waits."""

    LIVE = "live"
    """Published while the uplink was up, with nothing of its topic waiting from before."""
    BACKLOG = "backlog"
    """All else."""


@dataclass(slots=True)
class HeldUp:
    """What waits of a key of which a message was refused for now.

    Attributes:
        waiting: ascending.
        unanswered: frames of the key that are in flight, its probe among them.
        attempts: how often the oldest was refused.
        due: when the oldest is to be sent again, alone; None: it is being sent.
        is_by_disk: whether the designated router cannot write, which concerns all keys.
    """

    waiting: EntryFifo = field(default_factory=EntryFifo)
    unanswered: int = 0
    attempts: int = 0
    due: Instant | None = None
    is_by_disk: bool = False


class UplinkQueue:
    """References to messages for a designated router.

    Args:
        limits: of what waits.
        entries: what it holds; taken over.
        dropped_count: what it dropped before.
    """

    __slots__ = (
        "_backlog",
        "_backlog_keys",
        "_debt_bytes",
        "_in_flight",
        "_in_flight_bytes",
        "_limits",
        "_live",
        "_live_keys",
        "dropped_count",
        "held_up",
        "is_open",
    )

    def __init__(
        self, limits: QueueLimits, entries: EntryFifo | None = None, dropped_count: int = 0
    ) -> None:
        self._limits = limits
        self._backlog = EntryFifo() if entries is None else entries
        self._backlog_keys: Counter[int] = Counter(self._backlog.lanes())
        self._live = EntryFifo()
        self._live_keys: Counter[int] = Counter()
        self._in_flight: dict[Place, Entry] = {}
        self._in_flight_bytes = 0
        # What the live lane sent beyond its share; negative: what the backlog did.
        self._debt_bytes = 0
        self.held_up: dict[LaneKey, HeldUp] = {}
        self.dropped_count = dropped_count
        self.is_open = False

    # --- sums -------------------------------------------------------------------------------

    def __len__(self) -> int:
        return self.waiting_count + len(self._in_flight)

    @property
    def size_bytes(self) -> int:
        """Bytes of all that it holds."""
        return self.waiting_bytes + self._in_flight_bytes

    @property
    def waiting_count(self) -> int:
        """Messages not in flight."""
        held_up = sum(len(one.waiting) for one in self.held_up.values())
        return len(self._backlog) + len(self._live) + held_up

    @property
    def waiting_bytes(self) -> int:
        """Their bytes."""
        held_up = sum(one.waiting.size_bytes for one in self.held_up.values())
        return self._backlog.size_bytes + self._live.size_bytes + held_up

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
        """Put messages at the ends of their lanes.

        Returns:
            What was dropped to make room; among it messages that alone are over the limit.
        """
        fitting, too_large = told_apart(entries, self._limits.bytes_max)
        for entry in fitting:
            self._append(entry)
        self.dropped_count += len(too_large)
        return self._trim().after(too_large)

    def _append(self, entry: Entry) -> None:
        is_first = entry.lane not in self._backlog_keys
        held_up = self.held_up.get(entry.lane) if self.held_up else None
        has_room = self._live.size_bytes + entry.size_bytes <= LIVE_BYTES_MAX
        if is_first and held_up is not None:
            held_up.waiting.append(entry)
        elif is_first and self.is_open and has_room:
            self._live.append(entry)
            self._live_keys[entry.lane] += 1
        else:
            self._backlog.append(entry)
            self._backlog_keys[entry.lane] += 1

    def _trim(self) -> Dropped:
        """Drop the oldest that wait until the limits hold, and return them."""
        limits = self._limits
        count, size_bytes = self.waiting_count, self.waiting_bytes
        if count <= limits.messages_max and size_bytes <= limits.bytes_max:
            return NOTHING_DROPPED
        by_length: list[Entry] = []
        by_size: list[Entry] = []
        while count > limits.messages_max or size_bytes > limits.bytes_max:
            entry = self._pop_oldest()
            (by_length if count > limits.messages_max else by_size).append(entry)
            count -= 1
            size_bytes -= entry.size_bytes
        dropped = Dropped(by_length, by_size)
        self.dropped_count += len(dropped.entries)
        return dropped

    def _pop_oldest(self) -> Entry:
        heads = [head for lane in Lane if (head := self._fifo(lane).head()) is not None]
        heads += [head for one in self.held_up.values() if (head := one.waiting.head()) is not None]
        oldest = min(heads)
        for lane in Lane:
            if self._fifo(lane).head() == oldest:
                return self._pop(lane)
        return self.held_up[oldest.lane].waiting.popleft()

    def _fifo(self, lane: Lane) -> EntryFifo:
        return self._live if lane is Lane.LIVE else self._backlog

    def _pop(self, lane: Lane) -> Entry:
        entry = self._fifo(lane).popleft()
        self._note_left(lane, entry)
        return entry

    def _note_left(self, lane: Lane, entry: Entry) -> None:
        keys = self._live_keys if lane is Lane.LIVE else self._backlog_keys
        left = keys[entry.lane] - 1
        if left:
            keys[entry.lane] = left
        else:
            del keys[entry.lane]

    # --- out --------------------------------------------------------------------------------

    def lanes(self) -> Sequence[Lane]:
        """Return the lanes in which something waits, the one whose turn it is first."""
        if not self._live:
            return (Lane.BACKLOG,) if self._backlog else ()
        if not self._backlog:
            return (Lane.LIVE,)
        if self._debt_bytes > 0:
            return (Lane.BACKLOG, Lane.LIVE)
        return (Lane.LIVE, Lane.BACKLOG)

    def head(self, lane: Lane) -> Entry | None:
        """Return the next of a lane that may be sent; those whose key is held up are put aside."""
        if lane is Lane.LIVE:
            return self._live.head()
        while (entry := self._backlog.head()) is not None:
            if entry.lane in self._live_keys:
                return None  # those in the live lane are older
            held_up = self.held_up.get(entry.lane) if self.held_up else None
            if held_up is None:
                return entry
            held_up.waiting.append(self._pop(lane))
        return None

    def ahead(self, lane: Lane, count_max: int) -> list[Entry]:
        """Return up to so many of the oldest of a lane."""
        return self._fifo(lane).ahead(count_max)

    def at(self, lane: Lane, index: int) -> Entry | None:
        """Return the one behind so many others of a lane."""
        return self._fifo(lane).at(index)

    def take(self, lane: Lane) -> Entry:
        """Put the oldest of a lane in flight, and return it."""
        entry = self._pop(lane)
        if not self._live or not self._backlog:
            self._debt_bytes = 0
        elif lane is Lane.LIVE:
            self._debt_bytes += entry.size_bytes
        else:
            self._debt_bytes -= LIVE_SHARE * entry.size_bytes
        self._put_in_flight(entry)
        return entry

    def take_probe(self, key: LaneKey) -> Entry:
        """Put the oldest of a key that is held up in flight, and return it."""
        held_up = self.held_up[key]
        entry = held_up.waiting.popleft()
        held_up.unanswered += 1
        held_up.due = None
        self._put_in_flight(entry)
        return entry

    def skip(self, lane: Lane) -> Entry:
        """Drop the oldest of a lane, and return it."""
        self.dropped_count += 1
        return self._pop(lane)

    def skip_probe(self, key: LaneKey) -> Entry:
        """Drop the oldest of a key that is held up, and return it."""
        self.dropped_count += 1
        return self.held_up[key].waiting.popleft()

    def _put_in_flight(self, entry: Entry) -> None:
        self._in_flight[entry.record] = entry
        self._in_flight_bytes += entry.size_bytes

    # --- answers ----------------------------------------------------------------------------

    def confirm(self, place: Place) -> Entry | None:
        """Remove what is in flight at a place; None if nothing is."""
        entry = self._in_flight.pop(place, None)
        if entry is not None:
            self._in_flight_bytes -= entry.size_bytes
            held_up = self.held_up.get(entry.lane)
            if held_up is not None:
                held_up.unanswered -= 1
        return entry

    def hold_up(self, place: Place) -> tuple[Entry, HeldUp]:
        """Let a message in flight wait until its key is probed, and its key with it."""
        key = self._in_flight[place].lane
        if key not in self.held_up:
            unanswered = sum(one.lane == key for one in self._in_flight.values())
            self.held_up[key] = HeldUp(self._take_live(key), unanswered)
        entry = self.confirm(place)
        assert entry is not None, "it was found above"
        held_up = self.held_up[key]
        held_up.waiting.merge((entry,))
        return entry, held_up

    def _take_live(self, key: LaneKey) -> EntryFifo:
        """Remove what the live lane holds of a key, and return it."""
        taken = EntryFifo()
        if key in self._live_keys:
            taken.merge(self._live.remove([one.record for one in self._live if one.lane == key]))
            del self._live_keys[key]
        return taken

    def release(self, key: LaneKey) -> None:
        """Let a key go on."""
        waiting = self.held_up.pop(key).waiting.clear()
        if waiting:
            self._backlog.merge(waiting)
            self._backlog_keys[key] += len(waiting)

    def give_back(self) -> tuple[list[Entry], Dropped]:
        """Let everything wait in the backlog, in order, and new messages behind it.

        Returns:
            What was in flight, and what was dropped since the limits count it again.
        """
        returned = sorted(self._in_flight.values())
        self._in_flight.clear()
        self._in_flight_bytes = self._debt_bytes = 0
        waiting = [*returned, *self._live.clear()]
        for held_up in self.held_up.values():
            waiting += held_up.waiting.clear()
        self.held_up.clear()
        self._live_keys.clear()
        self.is_open = False
        self._backlog.merge(sorted(waiting))
        self._backlog_keys.update(entry.lane for entry in waiting)
        return returned, self._trim()

    def withdraw(self, places: Collection[Place]) -> list[Entry]:
        """Remove those of some places that wait, without counting them as dropped."""
        withdrawn: list[Entry] = []
        for lane in Lane:
            removed = self._fifo(lane).remove(places)
            for entry in removed:
                self._note_left(lane, entry)
            withdrawn += removed
        for held_up in self.held_up.values():
            withdrawn += held_up.waiting.remove(places)
        return withdrawn

    def is_in_flight(self, place: Place) -> bool:
        """Return whether something is in flight at a place."""
        return place in self._in_flight

    def in_flight(self) -> list[Entry]:
        """Return what is in flight."""
        return list(self._in_flight.values())

    def clear(self) -> list[Entry]:
        """Remove everything, count it as dropped, and return it."""
        everything = [*self._in_flight.values(), *self._live.clear(), *self._backlog.clear()]
        for held_up in self.held_up.values():
            everything += held_up.waiting.clear()
        self._in_flight.clear()
        self._backlog_keys.clear()
        self._live_keys.clear()
        self.held_up.clear()
        self._in_flight_bytes = self._debt_bytes = 0
        self.dropped_count += len(everything)
        return everything
