"""messages.json: the router's check of every message and request, and what each reader gets."""

from __future__ import annotations

from base64 import b64decode
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509

from tests.support.vector_worlds import (
    engine_of,
    entity_hash,
    generated,
    hash_of,
    secret_of,
    synchronized,
    vectors,
)
from wavemq.authz.admission import Admission
from wavemq.authz.publishing import Publishing
from wavemq.errors import (
    InvalidSignatureError,
    MessageDecryptError,
    NoProofFoundError,
    ProofInvalidError,
    WaveMQError,
)
from wavemq.messages.message import Message
from wavemq.messages.topic import Topic
from wavemq.wave.hashes import Hash
from wavemq.wire import mqpb_pb2 as mqpb
from wavemq.wire.convert import message_from_wire, query_from_wire, subscription_from_wire

MESSAGES: list[dict[str, Any]] = vectors("messages")["messages"]
SENT = [vector for vector in MESSAGES if "message" in vector]
PREPARED = [(vector, reader) for vector in SENT for reader in vector["prepared"]]


def message_of(vector: dict[str, Any]) -> Message:
    return message_from_wire(mqpb.Message.FromString(b64decode(vector["message"])))


def by_label(label: str) -> Message:
    return message_of(next(vector for vector in SENT if vector["label"] == label))


def test_jedi_and_other_messages_are_among_the_vectors() -> None:
    assert {vector["jedi"] for vector in SENT} == {False, True}
    for vector in SENT:
        assert (message_of(vector).jedi_timestamp is not None) is vector["jedi"]


@pytest.mark.parametrize("vector", SENT, ids=lambda vector: vector["label"])
async def test_message_is_checked_as_the_original_does(vector: dict[str, Any]) -> None:
    assert vector["check"] == "ok"
    message = message_of(vector)
    async with engine_of("messages") as engine:
        verified = await Admission(engine).check_message(message, generated("messages"))
    assert verified.value == message


@pytest.mark.parametrize(
    ("vector", "reader"), PREPARED, ids=[f"{one['label']}-{reader}" for one, reader in PREPARED]
)
async def test_reader_gets_the_contents_or_an_error(vector: dict[str, Any], reader: str) -> None:
    expected = vector["prepared"][reader]
    async with engine_of("messages") as engine:
        publishing = Publishing(engine, Admission(engine), origin_router="here")
        perspective = await synchronized(engine, "messages", reader)
        if isinstance(expected, dict):
            with pytest.raises(MessageDecryptError):
                await publishing.open_payload(perspective, message_of(vector))
            return
        payload = await publishing.open_payload(perspective, message_of(vector))
    assert [one.content for one in payload] == [b64decode(content) for content in expected]
    assert [one.schema for one in payload] == [one["schema"] for one in vector["payload"]]


@pytest.mark.parametrize(
    "vector",
    [vector for vector in MESSAGES if "error" in vector],
    ids=lambda vector: vector["label"],
)
async def test_what_the_original_refuses_to_form_is_refused(vector: dict[str, Any]) -> None:
    async with engine_of("messages") as engine:
        publishing = Publishing(engine, Admission(engine), origin_router="here")
        perspective = await engine.perspective(secret_of("messages", "publisher"))
        with pytest.raises(NoProofFoundError) as caught:
            await publishing.form_message(
                perspective,
                namespace=entity_hash("messages", "namespace"),
                topic=Topic(vector["uri"]),
                payload=(),
                now=generated("messages"),
            )
    assert caught.value.code == vector["error"]["code"]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda message: replace(message, topic=Topic("plant/line2/temp")), InvalidSignatureError),
        (lambda message: replace(message, payload=()), InvalidSignatureError),
        (lambda message: replace(message, origin_router="there"), InvalidSignatureError),
        (lambda message: replace(message, signature=message.signature[:-1]), WaveMQError),
        (lambda message: replace(message, signature=b""), WaveMQError),
        (lambda message: replace(message, proof=message.proof[:-1]), ProofInvalidError),
        (lambda message: replace(message, proof=b""), ProofInvalidError),
        (
            lambda message: replace(message, source=entity_hash("messages", "reader")),
            WaveMQError,
        ),
        (
            lambda message: replace(message, namespace=entity_hash("messages", "stranger")),
            WaveMQError,
        ),
    ],
    ids=[
        "topic",
        "payload",
        "origin",
        "short signature",
        "no signature",
        "short proof",
        "no proof",
        "source",
        "namespace",
    ],
)
async def test_changed_message_is_refused(change: Any, error: type[WaveMQError]) -> None:
    async with engine_of("messages") as engine:
        with pytest.raises(error):
            await Admission(engine).check_message(change(by_label("plain")), generated("messages"))


