"""When and how often the SDK tries again after the router went away.

Owns the back-off (a pure iterator of delays) and the events that make a reconnection visible.
Refuses to know gRPC and clocks: delays are numbers, waiting is the caller's. Fault model: a router
that never returns; every policy has a ceiling for one delay and a bound for all of them.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from wavemq.errors import InvalidParameterError

logger = logging.getLogger("wavemq.client")
logger.addHandler(logging.NullHandler())  # a library prints nothing unless the program asks

GIVE_UP_SECONDS_DEFAULT: Final = 24 * 3600.0
"""A day: the usual `queueExpiry`, after which the queue that a subscription resumes is gone."""


class LinkState(StrEnum):
    """What happened to one use of the connection."""

    LOST = "lost"
    """The router went away under an open subscription."""
    RETRYING = "retrying"
    """An attempt failed; the next one comes after `delay_s`."""
    RESUMED = "resumed"
    """The subscription is effective again, on the same queue if the router kept it."""
    GAVE_UP = "gave up"
    """The bound of the policy is reached; the iterator raises."""


@dataclass(frozen=True, slots=True)
class ConnectionChange:
    """One event of a reconnection, as given to the `on_change` callback.

    Args:
        state: what happened.
        topic_filter: the subscription that met it.
        attempt: 0 for the loss itself, then the number of the attempt from 1.
        delay_s: seconds until the next attempt; 0 where there is none to wait for.
        reason: one sentence.
    """

    state: LinkState
    topic_filter: str
    attempt: int
    delay_s: float
    reason: str


ChangeCallback = Callable[[ConnectionChange], None]


@dataclass(frozen=True, slots=True)
class ReconnectPolicy:
    """How long to wait between attempts, and when to stop.

    The delay before attempt n is drawn evenly from the upper half of
    `min(ceiling_s, initial_s * 2**(n-1))`, so that many programs do not return in step.

    Args:
        initial_s: seconds before the first attempt, above 0.
        ceiling_s: longest delay in seconds, at least `initial_s`.
        give_up_after_s: seconds of waiting in all after which the subscription raises.

    Raises:
        InvalidParameterError: a value is out of range.
    """

    initial_s: float = 0.1
    ceiling_s: float = 5.0
    give_up_after_s: float = GIVE_UP_SECONDS_DEFAULT

    def __post_init__(self) -> None:
        if not 0 < self.initial_s <= self.ceiling_s:
            raise InvalidParameterError(
                f"reconnect delays must satisfy 0 < initial_s <= ceiling_s; "
                f"got {self.initial_s} and {self.ceiling_s}"
            )
        if self.give_up_after_s < 0:
            raise InvalidParameterError(
                f"give_up_after_s must not be negative; got {self.give_up_after_s}"
            )

    def delays(self, draw: Callable[[], float] = random.random) -> Iterator[float]:
        """Yield the delays of one outage in seconds; ends when the policy gives up.

        Args:
            draw: returns a number in [0, 1); randomness is an argument so that tests decide it.
        """
        waited_s = 0.0
        step_s = self.initial_s
        while waited_s < self.give_up_after_s:
            delay_s = min(step_s * (0.5 + draw() / 2), self.give_up_after_s - waited_s)
            yield delay_s
            waited_s += delay_s
            step_s = min(step_s * 2, self.ceiling_s)


def report_change(change: ConnectionChange, on_change: ChangeCallback | None) -> None:
    """Log `change` and hand it to the callback; what the callback raises reaches the iterator."""
    level = logging.INFO if change.state is LinkState.RESUMED else logging.WARNING
    logger.log(
        level,
        "subscription %s: %s, attempt %d, next in %.2f s: %s",
        change.topic_filter,
        change.state,
        change.attempt,
        change.delay_s,
        change.reason,
    )
    if on_change is not None:
        on_change(change)
