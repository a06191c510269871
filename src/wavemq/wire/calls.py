"""What local clients ask for, parsed at the door (wavemq.md 2, 6, 7, 10).

Owns the requests of the local API as values that keep every limit. Refuses to decide whether they
are authorized. Fault model: a client may send any protobuf message; what breaks a rule raises a
`RequestError` or `ObjectError` with one sentence, and the caller puts it into the response.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

from wavemq.clock import Instant
from wavemq.errors import InvalidParameterError
from wavemq.limits import IDENTIFIER_BYTES_MAX, KIB, OBJECT_BYTES_MAX
from wavemq.messages.message import PayloadObject
from wavemq.messages.topic import Topic, TopicFilter
from wavemq.quickly import quickly
from wavemq.routing.records import Place
from wavemq.wave.hashes import Hash
from wavemq.wave.location import Location
from wavemq.wire import mqpb_pb2 as mqpb
from wavemq.wire.convert import (
    check_message_size,
    hash_from_wire,
    location_from_wire,
    partition_from_wire,
    payload_from_wire,
    proof_from_wire,
)

EXPIRY_SECONDS_MIN: Final = 60
"""A shorter expiry is raised to this (wavemq.md 7)."""
EXPIRY_SECONDS_MAX: Final = 10 * 365 * 86_400
"""A longer expiry is lowered to this; the queue's own configured expiry is shorter."""
CREDIT_DEFAULT: Final = 128
CREDIT_MAX: Final = 1024
"""Deliveries that one reader may leave unacknowledged."""
INDEXES_MAX: Final = 4 * CREDIT_MAX
"""Deliveries that one request may name; no reader has as many in its hands."""
RETURN_DELAY_MILLISECONDS_MAX: Final = 86_400_000
PASSPHRASE_BYTES_MAX: Final = 4 * KIB
AGENT_LOCATION_BYTES_MAX: Final = 1024


@dataclass(frozen=True, slots=True)
class CallerSecret:
    """The perspective that a client hands over with each call.

    Attributes:
        secret: entity secret, DER or PEM, not parsed yet.
        passphrase: opens it; empty when there is none.
        location: where the client's entity is stored; None: the default location.
        agent_location: name of a configured location, when the client gave a name instead.
    """

    secret: bytes = field(repr=False)
    passphrase: bytes = field(repr=False)
    location: Location | None
    agent_location: str


@dataclass(frozen=True, slots=True)
class PublishCut:
    """A plain publish as it was cut from a request, its parts not looked at.

    Attributes:
        caller: SHA-256 of the perspective.
        namespace: of the topic, not checked.
        topic: what it is published on, not checked.
        payload: schemas and contents, within their limits.
        is_persisted: whether the designated router retains it.
        whole: returns the call with all its parts checked, where they are not known to be good;
            raises as `publish_call_from_wire`.
    """

    caller: bytes
    namespace: bytes
    topic: str
    payload: tuple[tuple[str, bytes], ...] = field(repr=False)
    is_persisted: bool
    whole: Callable[[], PublishCall] = field(repr=False)


made_publish_cut: Final = quickly(PublishCut)


@dataclass(frozen=True, slots=True)
class PublishCall:
    """A publish as asked for; `is_jedi` asks for encryption by topic and hour.

    `caller_name` is the SHA-256 of the perspective; empty: the request was not cut.
    """

    caller: CallerSecret
    namespace: Hash
    topic: Topic
    payload: tuple[PayloadObject, ...] = field(repr=False)
    encryption_partition: tuple[bytes, ...]
    is_persisted: bool
    is_jedi: bool
    custom_proof: bytes = field(repr=False)
    caller_name: bytes = b""


@dataclass(frozen=True, slots=True)
class SubscribeCall:
    """A subscription as asked for.

    Attributes:
        caller: in whose name.
        namespace: of the filter.
        topic_filter: what to deliver.
        identifier: chosen by the client; empty: choose one.
        expiry_s: seconds without a reader after which the queue ends, at least 60.
        absolute_expiry: when the queue ends at the latest; None: when the proof does.
        custom_proof: explicit proof (DER) that the client brought; empty: build one.
    """

    caller: CallerSecret
    namespace: Hash
    topic_filter: TopicFilter
    identifier: str
    expiry_s: int
    absolute_expiry: Instant | None
    custom_proof: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class QueryCall:
    """A query for retained messages as asked for."""

    caller: CallerSecret
    namespace: Hash
    topic_filter: TopicFilter
    custom_proof: bytes = field(repr=False)


def publish_call_from_wire(params: mqpb.PublishParams, *, caller_name: bytes = b"") -> PublishCall:
    """Parse the request of `Publish`.

    Raises:
        RequestError: an argument is missing, malformed or over its limit.
        ObjectError: the namespace is not a hash.
    """
    caller = _caller_from_wire(params)
    payload = payload_from_wire(params.content)
    partition = partition_from_wire(params.encryptionPartition)
    check_message_size(payload, partition)
    return PublishCall(
        caller=caller,
        namespace=hash_from_wire(params.namespace, "namespace"),
        topic=Topic(params.uri),
        payload=payload,
        encryption_partition=partition,
        is_persisted=params.persist,
        is_jedi=params.encryptWithJEDI,
        custom_proof=proof_from_wire(params.customProofDER),
        caller_name=caller_name,
    )