async def test_subscription_is_admitted() -> None:
    request = subscription_from_wire(
        mqpb.PeerSubscribeParams.FromString(
            b64decode(vectors("messages")["subscribe"]["peer_subscribe_params"])
        )
    )
    async with engine_of("messages") as engine:
        admission = Admission(engine)
        verified = await admission.check_subscription(request, generated("messages"))
        assert verified.value == request
        for changed in (
            replace(request, identifier=request.identifier + "x"),
            replace(request, router_id="elsewhere"),
            replace(request, signature=bytes(80)),
        ):
            with pytest.raises(WaveMQError):
                await admission.check_subscription(changed, generated("messages"))


async def test_query_is_admitted() -> None:
    request = query_from_wire(
        mqpb.PeerQueryParams.FromString(
            b64decode(vectors("messages")["query"]["peer_query_params"])
        )
    )
    async with engine_of("messages") as engine:
        admission = Admission(engine)
        verified = await admission.check_query(request, generated("messages"))
        assert verified.value == request
        # The digest of a query does not name its source (wavemq.md 4): the proof must.
        with pytest.raises(WaveMQError):
            await admission.check_query(
                replace(request, source=entity_hash("messages", "publisher")),
                generated("messages"),
            )


def handshake() -> dict[str, Any]:
    """Return what the server of the vectors shows, cut into its parts."""
    shown = vectors("messages")["handshake"]
    header = b64decode(shown["server_header"])
    signature_end = 36 + int.from_bytes(header[34:36], "little")
    proof_begin = signature_end + 4
    proof_bytes = int.from_bytes(header[signature_end:proof_begin], "little")
    certificate = x509.load_der_x509_certificate(b64decode(shown["certificate_der"]))
    return {
        "router": Hash.from_bytes(header[:34]),
        "signature": header[36:signature_end],
        "proof": header[proof_begin : proof_begin + proof_bytes],
        "certificate_signature": certificate.signature,
        "namespace": entity_hash("messages", "namespace"),
        "now": generated("messages"),
    }


async def test_routing_proof_of_the_handshake_is_accepted() -> None:
    shown = handshake()
    async with engine_of("messages") as engine:
        verdict = await Admission(engine).check_designated_router(**shown)
    assert verdict.subject == entity_hash("messages", "router")


@pytest.mark.parametrize(
    "change",
    [
        {"namespace": "stranger"},
        {"router": "publisher"},
        {"signature": bytes(80)},
        {"certificate_signature": b"another certificate"},
        {"proof": b""},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_changed_handshake_is_refused(change: dict[str, Any]) -> None:
    named = {
        key: entity_hash("messages", value) if isinstance(value, str) else value
        for key, value in change.items()
    }
    async with engine_of("messages") as engine:
        with pytest.raises(WaveMQError):
            await Admission(engine).check_designated_router(**{**handshake(), **named})


async def test_publishing_proof_is_no_routing_proof() -> None:
    async with engine_of("messages") as engine:
        with pytest.raises(ProofInvalidError):
            await Admission(engine).check_designation(
                by_label("plain").proof,
                router=hash_of(vectors("messages")["entities"]["publisher"]["hash"]),
                now=generated("messages"),
            )
