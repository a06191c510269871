"""Requests that kill or hang the original, or that it answers wrongly (wave.md 12.2, 14.4).

Each gets an answer here, with the error that the specification asks for, and the agent goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest
from google.protobuf.message import Message

from tests.support.object_stores import LOCATION
from tests.support.worlds import DAY_S, NOW, World, after
from wavemq.agent import calls
from wavemq.agent.service import AgentService
from wavemq.authz.engine import Engine
from wavemq.clock import FixedClock
from wavemq.errors import Code
from wavemq.net.objects import LocationRouter
from wavemq.wave.hashes import WAVEMQ_PERMISSION_SET
from wavemq.wave.proof import ExplicitProof
from wavemq.wire import wave_pb2 as pb

Q = TypeVar("Q", bound=Message)
A = TypeVar("A", bound=Message)
WAIT_SECONDS_MAX = 10.0
TABLES = {"default": {"provider": "http_v1", "url": LOCATION.url}}


@dataclass
class Asked:
    """An agent, and the world that it sees."""

    world: World
    engine: Engine
    storages: LocationRouter
    clock: FixedClock
    agent: AgentService

    def perspective(self, name: str, passphrase: bytes = b"") -> pb.Perspective:
        secret = self.world[name].to_bytes()
        return pb.Perspective(entitySecret=pb.EntitySecret(DER=secret, passphrase=passphrase))

    def hash(self, name: str) -> bytes:
        return self.world.hash(name).to_bytes()

    def policy(self, *, namespace: str = "namespace") -> pb.RTreePolicy:
        statement = pb.RTreePolicyStatement(
            permissionSet=WAVEMQ_PERMISSION_SET.to_bytes(), permissions=["publish"], resource="a/*"
        )
        return pb.RTreePolicy(namespace=self.hash(namespace), statements=[statement])

    def grant(self) -> pb.CreateAttestationParams:
        """A request that is answered with a grant."""
        return pb.CreateAttestationParams(
            perspective=self.perspective("namespace"),
            bodyScheme="plaintext",
            subjectHash=self.hash("alice"),
            policy=pb.Policy(rTreePolicy=self.policy()),
        )

    async def code(self, call: calls.Call[Q, A], request: Q) -> Code | None:
        """Return the code of the error in an answer, None without one."""
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            answer: Any = await self.agent.call(call, request)
        if not answer.HasField("error"):
            return None
        assert answer.error.code != Code.INTERNAL, answer.error.message
        return Code(answer.error.code)


@asynccontextmanager
async def asking(world: World) -> AsyncIterator[Asked]:
    clock = FixedClock(NOW)
    async with (
        world.engine() as engine,
        LocationRouter.from_tables(TABLES) as storages,
        AgentService(engine, storages, clock) as agent,
    ):
        yield Asked(world, engine, storages, clock, agent)


@pytest.fixture
async def asked() -> AsyncIterator[Asked]:
    world = await World.create("alice", "bob")
    async with asking(world) as made:
        yield made


# --- requests that kill it ----------------------------------------------------------------------


def requests_without_a_perspective() -> list[tuple[calls.Call[Message, Message], Message]]:
    optional = {"EncryptMessage", "ResolveHash"}  # the perspective is not needed there
    found = []
    for call in calls.UNARY:
        fields = call.request.DESCRIPTOR.fields_by_name
        if "perspective" in fields and call.name not in optional:
            found.append((call, call.request()))
            empty = call.request()
            empty.perspective.SetInParent()  # type: ignore[attr-defined]  # these have the field
            found.append((call, empty))
    return found


@pytest.mark.parametrize(
    ("call", "request_"),
    requests_without_a_perspective(),
    ids=lambda one: getattr(one, "name", None) or str(one).strip() or "absent",
)
async def test_perspective_without_a_secret_is_an_invalid_parameter(
    asked: Asked, call: calls.Call[Message, Message], request_: Message
) -> None:
    assert await asked.code(call, request_) == Code.INVALID_PARAMETER


async def test_grant_without_a_sound_policy_is_refused(asked: Asked) -> None:
    for policy in (
        pb.Policy(),
        pb.Policy(rTreePolicy=pb.RTreePolicy()),
        pb.Policy(trustLevelPolicy=pb.TrustLevelPolicy(trust=-1)),
        pb.Policy(trustLevelPolicy=pb.TrustLevelPolicy(trust=0)),
        pb.Policy(trustLevelPolicy=pb.TrustLevelPolicy(trust=5)),
        pb.Policy(trustLevelPolicy=pb.TrustLevelPolicy(trust=1 << 30)),
    ):
        request = asked.grant()
        request.policy.CopyFrom(policy)
        assert await asked.code(calls.CREATE_ATTESTATION, request) == Code.INVALID_PARAMETER
    request = asked.grant()
    request.ClearField("policy")
    assert await asked.code(calls.CREATE_ATTESTATION, request) == Code.INVALID_PARAMETER


@pytest.mark.parametrize("subject", [b"", b"x", bytes(34), b"\x1b\x20" + bytes(31), b"=" * 48])
async def test_grant_to_what_is_no_hash_is_refused(asked: Asked, subject: bytes) -> None:
    request = asked.grant()
    request.subjectHash = subject
    assert await asked.code(calls.CREATE_ATTESTATION, request) == Code.INVALID_PARAMETER


@pytest.mark.parametrize("count", [12, 64, 65, 5000])
async def test_visibility_of_too_many_components_is_refused(asked: Asked, count: int) -> None:
    request = asked.grant()
    request.bodyScheme = "wr1"
    request.policy.rTreePolicy.visibilityURI.extend([b"a"] * count)
    assert await asked.code(calls.CREATE_ATTESTATION, request) == Code.INVALID_PARAMETER


async def test_name_by_an_attester_that_is_no_hash_is_refused(asked: Asked) -> None:
    request = pb.ResolveNameParams(
        perspective=asked.perspective("alice"), name="bob", topLevelAttester=b"no hash"
    )
    assert await asked.code(calls.RESOLVE_NAME, request) == Code.INVALID_PARAMETER


async def test_message_to_what_is_no_hash_is_refused(asked: Asked) -> None:
    for request in (
        pb.EncryptMessageParams(content=b"content", subjectHash=b"no hash"),
        pb.EncryptMessageParams(content=b"content", namespace=b"no hash", resource="a"),
        pb.EncryptMessageParams(content=b"content"),
        pb.EncryptMessageParams(subjectHash=asked.hash("alice")),
    ):
        assert await asked.code(calls.ENCRYPT_MESSAGE, request) == Code.INVALID_PARAMETER


async def test_proof_over_a_plain_grant_is_built(asked: Asked) -> None:
    await asked.world.grant("namespace", "alice", "publish", "a/*")
    request = pb.BuildRTreeProofParams(
        perspective=asked.perspective("alice"),
        namespace=asked.hash("namespace"),
        statements=asked.policy().statements,
        resyncFirst=True,
    )
    answer = await asked.agent.build_rtree_proof(request)
    assert not answer.HasField("error")
    proof = ExplicitProof.from_bytes(answer.proofDER)
    assert [one.hash.to_bytes() for one in proof.attestations] == [
        element.hash for element in answer.result.elements
    ]


async def test_proof_without_paths_and_with_a_short_key_is_refused(asked: Asked) -> None:
    grant = await asked.world.grant("namespace", "alice", "publish", "a/*", is_encrypted=True)
    without_paths = asked.world.proof(grant, paths=[])
    short = asked.world.proof(grant).replace(b"\x04\x1c" + grant.verifier_key, b"\x04\x01\x00")
    for proof in (without_paths, short, b"", b"\x28"):
        code = await asked.code(calls.VERIFY_PROOF, pb.VerifyProofParams(proofDER=proof))
        assert code in (Code.PROOF_INVALID, Code.INVALID_PARAMETER)


async def test_storage_that_fails_during_a_synchronization_kills_nothing(asked: Asked) -> None:
    await asked.world.grant("namespace", "alice", "publish", "a/*")
    asked.world.store.is_away = True
    alice = asked.perspective("alice")
    await asked.agent.resync(pb.ResyncPerspectiveGraphParams(perspective=alice))
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        states = [state async for state in asked.agent.wait_for_sync(pb.SyncParams())]
        assert states[-1].error.code == Code.INVALID_PARAMETER
    asked.world.store.is_away = False
    assert await asked.code(calls.SIGN, pb.SignParams(perspective=alice, content=b"x")) is None


async def test_attestation_that_is_known_is_added_again_in_vain(asked: Asked) -> None:
    grant = await asked.world.grant("namespace", "alice", "publish", "a/*", is_encrypted=True)
    request = pb.AddAttestationParams(
        perspective=asked.perspective("alice"),
        DER=grant.attestation.wire,
        proverKey=grant.prover_key,
    )
    for _ in range(3):
        assert await asked.code(calls.ADD_ATTESTATION, request) is None
    found = await asked.agent.lookup_attestations(
        pb.LookupAttestationsParams(
            perspective=asked.perspective("alice"), toEntity=asked.hash("alice")
        )
    )
    assert [one.hash for one in found.results] == [grant.attestation.hash.to_bytes()]


async def test_entity_is_marked_with_a_location_only(asked: Asked) -> None:
    request = pb.MarkEntityInterestingParams(
        perspective=asked.perspective("alice"), entity=asked.hash("bob")
    )
    assert await asked.code(calls.MARK_INTERESTING, request) == Code.INVALID_PARAMETER
    request.entityLocation.agentLocation = "default"
    assert await asked.code(calls.MARK_INTERESTING, request) is None
    request.entity = b"no hash"
    assert await asked.code(calls.MARK_INTERESTING, request) == Code.INVALID_PARAMETER


# --- requests that hang it ----------------------------------------------------------------------


async def test_waiting_for_an_idle_engine_ends(asked: Asked) -> None:
    request = pb.SyncParams(perspective=asked.perspective("alice"))
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        states = [state async for state in asked.agent.wait_for_sync(request)]
    assert not states[-1].HasField("error")
    assert states[-1].totalSyncRequests == states[-1].completedSyncs


async def test_looking_up_nothing_or_both_ends_is_refused(asked: Asked) -> None:
    alice = asked.perspective("alice")
    both = pb.LookupAttestationsParams(
        perspective=alice, fromEntity=asked.hash("bob"), toEntity=asked.hash("alice")
    )
    for request in (pb.LookupAttestationsParams(perspective=alice), both):
        assert await asked.code(calls.LOOKUP_ATTESTATIONS, request) == Code.INVALID_PARAMETER


# --- requests that it answers wrongly -----------------------------------------------------------


async def test_passphrase_is_checked_with_every_call(asked: Asked) -> None:
    protected = asked.world["alice"].to_bytes(b"right")
    codes = []
    for passphrase in (b"", b"wrong", b"right", b"wrong", b""):
        secret = pb.EntitySecret(DER=protected, passphrase=passphrase)
        request = pb.SignParams(perspective=pb.Perspective(entitySecret=secret), content=b"x")
        codes.append(await asked.code(calls.SIGN, request))
    refused = Code.INVALID_PARAMETER
    assert codes == [refused, refused, None, refused, refused]


async def test_validity_is_checked_with_every_call(asked: Asked) -> None:
    await asked.world.add("brief", not_after=after(DAY_S))
    request = pb.SignParams(perspective=asked.perspective("brief"), content=b"x")
    assert await asked.code(calls.SIGN, request) is None
    asked.clock.instant = after(2 * DAY_S)
    assert await asked.code(calls.SIGN, request) == Code.INVALID_PARAMETER


async def test_public_entity_is_inspected(asked: Asked) -> None:
    answer = await asked.agent.inspect(pb.InspectParams(content=asked.world["alice"].entity.wire))
    assert not answer.HasField("error")
    assert answer.entity.hash == asked.hash("alice")
    assert answer.entity.validity.valid


@pytest.mark.parametrize("which", ["verifier", "prover"])
async def test_keys_are_used_to_inspect(asked: Asked, which: str) -> None:
    grant = await asked.world.grant("namespace", "alice", "publish", "a/*", is_encrypted=True)
    request = pb.InspectParams(content=grant.attestation.wire)
    if which == "verifier":
        request.verifierKey = grant.verifier_key
    else:
        request.proverKey = grant.prover_key
    answer = await asked.agent.inspect(request)
    assert not answer.HasField("error")
    assert answer.attestation.body.attesterHash == asked.hash("namespace")


def test_lookup_has_the_singular_path_of_the_original() -> None:
    assert calls.LOOKUP_ATTESTATIONS.path == "/v1/LookupAttestation"
    assert {call.path for call in calls.UNARY if call.path != f"/v1/{call.name}"} == {
        "/v1/LookupAttestation"
    }
