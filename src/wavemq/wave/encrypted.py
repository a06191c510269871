"""End-to-end encrypted messages (wave.md 10).

Owns the format, encryption, and the ways to decrypt with given keys. Refuses to know which keys a
perspective holds. There is no sender authentication here: the router's message signature gives it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Final, ParamSpec

from wavemq.clock import Instant
from wavemq.crypto import exchange, lqibe, wkdibe
from wavemq.crypto.symmetric import SEALED_KEY_BYTES, TAG_BYTES, open_sealed, seal
from wavemq.errors import (
    InvalidParameterError,
    MalformedObjectError,
    MessageDecryptError,
    ObjectError,
    WaveMQError,
)
from wavemq.wave import der
from wavemq.wave.bundle import ContentKey, LabelKey
from wavemq.wave.entity import Entity
from wavemq.wave.hashes import Hash
from wavemq.wave.keyring import EntitySecret
from wavemq.wave.location import Location
from wavemq.wave.partition import (
    THREE_YEARS_NS,
    Partition,
    check_partition,
    e2ee_prefix,
    matches,
    wr1_partition,
)

MESSAGE_KIND: Final = (2, 5)
_DIRECT: Final = (16, 1)
WR1: Final = (16, 2)
"""The kind of a namespace's key."""
KEYS_MAX: Final = 64
"""Recipients that one message may list."""
ATTEMPTS_MAX: Final = 32
"""Held keys of one kind that are tried on one message."""

P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class NamespaceKey:
    """The content key for whoever may read under a namespace.

    Args:
        envelope: the sealed envelope.
        envelope_key: the envelope's key, under the namespace's LQ-IBE system.
        namespace: whose systems are used.
        location: where its entity is stored.
    """

    envelope: bytes
    envelope_key: bytes
    namespace: Hash
    location: Location


@dataclass(frozen=True, slots=True)
class EncryptedMessage:
    """A decoded message.

    Args:
        contents: sealed under the content key.
        keys: the content key for each recipient, in order: bytes for one entity.
    """

    contents: bytes
    keys: tuple[bytes | NamespaceKey, ...]

    @classmethod
    def from_bytes(cls, data: bytes) -> EncryptedMessage:
        """Decode a wire object.

        Raises:
            InvalidParameterError: it is malformed or another object (wave.md 10.3).
        """
        try:
            return cls._read(data)
        except ObjectError as error:
            raise InvalidParameterError(
                "the encrypted message is malformed", cause=error
            ) from error

    @classmethod
    def _read(cls, data: bytes) -> EncryptedMessage:
        outer = der.Reader(data)
        kind, value = outer.external()
        outer.finish()
        if kind != MESSAGE_KIND:
            raise InvalidParameterError("DER is not an encrypted message")
        inner = value.sequence()
        value.finish()
        contents = inner.octets()
        listed = inner.sequence()
        keys: list[bytes | NamespaceKey] = []
        while not listed.is_at_end:
            if len(keys) == KEYS_MAX:
                raise InvalidParameterError(f"the message has more than {KEYS_MAX} keys")
            key_kind, key = listed.external()
            if key_kind in (_DIRECT, WR1):
                fields = key.sequence()
                key.finish()
                if key_kind == _DIRECT:
                    keys.append(fields.octets())
                else:
                    keys.append(
                        NamespaceKey(
                            fields.octets(),
                            fields.octets(),
                            Hash.read(fields),
                            Location.read(fields),
                        )
                    )
                fields.finish()
        inner.element(der.SEQUENCE)  # extensions: never interpreted
        inner.finish()
        return cls(contents, tuple(keys))


