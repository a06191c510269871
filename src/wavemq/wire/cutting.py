"""Messages of peers, cut by the kernel: values without protobuf objects where they are plain.

Owns the way from what was cut to a `Message`, and what is remembered of fields that come again and
again. Refuses to judge what is not plain: that goes the way of `wire.convert`, which has the last
word and all the errors. Fault model: peers may send anything. A message is cut only if its fields
stand in the bytes as we would write them, so that those bytes are kept as its head.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple, TypeVar

from google.protobuf.message import DecodeError

from wavemq._kernel import MessageCutter
from wavemq.clock import Instant
from wavemq.errors import WaveMQError
from wavemq.limits import (
    MESSAGE_BYTES_MAX,
    PAYLOAD_OBJECTS_MAX,
    PROOF_BYTES_MAX,
    SIGNATURE_BYTES_MAX,
)
from wavemq.messages.message import Message, made_message, made_payload_object
from wavemq.messages.topic import Topic
from wavemq.wave.hashes import Hash
from wavemq.wave.location import Location
from wavemq.wire import mqpb_pb2 as mqpb
from wavemq.wire.convert import (
    HOPS_MAX,
    PARTITION_BYTES_MAX,
    PARTITION_ELEMENTS_MAX,
    ROUTER_ID_BYTES_MAX,
    hash_from_wire,
    location_from_wire,
    raise_wire_error,
)

STEMS_REMEMBERED_MAX: Final = 4096
"""Sources with their topics, each about 1 KiB, and 8 KiB at the worst."""

Parts = tuple[
    bytes,
    tuple[tuple[str, bytes], ...],
    str,
    int | None,
    tuple[bytes, ...],
    bytes,
    tuple[Instant, ...],
    tuple[int, ...],
    bool,
    bytes,
    bytes,
    bytes,
]
"""A plain message: see `MessageCutter`."""

_PROOF: Final = 9
_REFERENCE: Final = 10

_cutter: Final = MessageCutter(
    message_bytes_max=MESSAGE_BYTES_MAX,
    payload_objects_max=PAYLOAD_OBJECTS_MAX,
    proof_bytes_max=PROOF_BYTES_MAX,
    signature_bytes_max=SIGNATURE_BYTES_MAX,
    router_bytes_max=ROUTER_ID_BYTES_MAX,
    hops_max=HOPS_MAX,
    partition_elements_max=PARTITION_ELEMENTS_MAX,
    partition_bytes_max=PARTITION_BYTES_MAX,
)


@dataclass(frozen=True, slots=True, eq=False)
class Stem:
    """What messages of one source on one topic begin with; the same as another if it is that."""

    source: Hash
    location: Location | None
    namespace: Hash
    topic: Topic


class CutMessage(NamedTuple):
    """A plain message, without its proof as yet.

    Attributes:
        stem: what it begins with.
        parts: all that was cut.
    """

    stem: Stem
    parts: Parts

    @property
    def proof(self) -> bytes:
        """The proof that it came with; empty: it came with a reference."""
        return self.parts[_PROOF]

    @property
    def reference(self) -> bytes:
        """What stands for its proof, if that did not come along."""
        return b"" if self.parts[_PROOF] else self.parts[_REFERENCE]

    def message(self, proof: bytes) -> Message:
        """Return the message with a proof."""
        stem = self.stem
        (
            _,
            payload,
            origin_router,
            jedi_timestamp,
            partition,
            signature,
            timestamps,
            drops,
            is_persisted,
            _,
            _,
            head,
        ) = self.parts
        return made_message(
            stem.source,
            stem.location,
            stem.namespace,
            stem.topic,
            tuple([made_payload_object(schema, content) for schema, content in payload]),
            origin_router,
            jedi_timestamp,
            proof,
            signature,
            partition,
            timestamps,
            drops,
            is_persisted,
            head,
        )


class ReceivedFrame(NamedTuple):
    """A frame of `PeerPublishStream`.

    Attributes:
        sequence: names it in the answers.
        resumes: whether nothing before it is unanswered.
        size_bytes: of its bytes.
        received: the message, as protobuf read it where it is not plain.
    """

    sequence: int
    resumes: bool
    size_bytes: int
    received: CutMessage | mqpb.Message


ReceivedDelivery = tuple[int, CutMessage | mqpb.Message]
"""A delivery of `PeerConsume`: its index, and the message, as in `ReceivedFrame`."""


def frames_from_wire(request: bytes) -> list[ReceivedFrame]:
    """Return the frames of a `PeerPublishFrames`.

    Raises:
        DecodeError: the bytes are no such request.
    """
    cut = _cutter.cut_frames(request)
    whole: mqpb.PeerPublishFrames | None = None
    if cut is None:
        whole = mqpb.PeerPublishFrames.FromString(request)
        cut = [(one.sequence, one.resumes, one.ByteSize(), None) for one in whole.frames]
    frames: list[ReceivedFrame] = []
    for sequence, resumes, size_bytes, parts in cut:
        received = None if parts is None else _cut(parts)
        if received is None and whole is None:
            # The whole request, once: if it is none in any part, nothing of it is taken.
            whole = mqpb.PeerPublishFrames.FromString(request)
        known = received or _of(whole).frames[len(frames)].message
        frames.append(ReceivedFrame(sequence, resumes, size_bytes, known))
    return frames


def deliveries_from_wire(response: bytes) -> list[ReceivedDelivery]:
    """Return the deliveries of a `ConsumeResponse`.

    Raises:
        DecodeError: the bytes are no such response.
        WaveMQError: the error in it.
    """
    cut = _cutter.cut_deliveries(response)
    whole: mqpb.ConsumeResponse | None = None
    if cut is None:
        whole = mqpb.ConsumeResponse.FromString(response)
        raise_wire_error(whole.error)
        cut = [(one.index, None) for one in whole.deliveries]
    deliveries: list[ReceivedDelivery] = []
    for index, parts in cut:
        received = None if parts is None else _cut(parts)
        if received is None and whole is None:
            whole = mqpb.ConsumeResponse.FromString(response)
        known = received or _of(whole).deliveries[len(deliveries)].message
        deliveries.append((index, known))
    return deliveries


WholeT = TypeVar("WholeT")


def _of(whole: WholeT | None) -> WholeT:
    assert whole is not None, "read where anything of it is not plain"
    return whole


def _cut(parts: Parts) -> CutMessage | None:
    """Return a message that was cut; None if what it begins with breaks a rule."""
    try:
        return CutMessage(_stem(parts[0]), parts)
    except (WaveMQError, DecodeError):
        return None


@lru_cache(STEMS_REMEMBERED_MAX)
def _stem(content: bytes) -> Stem:
    """Return the parts of a stem; one object for the same bytes, which saves comparing them.

    Raises:
        RequestError, ObjectError: one is missing, malformed or over its limit.
    """
    tbs = mqpb.MessageTBS.FromString(content)
    return Stem(
        source=hash_from_wire(tbs.sourceEntity, "source entity"),
        location=location_from_wire(tbs.sourceLocation) if tbs.HasField("sourceLocation") else None,
        namespace=hash_from_wire(tbs.namespace, "namespace"),
        topic=Topic(tbs.uri),
    )
