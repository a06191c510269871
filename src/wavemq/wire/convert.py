"""Protobuf values to our types and back: messages, signed requests, errors (wavemq.md 2).

Owns the correspondence of fields and the limits of each. Refuses to decide whether a signature or
a proof holds: what comes out of here is well formed, not true. Fault model: peers may send any
protobuf message; what breaks a rule raises one of our errors with one sentence. Nothing else is
ever raised, and nothing is silently cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from wavemq.clock import Instant
from wavemq.errors import (
    InvalidMultihashError,
    InvalidParameterError,
    WaveMQError,
    error_from_wire,
)
from wavemq.limits import (
    IDENTIFIER_BYTES_MAX,
    KIB,
    MESSAGE_BYTES_MAX,
    PAYLOAD_OBJECTS_MAX,
    PROOF_BYTES_MAX,
    SIGNATURE_BYTES_MAX,
)
from wavemq.messages.message import Message, PayloadObject, QueryRequest, SubscriptionRequest
from wavemq.messages.topic import Topic, TopicFilter
from wavemq.wave.hashes import Hash
from wavemq.wave.location import Location
from wavemq.wire import mqpb_pb2 as mqpb
from wavemq.wire.proof_reference import PROOF_REFERENCE_BYTES

HOPS_MAX: Final = 64
"""Entries of `timestamps` and of `drops`: routers that a message passed."""
PARTITION_ELEMENTS_MAX: Final = 64
PARTITION_BYTES_MAX: Final = 4 * KIB
LOCATION_BYTES_MAX: Final = 4 * KIB
ROUTER_ID_BYTES_MAX: Final = 128
ERROR_BYTES_MAX: Final = 4 * KIB
"""Of an error's text, in and out; longer ones are cut, since nothing depends on them."""
EXPIRY_SECONDS_MAX: Final = 10 * 365 * 86_400
INT64_MAX: Final = 2**63 - 1

# --- messages ---------------------------------------------------------------------------------


def message_from_wire(wire: mqpb.Message) -> Message:
    """Parse a message; its proof may be absent, as when a reference stands for it.

    Raises:
        RequestError, ObjectError: a field is missing, malformed or over its limit.
    """
    tbs = wire.tbs
    payload = payload_from_wire(tbs.payload)
    partition = partition_from_wire(wire.encryptionPartition)
    check_message_size(payload, partition)
    _check_length("signature", len(wire.signature), SIGNATURE_BYTES_MAX)
    _check_length("origin router", len(tbs.originRouter.encode()), ROUTER_ID_BYTES_MAX)
    if len(wire.timestamps) > HOPS_MAX or len(wire.drops) > HOPS_MAX:
        raise InvalidParameterError(f"a message passes at most {HOPS_MAX} routers")
    if any(drop < 0 for drop in wire.drops):
        raise InvalidParameterError("a count of dropped messages cannot be negative")
    jedi_timestamp = tbs.jediData.timestamp if tbs.HasField("jediData") else None
    return Message(
        source=hash_from_wire(tbs.sourceEntity, "source entity"),
        source_location=location_from_wire(tbs.sourceLocation)
        if tbs.HasField("sourceLocation")
        else None,
        namespace=hash_from_wire(tbs.namespace, "namespace"),
        topic=Topic(tbs.uri),
        payload=payload,
        origin_router=tbs.originRouter,
        jedi_timestamp=jedi_timestamp,
        proof=proof_from_wire(wire.proofDER),
        signature=wire.signature,
        encryption_partition=partition,
        timestamps=tuple(Instant(timestamp) for timestamp in wire.timestamps),
        drops=tuple(wire.drops),
        is_persisted=wire.persist,
    )


def proof_from_wire(proof: bytes) -> bytes:
    """Return a proof that keeps its limit; empty when there is none.

    Raises:
        InvalidParameterError: it is too large.
    """
    if len(proof) > PROOF_BYTES_MAX:
        raise InvalidParameterError(
            f"a proof has at most {PROOF_BYTES_MAX} bytes, this one has {len(proof)}"
        )
    return proof