def encrypt_message(
    content: bytes,
    *,
    recipient: Entity | None = None,
    namespace: Entity | None = None,
    namespace_location: Location | None = None,
    resource: str = "",
    not_before: Instant | None = None,
    not_after: Instant | None = None,
) -> bytes:
    """Return an encrypted message.

    Args:
        content: at least one byte.
        recipient: an entity that may read it.
        namespace: a namespace whose `wave:decrypt` grantees on `resource` may read it.
        namespace_location: where the namespace's entity is stored; needed with `namespace`.
        resource: without wildcards.
        not_before: first instant of the period for which readers need a grant.
        not_after: last instant of it.

    Raises:
        InvalidParameterError: no content, no recipient, or a bad period.
        InvalidE2EEGrantError: the resource breaks a rule.
    """
    if not content:
        raise InvalidParameterError("there is nothing to encrypt")
    content_key = secrets.token_bytes(SEALED_KEY_BYTES)
    keys = []
    if recipient is not None:
        direct = exchange.direct_encrypt(recipient.direct_key, content_key)
        keys.append(der.external(_DIRECT, der.sequence(der.octets(direct))))
    if namespace is not None:
        if namespace_location is None or not_before is None or not_after is None:
            raise InvalidParameterError("encrypting to a namespace needs its location and a period")
        partition = message_partition(resource, not_before, not_after)
        sealed = seal_for_namespace(namespace, namespace_location, partition, content_key)
        keys.append(der.external(WR1, sealed))
    if not keys:
        raise InvalidParameterError("the message has no recipient: nobody could read it")
    return composed_message(content_key, content, keys)


def message_partition(resource: str, not_before: Instant, not_after: Instant) -> Partition:
    """Return the partition of a message for a namespace's readers (wave.md 10.2).

    Raises:
        InvalidParameterError: the period ends before it begins, or is longer than three years.
        InvalidE2EEGrantError: the resource breaks a rule.
    """
    if not_after < not_before or not_after - not_before > THREE_YEARS_NS:
        raise InvalidParameterError("valid range cannot exceed roughly 3 years")
    return wr1_partition(e2ee_prefix(resource, is_message=True), not_before, not_after)


def composed_message(content_key: bytes, content: bytes, keys: Iterable[bytes]) -> bytes:
    """Return the message; `keys` are complete elements that lead to `content_key`."""
    value = der.sequence(
        der.octets(seal(content_key, content)), der.sequence(*keys), der.sequence()
    )
    return der.external(MESSAGE_KIND, value)


def seal_for_namespace(
    namespace: Entity,
    location: Location,
    partition: Partition,
    content_key: bytes,
    envelope_key: bytes | None = None,
) -> bytes:
    """Return the SEQUENCE by which a namespace's readers get a content key (wave.md 10.1, 11.1).

    Args:
        namespace: whose systems are used.
        location: where its entity is stored.
        partition: twenty slots; a reader needs a key that matches them.
        content_key: 28 bytes.
        envelope_key: 28 random bytes; fresh ones if None.
    """
    envelope_key = envelope_key or secrets.token_bytes(SEALED_KEY_BYTES)
    envelope = der.sequence(
        der.sequence(*(der.octets(slot) for slot in partition)),
        der.octets(wkdibe.encrypt(namespace.oaque_params, partition, content_key)),
    )
    identity = namespace.hash.to_text().encode()
    return der.sequence(
        der.octets(seal(envelope_key, envelope)),
        der.octets(lqibe.encrypt(namespace.ibe_params, identity, envelope_key)),
        namespace.hash.to_der(),
        location.to_der(),
    )


@dataclass(frozen=True, slots=True)
class ReaderKeys:
    """What a reader holds of one namespace's systems.

    Args:
        namespace: the entity.
        label_keys: to try.
        content_keys: given the partition, those to try.
    """

    namespace: Entity
    label_keys: Iterable[LabelKey]
    content_keys: Callable[[Partition], Iterable[ContentKey]]


def decrypt_message(
    data: bytes, reader: EntitySecret, held: Callable[[Hash], ReaderKeys | None]
) -> bytes:
    """Return the content.

    Args:
        data: the message.
        reader: who reads.
        held: returns what the reader holds of a namespace, or None.

    Raises:
        InvalidParameterError: the message is malformed.
        MalformedObjectError: a key opened, but what it leads to is unsound.
        MessageDecryptError: the reader has no key for it.
    """
    message = EncryptedMessage.from_bytes(data)
    for key in message.keys:
        content_key: bytes | None = None
        if isinstance(key, bytes):
            content_key = _open_direct(key, reader)
        elif (found := namespace_content_key(key, reader, held)) is not None:
            _, content_key = found
        if content_key is None:
            continue
        return open_contents(message, content_key)
    raise MessageDecryptError("could not decrypt message")


