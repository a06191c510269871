"""Each limit of the doors at its bound and one over it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from wavemq.clock import Instant
from wavemq.errors import (
    InvalidMultihashError,
    InvalidParameterError,
    LookupFailureError,
    ProofNotCachedError,
    WaveMQError,
)
from wavemq.limits import (
    IDENTIFIER_BYTES_MAX,
    MESSAGE_BYTES_MAX,
    PAYLOAD_OBJECTS_MAX,
    PROOF_BYTES_MAX,
    SIGNATURE_BYTES_MAX,
    TOPIC_BYTES_MAX,
)
from wavemq.wave.hashes import Hash
from wavemq.wave.location import Location
from wavemq.wire import mqpb_pb2 as mqpb
from wavemq.wire.calls import (
    EXPIRY_SECONDS_MAX,
    EXPIRY_SECONDS_MIN,
    PASSPHRASE_BYTES_MAX,
    publish_call_from_wire,
    query_call_from_wire,
    subscribe_call_from_wire,
)
from wavemq.wire.convert import (
    ERROR_BYTES_MAX,
    HOPS_MAX,
    LOCATION_BYTES_MAX,
    PARTITION_BYTES_MAX,
    PARTITION_ELEMENTS_MAX,
    ROUTER_ID_BYTES_MAX,
    error_to_wire,
    message_from_wire,
    proof_reference_from_wire,
    query_from_wire,
    raise_wire_error,
    subscription_from_wire,
    subscription_to_wire,
)
from wavemq.wire.proof_reference import PROOF_REFERENCE_BYTES

NAMESPACE = Hash.of(b"namespace").to_bytes()
SOURCE = Hash.of(b"source").to_bytes()


def message(**fields: object) -> mqpb.Message:
    wire = mqpb.Message(
        proofDER=b"proof",
        signature=b"signature",
        tbs=mqpb.MessageTBS(
            sourceEntity=SOURCE, namespace=NAMESPACE, uri="a/b", originRouter="router"
        ),
    )
    wire.MergeFrom(mqpb.Message(**fields))  # type: ignore[arg-type]  # fields of the message
    return wire


def publish(**fields: object) -> mqpb.PublishParams:
    params = mqpb.PublishParams(
        perspective=mqpb.Perspective(entitySecret=mqpb.EntitySecret(DER=b"secret")),
        namespace=NAMESPACE,
        uri="a/b",
    )
    params.MergeFrom(mqpb.PublishParams(**fields))  # type: ignore[arg-type]  # as above
    return params


def subscribe(**fields: object) -> mqpb.SubscribeParams:
    params = mqpb.SubscribeParams(
        perspective=mqpb.Perspective(entitySecret=mqpb.EntitySecret(DER=b"secret")),
        namespace=NAMESPACE,
        uri="a/*",
    )
    params.MergeFrom(mqpb.SubscribeParams(**fields))  # type: ignore[arg-type]  # as above
    return params


def peer_subscribe(**fields: object) -> mqpb.PeerSubscribeParams:
    params = mqpb.PeerSubscribeParams(
        tbs=mqpb.PeerSubscriptionTBS(sourceEntity=SOURCE, namespace=NAMESPACE, uri="a/*", id="i")
    )
    params.MergeFrom(mqpb.PeerSubscribeParams(**fields))  # type: ignore[arg-type]  # as above
    return params


def objects(count: int, content: bytes = b"") -> list[mqpb.PayloadObject]:
    return [mqpb.PayloadObject(schema="s", content=content) for _ in range(count)]


AT_THE_BOUND: dict[str, Callable[[], object]] = {
    "payload objects of a message": lambda: message_from_wire(
        message(tbs=mqpb.MessageTBS(payload=objects(PAYLOAD_OBJECTS_MAX)))
    ),
    "bytes of a message": lambda: message_from_wire(
        message(tbs=mqpb.MessageTBS(payload=objects(1, bytes(MESSAGE_BYTES_MAX - 1))))
    ),
    "proof of a message": lambda: message_from_wire(message(proofDER=bytes(PROOF_BYTES_MAX))),
    "signature of a message": lambda: message_from_wire(
        message(signature=bytes(SIGNATURE_BYTES_MAX))
    ),
    "hops of a message": lambda: message_from_wire(
        message(timestamps=[1] * HOPS_MAX, drops=[0] * HOPS_MAX)
    ),
    "origin router": lambda: message_from_wire(
        message(tbs=mqpb.MessageTBS(originRouter="r" * ROUTER_ID_BYTES_MAX))
    ),
    "location": lambda: message_from_wire(
        message(
            tbs=mqpb.MessageTBS(
                sourceLocation=mqpb.LocationURI(URI="u" * LOCATION_BYTES_MAX, version=1)
            )
        )
    ),
    "elements of a partition": lambda: publish_call_from_wire(
        publish(encryptionPartition=[b""] * PARTITION_ELEMENTS_MAX)
    ),
    "bytes of a partition": lambda: publish_call_from_wire(
        publish(encryptionPartition=[bytes(PARTITION_BYTES_MAX)])
    ),
    "payload objects to publish": lambda: publish_call_from_wire(
        publish(content=objects(PAYLOAD_OBJECTS_MAX))
    ),
    "bytes to publish": lambda: publish_call_from_wire(
        publish(content=objects(1, bytes(MESSAGE_BYTES_MAX - 1)))
    ),
    "topic": lambda: publish_call_from_wire(publish(uri="a" * TOPIC_BYTES_MAX)),
    "custom proof": lambda: publish_call_from_wire(publish(customProofDER=bytes(PROOF_BYTES_MAX))),
    "passphrase": lambda: publish_call_from_wire(
        publish(
            perspective=mqpb.Perspective(
                entitySecret=mqpb.EntitySecret(passphrase=bytes(PASSPHRASE_BYTES_MAX))
            )
        )
    ),
    "identifier": lambda: subscribe_call_from_wire(
        subscribe(identifier="i" * IDENTIFIER_BYTES_MAX)
    ),
    "identifier of a peer": lambda: subscription_from_wire(
        peer_subscribe(tbs=mqpb.PeerSubscriptionTBS(id="i" * IDENTIFIER_BYTES_MAX))
    ),
}
OVER_THE_BOUND: dict[str, Callable[[], object]] = {
    "payload objects of a message": lambda: message_from_wire(
        message(tbs=mqpb.MessageTBS(payload=objects(PAYLOAD_OBJECTS_MAX + 1)))
    ),
    "bytes of a message": lambda: message_from_wire(
        message(tbs=mqpb.MessageTBS(payload=objects(1, bytes(MESSAGE_BYTES_MAX))))
    ),
    "bytes of a message in many objects": lambda: message_from_wire(
        message(tbs=mqpb.MessageTBS(payload=objects(64, bytes(MESSAGE_BYTES_MAX // 64))))
    ),
    "proof of a message": lambda: message_from_wire(message(proofDER=bytes(PROOF_BYTES_MAX + 1))),
    "signature of a message": lambda: message_from_wire(
        message(signature=bytes(SIGNATURE_BYTES_MAX + 1))
    ),
    "timestamps of a message": lambda: message_from_wire(message(timestamps=[1] * (HOPS_MAX + 1))),
    "drops of a message": lambda: message_from_wire(message(drops=[1] * (HOPS_MAX + 1))),
    "negative drops": lambda: message_from_wire(message(drops=[-1])),
    "origin router": lambda: message_from_wire(
        message(tbs=mqpb.MessageTBS(originRouter="r" * (ROUTER_ID_BYTES_MAX + 1)))
    ),
    "location": lambda: message_from_wire(
        message(
            tbs=mqpb.MessageTBS(
                sourceLocation=mqpb.LocationURI(URI="u" * (LOCATION_BYTES_MAX + 1), version=1)
            )
        )
    ),
    "elements of a partition": lambda: publish_call_from_wire(
        publish(encryptionPartition=[b""] * (PARTITION_ELEMENTS_MAX + 1))
    ),
    "bytes of a partition": lambda: publish_call_from_wire(
        publish(encryptionPartition=[bytes(PARTITION_BYTES_MAX + 1)])
    ),
    "payload objects to publish": lambda: publish_call_from_wire(
        publish(content=objects(PAYLOAD_OBJECTS_MAX + 1))
    ),
    "bytes to publish": lambda: publish_call_from_wire(
        publish(content=objects(1, bytes(MESSAGE_BYTES_MAX)))
    ),
    "topic": lambda: publish_call_from_wire(publish(uri="a" * (TOPIC_BYTES_MAX + 1))),
    "wildcard in a topic": lambda: publish_call_from_wire(publish(uri="a/+")),
    "custom proof": lambda: query_call_from_wire(
        mqpb.QueryParams(
            perspective=publish().perspective,
            namespace=NAMESPACE,
            uri="*",
            customProofDER=bytes(PROOF_BYTES_MAX + 1),
        )
    ),
    "passphrase": lambda: publish_call_from_wire(
        publish(
            perspective=mqpb.Perspective(
                entitySecret=mqpb.EntitySecret(passphrase=bytes(PASSPHRASE_BYTES_MAX + 1))
            )
        )
    ),
    "identifier": lambda: subscribe_call_from_wire(
        subscribe(identifier="i" * (IDENTIFIER_BYTES_MAX + 1))
    ),
    "identifier of a peer": lambda: subscription_from_wire(
        peer_subscribe(tbs=mqpb.PeerSubscriptionTBS(id="i" * (IDENTIFIER_BYTES_MAX + 1)))
    ),
    "negative expiry": lambda: subscribe_call_from_wire(subscribe(expiry=-1)),
    "negative absolute expiry": lambda: subscribe_call_from_wire(subscribe(absoluteExpiry=-1)),
    "negative expiry of a peer": lambda: subscription_from_wire(
        peer_subscribe(tbs=mqpb.PeerSubscriptionTBS(expiry=-1))
    ),
    "negative absolute expiry of a peer": lambda: subscription_from_wire(
        peer_subscribe(absoluteExpiry=-1)
    ),
    "two wildcards": lambda: subscribe_call_from_wire(subscribe(uri="*/*")),
    "length of a reference": lambda: proof_reference_from_wire(
        mqpb.Message(proofHash=bytes(PROOF_REFERENCE_BYTES - 1))
    ),
}


@pytest.mark.parametrize("case", AT_THE_BOUND)
def test_value_at_its_bound_is_taken(case: str) -> None:
    AT_THE_BOUND[case]()


@pytest.mark.parametrize("case", OVER_THE_BOUND)
def test_value_over_its_bound_is_refused(case: str) -> None:
    with pytest.raises(InvalidParameterError):
        OVER_THE_BOUND[case]()


@pytest.mark.parametrize(
    "perspective",
    [
        None,
        mqpb.Perspective(),
        mqpb.Perspective(entitySecret=mqpb.EntitySecret(passphrase=b"p")),
        mqpb.Perspective(location=mqpb.Location(agentLocation="default")),
    ],
)
def test_call_without_a_secret_is_an_invalid_parameter(
    perspective: mqpb.Perspective | None,
) -> None:
    with pytest.raises(InvalidParameterError, match="no perspective"):
        publish_call_from_wire(
            mqpb.PublishParams(perspective=perspective, namespace=NAMESPACE, uri="a")
        )
    with pytest.raises(InvalidParameterError, match="no perspective"):
        subscribe_call_from_wire(
            mqpb.SubscribeParams(perspective=perspective, namespace=NAMESPACE, uri="a")
        )
    with pytest.raises(InvalidParameterError, match="no perspective"):
        query_call_from_wire(
            mqpb.QueryParams(perspective=perspective, namespace=NAMESPACE, uri="a")
        )


@pytest.mark.parametrize("namespace", [b"short", b"\x00" * 34, NAMESPACE + b"\x00"])
def test_namespace_that_is_no_hash_is_refused(namespace: bytes) -> None:
    params = publish()
    params.namespace = namespace
    with pytest.raises(InvalidMultihashError, match="namespace is not a hash"):
        publish_call_from_wire(params)


def test_missing_namespace_and_source_are_named() -> None:
    with pytest.raises(InvalidParameterError, match="source entity is missing"):
        query_from_wire(mqpb.PeerQueryParams(namespace=NAMESPACE, uri="a"))
    with pytest.raises(InvalidParameterError, match="namespace is missing"):
        query_from_wire(mqpb.PeerQueryParams(sourceEntity=SOURCE, uri="a"))


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        (0, EXPIRY_SECONDS_MIN),
        (10, EXPIRY_SECONDS_MIN),
        (61, 61),
        (172_800, 172_800),
        (2**62, EXPIRY_SECONDS_MAX),
    ],
)
def test_expiry_is_raised_to_its_least(asked: int, given: int) -> None:
    assert subscribe_call_from_wire(subscribe(expiry=asked)).expiry_s == given


def test_absent_absolute_expiry_is_none() -> None:
    assert subscribe_call_from_wire(subscribe()).absolute_expiry is None
    assert subscribe_call_from_wire(subscribe(absoluteExpiry=7)).absolute_expiry == Instant(7)


def test_call_holds_what_the_client_sent() -> None:
    call = publish_call_from_wire(
        publish(
            perspective=mqpb.Perspective(
                entitySecret=mqpb.EntitySecret(DER=b"", passphrase=b"word"),
                location=mqpb.Location(locationURI=mqpb.LocationURI(URI="u", version=1)),
            ),
            content=objects(2, b"c"),
            encryptionPartition=[b"a", b"b"],
            persist=True,
            customProofDER=b"proof",
        )
    )
    assert call.caller.secret == b"secret"
    assert call.caller.passphrase == b"word"
    assert call.caller.location == Location("u", 1)
    assert [one.content for one in call.payload] == [b"c", b"c"]
    assert call.encryption_partition == (b"a", b"b")
    assert call.is_persisted
    assert not call.is_jedi
    assert call.custom_proof == b"proof"


def test_secret_and_payload_do_not_show_in_logs() -> None:
    shown = repr(publish_call_from_wire(publish(content=objects(1, b"private"))))
    assert "secret=" not in shown
    assert "private" not in shown


def test_reference_beside_a_full_proof_is_ignored() -> None:
    assert proof_reference_from_wire(message(proofHash=bytes(16))) == b""


def test_error_is_told_as_code_and_sentence() -> None:
    wire = error_to_wire(ProofNotCachedError("send it"))
    assert (wire.code, wire.message) == (916, "(916: send it)")
    with pytest.raises(ProofNotCachedError, match="send it"):
        raise_wire_error(wire)


def test_absent_error_is_none() -> None:
    raise_wire_error(mqpb.Error())


def test_error_text_is_bounded_both_ways() -> None:
    assert len(error_to_wire(LookupFailureError("x" * 10_000)).message) == ERROR_BYTES_MAX
    with pytest.raises(WaveMQError) as caught:
        raise_wire_error(mqpb.Error(code=201, message="x" * 10_000))
    assert len(caught.value.reason) == ERROR_BYTES_MAX


def test_absolute_expiry_beyond_the_field_becomes_its_greatest() -> None:
    request = subscription_from_wire(peer_subscribe())
    late = replace(request, absolute_expiry=Instant(2**70))
    assert subscription_to_wire(late).absoluteExpiry == 2**63 - 1
