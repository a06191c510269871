"""Simulated worlds: fixed seeds, fresh seeds, and bugs that they must find."""

from __future__ import annotations

import gc
import multiprocessing
import os
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

from wavemq.messages.verified import Verified
from wavemq.net.backoff import Backoff
from wavemq.net.frame_sending import StreamedFrames
from wavemq.router.consumption import QueueConsumption
from wavemq.router.driver import Driver
from wavemq.router.peer_frames import StreamedPeerFrames
from wavemq.routing.core import Core
from wavemq.routing.identities import Repeats
from wavemq.routing.intake import Intake
from wavemq.routing.ledger import Ledger
from wavemq.routing.queue import NOTHING_DROPPED, MessageQueue
from wavemq.routing.uplink_queue import UplinkQueue
from wavemq.routing.uplinks import Uplinks
from wavemq.testing.simulation.authority import FOREVER, SimulatedAuthority
from wavemq.testing.simulation.disk import SimulatedRecorder
from wavemq.testing.simulation.world import Outcome, run_seed
from wavemq.wire.proof_reference import proof_reference

FIXED_SEEDS = range(500)
FRESH_SECONDS = 60.0
SEEDS_FOR_A_BUG = 200


def complaints(outcome: Outcome) -> list[str]:
    return [f"seed {outcome.seed}: {violation}" for violation in outcome.violations]


def run_fresh(first: int) -> list[str]:
    """Run worlds that nobody has seen before for a while; return what they violate."""
    end = time.monotonic() + FRESH_SECONDS
    found: list[str] = []
    while time.monotonic() < end:
        found += complaints(run_seed(first))
        first += 1
    return found


def workers() -> Any:
    return multiprocessing.get_context("spawn").Pool(os.cpu_count())


@pytest.mark.timeout(1200)
def test_five_hundred_worlds_keep_every_promise() -> None:
    with workers() as pool:
        outcomes = pool.map(run_seed, FIXED_SEEDS, chunksize=10)
    assert [line for outcome in outcomes for line in complaints(outcome)] == []
    assert sum(outcome.kills for outcome in outcomes) > 500, "the storm was a storm"
    assert sum(outcome.answered for outcome in outcomes) > 50_000
    assert sum(outcome.dropped for outcome in outcomes) > 500, "some queues were too small"


@pytest.mark.timeout(1200)
def test_fresh_worlds_keep_every_promise() -> None:
    start = time.time_ns()
    with workers() as pool:
        found = pool.map(run_fresh, [start + (number << 32) for number in range(2)])
    assert [line for lines in found for line in lines] == []


def test_a_seed_is_a_world() -> None:
    assert run_seed(5) == run_seed(5)
    assert run_seed(5) != run_seed(6)


# --- planted bugs -------------------------------------------------------------------------------


def answer_before_the_write(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Core, "reply_when_durable", Core.reply_done)


def deliver_before_the_write(patch: pytest.MonkeyPatch) -> None:
    right = Ledger.send

    def send(ledger: Ledger, entries: Any, count: int, *, is_durable_only: bool) -> Any:
        del is_durable_only
        return right(ledger, entries, count, is_durable_only=False)

    patch.setattr(Ledger, "send", send)


def forget_what_was_in_flight(patch: pytest.MonkeyPatch) -> None:
    def forget(queue: MessageQueue) -> Any:
        queue._in_flight.clear()
        return [], NOTHING_DROPPED

    patch.setattr(MessageQueue, "give_back", forget)


def give_back_in_the_wrong_order(patch: pytest.MonkeyPatch) -> None:
    right = MessageQueue.next_ones

    def next_ones(queue: MessageQueue, credit: int, window_bytes_max: int) -> Any:
        return right(queue, credit, window_bytes_max)[::-1]

    patch.setattr(MessageQueue, "next_ones", next_ones)


def recognise_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Repeats, "knows", lambda *_: False)


def keep_no_identities(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Ledger, "recognise", lambda *_: None)


def keep_no_positions(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Ledger, "follow", lambda *_: None)


def follow_no_positions(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Intake, "_follow", lambda *_: True)


def let_everybody_publish(patch: pytest.MonkeyPatch) -> None:
    async def check(authority: SimulatedAuthority, message: Any, now: Any) -> Verified[Any]:
        del authority, now
        return Verified(message, FOREVER)

    patch.setattr(SimulatedAuthority, "check_message", check)


