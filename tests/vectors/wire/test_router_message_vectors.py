"""messages.json and routing.json: what the original puts on the wire between routers."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from wavemq.net.certificate import COMMON_NAME, certificate_signature
from wavemq.wave import signature as message_signature
from wavemq.wave.entity import parse_entity
from wavemq.wave.hashes import Hash
from wavemq.wire import mqpb_pb2 as mqpb
from wavemq.wire.convert import (
    message_from_wire,
    message_to_wire,
    query_from_wire,
    query_to_wire,
    subscription_from_wire,
    subscription_to_wire,
)
from wavemq.wire.handshake import ClientHandshake, RouterClaim
from wavemq.wire.proof_reference import proof_reference

DATA = Path(__file__).resolve().parents[1] / "data"
MESSAGES: dict[str, Any] = json.loads((DATA / "messages.json").read_text())
ROUTING: dict[str, Any] = json.loads((DATA / "routing.json").read_text())
ENTITIES = MESSAGES["entities"]


def claim() -> RouterClaim:
    header = base64.b64decode(MESSAGES["handshake"]["server_header"])
    found = ClientHandshake(Hash.from_text(ENTITIES["namespace"]["hash"])).receive(header)
    assert found is not None
    return found


FORMED = [entry for entry in MESSAGES["messages"] if "message" in entry]


@pytest.mark.parametrize("entry", FORMED, ids=lambda entry: entry["label"])
def test_message_is_read_and_written_byte_for_byte(entry: dict[str, Any]) -> None:
    content = base64.b64decode(entry["message"])
    message = message_from_wire(mqpb.Message.FromString(content))
    assert message.topic.text == entry["uri"]
    assert message.is_persisted == entry["persist"]
    assert (message.jedi_timestamp is not None) == entry["jedi"]
    assert message_to_wire(message, proof=message.proof).SerializeToString() == content


def test_every_message_that_the_original_could_form_is_covered() -> None:
    others = [entry for entry in MESSAGES["messages"] if entry not in FORMED]
    assert len(FORMED) == 7
    assert all("error" in entry for entry in others)


@pytest.mark.parametrize("entry", ROUTING["cityhash128"], ids=lambda entry: str(entry["len"]))
def test_proof_reference_is_the_high_half_then_the_low_half(entry: dict[str, Any]) -> None:
    if "data" in entry:
        content = bytes.fromhex(entry["data"])
    else:
        assert entry["data_rule"] == "byte i = (7*i+13) mod 256"
        content = bytes((7 * index + 13) % 256 for index in range(entry["len"]))
    assert proof_reference(content).hex() == entry["high"] + entry["low"]


def test_subscription_is_read_and_written_byte_for_byte() -> None:
    content = base64.b64decode(MESSAGES["subscribe"]["peer_subscribe_params"])
    request = subscription_from_wire(mqpb.PeerSubscribeParams.FromString(content))
    assert request.source == Hash.from_text(ENTITIES["reader"]["hash"])
    assert request.topic_filter.text == "plant/+/temp"
    assert subscription_to_wire(request).SerializeToString() == content


def test_query_is_read_and_written_byte_for_byte() -> None:
    content = base64.b64decode(MESSAGES["query"]["peer_query_params"])
    request = query_from_wire(mqpb.PeerQueryParams.FromString(content))
    assert request.source == Hash.from_text(ENTITIES["reader"]["hash"])
    assert query_to_wire(request).SerializeToString() == content


def test_claim_of_the_handshake_is_read_and_written_byte_for_byte() -> None:
    found = claim()
    assert found.router == Hash.from_text(ENTITIES["router"]["hash"])
    assert found.to_bytes() == base64.b64decode(MESSAGES["handshake"]["server_header"])


def test_claim_is_signed_over_the_signature_field_of_the_certificate() -> None:
    certificate = base64.b64decode(MESSAGES["handshake"]["certificate_der"])
    router = parse_entity(base64.b64decode(ENTITIES["router"]["public_der"]))
    message_signature.verify(router, claim().signature, certificate_signature(certificate))


def test_certificate_of_the_original_has_the_name_that_ours_has() -> None:
    certificate = x509.load_der_x509_certificate(
        base64.b64decode(MESSAGES["handshake"]["certificate_der"])
    )
    assert certificate.subject.rfc4514_string() == f"CN={COMMON_NAME}"
