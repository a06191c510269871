"""Fuzz targets: protobuf messages at the local and the peering door, and the handshake."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final, TypeVar

from google.protobuf.message import DecodeError, Message

from tests.fuzz import decoder_seeds as seeds
from tests.fuzz.fuzz_target import BrokenPropertyError, Target, expect
from tests.fuzz.protobuf_mutation import changing
from tests.support.vectors import b64, vectors
from wavemq.messages.payload import decode_payload, encode_payload
from wavemq.wave.hashes import Hash
from wavemq.wire import calls, convert, cutting
from wavemq.wire import mqpb_pb2 as mqpb
from wavemq.wire.handshake import ClientHandshake, ServerHandshake

M = TypeVar("M", bound=Message)
_REFUSED: Final = (DecodeError,)  # the door itself answers these, before our code runs
_NAMESPACE: Final = Hash(bytes(32))


def _message(given: bytes) -> None:
    wire = mqpb.Message.FromString(given)
    reference = convert.proof_reference_from_wire(wire)
    message = convert.message_from_wire(wire)
    again = convert.message_to_wire(message, proof=message.proof, proof_reference=reference)
    expect(fact=convert.message_from_wire(again) == message, otherwise="another message")
    expect(
        fact=convert.proof_reference_from_wire(again) == reference, otherwise="another reference"
    )


def _frames(given: bytes) -> None:
    """Cut frames; what is found is what protobuf finds."""
    found = cutting.frames_from_wire(given)
    known = mqpb.PeerPublishFrames.FromString(given).frames
    expect(fact=len(found) == len(known), otherwise="another number of frames")
    for one, wire in zip(found, known, strict=True):
        _expect_same(one.received, wire.message)
        numbers = (one.sequence, one.resumes)
        expect(fact=numbers == (wire.sequence, wire.resumes), otherwise="another frame")


def _deliveries(given: bytes) -> None:
    """Cut deliveries; what is found is what protobuf finds."""
    found = cutting.deliveries_from_wire(given)
    known = mqpb.ConsumeResponse.FromString(given).deliveries
    expect(fact=len(found) == len(known), otherwise="another number of deliveries")
    for (index, received), wire in zip(found, known, strict=True):
        _expect_same(received, wire.message)
        expect(fact=index == wire.index, otherwise="another delivery")


def _expect_same(received: cutting.CutMessage | mqpb.Message, wire: mqpb.Message) -> None:
    if not isinstance(received, cutting.CutMessage):
        expect(fact=received == wire, otherwise="another message")
        return
    message = received.message(received.proof)
    expect(fact=message == convert.message_from_wire(wire), otherwise="another message")
    reference = convert.proof_reference_from_wire(wire)
    expect(fact=received.reference == reference, otherwise="another reference")


def _peer_frames() -> list[bytes]:
    messages = [mqpb.Message.FromString(one) for one in seeds.routed_messages()]
    frames = [mqpb.PeerPublishFrame(sequence=7, resumes=True, message=one) for one in messages]
    return [mqpb.PeerPublishFrames(frames=[one]).SerializeToString() for one in frames]


def _peer_deliveries() -> list[bytes]:
    messages = [mqpb.Message.FromString(one) for one in seeds.routed_messages()]
    found = [mqpb.ConsumeDelivery(index=7, attempt=1, message=one) for one in messages]
    return [mqpb.ConsumeResponse(deliveries=[one]).SerializeToString() for one in found]


def _subscription(given: bytes) -> None:
    request = convert.subscription_from_wire(mqpb.PeerSubscribeParams.FromString(given))
    again = convert.subscription_from_wire(convert.subscription_to_wire(request))
    expect(fact=again == request, otherwise="another subscription")


def _query(given: bytes) -> None:
    request = convert.query_from_wire(mqpb.PeerQueryParams.FromString(given))
    again = convert.query_from_wire(convert.query_to_wire(request))
    expect(fact=again == request, otherwise="another query")


def _error(given: bytes) -> None:
    convert.raise_wire_error(mqpb.Error.FromString(given))


def _call(wire: type[M], parse: Callable[[M], object]) -> Callable[[bytes], None]:
    def decode(given: bytes) -> None:
        parsed = parse(wire.FromString(given))
        expect(fact=b"secret of the caller" not in repr(parsed).encode(), otherwise="repr tells")

    return decode


def _perspective() -> mqpb.Perspective:
    return mqpb.Perspective(
        entitySecret=mqpb.EntitySecret(
            DER=b"secret of the caller", passphrase=b"secret of the caller"
        ),
        location=mqpb.Location(
            locationURI=mqpb.LocationURI(URI="http://localhost/v1", version=1),
            agentLocation="default",
        ),
    )


def _publishes() -> list[bytes]:
    params = mqpb.PublishParams(
        perspective=_perspective(),
        namespace=_NAMESPACE.to_bytes(),
        uri="a/b",
        content=[mqpb.PayloadObject(schema="text", content=b"content")],
        encryptionPartition=[b"a", b"b"],
        persist=True,
        customProofDER=b"proof",
        encryptWithJEDI=True,
    )
    return [params.SerializeToString()]


def _subscribes() -> list[bytes]:
    params = mqpb.SubscribeParams(
        perspective=_perspective(),
        namespace=_NAMESPACE.to_bytes(),
        uri="a/*",
        identifier="identifier",
        expiry=60,
        absoluteExpiry=1 << 60,
    )
    return [params.SerializeToString()]


def _queries() -> list[bytes]:
    params = mqpb.QueryParams(
        perspective=_perspective(), namespace=_NAMESPACE.to_bytes(), uri="a/+"
    )
    return [params.SerializeToString()]


@cache
def _peer_subscription() -> bytes:
    known = mqpb.PeerSubscribeParams.FromString(b64(_known("subscribe", "peer_subscribe_params")))
    known.proofDER = known.proofDER[:64]
    return known.SerializeToString()


@cache
def _peer_query() -> bytes:
    known = mqpb.PeerQueryParams.FromString(b64(_known("query", "peer_query_params")))
    known.proofDER = known.proofDER[:64]
    return known.SerializeToString()


def _known(part: str, name: str) -> str:
    text: str = vectors("messages")[part][name]
    return text


def _handshake(given: bytes) -> None:
    """Take a router's claim, whole and byte by byte: the outcome must be the same."""
    whole = ClientHandshake(_NAMESPACE)
    claim = whole.receive(given)
    pieces = ClientHandshake(_NAMESPACE)
    found = None
    for place in range(len(given)):
        found = pieces.receive(given[place : place + 1])
        if found is not None:
            break
    expect(fact=found == claim, otherwise="pieces give another claim")
    whole.receive_end()
    if claim is not None:
        again = claim.to_bytes()
        expect(fact=again + whole.surplus == given, otherwise="encodes again to other bytes")


