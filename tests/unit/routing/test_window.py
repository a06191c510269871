"""How much may be under way: it follows what the link carries in two seconds."""

from __future__ import annotations

from wavemq.clock import NANOSECONDS_PER_SECOND, Instant
from wavemq.routing.records import RecordId
from wavemq.routing.window import BYTES_MIN, FIRST_BYTES, Window

MAX = 1 << 20


def at(seconds: float) -> Instant:
    return Instant(round(seconds * NANOSECONDS_PER_SECOND))


def test_it_grows_by_what_is_answered_in_time_while_it_is_full() -> None:
    window = Window(MAX)
    window.note_sent(RecordId(1), at(0))
    window.note_answered(RecordId(1), 1000, FIRST_BYTES, at(1.9))
    assert window.size_bytes == FIRST_BYTES + 1000
    window.note_sent(RecordId(2), at(2))
    window.note_answered(RecordId(2), 1000, 1000, at(2.1))
    assert window.size_bytes == FIRST_BYTES + 1000, "an idle link says nothing about a full one"


def test_it_never_outgrows_its_bound() -> None:
    window = Window(FIRST_BYTES + 10)
    window.note_sent(RecordId(1), at(0))
    window.note_answered(RecordId(1), 1000, FIRST_BYTES, at(1))
    assert window.size_bytes == FIRST_BYTES + 10
    assert Window(100).size_bytes == 100


def test_late_answers_halve_it_once_for_all_that_was_sent_before() -> None:
    window = Window(MAX)
    for record in (1, 2, 3):
        window.note_sent(RecordId(record), at(0))
    window.note_answered(RecordId(1), 1000, FIRST_BYTES, at(3))
    window.note_answered(RecordId(2), 1000, FIRST_BYTES, at(4))
    assert window.size_bytes == FIRST_BYTES // 2
    window.note_sent(RecordId(4), at(5))
    window.note_answered(RecordId(4), 1000, FIRST_BYTES, at(8))
    assert window.size_bytes == FIRST_BYTES // 4 == BYTES_MIN
    window.note_sent(RecordId(5), at(9))
    window.note_answered(RecordId(5), 1000, FIRST_BYTES, at(12))
    assert window.size_bytes == BYTES_MIN


def test_refusals_and_set_clocks_say_nothing_about_the_link() -> None:
    window = Window(MAX)
    window.note_sent(RecordId(1), at(0))
    window.note_refused(RecordId(1))
    window.note_answered(RecordId(1), 1000, FIRST_BYTES, at(9))
    window.note_sent(RecordId(2), at(0))
    window.shift(at(86_400))
    window.note_answered(RecordId(2), 1000, 0, at(86_401))
    assert window.size_bytes == FIRST_BYTES