def proof_reference_from_wire(wire: mqpb.Message) -> bytes:
    """Return the reference that stands for the message's proof; empty when the proof is there.

    Raises:
        InvalidParameterError: it has the wrong length.
    """
    if wire.proofDER or not wire.proofHash:
        return b""
    if len(wire.proofHash) != PROOF_REFERENCE_BYTES:
        raise InvalidParameterError(
            f"a proof reference has {PROOF_REFERENCE_BYTES} bytes, not {len(wire.proofHash)}"
        )
    return wire.proofHash


def message_to_wire(
    message: Message, *, proof: bytes = b"", proof_reference: bytes = b""
) -> mqpb.Message:
    """Return a message for the wire.

    Args:
        message: what to send; its own `proof` is not sent unless it is given again:
        proof: the full proof, for a receiver that needs it.
        proof_reference: for a receiver that knows the proof.
    """
    tbs = mqpb.MessageTBS(
        sourceEntity=message.source.to_bytes(),
        namespace=message.namespace.to_bytes(),
        uri=message.topic.text,
        payload=[payload_object_to_wire(one) for one in message.payload],
        originRouter=message.origin_router,
    )
    if message.source_location is not None:
        tbs.sourceLocation.CopyFrom(location_to_wire(message.source_location))
    if message.jedi_timestamp is not None:
        tbs.jediData.timestamp = message.jedi_timestamp
    return mqpb.Message(
        proofDER=proof,
        proofHash=proof_reference,
        tbs=tbs,
        signature=message.signature,
        encryptionPartition=message.encryption_partition,
        timestamps=message.timestamps,
        drops=message.drops,
        persist=message.is_persisted,
    )


def payload_from_wire(objects: Sequence[mqpb.PayloadObject]) -> tuple[PayloadObject, ...]:
    """Parse payload objects.

    Raises:
        InvalidParameterError: there are too many.
    """
    if len(objects) > PAYLOAD_OBJECTS_MAX:
        raise InvalidParameterError(
            f"a message has at most {PAYLOAD_OBJECTS_MAX} payload objects, not {len(objects)}"
        )
    return tuple(PayloadObject(schema=one.schema, content=one.content) for one in objects)


def payload_object_to_wire(payload_object: PayloadObject) -> mqpb.PayloadObject:
    """Return a payload object for the wire."""
    return mqpb.PayloadObject(schema=payload_object.schema, content=payload_object.content)


def partition_from_wire(elements: Sequence[bytes]) -> tuple[bytes, ...]:
    """Parse an encryption partition; its meaning is checked where it is used.

    Raises:
        InvalidParameterError: it has too many elements or bytes.
    """
    if len(elements) > PARTITION_ELEMENTS_MAX or sum(map(len, elements)) > PARTITION_BYTES_MAX:
        raise InvalidParameterError(
            f"an encryption partition has at most {PARTITION_ELEMENTS_MAX} elements "
            f"and {PARTITION_BYTES_MAX} bytes"
        )
    return tuple(elements)


def check_message_size(payload: Iterable[PayloadObject], partition: Iterable[bytes]) -> None:
    """Refuse a message over `limits.MESSAGE_BYTES_MAX`, its proof not counted.

    Raises:
        InvalidParameterError: it is too large.
    """
    size = sum(len(one.content) + len(one.schema.encode()) for one in payload)
    size += sum(map(len, partition))
    if size > MESSAGE_BYTES_MAX:
        raise InvalidParameterError(
            f"a message has at most {MESSAGE_BYTES_MAX} bytes, this one has {size}"
        )


# --- signed requests --------------------------------------------------------------------------