def open_contents(message: EncryptedMessage, content_key: bytes) -> bytes:
    """Return the content with the key that one of the message's keys held.

    Raises:
        MalformedObjectError: it is not the content's key.
    """
    if len(content_key) != SEALED_KEY_BYTES or len(message.contents) < TAG_BYTES:
        raise MalformedObjectError("ciphertext is not correctly constructed")
    try:
        return open_sealed(content_key, message.contents)
    except MessageDecryptError as error:
        raise MalformedObjectError("ciphertext is not correctly constructed") from error


def _open_direct(key: bytes, reader: EntitySecret) -> bytes | None:
    try:
        return exchange.direct_decrypt(reader.direct_secret, key)
    except MessageDecryptError:
        return None


def namespace_content_key(
    key: NamespaceKey, reader: EntitySecret, held: Callable[[Hash], ReaderKeys | None]
) -> tuple[Partition, bytes] | None:
    """Return the partition of a namespace's key and the content key, or None without a way to it.

    Args:
        key: as it stands in a message or a name declaration.
        reader: whose master keys are used, where it is the namespace itself.
        held: returns what the reader holds of a namespace, or None.

    Raises:
        MalformedObjectError: a key opened the envelope, but what is in it is unsound.
    """
    envelope_key = namespace_envelope_key(key, reader, held)
    if envelope_key is None:
        return None
    envelope = read_namespace_envelope(key, envelope_key)
    content_key = envelope.content_key(key.namespace, reader, held)
    return None if content_key is None else (envelope.partition, content_key)


def namespace_envelope_key(
    key: NamespaceKey, reader: EntitySecret, held: Callable[[Hash], ReaderKeys | None]
) -> bytes | None:
    """Return the key of the envelope, or None without a label key for it; as above."""
    labels: Iterable[LabelKey]
    if key.namespace == reader.entity.hash:
        identity = key.namespace.to_text().encode()
        labels = (LabelKey.extract(reader.entity.ibe_params_bytes, reader.ibe_master, identity),)
    else:
        keys = held(key.namespace)
        labels = () if keys is None else keys.label_keys
    return _first(_attempt(label.open, key.envelope_key) for label in islice(labels, ATTEMPTS_MAX))


@dataclass(frozen=True, slots=True)
class NamespaceEnvelope:
    """A readable envelope of a namespace's key.

    Args:
        partition: which keys open the content key.
        message: the content key under the namespace's attribute-based system.
    """

    partition: Partition
    message: bytes

    def content_key(
        self,
        namespace: Hash,
        reader: EntitySecret,
        held: Callable[[Hash], ReaderKeys | None],
    ) -> bytes | None:
        """Return the content key, or None where no key of the namespace's system opens it."""
        if namespace == reader.entity.hash:
            params = reader.entity.oaque_params
            return _attempt(
                wkdibe.decrypt, reader.oaque_master, params, self.partition, self.message
            )
        keys = held(namespace)
        if keys is None:
            return None
        params = keys.namespace.oaque_params
        offered = keys.content_keys(self.partition)
        fitting = (one for one in offered if matches(one.pattern, self.partition))
        return _first(
            _attempt(one.open, params, self.partition, self.message)
            for one in islice(fitting, ATTEMPTS_MAX)
        )


def read_namespace_envelope(key: NamespaceKey, envelope_key: bytes) -> NamespaceEnvelope:
    """Return what the envelope says; note the order of fields (wave.md 10.1).

    Raises:
        MalformedObjectError: the key does not open it, or what is in it is unsound.
    """
    try:
        reader = der.Reader(open_sealed(envelope_key, key.envelope))
        inner = reader.sequence()
        reader.finish()
        listed = inner.sequence()
        slots = []
        while not listed.is_at_end:
            slots.append(listed.octets())
        message = inner.octets()
        inner.finish()
        return NamespaceEnvelope(check_partition(slots), message)
    except WaveMQError as error:
        raise MalformedObjectError("ciphertext is not correctly constructed") from error


def _first(found: Iterable[bytes | None]) -> bytes | None:
    return next((one for one in found if one is not None), None)


def _attempt(opening: Callable[P, bytes], *args: P.args, **kwargs: P.kwargs) -> bytes | None:
    """Return what `opening` gives, or None where the key does not fit."""
    try:
        return opening(*args, **kwargs)
    except (MessageDecryptError, ObjectError):
        return None
