"""How proof building grows with the graph, and what it takes in a graph of 1,000 attestations.

The growth figures are those of the search alone, over abstract grants of four shapes: layers with
fan-out (20 levels), a chain of diamonds (2 ^ (edges / 4) paths), a dense tangle of few entities,
and ten parallel paths that are all needed. The engine's figures are over real attestations in
memory storage: 20 levels of 50 grants, where the path that is proved has encrypted bodies of a
year (60 kB each) and what surrounds it has plain ones.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Final

import structlog

from bench.measurement import Measurement, median_milliseconds
from tests.support.edges import NAMESPACE, edge, entity, statement
from tests.support.worlds import DAY_S, NOW, World, after
from wavemq.authz.prover import find_chains
from wavemq.authz.terrain import Edge
from wavemq.wave.policy import Statement

SIZES: Final = (125, 250, 500, 1000, 2000, 4000)
LEVELS: Final = 20
PARALLEL_PATHS: Final = 10
LINKS_MAX: Final = 255
TOPIC: Final = "plant/line1/temperature"
SUBJECT: Final = entity("subject")
ROUNDS: Final = 5
GRANTS_PER_LEVEL: Final = 50
ENTITIES_PER_LEVEL: Final = 10


def measurements() -> list[Measurement]:
    """Return the figures of one run."""
    errors_only = 40
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(errors_only))
    try:
        return [*_growth(), *asyncio.run(_engine())]
    finally:
        structlog.reset_defaults()


# --- the search -------------------------------------------------------------------------------


def _growth() -> list[Measurement]:
    found = []
    for name, (shape, wanted) in _SHAPES.items():
        for count in SIZES:
            edges = shape(count)
            if edges is None:
                continue
            search = partial(
                find_chains, edges, namespace=NAMESPACE, subject=SUBJECT, statements=wanted
            )
            chains = search()
            found.append(
                Measurement(
                    f"search, {name}, {len(edges)} grants",
                    median_milliseconds(search, rounds=ROUNDS, warmup=0),
                    "ms",
                    note=f"{len(chains)} paths, {sum(map(len, chains))} links",
                )
            )
    return found


def _layers(count: int) -> list[Edge]:
    chance = random.Random(count)
    per_level = count // LEVELS
    edges: list[Edge] = []
    upper = [NAMESPACE]
    for level in range(LEVELS):
        lower = [entity(f"{level} {number}") for number in range(max(1, per_level // 3))]
        if level == LEVELS - 1:
            lower = [SUBJECT]
        edges += [
            edge(
                chance.choice(upper),
                lower[number % len(lower)],
                statement("publish", chance.choice(("plant/*", "*", "plant/+/temperature"))),
                indirections=LINKS_MAX,
            )
            for number in range(per_level)
        ]
        upper = lower
    return edges


def _diamonds(count: int) -> list[Edge] | None:
    diamonds = count // 4
    if 2 * diamonds > LINKS_MAX:
        return None  # no proof may be so long (wave.md 9.2)
    edges = []
    at = NAMESPACE
    for number in range(diamonds):
        onward = SUBJECT if number == diamonds - 1 else entity(f"joint {number}")
        for side, resource in (("left", "plant/*"), ("right", "plant/+/temperature")):
            via = entity(f"{side} {number}")
            edges += [
                edge(at, via, statement("publish", resource), indirections=LINKS_MAX),
                edge(via, onward, statement("publish", "*"), indirections=LINKS_MAX),
            ]
        at = onward
    return edges


def _tangle(count: int) -> list[Edge]:
    chance = random.Random(count)
    names = [NAMESPACE, *(entity(f"one of few {number}") for number in range(round(count**0.5)))]
    resources = ("plant/*", "*", "plant/+/temperature", "+/line1/*", "*/temperature")
    edges = [
        edge(
            chance.choice(names),
            chance.choice(names[1:]),
            statement("publish", chance.choice(resources)),
            indirections=chance.randrange(1, 20),
        )
        for _ in range(count - 1)
    ]
    return [*edges, edge(names[-1], SUBJECT, statement("publish", TOPIC))]


def _parallel(count: int) -> list[Edge] | None:
    links = count // PARALLEL_PATHS
    if links > LINKS_MAX:
        return None
    edges = []
    for path in range(PARALLEL_PATHS):
        via = [entity(f"{path} {link}") for link in range(links - 1)]
        granted = statement(f"permission{path}", "plant/*")
        edges += [
            edge(attester, subject, granted, indirections=LINKS_MAX)
            for attester, subject in pairwise([NAMESPACE, *via, SUBJECT])
        ]
    return edges


_ONE_WISH: Final = [statement("publish", TOPIC)]
_SHAPES: Final[dict[str, tuple[Callable[[int], list[Edge] | None], list[Statement]]]] = {
    "layers": (_layers, _ONE_WISH),
    "diamonds": (_diamonds, _ONE_WISH),
    "tangle": (_tangle, _ONE_WISH),
    "parallel": (
        _parallel,
        [statement(f"permission{path}", TOPIC) for path in range(PARALLEL_PATHS)],
    ),
}


# --- the engine -------------------------------------------------------------------------------


async def _engine() -> list[Measurement]:
    world, count = await _layered_world()
    async with world.engine() as engine:
        started = time.perf_counter()
        perspective = await world.perspective(engine, "subject")
        sync_ms = (time.perf_counter() - started) * 1e3
        started = time.perf_counter()
        await engine.resync(perspective, now=NOW)
        again_ms = (time.perf_counter() - started) * 1e3
        times = []
        proofs = []
        for _ in range(ROUNDS):
            started = time.perf_counter()
            built = await engine.prove(
                perspective,
                namespace=world.hash("namespace"),
                statements=world.policy("publish", TOPIC).statements,
                now=NOW,
            )
            times.append((time.perf_counter() - started) * 1e3)
            proofs.append(built)
    note = f"{len(proofs[0].attestations)} links, {len(proofs[0].der) // 1000} kB"
    name = f"{count} attestations"
    return [
        Measurement(f"{name}, synchronize first", sync_ms, "ms", note="memory storage"),
        Measurement(f"{name}, synchronize again", again_ms, "ms", 100.0, "nothing new"),
        Measurement(f"{name}, build a proof first", times[0], "ms", 200.0, note),
        Measurement(f"{name}, build a proof again", statistics.median(times), "ms", 200.0, note),
    ]


async def _layered_world() -> tuple[World, int]:
    """Return a world of 20 levels, and how many attestations are in it."""
    levels = [["namespace"]]
    levels += [
        [f"{level} {number}" for number in range(ENTITIES_PER_LEVEL)] for level in range(LEVELS - 1)
    ]
    levels.append(["subject"])
    world = await World.create(*(name for level in levels[1:] for name in level))
    chance = random.Random(1)
    count = 0
    for upper, lower in pairwise(levels):
        for number in range(GRANTS_PER_LEVEL):
            is_on_path = number == 0
            await world.grant(
                upper[0] if is_on_path else chance.choice(upper),
                lower[number % len(lower)],
                "publish",
                "plant/*" if is_on_path else chance.choice(("plant/*", "*", "plant/line1/*")),
                indirections=LINKS_MAX,
                not_after=after((365 if is_on_path else 300) * DAY_S),
                is_encrypted=is_on_path,
            )
            count += 1
    return world, count
