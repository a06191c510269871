"""Reading one queue, a round at a time.

Owns how much of a queue is read before others have their turn, and when one is given up for now.
Refuses to know what the entries mean. Fault model: a queue may be endless, slow or go in circles,
by the will of its server or of any stranger who appends to it; each round is bounded in entries
and time, and so is each queue in one synchronization. The position is kept with its entries, so
that the next synchronization goes on where this one ended.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final

import structlog

from wavemq import limits
from wavemq.authz.state import QueuePosition
from wavemq.errors import UnavailableError, UnsupportedLocationSchemeError

if TYPE_CHECKING:
    from wavemq.authz.graph import PerspectiveGraph
    from wavemq.authz.objects import ObjectStore
    from wavemq.authz.state import AuthorityState
    from wavemq.wave.hashes import Hash

_log = structlog.get_logger(__name__)

ENTRIES_PER_ROUND_MAX: Final = 256
"""Entries taken from one queue before what they name is looked at."""
ROUND_SECONDS_MAX: Final = 2.0
"""How long one queue is read before what has been found is looked at."""
QUEUE_SECONDS_MAX: Final = 10.0
"""How long one queue is read in one synchronization."""
QUEUE_ENTRIES_PER_SYNCHRONIZATION_MAX: Final = 20_000
SYNCHRONIZATION_SECONDS_MAX: Final = 60.0
"""After this no queue gets another round; each has had one."""


class Outcome(Enum):
    """How one round ended."""

    AT_END = 1
    HAS_MORE = 2
    FAILED = 3


@dataclass(slots=True)
class Reading:
    """One queue in one synchronization: the tokens that were seen, and what it has cost."""

    seen: set[str] = field(default_factory=set)
    entries: int = 0
    seconds: float = 0.0


async def read_round(
    position: QueuePosition,
    reading: Reading,
    *,
    store: ObjectStore,
    graph: PerspectiveGraph,
    state: AuthorityState,
    synchronizing_s: float,
) -> tuple[Outcome, str | None]:
    """Read a queue for one round, keeping what it names.

    Args:
        position: where to go on.
        reading: what this synchronization has read of it; changed here.
        store: object storage.
        graph: told what was found.
        state: the disk, told the same.
        synchronizing_s: how long the synchronization has been running, in seconds.

    Returns:
        how it ended, and the sentence about what failed, which names the storage.
    """
    loop = asyncio.get_running_loop()
    started = loop.time()
    reading.seen.add(position.token)
    found: list[Hash] = []
    outcome = Outcome.HAS_MORE
    failure: str | None = None
    while len(found) < ENTRIES_PER_ROUND_MAX and loop.time() - started < ROUND_SECONDS_MAX:
        if position.entries >= limits.QUEUE_ENTRIES_MAX:
            failure = f"the queue has more than {limits.QUEUE_ENTRIES_MAX} entries"
            break
        try:
            step = await store.iterate(position.location, position.queue, position.token)
        except UnsupportedLocationSchemeError:
            return Outcome.AT_END, None  # anybody may name a place unknown to us; nothing failed
        except UnavailableError as error:
            failure = error.reason
            break
        if step is None:
            outcome = Outcome.AT_END
            break
        entry, token = step
        found.append(entry)
        position = QueuePosition(position.queue, position.location, token, position.entries + 1)
        if token in reading.seen:
            failure = "the queue repeats a token"
            break
        reading.seen.add(token)
    new = graph.advance(position, found)
    if found:
        await asyncio.to_thread(state.save_progress, graph.own, positions=[position], entries=new)
    reading.entries += len(found)
    reading.seconds += loop.time() - started
    if failure is None and outcome is Outcome.HAS_MORE:
        failure = _exhausted(reading, synchronizing_s)
    if failure is None:
        return outcome, None
    _log.warning(
        "queue_read_failed",
        location=position.location.url,
        queue=position.queue.to_text(),
        reason=failure,
    )
    return Outcome.FAILED, f"{position.location.url}: {failure}"


def _exhausted(reading: Reading, synchronizing_s: float) -> str | None:
    """Return why a queue with more entries gets no further round now; None: it does."""
    if (
        reading.entries < QUEUE_ENTRIES_PER_SYNCHRONIZATION_MAX
        and reading.seconds < QUEUE_SECONDS_MAX
        and synchronizing_s < SYNCHRONIZATION_SECONDS_MAX
    ):
        return None
    return (
        f"a queue was not read to its end: {reading.entries} entries in {reading.seconds:.0f} s; "
        "the next synchronization goes on"
    )
