"""The bus: publish, subscribe and query through one local router.

Owns the public calls and what they promise when the router fails. Refuses to know how messages are
proved, signed, encrypted or routed. Fault model: the router may be away or die during a call. A
publish is sent once at most: while the router cannot be reached it waits, once it was sent it is
never repeated.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import grpc
import grpc.aio

from wavemq.client.connection import Metadata, RouterConnection, check_address
from wavemq.client.failures import PublishUnconfirmedError, error_from_rpc
from wavemq.client.identity import (
    EntitySource,
    Identity,
    NamespaceSource,
    load_identity,
    load_namespace,
)
from wavemq.client.publishing import (
    PublishStream,
    PublishStreams,
    StreamUnknownError,
    open_publish_stream,
)
from wavemq.client.query import QueryAnswers
from wavemq.client.reconnect import ChangeCallback, ReconnectPolicy
from wavemq.client.subscription import Subscription
from wavemq.errors import (
    InvalidParameterError,
    MissingParameterError,
    RequestError,
    UnavailableError,
)
from wavemq.limits import IDENTIFIER_BYTES_MAX, PAYLOAD_OBJECTS_MAX
from wavemq.messages.message import PayloadObject
from wavemq.messages.topic import Topic, TopicFilter
from wavemq.wave.hashes import Hash
from wavemq.wave.pem import decode_pem_or_der
from wavemq.wire import mqpb_pb2 as mqpb
from wavemq.wire.convert import payload_object_to_wire, raise_wire_error

TIMEOUT_SECONDS_DEFAULT: Final = 30.0
KEEP_SECONDS_DEFAULT: Final = 3600
"""How long the router keeps a subscription's queue when nobody reads it."""
KEEP_SECONDS_MIN: Final = 60
"""The router raises shorter times to this (wavemq.md 7)."""

INCLUDE_PROOF_KEY: Final = "wavemq-include-proof"
"""Request header by which the caller asks for proofs with the messages (wavemq.md 7)."""

Payload = bytes | PayloadObject | Sequence[PayloadObject]
PartitionSource = str | Sequence[bytes]

_UNCONFIRMED: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
    }
)
"""Statuses after which the router may or may not have taken what was sent."""


@dataclass(frozen=True, slots=True)
class RouterStatus:
    """The router's links toward its designated routers.

    Args:
        uplinks_configured: how many it should hold.
        uplinks_connected: how many it holds now.
    """

    uplinks_configured: int
    uplinks_connected: int

    @property
    def is_fully_connected(self) -> bool:
        """Whether every configured uplink is up."""
        return self.uplinks_connected >= self.uplinks_configured


def connect(
    address: str,
    *,
    entity: EntitySource,
    passphrase: str | bytes | None = None,
    namespace: NamespaceSource | None = None,
    reconnect: ReconnectPolicy | None = None,
    on_change: ChangeCallback | None = None,
    timeout_s: float = TIMEOUT_SECONDS_DEFAULT,
) -> Bus:
    """Return a bus; `async with` connects it and closes it.

    The connection is plaintext: use it on one machine or one trusted network, since the entity
    secret travels with each request so that the router can sign and decrypt for the caller.

    Args:
        address: the router's `LocalConfig.listenAddr`, as `host:port`, or `unix:path`.
        entity: the caller's entity secret, as the path of a file or as bytes, DER or PEM.
        passphrase: opens the secret if it is protected.
        namespace: default of the calls: a `Hash`, its text, or a file with the entity.
        reconnect: how subscriptions come back after a loss.
        on_change: called with each `ConnectionChange`; they are logged to `wavemq.client` anyway.
        timeout_s: seconds to wait for the router when entering, and default of the calls.

    Raises:
        RequestError: address, secret, passphrase or namespace is wrong; nothing was sent.
        UnexpectedObjectError: the secret is not an entity secret.
    """
    return Bus(
        check_address(address),
        load_identity(entity, passphrase),
        namespace=None if namespace is None else load_namespace(namespace),
        policy=reconnect or ReconnectPolicy(),
        on_change=on_change,
        timeout_s=timeout_s,
    )


