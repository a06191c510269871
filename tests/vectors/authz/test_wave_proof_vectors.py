"""wave.json: every proof verified or refused, every proof built or not, every reader's view."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import pytest

from tests.support.vector_worlds import (
    engine_of,
    entity_hash,
    generated,
    location_of,
    result_statements_of,
    statements_of,
    store_of,
    synchronized,
    vectors,
    without_revocations,
)
from wavemq.authz.engine import Engine, EngineConfig
from wavemq.clock import milliseconds_from_instant
from wavemq.errors import WaveMQError
from wavemq.wave.policy import RTreePolicy

BEFORE, AFTER = "storage_before_revocations", "storage_after_revocations"
PROOFS: list[dict[str, Any]] = vectors("wave")["proofs"]
BUILDS: list[dict[str, Any]] = vectors("wave")["proof_build"]
ENCRYPTED: list[dict[str, Any]] = vectors("wave")["encrypted"]


def required_policy(vector: dict[str, Any]) -> RTreePolicy | None:
    required = vector["required"]
    if required is None:
        return None
    return RTreePolicy(
        entity_hash("wave", required["namespace"]),
        location_of("wave"),
        0,
        statements_of(required["statements"]),
    )


def proof_of(vector: dict[str, Any]) -> bytes:
    source = vector
    if "der_of" in vector:
        source = next(one for one in PROOFS if one["label"] == vector["der_of"])
    der = bytearray(b64decode(source["der"]))
    if "flip" in vector:
        der[vector["flip"]] ^= 1
    return bytes(der)


@pytest.mark.parametrize("vector", PROOFS, ids=lambda vector: vector["label"])
async def test_proof_verifies_as_it_must(vector: dict[str, Any]) -> None:
    is_after = vector["label"].startswith("after")
    subject = vector["subject"]
    async with engine_of("wave", AFTER if is_after else BEFORE) as engine:
        arguments: dict[str, Any] = {
            "now": generated("wave"),
            "required": required_policy(vector),
            "subject": None if subject is None else entity_hash("wave", subject),
        }
        if "error" in vector or is_after:
            with pytest.raises(WaveMQError) as caught:
                await engine.verify(proof_of(vector), **arguments)
            assert caught.value.code == (912 if is_after else vector["error"]["code"])
            return
        verdict = await engine.verify(proof_of(vector), **arguments)
    expected = vector["result"]
    assert milliseconds_from_instant(verdict.expiry) == expected["expiry_ms"]
    assert verdict.subject.to_text() == expected["subject"]
    assert [list(path) for path in verdict.paths] == expected["paths"]
    assert [one.to_text() for one in verdict.attestations] == expected["elements"]
    assert verdict.policy.indirections == expected["indirections"]
    assert verdict.policy.statements == result_statements_of(expected["statements"])


@pytest.mark.parametrize(
    "vector",
    [vector for vector in PROOFS if "result" in vector and vector["label"].startswith("after")],
    ids=lambda vector: vector["label"],
)
async def test_revoked_chain_was_good_before_it_was_revoked(vector: dict[str, Any]) -> None:
    async with engine_of("wave", BEFORE) as engine:
        verdict = await engine.verify(
            proof_of(vector), now=generated("wave"), required=required_policy(vector)
        )
    assert verdict.subject.to_text() == vector["result"]["subject"]


def build_name(vector: dict[str, Any]) -> str:
    return f"{vector['perspective']} {vector['statements']}"


@pytest.mark.parametrize("vector", BUILDS, ids=build_name)
async def test_proof_is_found_where_there_is_one(vector: dict[str, Any]) -> None:
    namespace = entity_hash("wave", vector["namespace"])
    statements = statements_of(vector["statements"])
    # The last proof was built between the snapshots: its grant is in the later one only.
    store = without_revocations(store_of("wave", AFTER))
    async with Engine(store, None, EngineConfig(location_of("wave"))) as engine:
        perspective = await synchronized(engine, "wave", vector["perspective"])
        arguments: dict[str, Any] = {
            "namespace": namespace,
            "statements": statements,
            "now": generated("wave"),
        }
        if "error" in vector:
            with pytest.raises(WaveMQError) as caught:
                await engine.prove(perspective, **arguments)
            assert caught.value.code == vector["error"]["code"]
            return
        built = await engine.prove(perspective, **arguments)
    expected = vector["result"]
    assert built.policy.indirections == expected["indirections"]
    assert built.policy.statements == result_statements_of(expected["statements"])
    assert milliseconds_from_instant(built.expiry) == expected["expiry_ms"]
    assert sorted(one.to_text() for one in built.attestations) == sorted(expected["elements"])
    async with Engine(store, None, EngineConfig(location_of("wave"))) as stranger:
        verdict = await stranger.verify(
            built.der,
            now=generated("wave"),
            required=RTreePolicy(namespace, location_of("wave"), 0, statements),
            subject=perspective.hash,
        )
    assert verdict.policy == built.policy


@pytest.mark.parametrize("perspective", ["bob", "carol", "gone"])
async def test_revoked_chain_is_not_proved(perspective: str) -> None:
    vector = next(one for one in BUILDS if one["perspective"] == perspective and "result" in one)
    async with engine_of("wave", AFTER) as engine:
        with pytest.raises(WaveMQError) as caught:
            await engine.prove(
                await synchronized(engine, "wave", perspective),
                namespace=entity_hash("wave", vector["namespace"]),
                statements=statements_of(vector["statements"]),
                now=generated("wave"),
            )
    assert caught.value.code == 911


READERS = [
    (vector, reader)
    for vector in ENCRYPTED
    if "ciphertext" in vector
    for reader in vector["readers"]
]


@pytest.mark.parametrize(
    ("vector", "reader"), READERS, ids=[f"{one['label']}-{reader}" for one, reader in READERS]
)
async def test_reader_decrypts_what_he_may(vector: dict[str, Any], reader: str) -> None:
    expected = vector["readers"][reader]
    ciphertext = b64decode(vector["ciphertext"])
    async with engine_of("wave", BEFORE) as engine:
        perspective = await synchronized(engine, "wave", reader)
        if expected == "ok":
            assert await engine.decrypt(perspective, ciphertext) == b64decode(vector["plaintext"])
            return
        with pytest.raises(WaveMQError) as caught:
            await engine.decrypt(perspective, ciphertext)
    assert caught.value.code == expected["code"]


@pytest.mark.parametrize("vector", ENCRYPTED, ids=lambda vector: vector["label"])
async def test_what_we_encrypt_has_the_same_readers(vector: dict[str, Any]) -> None:
    async with engine_of("wave", BEFORE) as engine:
        ciphertext = await encrypt(engine, vector)
        if ciphertext is None:
            return
        for reader, expected in vector["readers"].items():
            perspective = await synchronized(engine, "wave", reader)
            if expected == "ok":
                plaintext = await engine.decrypt(perspective, ciphertext)
                assert plaintext == b64decode(vector["plaintext"])
            else:
                with pytest.raises(WaveMQError) as caught:
                    await engine.decrypt(perspective, ciphertext)
                assert caught.value.code == expected["code"]


async def encrypt(engine: Engine, vector: dict[str, Any]) -> bytes | None:
    """Encrypt as the vector says; None when that must fail and does, with the right code."""

    def named(key: str) -> Any:
        return None if vector[key] is None else entity_hash("wave", vector[key])

    arguments = {
        "namespace": named("namespace"),
        "recipient": named("subject"),
        "resource": vector["resource"],
        "now": generated("wave"),
    }
    if "error" not in vector:
        return await engine.encrypt(b64decode(vector["plaintext"]), **arguments)
    with pytest.raises(WaveMQError) as caught:
        await engine.encrypt(b64decode(vector["plaintext"]), **arguments)
    assert caught.value.code == vector["error"]["code"]
    return None