def _claims() -> list[bytes]:
    header = b64(_known("handshake", "server_header"))
    size = int.from_bytes(header[34:36], "little")
    short = header[: 36 + size] + (40).to_bytes(4, "little") + bytes(40)
    return [short, short + b"PRI * HTTP/2.0"]


def _namespace(given: bytes) -> None:
    server = ServerHandshake()
    namespace = server.receive(given)
    if namespace is not None:
        expect(fact=namespace.to_bytes() + server.surplus == given, otherwise="other bytes")


def _payload(given: bytes) -> None:
    """Read a decrypted payload; whatever is accepted is what protobuf's own decoder reads."""
    found = decode_payload(given)
    try:
        known = mqpb.Payload.FromString(given)
    except DecodeError as error:
        raise BrokenPropertyError(f"protobuf refuses it: {error}") from error
    expect(
        fact=[(one.schema, one.content) for one in found]
        == [(one.schema, one.content) for one in known.objects],
        otherwise="protobuf reads another payload",
    )
    expect(fact=decode_payload(encode_payload(found)) == found, otherwise="another payload")


def _payloads() -> list[bytes]:
    one = mqpb.PayloadObject(schema="text", content=b"content")
    return [
        mqpb.Payload(objects=[one, mqpb.PayloadObject(), one]).SerializeToString(),
        b"",
        b"\x08\x01\x0a\x00",
        b"\x0b\x0c",
        b"\x0a\x03\x0a\x01\xff",
    ]


def _values() -> list[bytes]:
    return [_NAMESPACE.to_bytes(), b"\x16\x20" + bytes(32), b"a"]


TARGETS = (
    Target("payload", _payload, _payloads, 1500),
    Target(
        "payload_by_fields",
        _payload,
        _payloads,
        500,
        change=changing(mqpb.Payload, lambda: [b"content"]),
    ),
    Target(
        "routed_message",
        _message,
        seeds.routed_messages,
        1500,
        _REFUSED,
        change=changing(mqpb.Message, _values),
    ),
    Target(
        "peer_frames",
        _frames,
        _peer_frames,
        1500,
        _REFUSED,
        change=changing(mqpb.PeerPublishFrames, _values),
    ),
    Target(
        "peer_deliveries",
        _deliveries,
        _peer_deliveries,
        1500,
        _REFUSED,
        change=changing(mqpb.ConsumeResponse, _values),
    ),
    Target(
        "peer_subscription",
        _subscription,
        lambda: [_peer_subscription()],
        1000,
        _REFUSED,
        change=changing(mqpb.PeerSubscribeParams, _values),
    ),
    Target(
        "peer_query",
        _query,
        lambda: [_peer_query()],
        1000,
        _REFUSED,
        change=changing(mqpb.PeerQueryParams, _values),
    ),
    Target(
        "wire_error",
        _error,
        lambda: [mqpb.Error(code=911, message="(911: x)").SerializeToString()],
        500,
        _REFUSED,
        change=changing(mqpb.Error, _values),
    ),
    Target(
        "publish_call",
        _call(mqpb.PublishParams, calls.publish_call_from_wire),
        _publishes,
        1000,
        _REFUSED,
        change=changing(mqpb.PublishParams, _values),
    ),
    Target(
        "subscribe_call",
        _call(mqpb.SubscribeParams, calls.subscribe_call_from_wire),
        _subscribes,
        1000,
        _REFUSED,
        change=changing(mqpb.SubscribeParams, _values),
    ),
    Target(
        "query_call",
        _call(mqpb.QueryParams, calls.query_call_from_wire),
        _queries,
        1000,
        _REFUSED,
        change=changing(mqpb.QueryParams, _values),
    ),
    Target("router_claim", _handshake, _claims, 400),
    Target("peer_namespace", _namespace, lambda: [_NAMESPACE.to_bytes()], 500),
)