class Bus:
    """A connection to a local router in the name of one entity; made by `connect`."""

    def __init__(
        self,
        address: str,
        identity: Identity,
        *,
        namespace: Hash | None,
        policy: ReconnectPolicy,
        on_change: ChangeCallback | None,
        timeout_s: float,
    ) -> None:
        self._address = address
        self._identity = identity
        self._perspective = identity.to_perspective()
        self._namespace = namespace
        self._policy = policy
        self._on_change = on_change
        self._timeout_s = timeout_s
        self._connection: RouterConnection | None = None
        self._streams = PublishStreams(self._open_stream)

    def __repr__(self) -> str:
        return f"Bus(address={self._address!r}, entity={self._identity.entity.to_text()!r})"

    @property
    def entity(self) -> Hash:
        """The entity in whose name this bus acts."""
        return self._identity.entity

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            UnavailableError: no router answered within `timeout_s`.
        """
        connection = RouterConnection(self._address)
        try:
            await connection.wait_ready(self._timeout_s)
        except BaseException:
            await connection.close()
            raise
        self._connection = connection
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connection; open subscriptions end."""
        connection, self._connection = self._connection, None
        self._streams.close()
        if connection is not None:
            await connection.close()

    async def publish(
        self,
        topic: str,
        payload: Payload,
        *,
        schema: str = "text",
        persist: bool = False,
        encryption_partition: PartitionSource | None = None,
        encrypt_with_jedi: bool = False,
        namespace: NamespaceSource | None = None,
        proof: bytes | None = None,
        timeout_s: float | None = None,
    ) -> None:
        """Publish one message; returns when the router has promised to deliver it.

        While the router cannot be reached the call waits, up to `timeout_s`, and nothing is sent.
        Once the message was sent it is never sent again: if the answer is lost the call raises
        `PublishUnconfirmedError`, and only the caller knows whether a duplicate would do harm.

        Args:
            topic: a path of levels, without wildcards.
            payload: content of one payload object, or payload objects.
            schema: of the payload given as bytes.
            persist: ask the designated router to keep it as the last value of its topic.
            encryption_partition: encrypt end to end for readers that hold `wave:decrypt` on this
                path, given as text (`"building/roof"`) or as its elements.
            encrypt_with_jedi: encrypt end to end for readers that hold `jedi:decrypt` on the topic
                for the present hour.
            namespace: instead of the default given to `connect`.
            proof: authority to use, as written by `wv rtprove`, instead of what the router finds.
            timeout_s: instead of the default given to `connect`.

        Raises:
            NoProofFoundError: the entity has no grant that covers this.
            ProofInvalidError: the given proof is invalid or does not cover this.
            InvalidParameterError: topic, payload or namespace is wrong.
            PublishUnconfirmedError: sent, but not answered.
            UnavailableError: the router was not reached; nothing was sent.
        """
        limit_s = self._timeout_s if timeout_s is None else timeout_s
        namespace_bytes = self._namespace_of(namespace).to_bytes()
        frame = mqpb.PublishFrame(
            uri=Topic(topic).text,
            content=[payload_object_to_wire(one) for one in _payload_objects(payload, schema)],
            encryptionPartition=_partition(encryption_partition),
            persist=persist,
            customProofDER=_proof(proof),
            encryptWithJEDI=encrypt_with_jedi,
        )
        connection = self._connected()
        deadline = asyncio.get_running_loop().time() + limit_s
        await connection.wait_ready(limit_s)
        remaining_s = max(0.0, deadline - asyncio.get_running_loop().time())
        if connection.is_publish_stream_known:
            try:
                await self._publish_streamed(namespace_bytes, frame, remaining_s)
            except StreamUnknownError:
                connection.is_publish_stream_known = False
            else:
                return
        remaining_s = max(0.0, deadline - asyncio.get_running_loop().time())
        await self._publish_alone(connection, namespace_bytes, frame, remaining_s)

    async def _publish_streamed(
        self, namespace: bytes, frame: mqpb.PublishFrame, limit_s: float
    ) -> None:
        started = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(limit_s):
                stream = await self._streams.stream(namespace)
        except TimeoutError as error:
            raise UnavailableError(
                f"the router at {self._address} did not answer within {limit_s:g} s; "
                "nothing was sent"
            ) from error
        elapsed_s = asyncio.get_running_loop().time() - started
        await stream.publish(frame, max(0.0, limit_s - elapsed_s))

    async def _publish_alone(
        self,
        connection: RouterConnection,
        namespace: bytes,
        frame: mqpb.PublishFrame,
        limit_s: float,
    ) -> None:
        """Publish by a call of its own, as every router knows it."""
        request = mqpb.PublishParams(
            perspective=self._perspective,
            namespace=namespace,
            uri=frame.uri,
            content=frame.content,
            encryptionPartition=frame.encryptionPartition,
            persist=frame.persist,
            customProofDER=frame.customProofDER,
            encryptWithJEDI=frame.encryptWithJEDI,
        )
        try:
            response = await connection.publish(request, timeout=limit_s)
        except grpc.aio.AioRpcError as failure:
            if failure.code() in _UNCONFIRMED:
                raise PublishUnconfirmedError(
                    f"the message on {frame.uri!r} was sent and not answered; the router may or "
                    f"may not have taken it ({failure.code().name.lower()}: {failure.details()})"
                ) from failure
            raise error_from_rpc(failure, self._address) from failure
        raise_wire_error(response.error)

    def _open_stream(self, namespace: bytes) -> asyncio.Future[PublishStream]:
        return asyncio.ensure_future(
            open_publish_stream(self._connected(), self._perspective, namespace)
        )

    def subscribe(
        self,
        topic_filter: str,
        *,
        name: str | None = None,
        keep_s: int = KEEP_SECONDS_DEFAULT,
        namespace: NamespaceSource | None = None,
        proof: bytes | None = None,
        include_proof: bool = False,
        acknowledge: bool = True,
        timeout_s: float | None = None,
    ) -> Subscription:
        """Return a subscription; `async with` opens it, `async for` gives its messages.

        Args:
            topic_filter: levels, of which `+` matches one and one `*` any number.
            name: keeps the queue across runs of the program: the same entity with the same name
                resumes it. Without a name the queue is this object's own.
            keep_s: seconds that the router keeps the queue when nobody reads it, at least 60.
            namespace: instead of the default given to `connect`.
            proof: authority to use, as written by `wv rtprove`, instead of what the router finds.
            include_proof: deliver each message with its publisher's proof (some 55 kB).
            acknowledge: messages leave the router's queue when they were acknowledged (asking for
                the next one does it); else when the router has sent them. Routers that know no
                acknowledgements serve the second way.
            timeout_s: for one attempt to become effective, instead of the default of `connect`.

        Raises:
            InvalidParameterError: an argument is malformed; nothing was sent.
        """
        if keep_s < KEEP_SECONDS_MIN:
            raise InvalidParameterError(
                f"keep_s is {keep_s}; a router keeps a queue for {KEEP_SECONDS_MIN} s at least"
            )
        if name is not None and not 0 < len(name.encode()) <= IDENTIFIER_BYTES_MAX:
            raise InvalidParameterError(
                f"a subscription name must have 1 to {IDENTIFIER_BYTES_MAX} bytes"
            )
        request = mqpb.SubscribeParams(
            perspective=self._perspective,
            namespace=self._namespace_of(namespace).to_bytes(),
            uri=TopicFilter(topic_filter).text,
            customProofDER=_proof(proof),
            identifier=name or str(uuid.uuid4()),
            expiry=keep_s,
        )
        return Subscription(
            self._connected(),
            request,
            metadata=_metadata(include_proof=include_proof),
            is_acknowledging=acknowledge,
            policy=self._policy,
            on_change=self._on_change,
            timeout_s=self._timeout_s if timeout_s is None else timeout_s,
        )

    def query(
        self,
        topic_filter: str,
        *,
        namespace: NamespaceSource | None = None,
        proof: bytes | None = None,
        include_proof: bool = False,
        timeout_s: float | None = None,
    ) -> QueryAnswers:
        """Ask the designated router for the last persisted message of each matching topic.

        Await the result for a list, or iterate over it with `async for`.

        Args:
            topic_filter: as for `subscribe`.
            namespace: instead of the default given to `connect`.
            proof: authority to use, as written by `wv rtprove`, instead of what the router finds.
            include_proof: deliver each message with its publisher's proof.
            timeout_s: for the whole answer, instead of the default of `connect`.

        Raises:
            InvalidParameterError: an argument is malformed; nothing was sent.
        """
        request = mqpb.QueryParams(
            perspective=self._perspective,
            namespace=self._namespace_of(namespace).to_bytes(),
            uri=TopicFilter(topic_filter).text,
            customProofDER=_proof(proof),
        )
        return QueryAnswers(
            self._connected(),
            request,
            metadata=_metadata(include_proof=include_proof),
            timeout_s=self._timeout_s if timeout_s is None else timeout_s,
        )

    async def status(self, *, timeout_s: float | None = None) -> RouterStatus:
        """Return the state of the router's uplinks; cheap enough to ask twice a second.

        Raises:
            UnavailableError: the router did not answer in time.
        """
        connection = self._connected()
        limit_s = self._timeout_s if timeout_s is None else timeout_s
        await connection.wait_ready(limit_s)
        try:
            answer = await connection.connection_status(
                mqpb.ConnectionStatusParams(), timeout=limit_s
            )
        except grpc.aio.AioRpcError as failure:
            raise error_from_rpc(failure, self._address) from failure
        return RouterStatus(
            uplinks_configured=answer.totalPeers, uplinks_connected=answer.connectedPeers
        )

    def _connected(self) -> RouterConnection:
        if self._connection is None:
            raise RequestError("the bus is not connected: use it inside `async with connect(...)`")
        return self._connection

    def _namespace_of(self, given: NamespaceSource | None) -> Hash:
        if given is not None:
            return load_namespace(given)
        if self._namespace is None:
            raise MissingParameterError(
                "no namespace: give one to this call, or to connect() for all calls"
            )
        return self._namespace


