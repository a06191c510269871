"""How much may be under way to a designated router: what its link carries in two seconds.

Owns the size of one window in bytes, and when each frame in it was sent. Refuses to know links and
clocks: it is told the present. Fault model: a link may be a thousand times thinner than the last
one, or become so; then a message published now would wait behind all that was put on it before.
"""

from __future__ import annotations

from typing import Final

from wavemq.clock import NANOSECONDS_PER_SECOND, Instant
from wavemq.limits import KIB
from wavemq.routing.records import Place

FIRST_BYTES: Final = 16 * KIB
BYTES_MIN: Final = 4 * KIB
ANSWER_SECONDS: Final = 2.0
"""An answer that takes longer says that more is under way than the link carries."""


class Window:
    """Grows by what is answered in time, while it is used; halves when answers come late.

    It doubles in one round trip at most, as TCP's slow start does (RFC 5681, 3.1), and halves once
    for all that was sent before it knew.

    Args:
        bytes_max: it does not grow beyond.
    """

    __slots__ = ("_bytes_max", "_halved_at", "_sent", "size_bytes")

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._sent: dict[Place, Instant] = {}
        self._halved_at: Instant | None = None
        self.size_bytes = min(FIRST_BYTES, bytes_max)

    def note_sent(self, place: Place, now: Instant) -> None:
        """Take note of a frame."""
        self._sent[place] = now

    def note_answered(
        self, place: Place, size_bytes: int, under_way_bytes: int, now: Instant
    ) -> None:
        """Take note of an answer.

        Args:
            place: of the frame.
            size_bytes: of the frame.
            under_way_bytes: what was under way when the answer came, with this frame.
            now: the present.
        """
        sent = self._sent.pop(place, None)
        if sent is None:
            return
        if now - sent <= ANSWER_SECONDS * NANOSECONDS_PER_SECOND:
            # What an idle uplink answers in time says nothing about a full window.
            if 2 * under_way_bytes >= self.size_bytes:
                self.size_bytes = min(self.size_bytes + size_bytes, self._bytes_max)
        elif self._halved_at is None or sent >= self._halved_at:
            self._halved_at = now
            self.size_bytes = max(self.size_bytes // 2, min(BYTES_MIN, self._bytes_max))

    def note_refused(self, place: Place) -> None:
        """Take note that a frame is not under way any more; its time says nothing."""
        self._sent.pop(place, None)

    def shift(self, by_ns: int) -> None:
        """Move all instants, since the clock was set."""
        self._sent = {place: Instant(sent + by_ns) for place, sent in self._sent.items()}
        if self._halved_at is not None:
            self._halved_at = Instant(self._halved_at + by_ns)
