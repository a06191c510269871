"""Messages as bytes, composed by the kernel from parts that are encoded once.

Owns what of a message does not change on its way (its head: the signed fields, the signature and
the partition) and the composing of whole messages around it. Refuses to parse. Fault model: the
head is made from the values of a message or by its signer, never taken from outside, so that what
we send is what we have checked.
"""

from __future__ import annotations

from collections.abc import Sequence

from wavemq import _kernel
from wavemq.messages.message import Message
from wavemq.wire import mqpb_pb2 as mqpb
from wavemq.wire.convert import location_to_wire, payload_object_to_wire

Parts = tuple[bytes, tuple[int, ...], tuple[int, ...], bool, bytes, bytes]


def head_of(message: Message) -> bytes:
    """Return the fields `tbs`, `signature` and `encryptionPartition`, encoded once a message."""
    if not message.head:
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
        head = mqpb.Message(
            tbs=tbs,
            signature=message.signature,
            encryptionPartition=message.encryption_partition,
        )
        message.keep_head(head.SerializeToString())
    return message.head


def parts_of(message: Message, *, proof: bytes = b"", proof_reference: bytes = b"") -> Parts:
    """Return a message as the kernel composes it; the proof is sent only if it is given again."""
    return (
        message.head or head_of(message),
        message.timestamps,
        message.drops,
        message.is_persisted,
        proof,
        proof_reference,
    )


def encoded_message(message: Message, *, proof: bytes = b"", proof_reference: bytes = b"") -> bytes:
    """Return a message as it stands on the wire; arguments as those of `parts_of`."""
    return _kernel.encode_message(parts_of(message, proof=proof, proof_reference=proof_reference))


def encoded_behind(messages: Sequence[tuple[bytes, Parts]]) -> list[bytes]:
    """Return each message as it stands on the wire, behind other bytes."""
    return _kernel.encode_behind(messages)


def encoded_frame(sequence: int, resumes: bool, message: Parts) -> bytes:  # noqa: FBT001
    """Return a frame as it stands in a `PeerPublishFrames`, which is one behind the other."""
    return _kernel.encode_frame(sequence, resumes, message)


def encoded_responses(messages: Sequence[Parts]) -> list[bytes]:
    """Return each message as a `SubscriptionMessage` or `QueryMessage`, which are encoded alike."""
    return _kernel.encode_wrapped(_RESPONSE_MESSAGE, messages)


def encoded_deliveries(deliveries: Sequence[tuple[int, int, Parts]]) -> bytes:
    """Return a `ConsumeResponse` of deliveries: index, attempt, message."""
    return _kernel.encode_deliveries(deliveries)


_RESPONSE_MESSAGE = mqpb.SubscriptionMessage.DESCRIPTOR.fields_by_name["message"].number
