"""Payloads made unreadable for everybody but the granted, and readable again.

Owns how a message's payload is laid out under end-to-end and under JEDI encryption (wavemq.md 4,
6.3): the first keeps the objects and encrypts their contents, the second replaces all objects by
two. Refuses to know keys, proofs and the memory of either. Fault model: a genuine message may hold
anything that its publisher chose, so its parts are looked at before they are used.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from wavemq.errors import InvalidParameterError, MalformedObjectError
from wavemq.limits import MESSAGE_BYTES_MAX
from wavemq.messages.message import PayloadObject
from wavemq.messages.payload import decode_payload, encode_payload
from wavemq.wave.jedi import ENCRYPTED_KEY_SCHEMA, ENCRYPTED_MESSAGE_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wavemq.authz.engine import Engine
    from wavemq.authz.jedi_cipher import JEDICipher
    from wavemq.authz.perspective import Perspective
    from wavemq.clock import Instant
    from wavemq.messages.message import Message
    from wavemq.wave.hashes import Hash

_JEDI_SCHEMAS: Final = (ENCRYPTED_KEY_SCHEMA, ENCRYPTED_MESSAGE_SCHEMA)


async def seal_e2ee(
    engine: Engine,
    perspective: Perspective,
    namespace: Hash,
    partition: Sequence[bytes],
    payload: Sequence[PayloadObject],
    now: Instant,
) -> tuple[PayloadObject, ...]:
    """Return `payload` with each content encrypted for the readers of the partition.

    Raises:
        InvalidE2EEGrantError, InvalidParameterError: the content cannot be encrypted so.
        UnavailableError: the namespace's keys could not be resolved.
    """
    try:
        resource = b"/".join(partition).decode()
    except UnicodeDecodeError as error:
        raise InvalidParameterError("the encryption partition is not UTF-8") from error
    contents = await asyncio.gather(
        *(
            engine.encrypt(
                one.content,
                namespace=namespace,
                namespace_location=perspective.location,
                resource=resource,
                now=now,
            )
            for one in payload
        )
    )
    return _with_contents(payload, contents)


async def open_e2ee(
    engine: Engine, perspective: Perspective, payload: Sequence[PayloadObject]
) -> tuple[PayloadObject, ...]:
    """Return `payload` with each content decrypted.

    Raises:
        MessageDecryptError: the reader holds no key for one.
        MalformedObjectError: a content is not what it should be.
    """
    try:
        contents = await asyncio.gather(
            *(engine.decrypt(perspective, one.content) for one in payload)
        )
    except InvalidParameterError as error:
        # A publisher may put anything there; its reader has asked for nothing wrong.
        raise MalformedObjectError("a content is not encrypted as it says", cause=error) from error
    return _with_contents(payload, contents)


def _with_contents(
    payload: Sequence[PayloadObject], contents: Sequence[bytes]
) -> tuple[PayloadObject, ...]:
    return tuple(
        PayloadObject(one.schema, content) for one, content in zip(payload, contents, strict=True)
    )


async def seal_jedi(
    cipher: JEDICipher,
    perspective: Perspective,
    namespace: Hash,
    topic: str,
    payload: Sequence[PayloadObject],
    now: Instant,
) -> tuple[PayloadObject, ...]:
    """Return the two objects that stand for `payload`.

    Raises:
        InvalidJEDIGrantError: the topic is beyond what JEDI can express.
        InvalidParameterError: the result is too large for a message.
        UnavailableError: the namespace's keys could not be resolved.
    """
    sealed = await cipher.encrypt(
        namespace, perspective.location, topic, encode_payload(payload), now
    )
    objects = (
        PayloadObject(ENCRYPTED_KEY_SCHEMA, sealed.encrypted_key),
        PayloadObject(ENCRYPTED_MESSAGE_SCHEMA, sealed.encrypted_message),
    )
    size = sum(len(one.schema) + len(one.content) for one in objects)
    if size > MESSAGE_BYTES_MAX:
        raise InvalidParameterError(
            f"a message has at most {MESSAGE_BYTES_MAX} bytes, this one, encrypted, has {size}"
        )
    return objects


async def open_jedi(
    cipher: JEDICipher, perspective: Perspective, message: Message
) -> tuple[PayloadObject, ...]:
    """Return the objects that were encrypted; the message's signature must have been checked.

    Raises:
        MessageDecryptError: the reader holds no key for it.
        MalformedObjectError: the message is not laid out as it should be, inside or outside.
    """
    schemas = [one.schema for one in message.payload]
    if (
        schemas != [ENCRYPTED_KEY_SCHEMA, ENCRYPTED_MESSAGE_SCHEMA]
        or message.jedi_timestamp is None
    ):
        raise MalformedObjectError("a message encrypted with JEDI has not its two parts")
    encrypted_key, encrypted_message = message.payload
    return decode_payload(
        await cipher.decrypt(
            perspective,
            message.namespace,
            message.topic.text,
            message.jedi_timestamp,
            encrypted_key.content,
            encrypted_message.content,
        )
    )