def subscribe_call_from_wire(params: mqpb.SubscribeParams) -> SubscribeCall:
    """Parse the request of `Subscribe`; errors as `publish_call_from_wire`."""
    if len(params.identifier.encode()) > IDENTIFIER_BYTES_MAX:
        raise InvalidParameterError(
            f"a subscription identifier has at most {IDENTIFIER_BYTES_MAX} bytes"
        )
    if params.expiry < 0 or params.absoluteExpiry < 0:
        raise InvalidParameterError("the expiry of a subscription cannot be negative")
    return SubscribeCall(
        caller=_caller_from_wire(params),
        namespace=hash_from_wire(params.namespace, "namespace"),
        topic_filter=TopicFilter(params.uri),
        identifier=params.identifier,
        expiry_s=min(max(params.expiry, EXPIRY_SECONDS_MIN), EXPIRY_SECONDS_MAX),
        absolute_expiry=Instant(params.absoluteExpiry) if params.absoluteExpiry else None,
        custom_proof=proof_from_wire(params.customProofDER),
    )


@dataclass(frozen=True, slots=True)
class ConsumeCommand:
    """What a reader that acknowledges says of its deliveries.

    Attributes:
        credit: deliveries that may be unacknowledged from now on; None: as before.
        acknowledged: places of those that are done with.
        returned: places of those that are to be delivered again.
        return_delay_s: seconds until then.
    """

    credit: int | None
    acknowledged: Sequence[Place]
    returned: Sequence[Place]
    return_delay_s: float


def consume_command_from_wire(request: mqpb.ConsumeRequest) -> ConsumeCommand:
    """Parse a request of `Consume` after the first.

    Raises:
        InvalidParameterError: it subscribes again, names too many, or a number is out of range.
    """
    _check_later_request(request, len(request.acknowledged) + len(request.returned))
    if not 0 <= request.returnDelay <= RETURN_DELAY_MILLISECONDS_MAX:
        raise InvalidParameterError(
            f"messages return after 0 to {RETURN_DELAY_MILLISECONDS_MAX} ms, "
            f"not {request.returnDelay}"
        )
    return ConsumeCommand(
        credit=credit_from_wire(request.credit) if request.credit else None,
        acknowledged=_places(request.acknowledged),
        returned=_places(request.returned),
        return_delay_s=request.returnDelay / 1000,
    )


def peer_consume_command_from_wire(request: mqpb.PeerConsumeRequest) -> ConsumeCommand:
    """Parse a request of `PeerConsume` after the first; errors as above."""
    _check_later_request(request, len(request.acknowledged))
    return ConsumeCommand(
        credit=credit_from_wire(request.credit) if request.credit else None,
        acknowledged=_places(request.acknowledged),
        returned=(),
        return_delay_s=0.0,
    )


def _places(indexes: Iterable[int]) -> Sequence[Place]:
    return cast(Sequence[Place], tuple(indexes))


def _check_later_request(
    request: mqpb.ConsumeRequest | mqpb.PeerConsumeRequest, named_count: int
) -> None:
    if request.HasField("subscribe"):
        raise InvalidParameterError("only the first request of a stream subscribes")
    if named_count > INDEXES_MAX:
        raise InvalidParameterError(
            f"a request names at most {INDEXES_MAX} deliveries, not {named_count}"
        )


def credit_from_wire(credit: int) -> int:
    """Return how many deliveries may be unacknowledged; 0 on the wire means the usual number.

    Raises:
        InvalidParameterError: they are too many.
    """
    if credit > CREDIT_MAX:
        raise InvalidParameterError(f"the credit is at most {CREDIT_MAX}, not {credit}")
    return credit or CREDIT_DEFAULT


def query_call_from_wire(params: mqpb.QueryParams) -> QueryCall:
    """Parse the request of `Query`; errors as `publish_call_from_wire`."""
    return QueryCall(
        caller=_caller_from_wire(params),
        namespace=hash_from_wire(params.namespace, "namespace"),
        topic_filter=TopicFilter(params.uri),
        custom_proof=proof_from_wire(params.customProofDER),
    )


def _caller_from_wire(
    params: mqpb.PublishParams | mqpb.SubscribeParams | mqpb.QueryParams,
) -> CallerSecret:
    perspective = params.perspective
    if not params.HasField("perspective") or not perspective.entitySecret.DER:
        raise InvalidParameterError("the request has no perspective (an entity secret)")
    secret, passphrase = perspective.entitySecret.DER, perspective.entitySecret.passphrase
    if len(secret) > OBJECT_BYTES_MAX or len(passphrase) > PASSPHRASE_BYTES_MAX:
        raise InvalidParameterError("the entity secret or its passphrase is too large")
    location = perspective.location
    if len(location.agentLocation.encode()) > AGENT_LOCATION_BYTES_MAX:
        raise InvalidParameterError("the name of the perspective's location is too long")
    return CallerSecret(
        secret=secret,
        passphrase=passphrase,
        location=location_from_wire(location.locationURI)
        if location.HasField("locationURI")
        else None,
        agent_location=location.agentLocation,
    )