def _payload_objects(payload: object, schema: str) -> Sequence[PayloadObject]:
    """Return the payload as payload objects, within the limit of their number."""
    if isinstance(payload, bytes | bytearray | memoryview):
        return (PayloadObject(schema=schema, content=bytes(payload)),)
    if isinstance(payload, str):
        raise InvalidParameterError("the payload is text; encode it first: payload.encode()")
    given = (payload,) if isinstance(payload, PayloadObject) else payload
    if not isinstance(given, Sequence):
        raise InvalidParameterError(
            f"the payload must be bytes or payload objects, not {type(given).__name__}"
        )
    if not 0 < len(given) <= PAYLOAD_OBJECTS_MAX:
        raise InvalidParameterError(
            f"a message has 1 to {PAYLOAD_OBJECTS_MAX} payload objects, not {len(given)}"
        )
    objects = [one for one in given if isinstance(one, PayloadObject)]
    if len(objects) != len(given):
        raise InvalidParameterError("the payload holds something else than payload objects")
    return objects


def _partition(given: PartitionSource | None) -> list[bytes]:
    """Return the elements of an encryption partition; none where nothing is to be encrypted."""
    if given is None:
        return []
    elements = [part.encode() for part in given.split("/")] if isinstance(given, str) else [*given]
    if not elements or not all(elements):
        raise InvalidParameterError(
            "an encryption partition must have elements, none of them empty"
        )
    return elements


def _proof(given: bytes | None) -> bytes:
    """Return DER; the wire field is empty where the router is to find a proof itself."""
    return b"" if given is None else decode_pem_or_der(given)


def _metadata(*, include_proof: bool) -> Metadata:
    return ((INCLUDE_PROOF_KEY, "1"),) if include_proof else ()
