"""What a fuzz target is, and the property that every target must keep.

Owns the property: any bytes give a value that encodes again to what it came from, or one of our
errors; in bounded time. Refuses to know any format: targets say how to decode, and raise
`BrokenPropertyError` themselves where what they decoded does not encode again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from tests.fuzz.structured_mutation import mutate
from wavemq.errors import InternalError, WaveMQError

INPUT_SECONDS_MAX: Final = 2.0
"""Processor time of one input; honest inputs of these sizes take milliseconds."""


class BrokenPropertyError(AssertionError):
    """A decoder broke the property."""


@dataclass(frozen=True)
class Target:
    """One decoder.

    Attributes:
        name: unique, such as `entity`.
        decode: takes any bytes; raises `WaveMQError` or one of `refusals` to refuse them.
        seeds: honest inputs, and inputs that once were a problem.
        runs: mutated inputs of the short run; slow decoders have fewer.
        refusals: errors of a foreign layer that are a refusal here.
        size_max: of the inputs of the coverage-guided run.
        change: makes another input of one; it is given the seeds too.
    """

    name: str
    decode: Callable[[bytes], None]
    seeds: Callable[[], Sequence[bytes]]
    runs: int = 400
    refusals: tuple[type[Exception], ...] = ()
    size_max: int = 8192
    change: Callable[[bytes, Random, Sequence[bytes]], bytes] = mutate


def expect(*, fact: bool, otherwise: str) -> None:
    """Break the property unless `fact` holds."""
    if not fact:
        raise BrokenPropertyError(otherwise)


def each(*attempts: Callable[[], object]) -> None:
    """Make independent attempts; refuse only if all of them are refused."""
    refusals = []
    for attempt in attempts:
        try:
            attempt()
        except InternalError:
            raise
        except WaveMQError as error:
            refusals.append(error)
    if len(refusals) == len(attempts):
        raise refusals[-1]


def check_input(target: Target, given: bytes) -> bool:
    """Run one input; return whether it was accepted.

    Raises:
        BrokenPropertyError: another exception than a refusal, an error that says the fault is
            ours, or too much time.
    """
    begun = time.process_time()
    try:
        target.decode(given)
        is_accepted = True
    except InternalError as error:
        raise BrokenPropertyError(f"{target.name}: says that the fault is ours: {error}") from error
    except WaveMQError:
        is_accepted = False
    except BrokenPropertyError:
        raise
    except Exception as error:
        is_accepted = False
        if not isinstance(error, target.refusals):
            raise BrokenPropertyError(f"{target.name}: {type(error).__name__}: {error}") from error
    spent = time.process_time() - begun
    expect(
        fact=spent <= INPUT_SECONDS_MAX,
        otherwise=f"{target.name}: {len(given)} bytes took {spent:.1f} s",
    )
    return is_accepted
