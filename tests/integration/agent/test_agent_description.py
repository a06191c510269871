"""The description of the agent's HTTP interface is up to date, and answers conform to it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from google.protobuf import json_format

from tests.support.agent_rig import ask, make_person, opened_doors, policy, synchronize
from wavemq.agent import calls
from wavemq.agent.description import describe
from wavemq.wave.hashes import WAVEMQ_PERMISSION_SET
from wavemq.wire import wave_pb2 as pb

COMMITTED = Path(__file__).resolve().parents[3] / "docs" / "reference" / "agent-api.json"


def complaints(document: dict[str, Any], schema: dict[str, Any], value: object) -> list[str]:
    """Return how a value breaks a schema: the part of OpenAPI that the description uses."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    match schema["type"]:
        case "object" if isinstance(value, dict):
            return _of_object(document, schema, value)
        case "array" if isinstance(value, list):
            return [one for item in value for one in complaints(document, schema["items"], item)]
        case "string" if isinstance(value, str):
            return [] if _is_sound(schema.get("format"), value) else [f"{value!r} is no {schema}"]
        case "boolean" if isinstance(value, bool):
            return []
        case "integer" if isinstance(value, int) and not isinstance(value, bool):
            return []
    return [f"{value!r} is no {schema}"]


def _is_sound(form: str | None, text: str) -> bool:
    try:
        if form == "byte":
            return base64.b64encode(base64.b64decode(text, validate=True)).decode() == text
        return form != "int64" or str(int(text)) == text
    except ValueError:
        return False


def _of_object(
    document: dict[str, Any], schema: dict[str, Any], value: dict[str, Any]
) -> list[str]:
    found = []
    for name, content in value.items():
        rule = schema.get("properties", {}).get(name, schema["additionalProperties"])
        if rule is False:
            found.append(f"unknown field {name}")
        else:
            found += complaints(document, rule, content)
    return found


def test_checker_finds_what_does_not_conform() -> None:
    document = describe()
    schema = {"$ref": "#/components/schemas/Entity"}
    assert complaints(document, schema, {"hash": "AAAA", "validFrom": "7"}) == []
    mistakes: list[object] = [
        {"Hash": "AAAA"},
        {"hash": 7},
        {"hash": "AAA"},
        {"validFrom": 7},
        {"validity": {"valid": "yes"}},
        [],
    ]
    for wrong in mistakes:
        assert complaints(document, schema, wrong), wrong


def test_committed_description_is_up_to_date() -> None:
    """Write it anew with `python -m wavemq.agent.description > docs/reference/agent-api.json`."""
    assert json.loads(COMMITTED.read_text()) == describe()


def test_every_call_with_a_path_is_described() -> None:
    assert set(describe()["paths"]) == {call.path for call in calls.UNARY}


async def test_answers_conform_to_the_description(tmp_path: Path) -> None:
    document = describe()
    async with opened_doors(tmp_path) as doors:
        agent = doors.grpc
        namespace, alice = await make_person(agent), await make_person(agent)
        granted = policy(namespace, permission_set=WAVEMQ_PERMISSION_SET.to_bytes())
        made = await ask(
            agent,
            calls.CREATE_ATTESTATION,
            pb.CreateAttestationParams(
                perspective=namespace.perspective,
                subjectHash=alice.hash,
                policy=pb.Policy(rTreePolicy=granted),
                publish=True,
            ),
        )
        await synchronize(agent, alice)
        wanted = granted.statements[0]
        building = pb.BuildRTreeProofParams(
            perspective=alice.perspective, namespace=namespace.hash, statements=[wanted]
        )
        proof = (await ask(agent, calls.BUILD_RTREE_PROOF, building)).proofDER
        full: dict[str, Any] = {
            "LookupAttestations": pb.LookupAttestationsParams(
                perspective=alice.perspective, toEntity=alice.hash
            ),
            "SyncStatus": pb.SyncParams(perspective=alice.perspective),
            "BuildRTreeProof": building,
            "VerifyProof": pb.VerifyProofParams(proofDER=proof),
            "Inspect": pb.InspectParams(content=made.DER, verifierKey=made.verifierKey),
            "ResolveHash": pb.ResolveHashParams(hash=made.hash, perspective=alice.perspective),
            "CreateNameDeclaration": pb.CreateNameDeclarationParams(
                perspective=alice.perspective, name="namespace", subject=namespace.hash
            ),
            "ResolveName": pb.ResolveNameParams(perspective=alice.perspective, name="namespace"),
        }
        for name in sorted(call.name for call in calls.UNARY):
            call = next(one for one in calls.UNARY if one.name == name)
            request = full.get(name, call.request())
            fields = http_fields(request)
            answer = await doors.http.client.post(call.path, json=fields)
            rule = document["paths"][call.path]["post"]["responses"]["200"]
            schema = rule["content"]["application/json"]["schema"]
            assert complaints(document, schema, answer.json()) == [], name
            if name in full:
                assert "error" not in answer.json(), (name, answer.json())


def http_fields(request: Any) -> dict[str, Any]:
    fields: dict[str, Any] = json_format.MessageToDict(request, preserving_proto_field_name=True)
    return fields