def acknowledge_before_the_journal(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Driver, "when_settled", lambda _, callback: callback())


def lose_what_a_reader_did_not_deal_with(patch: pytest.MonkeyPatch) -> None:
    right = QueueConsumption.take

    async def take(consumption: QueueConsumption) -> Any:
        batch = await right(consumption)
        consumption.acknowledge([one.place for one in batch])
        return batch

    patch.setattr(QueueConsumption, "take", take)


def drop_without_counting(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Core, "note_dropped", lambda *_: None)


def promise_what_the_disk_forgot(patch: pytest.MonkeyPatch) -> None:
    right, calls = SimulatedRecorder.write, [0]

    def write(recorder: SimulatedRecorder, changes: Any) -> None:
        calls[0] += 1
        if calls[0] % 7:
            right(recorder, changes)

    patch.setattr(SimulatedRecorder, "write", write)


def never_come_back(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Backoff, "next_delay", lambda _: 1e9)


def drop_what_is_refused_for_now(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("wavemq.routing.uplinks.FRAME_ATTEMPTS_MAX", 1)


def never_wake_after_a_failing_disk(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("wavemq.routing.journaling.RETRY_SECONDS", 1e6)


def lose_the_uplink_queue(patch: pytest.MonkeyPatch) -> None:
    right = Uplinks.__init__

    def begin(uplinks: Uplinks, core: Core, stored: Any) -> None:
        del stored
        right(uplinks, core, [])

    patch.setattr(Uplinks, "__init__", begin)


def lose_the_window(patch: pytest.MonkeyPatch) -> None:
    right = UplinkQueue.give_back

    def give_back(queue: UplinkQueue) -> Any:
        queue._in_flight.clear()
        queue._in_flight_bytes = 0
        return right(queue)

    patch.setattr(UplinkQueue, "give_back", give_back)


def let_live_messages_overtake_their_topic(patch: pytest.MonkeyPatch) -> None:
    right = UplinkQueue._append

    def append(queue: UplinkQueue, entry: Any) -> Any:
        queue._backlog_keys.clear()
        return right(queue, entry)

    patch.setattr(UplinkQueue, "_append", append)
    patch.setattr(UplinkQueue, "_note_left", lambda *_: None)


def hold_nothing_back(patch: pytest.MonkeyPatch) -> None:
    right = StreamedPeerFrames._refuse

    def refuse(frames: StreamedPeerFrames, key: Any, answer: Any, error: Any) -> None:
        right(frames, key, answer, error)
        frames._held_back.clear()

    patch.setattr(StreamedPeerFrames, "_refuse", refuse)


def lose_what_waits_for_its_proof(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(StreamedFrames, "_send_waiting", _send_what_may_go)


def _send_what_may_go(frames: StreamedFrames) -> None:
    waiting, frames._waiting = frames._waiting, deque()
    for one in waiting:
        reference = proof_reference(one.message.proof)
        if reference not in frames._probed_proofs:
            frames._send(one, reference, is_probe=reference not in frames._known_proofs)


BUGS: list[Callable[[pytest.MonkeyPatch], None]] = [
    answer_before_the_write,
    deliver_before_the_write,
    forget_what_was_in_flight,
    give_back_in_the_wrong_order,
    recognise_nothing,
    keep_no_identities,
    keep_no_positions,
    follow_no_positions,
    let_everybody_publish,
    acknowledge_before_the_journal,
    lose_what_a_reader_did_not_deal_with,
    drop_without_counting,
    promise_what_the_disk_forgot,
    never_come_back,
    drop_what_is_refused_for_now,
    never_wake_after_a_failing_disk,
    lose_the_uplink_queue,
    lose_the_window,
    let_live_messages_overtake_their_topic,
    hold_nothing_back,
    lose_what_waits_for_its_proof,
]


# A world that falls over its bug leaves work behind that nobody awaits.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("plant", BUGS, ids=lambda plant: plant.__name__)
def test_planted_bug_is_found(
    plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    found = any(is_noticed(seed) for seed in range(SEEDS_FOR_A_BUG))
    gc.collect()
    assert found, f"{SEEDS_FOR_A_BUG} worlds did not notice"


def is_noticed(seed: int) -> bool:
    try:
        return bool(run_seed(seed).violations)
    except (AssertionError, KeyError, ExceptionGroup):
        return True  # it fell over its own broken promise
