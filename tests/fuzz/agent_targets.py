"""Fuzz targets: any request to any call of the agent gets an answer, with an error in it or not.

The agent stands over an engine and the storage of the vectors, which it may write to; after a
number of requests both are made anew. Each request ends within its time.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from google.protobuf.message import DecodeError, Message
from structlog.testing import capture_logs

from tests.fuzz.fuzz_target import BrokenPropertyError, Target, expect
from tests.fuzz.protobuf_mutation import changing
from tests.support.secret_spellings import secrets_of, shown
from tests.support.vector_worlds import (
    engine_of,
    generated,
    hash_of,
    location_of,
    secret_of,
    synchronized,
    vectors,
)
from wavemq.agent import calls
from wavemq.agent.service import AgentService
from wavemq.authz.engine import Engine
from wavemq.clock import FixedClock
from wavemq.errors import WaveMQError
from wavemq.net.objects import LocationRouter
from wavemq.wire import wave_pb2 as pb

REQUEST_SECONDS_MAX: Final = 20.0
REQUESTS_PER_ENGINE: Final = 300
_WAVE: Final = vectors("wave")
_GRANT: Final = next(one for one in _WAVE["attestations"] if one.get("prover_key"))
_BEFORE: Final = "storage_before_revocations"


@dataclass
class _Ground:
    """An agent that runs, and what and how often it was asked."""

    asked: str
    runner: asyncio.Runner
    engine: Engine
    storages: LocationRouter
    agent: AgentService
    requests: int = 0


_grounds: list[_Ground] = []


def _ground(asked: str) -> _Ground:
    """Return the agent for one call; a fresh one for another call, and after some requests."""
    if _grounds and (_grounds[0].asked != asked or _grounds[0].requests >= REQUESTS_PER_ENGINE):
        old = _grounds.pop()
        old.runner.run(old.agent.aclose())
        old.runner.run(old.engine.aclose())
        old.runner.run(old.storages.aclose())
        old.runner.close()
    if not _grounds:
        runner = asyncio.Runner()
        _grounds.append(runner.run(_make(asked, runner)))
    _grounds[0].requests += 1
    return _grounds[0]


async def _make(asked: str, runner: asyncio.Runner) -> _Ground:
    engine = engine_of("wave", _BEFORE)
    for name in ("alice", "carol"):
        await synchronized(engine, "wave", name)
    tables = {"default": {"provider": "http_v1", "url": location_of("wave").url}}
    storages = LocationRouter.from_tables(tables)
    return _Ground(
        asked,
        runner,
        engine,
        storages,
        AgentService(engine, storages, FixedClock(generated("wave"))),
    )


def _asking(call: calls.Call[Any, Any]) -> Callable[[bytes], None]:
    def decode(given: bytes) -> None:
        request = call.request.FromString(given)
        ground = _ground(call.name)
        with capture_logs() as lines:
            response = ground.runner.run(_ask(ground.agent, call, request))
        for line in lines:
            if line["event"] == "agent_call_failed":
                raise BrokenPropertyError(f"{call.name} failed") from line["exc_info"]
        response.SerializeToString()
        told = [repr(line) for line in lines]
        if response.HasField("error"):
            told.append(response.error.message)
        expect(fact=not shown("\n".join(told), _secrets()), otherwise="a secret is told")
        if response.HasField("error"):
            raise _RefusedError(response.error.message)

    return decode


@cache
def _secrets() -> tuple[bytes, ...]:
    """Return every private key and passphrase of the callers."""
    found = [
        secret for name in ("alice", "carol") for secret in secrets_of(secret_of("wave", name))
    ]
    return (*found, base64.b64decode(_GRANT["prover_key"]), b"correct horse")


class _RefusedError(WaveMQError):
    """An answer with an error in it."""


async def _ask(agent: AgentService, call: calls.Call[Any, Any], request: Any) -> Any:
    try:
        async with asyncio.timeout(REQUEST_SECONDS_MAX):
            if call is not calls.WAIT_FOR_SYNC:
                return await agent.call(call, request)
            return [answer async for answer in agent.wait_for_sync(request)][-1]
    except TimeoutError as error:
        raise BrokenPropertyError(f"{call.name} has no end") from error


# --- honest requests ----------------------------------------------------------------------------


def _perspective(name: str = "alice") -> pb.Perspective:
    known = _WAVE["entities"][name]
    secret = pb.EntitySecret(
        DER=base64.b64decode(known["secret_der"]), passphrase=known["passphrase"].encode()
    )
    return pb.Perspective(entitySecret=secret)


def _hash(name: str) -> bytes:
    return hash_of(_WAVE["entities"][name]["hash"]).to_bytes()


def _location() -> pb.Location:
    where = location_of("wave")
    return pb.Location(locationURI=pb.LocationURI(URI=where.url, version=where.version))


def _statement() -> pb.RTreePolicyStatement:
    sets = _WAVE["permission_sets"]
    return pb.RTreePolicyStatement(
        permissionSet=hash_of(sets["wavemq"]).to_bytes(),
        permissions=["publish"],
        resource="building/floor1/room3/temp",
    )


def _policy() -> pb.RTreePolicy:
    return pb.RTreePolicy(namespace=_hash("namespace"), indirections=3, statements=[_statement()])


def _der(part: str, name: str = "der") -> bytes:
    return next(base64.b64decode(one[name]) for one in _WAVE[part] if one.get(name))


@cache
def _honest() -> dict[str, list[Message]]:
    who, reader, bob = _perspective(), _perspective("carol"), _hash("bob")
    signed = next(one for one in _WAVE["signatures"] if one["content"])
    plain = pb.CreateAttestationParams(
        perspective=_perspective("namespace"),
        bodyScheme="plaintext",
        subjectHash=bob,
        subjectLocation=_location(),
        policy=pb.Policy(rTreePolicy=_policy()),
        publish=True,
    )
    named = _WAVE["names"][0]
    return {
        "CreateEntity": [pb.CreateEntityParams(revocationLocation=_location())],
        "CreateAttestation": [plain],
        "PublishEntity": [pb.PublishEntityParams(DER=_der_of("bob"), location=_location())],
        "PublishAttestation": [pb.PublishAttestationParams(DER=_der("attestations"))],
        "AddAttestation": [
            pb.AddAttestationParams(
                perspective=who,
                DER=base64.b64decode(_GRANT["der"]),
                proverKey=base64.b64decode(_GRANT["prover_key"]),
            )
        ],
        "LookupAttestations": [
            pb.LookupAttestationsParams(perspective=who, fromEntity=_hash("namespace"))
        ],
        "ResyncPerspectiveGraph": [pb.ResyncPerspectiveGraphParams(perspective=who)],
        "SyncStatus": [pb.SyncParams(perspective=who)],
        "WaitForSyncComplete": [pb.SyncParams(perspective=who)],
        "BuildRTreeProof": [
            pb.BuildRTreeProofParams(
                perspective=reader,
                namespace=_hash("namespace"),
                statements=[_statement()],
                resyncFirst=True,
            )
        ],
        "VerifyProof": [
            pb.VerifyProofParams(proofDER=_der("proofs"), requiredRTreePolicy=_policy()),
            pb.VerifyProofParams(proofDER=_der("proofs")),
        ],
        "CompactProof": [pb.CompactProofParams(DER=_der("proofs"))],
        "ListLocations": [pb.ListLocationsParams()],
        "Inspect": [pb.InspectParams(content=_der("inspect", "content"))],
        "ResolveHash": [pb.ResolveHashParams(hash=bob, perspective=who)],
        "EncryptMessage": [
            pb.EncryptMessageParams(
                content=b"content",
                subjectHash=bob,
                subjectLocation=_location(),
                namespace=_hash("namespace"),
                namespaceLocation=_location(),
                resource="a/b",
            )
        ],
        "DecryptMessage": [
            pb.DecryptMessageParams(
                perspective=reader, ciphertext=_der("encrypted", "ciphertext"), resyncFirst=True
            )
        ],
        "CreateNameDeclaration": [
            pb.CreateNameDeclarationParams(
                perspective=who, name="bob", subject=bob, subjectLocation=_location()
            )
        ],
        "ResolveName": [pb.ResolveNameParams(perspective=who, name=named["name"])],
        "ResolveReverseName": [pb.ResolveReverseNameParams(perspective=who, hash=bob)],
        "MarkEntityInteresting": [
            pb.MarkEntityInterestingParams(perspective=who, entity=bob, entityLocation=_location())
        ],
        "Revoke": [pb.RevokeParams(perspective=who)],
        "Sign": [pb.SignParams(perspective=who, content=b"content")],
        "VerifySignature": [
            pb.VerifySignatureParams(
                signer=_hash(signed["signer"]),
                signerLocation=_location(),
                signature=base64.b64decode(signed["signature"]),
                content=base64.b64decode(signed["content"]),
            )
        ],
    }


def honest_requests(name: str) -> list[Message]:
    """Return requests of a call that succeed."""
    return _honest().get(name, [])


def _der_of(name: str) -> bytes:
    return base64.b64decode(_WAVE["entities"][name]["public_der"])


@cache
def _pool() -> tuple[bytes, ...]:
    """Return honest values for fields of bytes: one is often where another belongs."""
    found: list[bytes] = []
    for requests in _honest().values():
        for request in requests:
            found += _bytes_of(request)
    return tuple(dict.fromkeys(found))


def _bytes_of(message: Message) -> list[bytes]:
    found: list[bytes] = []
    for field, value in message.ListFields():
        for one in value if field.is_repeated else [value]:
            if isinstance(one, bytes):
                found.append(one)
            elif isinstance(one, Message):
                found += _bytes_of(one)
    return found


def _seeds(call: calls.Call[Any, Any]) -> Callable[[], list[bytes]]:
    return lambda: [b"", *(request.SerializeToString() for request in honest_requests(call.name))]


_CALLS: Final[tuple[calls.Call[Any, Any], ...]] = (*calls.UNARY, calls.WAIT_FOR_SYNC)

TARGETS: Final = tuple(
    Target(
        f"agent_{call.attribute}",
        _asking(call),
        _seeds(call),
        runs=20,
        refusals=(DecodeError,),
        size_max=200_000,
        change=changing(call.request, _pool),
    )
    for call in _CALLS
)
