"""The blocks that `wv` prints, for what storage and files cannot easily be made to hold."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.support.vectors import b64, vectors
from wavemq.agent.answers import attestation_to_wire, entity_to_wire
from wavemq.authz.inspection import FoundAttestation, FoundEntity
from wavemq.authz.verdicts import VALID, Validity, ValidityState
from wavemq.cli.wv.rendering import (
    attestation_json,
    entity_json,
    entity_lines,
    inspected_attestation_lines,
    partition_text,
    proof_lines,
    resolved_attestation_lines,
)
from wavemq.wave.attestation import Attestation, PlainBody
from wavemq.wave.entity import Entity
from wavemq.wave.hashes import Hash
from wavemq.wave.location import Location
from wavemq.wave.policy import TrustLevelPolicy
from wavemq.wire import wave_pb2 as pb

HERE = Location("http://here/v1")


def name_of(location: Location) -> str | None:
    return "here" if location == HERE else None


def shown(found: FoundAttestation) -> pb.Attestation:
    return attestation_to_wire(found, name_of)


@pytest.fixture(autouse=True)
def _universal_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def plain() -> FoundAttestation:
    """An attestation of the original that anyone can read."""
    attestation = Attestation.from_bytes(
        b64(vectors("objects")["attestations"]["att_plain"]["der"])
    )
    assert isinstance(attestation.content, PlainBody)
    return FoundAttestation(attestation, HERE, attestation.content.body, None, None, VALID)


@pytest.fixture
def entity() -> Entity:
    return Entity.from_bytes(b64(vectors("objects")["entities"]["far_la"]["public"]))


def test_entity_far_in_the_future_is_shown(entity: Entity) -> None:
    expired = Validity(ValidityState.EXPIRED, "Entity expired")
    assert entity_lines(entity_to_wire(FoundEntity(entity, None, expired))) == [
        "= Entity",
        f"      Hash: {vectors('objects')['entities']['far_la']['hash']}",
        "   Created: 2026-11-01 00:00:00 +0000 UTC",
        "   Expires: 2056-01-02 03:04:05 +0000 UTC",
        "  Validity:",
        "   - Valid: false",
        "   - Expired: true",
        "   - Malformed: false",
        "   - Revoked: false",
        "   - Message: Entity expired",
    ]


def test_resolved_entity_shows_its_place_and_name(entity: Entity) -> None:
    found = entity_to_wire(FoundEntity(entity, HERE, VALID))
    lines = entity_lines(found, location="here", known_as="acme.example")
    assert lines[1] == "  Location: here"
    assert lines[3] == "  Known as: acme.example"
    assert entity_lines(found, location="unknown")[3] == "  Known as: < unknown >"
    assert entity_json(found)["location"] is None


def test_readable_attestation_of_a_file_shows_its_times(plain: FoundAttestation) -> None:
    lines = inspected_attestation_lines(shown(plain), 'a "b".pem')
    assert lines[0] == r'= Attestation "a \"b\".pem"'
    assert lines[1] == f"  Hash : {plain.attestation.hash.to_text()}"
    assert [line.split(":")[0] for line in lines[2:]] == [
        "  Created",
        "  Expires",
        "  Validity",
        "   - Readable",
        "   - Revoked",
        "   - Malformed",
        "   - Subject invalid",
        "   - Valid",
        "   - Expired",
        "   - Attester invalid",
    ]


@pytest.mark.parametrize(
    ("state", "flag"),
    [
        (ValidityState.REVOKED, "Revoked"),
        (ValidityState.EXPIRED, "Expired"),
        (ValidityState.SUBJECT_INVALID, "Subject invalid"),
        (ValidityState.ATTESTER_INVALID, "Attester invalid"),
    ],
)
def test_each_reason_has_its_flag(plain: FoundAttestation, state: ValidityState, flag: str) -> None:
    reason = Validity(state, "why")
    lines = resolved_attestation_lines(shown(replace(plain, validity=reason)), "here")
    flags = dict(line.removeprefix("   - ").split(": ") for line in lines if line.endswith("e"))
    assert [name for name, value in flags.items() if value == "true"] == ["Readable", flag]


def test_attestation_without_a_partition_says_so(plain: FoundAttestation) -> None:
    lines = resolved_attestation_lines(shown(plain), "here")
    assert "   Partition: < unknown >" in lines
    assert lines[1] == "    Location: here"
    assert attestation_json(shown(plain))["validity"] == {
        "valid": True,
        "state": "valid",
        "message": "",
        "note": "",
    }


def test_trust_level_is_shown(plain: FoundAttestation) -> None:
    assert plain.body is not None
    trusting = replace(plain, body=replace(plain.body, policy=TrustLevelPolicy(3)))
    assert resolved_attestation_lines(shown(trusting), "here")[-2:] == [
        "  Policy: Trust level",
        "   - Trust: 3",
    ]


def test_partition_shows_texts_up_to_the_first_gap_and_both_times() -> None:
    times = tuple(bytes([0, number]) for number in range(8))
    texts = (b"\x00attestation", b"a", b"", b"hidden", *[b""] * 8)
    assert partition_text(texts + times) == r'["\x00attestation"/"a"/] (0 1 2 3)(4 5 6 7)'
    assert partition_text(tuple([b""] * 12) + times) == "[] (0 1 2 3)(4 5 6 7)"
    assert partition_text(()) == "< unknown >"


def test_names_stand_where_they_are_known(plain: FoundAttestation) -> None:
    answer = shown(plain)
    lines = resolved_attestation_lines(answer, "here", lambda one: f"n{one[2]}")
    assert f"  Subj. Name: n{answer.subjectHash[2]}" in lines
    assert f"   Att. Name: n{answer.body.attesterHash[2]}" in lines
    assert f"   - NS Name: n{answer.body.policy.rTreePolicy.namespace[2]}" in lines


def test_texts_of_strangers_cannot_move_the_cursor() -> None:
    namespace = Hash.of(b"namespace").to_bytes()
    statement = pb.RTreePolicyStatement(
        permissionSet=namespace, permissions=("read\x1b[2J", "write"), resource="a\nURI: *"
    )
    element = pb.Attestation(hash=namespace)
    proof = pb.Proof(
        elements=(element, element),
        paths=(pb.ProofPath(elements=(0, 1)), pb.ProofPath(elements=(1,))),
        policy=pb.Policy(rTreePolicy=pb.RTreePolicy(namespace=namespace, statements=(statement,))),
        subject=b"no hash",
    )
    lines = proof_lines(proof)
    assert lines[3:6] == ["Paths:", " [00] 00 01", " [01] 01"]
    assert "Subject: < unknown >" in lines
    assert lines[-2:] == [
        r'      Permissions: "read\x1b[2J", write',
        r'      URI: "a\nURI: *"',
    ]