def subscription_from_wire(params: mqpb.PeerSubscribeParams) -> SubscriptionRequest:
    """Parse the subscription that a peer passes on.

    Raises:
        RequestError, ObjectError: a field is missing, malformed or over its limit.
    """
    tbs = params.tbs
    _check_length("identifier", len(tbs.id.encode()), IDENTIFIER_BYTES_MAX)
    _check_length("router identifier", len(tbs.routerID.encode()), ROUTER_ID_BYTES_MAX)
    _check_length("signature", len(params.signature), SIGNATURE_BYTES_MAX)
    if tbs.expiry < 0 or params.absoluteExpiry < 0:
        raise InvalidParameterError("the expiry of a subscription cannot be negative")
    return SubscriptionRequest(
        source=hash_from_wire(tbs.sourceEntity, "source entity"),
        source_location=None,
        namespace=hash_from_wire(tbs.namespace, "namespace"),
        topic_filter=TopicFilter(tbs.uri),
        identifier=tbs.id,
        router_id=tbs.routerID,
        expiry_s=min(tbs.expiry, EXPIRY_SECONDS_MAX),
        absolute_expiry=Instant(params.absoluteExpiry) if params.absoluteExpiry else None,
        proof=proof_from_wire(params.proofDER),
        signature=params.signature,
    )


def subscription_to_wire(request: SubscriptionRequest) -> mqpb.PeerSubscribeParams:
    """Return a signed subscription for the wire."""
    return mqpb.PeerSubscribeParams(
        tbs=mqpb.PeerSubscriptionTBS(
            sourceEntity=request.source.to_bytes(),
            namespace=request.namespace.to_bytes(),
            uri=request.topic_filter.text,
            id=request.identifier,
            routerID=request.router_id,
            expiry=request.expiry_s,
        ),
        signature=request.signature,
        proofDER=request.proof,
        # A proof may last until the year 9999, which the field cannot say.
        absoluteExpiry=min(request.absolute_expiry or 0, INT64_MAX),
    )


def query_from_wire(params: mqpb.PeerQueryParams) -> QueryRequest:
    """Parse the query that a peer passes on; errors as `subscription_from_wire`."""
    _check_length("signature", len(params.signature), SIGNATURE_BYTES_MAX)
    return QueryRequest(
        source=hash_from_wire(params.sourceEntity, "source entity"),
        source_location=None,
        namespace=hash_from_wire(params.namespace, "namespace"),
        topic_filter=TopicFilter(params.uri),
        proof=proof_from_wire(params.proofDER),
        signature=params.signature,
    )


def query_to_wire(request: QueryRequest) -> mqpb.PeerQueryParams:
    """Return a signed query for the wire."""
    return mqpb.PeerQueryParams(
        sourceEntity=request.source.to_bytes(),
        namespace=request.namespace.to_bytes(),
        uri=request.topic_filter.text,
        signature=request.signature,
        proofDER=request.proof,
    )


# --- errors -----------------------------------------------------------------------------------


def error_to_wire(error: WaveMQError) -> mqpb.Error:
    """Return an error as it stands in responses, its text as `(code: reason)` (wave.md 12.1)."""
    return mqpb.Error(code=int(error.code), message=str(error)[:ERROR_BYTES_MAX])


def raise_wire_error(error: mqpb.Error) -> None:
    """Raise the error that a response carries; code 0 without text is none.

    Raises:
        WaveMQError: of the class that the code stands for.
    """
    if error.code or error.message:
        raise error_from_wire(error.code, error.message[:ERROR_BYTES_MAX])


# --- small types ------------------------------------------------------------------------------


def hash_from_wire(content: bytes, what: str) -> Hash:
    """Parse the hash of an entity.

    Raises:
        InvalidParameterError: it is missing.
        InvalidMultihashError: it is malformed.
    """
    if not content:
        raise InvalidParameterError(f"the {what} is missing")
    try:
        return Hash.from_bytes(content)
    except WaveMQError as error:
        raise InvalidMultihashError(f"the {what} is not a hash", cause=error) from error


def location_from_wire(wire: mqpb.LocationURI) -> Location:
    """Parse a location.

    Raises:
        InvalidParameterError: it is too long or malformed.
    """
    _check_length("location", len(wire.URI.encode()), LOCATION_BYTES_MAX)
    try:
        return Location(wire.URI, wire.version)
    except WaveMQError as error:
        raise InvalidParameterError("the location is malformed", cause=error) from error


def location_to_wire(location: Location) -> mqpb.LocationURI:
    """Return a location for the wire."""
    return mqpb.LocationURI(URI=location.url, version=location.version)


def _check_length(what: str, length: int, length_max: int) -> None:
    if length > length_max:
        raise InvalidParameterError(f"the {what} has {length} bytes; at most {length_max} are read")
