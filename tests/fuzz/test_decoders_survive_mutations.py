"""Any bytes into every decoder give a sound object or our error: a short, repeatable run.

The long run over the same targets is guided by coverage: `make fuzz` (docs/fuzzing.md).
"""

from __future__ import annotations

import gc
import tracemalloc
from random import Random
from typing import Final

import pytest

from tests.fuzz.every_target import TARGETS
from tests.fuzz.fuzz_target import BrokenPropertyError, Target, check_input

SEED: Final = 20261124
RUNS_FACTOR: Final = 3
MEASURED_EVERY: Final = 16
"""One input in so many is run with its memory measured, which makes it slower."""
POOL_MAX: Final = 200
POOL_BYTES_MAX: Final = 16 << 10
MEMORY_BYTES_MAX: Final = 100 << 20


def _check_memory(target: Target, given: bytes) -> None:
    tracemalloc.start()
    try:
        check_input(target, given)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MEMORY_BYTES_MAX, f"{target.name}: {len(given)} bytes took {peak} bytes of memory"


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_mutated_inputs_are_refused_or_sound(name: str) -> None:
    target = TARGETS[name]
    seeds = list(target.seeds())
    assert seeds
    for given in (*seeds, b"", b"\0"):
        check_input(target, given)
    random = Random(f"{SEED} {name}")
    pool = list(seeds)
    for number in range(RUNS_FACTOR * target.runs):
        given = target.change(random.choice(pool), random, seeds)
        try:
            if number % MEASURED_EVERY:
                is_accepted = check_input(target, given)
            else:
                is_accepted = False
                _check_memory(target, given)
        except BrokenPropertyError as error:
            raise AssertionError(f"{error}; input {number} of {name}: {given.hex()}") from error
        # What is still accepted is the best ground for further changes.
        if is_accepted and len(pool) < POOL_MAX and len(given) <= POOL_BYTES_MAX:
            pool.append(given)
    gc.collect()


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_some_seed_is_accepted(name: str) -> None:
    # Else the target would test its own mistake.
    target = TARGETS[name]
    # These raise what they read, or know nothing yet.
    never_accepting = {"wire_error", "storage_refusal", "agent_resolve_reverse_name"}
    accepted = [seed for seed in target.seeds() if check_input(target, seed)]
    assert accepted or name in never_accepting
