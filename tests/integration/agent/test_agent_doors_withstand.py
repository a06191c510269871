"""The agent's doors against bad input, floods and slow callers; and their rules of JSON."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import httpx
import pytest
from google.protobuf.message import Message

from tests.support.agent_rig import Doors, ask, make_person, opened_doors, serving
from tests.support.waiting import until
from wavemq.agent import calls, http_gateway, service
from wavemq.agent.grpc_server import MESSAGE_BYTES_MAX
from wavemq.agent.http_gateway import BODY_BYTES_MAX
from wavemq.agent.remote import connect_agent
from wavemq.agent.service import AgentService
from wavemq.authz import callers
from wavemq.clock import FixedClock
from wavemq.errors import AgentUnreachableError
from wavemq.net import http_doors
from wavemq.wave import der
from wavemq.wave.keyring import EntitySecret
from wavemq.wire import wave_pb2 as pb


@pytest.fixture
async def doors(tmp_path: Path) -> AsyncIterator[Doors]:
    async with opened_doors(tmp_path) as opened:
        yield opened


async def raw(channel: grpc.aio.Channel, path: str, content: bytes) -> bytes:
    """Call with bytes in and out."""
    method: Any = channel.unary_unary(path)
    answer: bytes = await method(content, timeout=20.0)
    return answer


# --- gRPC ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", calls.SERVICES)
async def test_both_service_names_are_served(doors: Doors, name: str) -> None:
    async with grpc.aio.insecure_channel(str(doors.grpc_address)) as channel:
        answer = await raw(channel, f"/{name}/ListLocations", b"")
    assert "default" in pb.ListLocationsResponse.FromString(answer).agentLocations


async def test_garbage_is_a_grpc_error_and_the_agent_goes_on(doors: Doors) -> None:
    async with grpc.aio.insecure_channel(str(doors.grpc_address)) as channel:
        for call in calls.UNARY:
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await raw(channel, f"/pb.WAVE/{call.name}", b"\xff\xff\xff\xff")
            assert failed.value.code() is grpc.StatusCode.INTERNAL
            assert failed.value.details() == f"the request is no {call.request.__name__}"
        assert await raw(channel, "/pb.WAVE/ListLocations", b"")


async def test_unknown_call_is_not_implemented(doors: Doors) -> None:
    async with grpc.aio.insecure_channel(str(doors.grpc_address)) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await raw(channel, "/pb.WAVE/Shutdown", b"")
    assert failed.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_message_over_four_mebibytes_is_refused(doors: Doors) -> None:
    request = pb.InspectParams(content=bytes(MESSAGE_BYTES_MAX))
    with pytest.raises(AgentUnreachableError, match="resource_exhausted"):
        await doors.grpc.call(calls.INSPECT, request)
    request = pb.InspectParams(content=bytes(MESSAGE_BYTES_MAX - 64))
    assert (await doors.grpc.call(calls.INSPECT, request)).error.code == 304


async def test_agent_that_is_not_there_is_unreachable() -> None:
    async with connect_agent("127.0.0.1:1") as agent:
        with pytest.raises(AgentUnreachableError, match=r"127\.0\.0\.1:1"):
            await agent.call(calls.LIST_LOCATIONS, pb.ListLocationsParams())
        with pytest.raises(AgentUnreachableError):
            async for _ in agent.wait_for_sync(pb.SyncParams()):
                pass


# --- one call does not keep another from its answer ---------------------------------------------


class Hesitant(AgentService):
    """An agent whose signatures wait until they are let go."""

    def __init__(self, doors: Doors) -> None:
        desk = doors.service._desk
        super().__init__(desk.engine, desk.storages, FixedClock(desk.now()))
        self.asked = 0
        self.go = asyncio.Event()

    async def sign(self, request: pb.SignParams) -> pb.SignResponse:
        self.asked += 1
        await self.go.wait()
        return await super().sign(request)


async def test_slow_calls_do_not_keep_others_from_their_answers(doors: Doors) -> None:
    hesitant = Hesitant(doors)
    async with (
        serving(hesitant) as (grpc_address, http_address),
        connect_agent(str(grpc_address)) as agent,
        httpx.AsyncClient(base_url=f"http://{http_address}", trust_env=False) as client,
    ):
        slow = [asyncio.ensure_future(client.post("/v1/Sign", timeout=60.0)) for _ in range(50)]
        others = [asyncio.ensure_future(agent.call(calls.SIGN, pb.SignParams())) for _ in range(50)]
        await until("all slow calls are under way", lambda: hesitant.asked == 100)
        await ask(agent, calls.LIST_LOCATIONS, pb.ListLocationsParams())
        assert (await client.post("/v1/ListLocations")).status_code == 200
        hesitant.go.set()
        assert {answer.error.code for answer in await asyncio.gather(*others)} == {304}
        assert {answer.json()["error"]["code"] for answer in await asyncio.gather(*slow)} == {304}
    await hesitant.aclose()


async def test_keyrings_that_take_long_hold_up_nothing_else(
    doors: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await make_person(doors.service)
    opening, go = threading.Semaphore(0), threading.Event()

    def open_slowly(secret: bytes, passphrase: bytes) -> EntitySecret:
        opening.release()
        go.wait(60.0)
        return EntitySecret.from_bytes(secret, passphrase)

    class SlowSecret:
        from_bytes = staticmethod(open_slowly)

    monkeypatch.setattr(callers, "EntitySecret", SlowSecret)
    request = pb.SignParams(perspective=alice.perspective, content=b"content")
    try:
        slow = [asyncio.ensure_future(doors.grpc.call(calls.SIGN, request)) for _ in range(20)]
        await until("keyrings are being opened", lambda: opening.acquire(blocking=False))
        await ask(doors.grpc, calls.CREATE_ENTITY, pb.CreateEntityParams(SecretPassphrase="x"))
        await ask(doors.grpc, calls.RESOLVE_HASH, pb.ResolveHashParams(hash=alice.hash))
        assert not any(one.done() for one in slow)
    finally:
        go.set()
    assert not any(answer.HasField("error") for answer in await asyncio.gather(*slow))


async def test_messages_without_recipients_and_short_ciphertexts_are_refused(doors: Doors) -> None:
    """wave.md 16.2, defect 16."""
    alice = await make_person(doors.service)
    nobody = await doors.grpc.call(
        calls.ENCRYPT_MESSAGE, pb.EncryptMessageParams(content=b"content")
    )
    assert nobody.error.code == 304
    for length in (0, 1, 31, 32, 47):
        key = der.external((16, 1), der.sequence(der.octets(bytes(length))))
        message = der.external(
            (2, 5), der.sequence(der.octets(bytes(40)), der.sequence(key), der.sequence())
        )
        answer = await doors.grpc.call(
            calls.DECRYPT_MESSAGE,
            pb.DecryptMessageParams(perspective=alice.perspective, ciphertext=message),
        )
        assert answer.error.message == "(913: could not decrypt message)"


async def test_call_that_never_ends_is_ended(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(service, "CALL_SECONDS_MAX", 0.01)
    desk = doors.service._desk
    monkeypatch.setattr(desk.engine, "entity", never)
    request = pb.VerifySignatureParams(signer=b"\x1b\x20" + bytes(32))
    answer = await doors.grpc.call(calls.VERIFY_SIGNATURE, request)
    assert answer.error.message == "(101: no answer within 0.01 s)"


async def test_defect_ends_one_call_and_tells_no_secret(
    doors: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(*_: object, **__: object) -> None:
        raise ZeroDivisionError("the secret is crocodile")

    desk = doors.service._desk
    monkeypatch.setattr(desk.engine, "entity", break_down)
    request = pb.VerifySignatureParams(signer=b"\x1b\x20" + bytes(32))
    answer = await doors.grpc.call(calls.VERIFY_SIGNATURE, request)
    assert answer.error.code == 202
    assert "crocodile" not in answer.error.message
    await ask(doors.grpc, calls.LIST_LOCATIONS, pb.ListLocationsParams())


# --- HTTP: the original gateway's rules -----------------------------------------------------------


@pytest.mark.parametrize("body", [b"", b"{}", b'{"unknown": [1, {"x": null}]}', b" \n"])
async def test_empty_bodies_and_unknown_fields_are_taken(doors: Doors, body: bytes) -> None:
    answer = await doors.http.client.post("/v1/ListLocations", content=body)
    assert answer.status_code == 200
    assert set(answer.json()) == {"agentLocations"}
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'"text"',
        b"\xff",
        b'{"content": 7}',
        b'{"content": "crocodile!"}',
        b'{"content": "", "content": ""}',
        b'{"content": {"crocodile": 1}}',
        b'{"unknown": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=lambda body: body[:20].decode(errors="replace"),
)
async def test_bad_json_is_answered_in_the_originals_form(doors: Doors, body: bytes) -> None:
    answer = await doors.http.client.post("/v1/Inspect", content=body)
    assert answer.status_code == 400
    fields = answer.json()
    assert set(fields) == {"error", "message", "code"}
    assert fields["code"] == 3
    assert "crocodile" not in answer.text  # what was sent may be a secret


async def test_json_has_the_originals_names_and_forms(doors: Doors) -> None:
    client = doors.http.client
    made = (await client.post("/v1/CreateEntity", json={"validFrom": 1_800_000_000_000})).json()
    assert set(made) == {"PublicDER", "SecretDER", "hash"}
    as_text = (await client.post("/v1/CreateEntity", json={"validFrom": "1800000000000"})).json()
    assert set(as_text) == set(made)
    assert base64.b64encode(base64.b64decode(made["hash"], validate=True)).decode() == made["hash"]
    shown = (await client.post("/v1/Inspect", json={"content": made["PublicDER"]})).json()
    entity = shown["entity"]
    assert entity["validFrom"] == "1800000000000"
    assert entity["validity"] == {"valid": True}
    listed = (await client.post("/v1/ListLocations")).json()["agentLocations"]["default"]
    assert set(listed) == {"locationURI", "agentLocation"}
    assert set(listed["locationURI"]) == {"URI", "version"}
    refused = (await client.post("/v1/Sign", json={})).json()
    assert refused["error"]["code"] == 304


async def test_lookup_is_found_at_the_singular_path_alone(doors: Doors) -> None:
    client = doors.http.client
    assert (await client.post("/v1/LookupAttestation")).json()["error"]["code"] == 304
    plural = await client.post("/v1/LookupAttestations")
    assert (plural.status_code, plural.text.strip()) == (404, "Not Found")
    waiting = await client.post("/v1/WaitForSyncComplete")
    assert waiting.status_code == 404


async def test_other_methods_are_not_allowed(doors: Doors) -> None:
    for method in ("GET", "PUT", "DELETE", "OPTIONS"):
        answer = await doors.http.client.request(method, "/v1/Sign")
        assert (answer.status_code, answer.text.strip()) == (405, "Method Not Allowed")


async def test_any_origin_is_echoed_and_preflight_is_answered(doors: Doors) -> None:
    client, origin = doors.http.client, {"Origin": "http://page.example"}
    answer = await client.post("/v1/ListLocations", headers=origin)
    assert answer.headers["access-control-allow-origin"] == "http://page.example"
    preflight = await client.options(
        "/v1/Sign", headers={**origin, "Access-Control-Request-Method": "POST"}
    )
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "http://page.example"
    assert preflight.headers["access-control-allow-headers"] == "Content-Type,Accept"
    assert preflight.headers["access-control-allow-methods"] == "GET,HEAD,POST,PUT,DELETE"


async def test_huge_body_is_refused(doors: Doors) -> None:
    body = b'{"content": "' + b"A" * BODY_BYTES_MAX + b'"}'
    answer = await doors.http.client.post("/v1/Inspect", content=body)
    assert answer.status_code == 413
    assert (await doors.http.client.post("/v1/ListLocations")).status_code == 200


@pytest.fixture
def _little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_gateway, "BODIES_BYTES_MAX", 1000)


@pytest.mark.usefixtures("_little_room")
async def test_bodies_together_are_bounded(doors: Doors) -> None:
    client = doors.http.client
    for _ in range(3):  # what was refused does not count any more
        answer = await client.post("/v1/Inspect", content=b" " * 2000)
        assert answer.status_code == 503
        assert (await client.post("/v1/ListLocations", content=b" " * 900)).status_code == 200


async def test_slow_body_is_given_up(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_doors, "BODY_SECONDS_MAX", 0.05)
    url = doors.http.client.base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(b"POST /v1/Sign HTTP/1.1\r\nHost: agent\r\nContent-Length: 10\r\n\r\n{")
    async with asyncio.timeout(20.0):
        status = await reader.readline()
    assert b" 408 " in status
    writer.close()
    await writer.wait_closed()


async def test_grpc_and_http_give_the_same_answers(doors: Doors) -> None:
    alice = await make_person(doors.service)
    signer = alice.perspective
    asked: list[tuple[calls.Call[Any, Any], Message]] = [
        (calls.LIST_LOCATIONS, pb.ListLocationsParams()),
        (calls.INSPECT, pb.InspectParams(content=alice.secret)),
        (calls.INSPECT, pb.InspectParams(content=b"garbage")),
        (calls.RESOLVE_HASH, pb.ResolveHashParams(hash=alice.hash)),
        (calls.RESOLVE_HASH, pb.ResolveHashParams(hash=b"\x1b\x20" + bytes(32))),
        (calls.SIGN, pb.SignParams(perspective=signer, content=bytes(range(256)))),
        (calls.SYNC_STATUS, pb.SyncParams(perspective=signer)),
        (calls.VERIFY_PROOF, pb.VerifyProofParams(proofDER=b"\x28")),
        (calls.RESOLVE_NAME, pb.ResolveNameParams(perspective=signer, name="ghost")),
    ]
    for call, request in asked:
        by_grpc = await doors.grpc.call(call, request)
        by_http = await doors.http.call(call, request)
        assert by_grpc == by_http, call.name


async def test_description_is_served(doors: Doors) -> None:
    answer = await doors.http.client.get("/v1/description")
    assert answer.json()["openapi"].startswith("3.")
    assert json.dumps(answer.json())
