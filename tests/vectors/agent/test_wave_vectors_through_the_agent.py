"""wave.json through the agent: what the original daemon was asked, ours is asked too."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.support.vector_worlds import (
    engine_of,
    generated,
    hash_of,
    location_of,
    statements_of,
    store_of,
    vectors,
    without_revocations,
)
from wavemq.agent.service import AgentService
from wavemq.authz.engine import Engine, EngineConfig
from wavemq.clock import FixedClock
from wavemq.net.objects import LocationRouter
from wavemq.wire import wave_pb2 as pb

BEFORE, AFTER = "storage_before_revocations", "storage_after_revocations"
WAVE = vectors("wave")
ENTITIES: dict[str, dict[str, Any]] = WAVE["entities"]
PROOFS: list[dict[str, Any]] = WAVE["proofs"]
OURS_IS_BETTER = {"alice public", "locked public", "short public"}
"""The original could not inspect public entities."""


@asynccontextmanager
async def serving(engine: Engine) -> AsyncIterator[AgentService]:
    """An agent over an engine, at the instant of the vectors."""
    url = location_of("wave").url
    async with (
        engine,
        LocationRouter.from_tables({"default": {"provider": "http_v1", "url": url}}) as storages,
    ):
        yield AgentService(engine, storages, FixedClock(generated("wave")))


def perspective(name: str) -> pb.Perspective:
    known = ENTITIES[name]
    secret = pb.EntitySecret(
        DER=b64decode(known["secret_der"]), passphrase=known["passphrase"].encode()
    )
    return pb.Perspective(entitySecret=secret)


def multihash(name: str) -> bytes:
    return hash_of(ENTITIES[name]["hash"]).to_bytes()


def statements(rows: list[Any]) -> list[pb.RTreePolicyStatement]:
    return [
        pb.RTreePolicyStatement(
            permissionSet=one.permission_set.to_bytes(),
            permissions=one.permissions,
            resource=one.resource,
        )
        for one in statements_of(rows)
    ]


def proof_of(vector: dict[str, Any]) -> bytes:
    source = vector
    if "der_of" in vector:
        source = next(one for one in PROOFS if one["label"] == vector["der_of"])
    der = bytearray(b64decode(source["der"]))
    if "flip" in vector:
        der[vector["flip"]] ^= 1
    return bytes(der)


def check_result(result: pb.Proof, expected: dict[str, Any]) -> None:
    policy = result.policy.rTreePolicy
    assert result.expiry == expected["expiry_ms"]
    assert [list(path.elements) for path in result.paths] == expected["paths"]
    assert [one.hash for one in result.elements] == [
        hash_of(text).to_bytes() for text in expected["elements"]
    ]
    assert policy.indirections == expected["indirections"]
    assert [
        (one.permissionSet, list(one.permissions), one.resource) for one in policy.statements
    ] == [
        (hash_of(name).to_bytes(), permissions, resource)
        for name, permissions, resource in expected["statements"]
    ]


@pytest.mark.parametrize("vector", PROOFS, ids=lambda vector: vector["label"])
async def test_proof_verifies_as_it_must(vector: dict[str, Any]) -> None:
    is_after = vector["label"].startswith("after")
    request = pb.VerifyProofParams(proofDER=proof_of(vector))
    if vector["required"] is not None:
        request.requiredRTreePolicy.namespace = multihash(vector["required"]["namespace"])
        request.requiredRTreePolicy.statements.extend(statements(vector["required"]["statements"]))
    if vector["subject"] is not None:
        request.subject = multihash(vector["subject"])
    async with serving(engine_of("wave", AFTER if is_after else BEFORE)) as agent:
        response = await agent.verify_proof(request)
    if is_after or "error" in vector:
        assert response.error.code == 912
        assert response.error.message.startswith("(912: ")
        assert not response.HasField("result")
        return
    assert not response.HasField("error")
    check_result(response.result, vector["result"])
    assert response.result.subject == hash_of(vector["result"]["subject"]).to_bytes()


@pytest.mark.parametrize(
    "vector", WAVE["proof_build"], ids=lambda one: f"{one['perspective']} {one['statements']}"
)
async def test_proof_is_built_where_there_is_one(vector: dict[str, Any]) -> None:
    store = without_revocations(store_of("wave", AFTER))
    engine = Engine(store, None, EngineConfig(location_of("wave")))
    async with serving(engine) as agent:
        response = await agent.build_rtree_proof(
            pb.BuildRTreeProofParams(
                perspective=perspective(vector["perspective"]),
                namespace=multihash(vector["namespace"]),
                statements=statements(vector["statements"]),
                resyncFirst=True,
            )
        )
        if vector["perspective"] == "future":
            # The original looked at an entity's period at its first call only.
            assert response.error.code == 304
            assert "Entity not valid yet" in response.error.message
            return
        if "error" in vector:
            assert response.error.code == vector["error"]["code"]
            return
        assert not response.HasField("error")
        assert response.result.subject == b""
        assert response.result.expiry == vector["result"]["expiry_ms"]
        verified = await agent.verify_proof(pb.VerifyProofParams(proofDER=response.proofDER))
        compact = await agent.compact_proof(pb.CompactProofParams(DER=response.proofDER))
        again = await agent.verify_proof(pb.VerifyProofParams(proofDER=compact.proofDER))
    assert verified.result.subject == multihash(vector["perspective"])
    assert [one.hash for one in verified.result.elements] == [
        one.hash for one in response.result.elements
    ]
    assert len(compact.proofDER) < 1000
    assert again.result.subject == verified.result.subject
    assert again.result.expiry == verified.result.expiry


@pytest.mark.parametrize("vector", WAVE["encrypted"], ids=lambda vector: vector["label"])
async def test_message_is_readable_to_whom_it_was(vector: dict[str, Any]) -> None:
    async with serving(engine_of("wave", BEFORE)) as agent:
        request = pb.EncryptMessageParams(
            content=b64decode(vector["plaintext"]), resource=vector["resource"]
        )
        if vector["namespace"] is not None:
            request.namespace = multihash(vector["namespace"])
        if vector["subject"] is not None:
            request.subjectHash = multihash(vector["subject"])
        made = await agent.encrypt_message(request)
        if "error" in vector:
            assert made.error.code == vector["error"]["code"]
            return
        for ciphertext in (b64decode(vector["ciphertext"]), made.ciphertext):
            for reader, expected in vector["readers"].items():
                opened = await agent.decrypt_message(
                    pb.DecryptMessageParams(
                        perspective=perspective(reader), ciphertext=ciphertext, resyncFirst=True
                    )
                )
                if expected == "ok":
                    assert not opened.HasField("error")
                    assert opened.content == request.content
                else:
                    assert opened.error.code == expected["code"]
                    assert opened.error.message == expected["message"]


@pytest.mark.parametrize("vector", WAVE["names"], ids=lambda vector: vector["name"])
async def test_name_resolves_for_whom_it_did(vector: dict[str, Any]) -> None:
    async with serving(engine_of("wave", BEFORE)) as agent:
        for reader, expected in vector["resolves"].items():
            caller = perspective(reader)
            await agent.resync(pb.ResyncPerspectiveGraphParams(perspective=caller))
            states = [
                state async for state in agent.wait_for_sync(pb.SyncParams(perspective=caller))
            ]
            assert states[-1].completedSyncs == states[-1].totalSyncRequests > 0
            response = await agent.resolve_name(
                pb.ResolveNameParams(
                    perspective=caller,
                    name=vector["name"],
                    topLevelAttester=multihash(vector["attester"]),
                )
            )
            if isinstance(expected, dict):
                assert response.error.code == expected["code"]
                continue
            assert not response.HasField("error")
            assert response.entity.hash == hash_of(expected).to_bytes()
            assert [one.name for one in response.derivation] == [vector["name"]]
            assert response.derivation[0].hash == hash_of(vector["hash"]).to_bytes()


@pytest.mark.parametrize(
    "vector", WAVE["signatures"], ids=lambda one: f"{one['signer']} {one['content'][:6]}"
)
async def test_signature_is_the_same(vector: dict[str, Any]) -> None:
    content = b64decode(vector["content"])
    async with serving(engine_of("wave", BEFORE)) as agent:
        made = await agent.sign(
            pb.SignParams(perspective=perspective(vector["signer"]), content=content)
        )
        assert made.signature == b64decode(vector["signature"])
        request = pb.VerifySignatureParams(
            signer=multihash(vector["signer"]), signature=made.signature, content=content
        )
        assert not (await agent.verify_signature(request)).HasField("error")
        request.content = content + b"!"
        assert (await agent.verify_signature(request)).error.code == 906


@pytest.mark.parametrize("vector", WAVE["inspect"], ids=lambda vector: vector["label"])
async def test_object_is_inspected_as_it_was(vector: dict[str, Any]) -> None:
    async with serving(engine_of("wave", BEFORE)) as agent:
        response = await agent.inspect(pb.InspectParams(content=b64decode(vector["content"])))
    if vector["label"] in OURS_IS_BETTER:
        name = vector["label"].split()[0]
        assert response.entity.hash == multihash(name)
        assert response.entity.validity.valid
        return
    if "error" in vector:
        assert response.error.code == vector["error"]["code"]
        return
    assert not response.HasField("error")
    if "entity" in vector:
        expected = vector["entity"]
        assert response.entity.hash == hash_of(expected["hash"]).to_bytes()
        assert response.entity.validFrom == expected["valid_from_ms"]
        assert response.entity.validUntil == expected["valid_until_ms"]
        for name, value in expected["validity"].items():
            assert getattr(response.entity.validity, name) == value
        assert response.entity.validity.message == expected["message"]
        return
    found, expected = response.attestation, vector["attestation"]
    assert found.hash == hash_of(expected["hash"]).to_bytes()
    assert found.subjectHash == hash_of(expected["subject"]).to_bytes()
    assert found.HasField("body") == expected["body_known"]


async def test_revocations_of_the_vectors_are_made_again_byte_for_byte() -> None:
    """Our revocations of the same objects are the very blobs of the later snapshot."""
    store = without_revocations(store_of("wave", AFTER))
    engine = Engine(store, None, EngineConfig(location_of("wave")))
    async with serving(engine) as agent:
        for vector in WAVE["revocations"]:
            request = pb.RevokeParams(perspective=perspective(vector["by"]))
            if vector["attestation"] is not None:
                request.attestationHash = hash_of(vector["attestation"]).to_bytes()
            request.revokePerspective = vector["entity"]
            assert not (await agent.revoke(request)).HasField("error"), vector["label"]
    assert store.objects == store_of("wave", AFTER).objects


async def test_grants_of_the_vectors_can_be_made_again_or_are_refused_alike() -> None:
    # One of the subjects was published between the snapshots.
    store = without_revocations(store_of("wave", AFTER))
    engine = Engine(store, None, EngineConfig(location_of("wave")))
    async with serving(engine) as agent:
        for vector in WAVE["attestations"]:
            response = await agent.create_attestation(
                pb.CreateAttestationParams(
                    perspective=perspective(vector["attester"]),
                    subjectHash=multihash(vector["subject"]),
                    validFrom=vector["valid_from_ms"],
                    validUntil=vector["valid_until_ms"],
                    policy=pb.Policy(
                        rTreePolicy=pb.RTreePolicy(
                            namespace=multihash(vector["namespace"]),
                            indirections=vector["indirections"],
                            statements=statements(vector["statements"]),
                            visibilityURI=[part.encode() for part in vector["visibility"]],
                        )
                    ),
                )
            )
            if "error" in vector:
                assert response.error.code == vector["error"]["code"], vector["statements"]
                continue
            assert not response.HasField("error"), response.error.message
            assert len(response.verifierKey) == 28
            assert len(response.proverKey) == 84
            shown = await agent.inspect(
                pb.InspectParams(content=response.DER, verifierKey=response.verifierKey)
            )
            policy = shown.attestation.body.policy.rTreePolicy
            assert list(policy.statements) == statements(vector["statements"])
            assert shown.attestation.validity.valid
