"""How long authority takes: making grants, finding them, proving, verifying, the cached paths."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from itertools import pairwise

import structlog

from bench.measurement import Measurement
from tests.support.worlds import DAY_S, NOW, World, after
from wavemq.authz.admission import PERMISSION_PUBLISH, Admission
from wavemq.authz.publishing import Publishing
from wavemq.authz.verdict_cache import Claim
from wavemq.authz.verifier import ProofWorld, verify_proof
from wavemq.messages.message import Message, PayloadObject
from wavemq.messages.topic import Topic
from wavemq.messages.verified import Verified
from wavemq.wave.attestation_create import CreatedAttestation
from wavemq.wave.attestation_open import open_with_prover_key

PEOPLE = ("namespace", "one", "two", "three")
MESSAGES = 500
RESOURCE = "plant/*"
TOPIC = "plant/line1/temperature"
PARALLEL_PATHS = 200


def measurements() -> list[Measurement]:
    """Return the figures of one run; everything is in memory, storage included."""
    errors_only = 40
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(errors_only))
    try:
        return asyncio.run(_measure())
    finally:
        structlog.reset_defaults()


async def _median_ms(operation: Callable[[], Awaitable[object]], *, rounds: int) -> float:
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        await operation()
        times.append((time.perf_counter() - started) * 1e3)
    return statistics.median(times)


async def _measure() -> list[Measurement]:
    world = await World.create(*PEOPLE[1:])
    chain = [
        await world.grant(attester, subject, "publish", RESOURCE, indirections=3, is_encrypted=True)
        for attester, subject in pairwise(PEOPLE)
    ]
    proof = world.proof(*chain)
    return [
        Measurement("attestation of 30 days, create", await _creation_ms(world, 30), "ms"),
        Measurement(
            "attestation of 3 years, create",
            await _creation_ms(world, 3 * 365),
            "ms",
            150.0,
            f"a bundle of {await _bundle_keys(world, 3 * 365)} keys; all cores",
        ),
        Measurement("graph of 3 hops, discover", await _discovery_ms(world), "ms"),
        Measurement("proof of 3 hops, build", await _building_ms(world), "ms", note="graph known"),
        Measurement(
            "proof of 3 hops, verify first",
            await _first_ms(world, proof),
            "ms",
            3.0,
            f"{len(proof) // 1000} kB; 7 revocation lookups in memory storage included",
        ),
        Measurement(
            "proof of 3 hops, verify again",
            await _again_us(world, proof),
            "us",
            20.0,
            "another copy of its bytes",
        ),
        Measurement(
            "proof of 200 parallel paths, verify first", await _parallel_ms(), "ms", note="plain"
        ),
        *await _cached(world),
    ]


def _create(world: World, days: int) -> Awaitable[CreatedAttestation]:
    return world.grant(
        "namespace",
        "one",
        "publish",
        RESOURCE,
        not_after=after((days - 1) * DAY_S),
        is_encrypted=True,
        is_published=False,
    )


async def _creation_ms(world: World, days: int) -> float:
    return await _median_ms(lambda: _create(world, days), rounds=7)


async def _bundle_keys(world: World, days: int) -> int:
    created = await _create(world, days)
    opened = open_with_prover_key(created.attestation, created.prover_key)
    return max(len(bundle.keys) for bundle in opened.bundles)


async def _discovery_ms(world: World) -> float:
    async def discover() -> None:
        async with world.engine() as engine:
            perspective = await engine.perspective(world["three"])
            await engine.resync(perspective, now=NOW)

    return await _median_ms(discover, rounds=5)


async def _building_ms(world: World) -> float:
    async with world.engine() as engine:
        perspective = await world.perspective(engine, "three")
        statements = world.policy("publish", TOPIC).statements

        def build() -> Awaitable[object]:
            return engine.prove(
                perspective, namespace=world.hash("namespace"), statements=statements, now=NOW
            )

        return await _median_ms(build, rounds=20)


async def _first_ms(world: World, proof: bytes) -> float:
    times = []
    for _ in range(30):
        async with world.engine() as engine:
            started = time.perf_counter()
            await engine.verify(proof, now=NOW, required=world.policy("publish", TOPIC))
            times.append((time.perf_counter() - started) * 1e3)
    return statistics.median(times)


async def _again_us(world: World, proof: bytes) -> float:
    """Measure the answer to a claim whose verdict is remembered, the proof's bytes compared."""
    copy = bytes(bytearray(proof))
    async with world.engine() as engine:
        admission = Admission(engine)

        def verify() -> Awaitable[object]:
            claim = Claim(world.hash("namespace"), world.hash("three"), PERMISSION_PUBLISH, TOPIC)
            return admission.check_claim(claim, copy, NOW)

        claim = Claim(world.hash("namespace"), world.hash("three"), PERMISSION_PUBLISH, TOPIC)
        await admission.check_claim(claim, proof, NOW)
        return await _median_ms(verify, rounds=MESSAGES) * 1e3


async def _parallel_ms() -> float:
    world = await World.create("one")
    grants = [
        await world.grant("namespace", "one", "publish", f"room{number}/*")
        for number in range(PARALLEL_PATHS)
    ]
    proof = world.proof(*grants, paths=[[index] for index in range(PARALLEL_PATHS)])

    async def verify() -> None:
        verify_proof(proof, ProofWorld(), now=NOW)

    return await _median_ms(verify, rounds=5)


async def _cached(world: World) -> list[Measurement]:
    """Measure what happens to every message once proof and verdict are known."""
    async with world.engine() as engine:
        admission = Admission(engine)
        publishing = Publishing(engine, admission, origin_router="bench")
        perspective = await world.perspective(engine, "three")

        async def form() -> Verified[Message]:
            return await publishing.form_message(
                perspective,
                namespace=world.hash("namespace"),
                topic=Topic(TOPIC),
                payload=(PayloadObject("bytes", bytes(128)),),
                now=NOW,
            )

        await form()
        started = time.perf_counter()
        formed = [(await form()).value for _ in range(MESSAGES)]
        forming_s = time.perf_counter() - started
        await admission.check_messages(formed, NOW)
        started = time.perf_counter()
        await admission.check_messages(formed, NOW)
        checking_s = time.perf_counter() - started
    return [
        Measurement("message, form (proof known)", forming_s / MESSAGES * 1e6, "us"),
        Measurement("message, check (verdict known)", checking_s / MESSAGES * 1e6, "us"),
    ]
