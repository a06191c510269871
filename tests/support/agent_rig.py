"""An agent with all its doors, and one way to call it through each of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
from google.protobuf import json_format
from google.protobuf.message import Message

from tests.support.worlds import NOW
from wavemq.agent import calls
from wavemq.agent.config import AgentConfig
from wavemq.agent.grpc_server import serve_grpc
from wavemq.agent.http_gateway import serve_http
from wavemq.agent.opening import open_local_agent
from wavemq.agent.remote import connect_agent
from wavemq.agent.service import AgentService
from wavemq.clock import FixedClock
from wavemq.net.addresses import Address
from wavemq.wire import wave_pb2 as pb

Q = TypeVar("Q", bound=Message)
A = TypeVar("A", bound=Message)
LOOPBACK = Address("127.0.0.1", 0)


class HttpAgent:
    """Calls through the HTTP gateway, as a program in another language would."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def call(self, call: calls.Call[Q, A], request: Q, /) -> A:
        fields = json_format.MessageToDict(request, preserving_proto_field_name=True)
        answer = await self.client.post(call.path, json=fields)
        assert answer.status_code == 200, answer.text
        return json_format.ParseDict(answer.json(), call.response())

    async def wait_for_sync(self, request: pb.SyncParams, /) -> AsyncIterator[pb.SyncResponse]:
        """Ask until all is done: the gateway has no call that waits."""
        while True:
            state = await self.call(calls.SYNC_STATUS, request)
            yield state
            if state.totalSyncRequests == state.completedSyncs:
                return


@dataclass
class Doors:
    """One agent and the ways to it."""

    clock: FixedClock
    service: AgentService
    grpc: calls.Agent
    http: HttpAgent
    grpc_address: Address

    def through(self, door: str) -> calls.Agent:
        return {"within": self.service, "grpc": self.grpc, "http": self.http}[door]


def tables(directory: Path) -> dict[str, dict[str, str]]:
    """Two storages in directories."""
    return {
        name: {"provider": "local", "path": str(directory / name)} for name in ("default", "other")
    }


@asynccontextmanager
async def opened_doors(directory: Path) -> AsyncIterator[Doors]:
    clock = FixedClock(NOW)
    config = AgentConfig(database=directory / "state", storage_tables=tables(directory))
    async with (
        open_local_agent(config, clock) as service,
        serving(service) as (grpc, http),
        connect_agent(str(grpc)) as remote,
        httpx.AsyncClient(base_url=f"http://{http}", trust_env=False) as client,
    ):
        yield Doors(clock, service, remote, HttpAgent(client), grpc)


@asynccontextmanager
async def serving(service: AgentService) -> AsyncIterator[tuple[Address, Address]]:
    """Serve over gRPC and HTTP; gives both addresses."""
    async with (
        serve_grpc(service, address=LOOPBACK, unix=None) as grpc,
        serve_http(service, LOOPBACK) as http,
    ):
        assert grpc is not None
        yield grpc, http


@dataclass(frozen=True)
class Person:
    """An entity and how it calls."""

    public: bytes
    secret: bytes
    hash: bytes
    passphrase: bytes = b""

    @property
    def perspective(self) -> pb.Perspective:
        return pb.Perspective(
            entitySecret=pb.EntitySecret(DER=self.secret, passphrase=self.passphrase)
        )


async def ask(agent: calls.Agent, call: calls.Call[Q, A], request: Q) -> A:
    """Return an answer that holds no error."""
    answer: Any = await agent.call(call, request)
    assert not answer.HasField("error"), answer.error.message
    return answer  # type: ignore[no-any-return]  # checked as Any: not all messages have an error


async def refusal(agent: calls.Agent, call: calls.Call[Q, A], request: Q) -> pb.Error:
    """Return the error of an answer, which must hold one."""
    answer: Any = await agent.call(call, request)
    assert answer.HasField("error"), answer
    error: pb.Error = answer.error
    assert error.message.startswith(f"({error.code}: ")
    return error


async def make_person(
    agent: calls.Agent, *, passphrase: str = "", place: str = "default"
) -> Person:
    """Make an entity and publish it."""
    made = await ask(agent, calls.CREATE_ENTITY, pb.CreateEntityParams(SecretPassphrase=passphrase))
    location = pb.Location(agentLocation=place)
    request = pb.PublishEntityParams(DER=made.PublicDER, location=location)
    stored = await ask(agent, calls.PUBLISH_ENTITY, request)
    assert stored.hash == made.hash
    return Person(made.PublicDER, made.SecretDER, made.hash, passphrase.encode())


def policy(
    namespace: Person,
    permissions: str = "publish,subscribe",
    resource: str = "a/*",
    *,
    permission_set: bytes,
    indirections: int = 2,
) -> pb.RTreePolicy:
    statement = pb.RTreePolicyStatement(
        permissionSet=permission_set, permissions=permissions.split(","), resource=resource
    )
    return pb.RTreePolicy(
        namespace=namespace.hash, indirections=indirections, statements=[statement]
    )


async def synchronize(agent: calls.Agent, person: Person) -> pb.SyncResponse:
    """Synchronize and return the last state."""
    await ask(agent, calls.RESYNC, pb.ResyncPerspectiveGraphParams(perspective=person.perspective))
    states = [s async for s in agent.wait_for_sync(pb.SyncParams(perspective=person.perspective))]
    return states[-1]
