"""End-to-end encrypted messages for namespaces, many at a time (wave.md 10).

Owns the short way: what `encrypted` does for one message, with the pairing work of all done
together. Refuses to know where messages come from. Fault model: as there. What the most credible
keys do not open is left to the long way, which tries all that are held; so nothing is readable by
one way and not by the other.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from wavemq.crypto import lqibe, wkdibe
from wavemq.crypto.encapsulation import (
    Opener,
    Openers,
    Target,
    decapsulate_many,
    encapsulate_many,
    identity_target,
    pattern_target,
)
from wavemq.crypto.symmetric import SEALED_KEY_BYTES, open_sealed, seal
from wavemq.errors import MessageDecryptError, ObjectError, WaveMQError
from wavemq.wave import der
from wavemq.wave.encrypted import (
    WR1,
    EncryptedMessage,
    NamespaceEnvelope,
    NamespaceKey,
    ReaderKeys,
    composed_message,
    open_contents,
    read_namespace_envelope,
)
from wavemq.wave.entity import Entity
from wavemq.wave.hashes import Hash
from wavemq.wave.keyring import EntitySecret
from wavemq.wave.location import Location
from wavemq.wave.partition import Partition, matches

_REMEMBERED_MAX: Final = 256
"""Encoded partitions and places of namespaces in memory; each takes about 1 KiB."""
_ATTRIBUTE_PREFIX: Final = wkdibe.CIPHERTEXT_BYTES.to_bytes(2, "big")
_IDENTITY_PREFIX: Final = lqibe.CIPHERTEXT_BYTES.to_bytes(2, "big")

Held = Callable[[Hash], ReaderKeys | None]


@dataclass(frozen=True, slots=True)
class Sealing:
    """A content to encrypt to the readers of a namespace.

    Args:
        content: at least one byte.
        namespace: whose systems are used.
        location: where its entity is stored.
        partition: as from `message_partition`.
    """

    content: bytes = field(repr=False)
    namespace: Entity
    location: Location
    partition: Partition


def encrypt_messages(sealings: Sequence[Sealing]) -> list[bytes | WaveMQError]:
    """Return for each a message under keys of its own, or what is wrong with it."""
    results: list[bytes | WaveMQError] = []
    targets: list[Target] = []
    for one in sealings:
        try:
            pattern = pattern_target(one.namespace.oaque_params, one.partition)
            identity = identity_target(one.namespace.ibe_params, _identity(one.namespace.hash))
        except WaveMQError as error:
            results.append(error)
        else:
            targets += (pattern, identity)
            results.append(b"")
    made = iter(encapsulate_many(targets, SEALED_KEY_BYTES))
    return [
        result if isinstance(result, WaveMQError) else _sealed(one, next(made), next(made))
        for one, result in zip(sealings, results, strict=True)
    ]


def _sealed(one: Sealing, pattern: tuple[bytes, bytes], identity: tuple[bytes, bytes]) -> bytes:
    content_key = secrets.token_bytes(SEALED_KEY_BYTES)
    envelope_key = secrets.token_bytes(SEALED_KEY_BYTES)
    key, ciphertext = pattern
    envelope = der.sequence(
        _partition_element(one.partition),
        der.octets(_ATTRIBUTE_PREFIX + ciphertext + seal(key, content_key)),
    )
    key, ciphertext = identity
    value = der.sequence(
        der.octets(seal(envelope_key, envelope)),
        der.octets(_IDENTITY_PREFIX + ciphertext + seal(key, envelope_key)),
        _place_elements(one.namespace.hash, one.location),
    )
    return composed_message(content_key, one.content, (der.external(WR1, value),))


@lru_cache(maxsize=_REMEMBERED_MAX)
def _identity(namespace: Hash) -> bytes:
    return namespace.to_text().encode()


@lru_cache(maxsize=_REMEMBERED_MAX)
def _partition_element(partition: Partition) -> bytes:
    return der.sequence(*(der.octets(slot) for slot in partition))


@lru_cache(maxsize=_REMEMBERED_MAX)
def _place_elements(namespace: Hash, location: Location) -> bytes:
    return namespace.to_der() + location.to_der()


@dataclass(frozen=True, slots=True)
class Opening:
    """A message to decrypt.

    Args:
        data: the message.
        reader: who reads.
        held: returns what the reader holds of a namespace, or None.
    """

    data: bytes = field(repr=False)
    reader: EntitySecret = field(repr=False)
    held: Held = field(repr=False)


@dataclass(slots=True)
class _Opened:
    """How far a message has been opened."""

    place: int
    opening: Opening
    message: EncryptedMessage
    key: NamespaceKey
    envelope: NamespaceEnvelope | None = None


def decrypt_messages(
    openings: Sequence[Opening], openers: Openers
) -> list[bytes | WaveMQError | None]:
    """Return the content of each message, or what is wrong with it.

    None where the most credible keys that are held do not open it: `decrypt_message` tries all.
    """
    results: list[bytes | WaveMQError | None] = [None] * len(openings)
    begun = []
    for place, opening in enumerate(openings):
        try:
            message = EncryptedMessage.from_bytes(opening.data)
        except WaveMQError as error:
            results[place] = error
            continue
        key = message.keys[0] if message.keys else None
        if isinstance(key, NamespaceKey):
            begun.append(_Opened(place, opening, message, key))
    labelled = _unwrapped(
        [(one, _label_opener(one, openers), one.key.envelope_key) for one in begun],
        _IDENTITY_PREFIX,
    )
    found = []
    for one, envelope_key in labelled:
        try:
            one.envelope = read_namespace_envelope(one.key, envelope_key)
            found.append(one)
        except WaveMQError as error:
            results[one.place] = error
    for one, content_key in _unwrapped(
        [
            (one, _content_opener(one, one.envelope.partition, openers), one.envelope.message)
            for one in found
            if one.envelope is not None
        ],
        _ATTRIBUTE_PREFIX,
    ):
        try:
            results[one.place] = open_contents(one.message, content_key)
        except WaveMQError as error:
            results[one.place] = error
    return results


def _unwrapped(
    wrapped: Sequence[tuple[_Opened, Opener | None, bytes]], prefix: bytes
) -> list[tuple[_Opened, bytes]]:
    """Return the keys that messages in either system hold, of those that open."""
    size = len(prefix) + int.from_bytes(prefix, "big")
    fitting = [
        (one, opener, data)
        for one, opener, data in wrapped
        if opener is not None and len(data) > size and data.startswith(prefix)
    ]
    keys = decapsulate_many(
        [(opener, data[len(prefix) : size]) for _, opener, data in fitting], SEALED_KEY_BYTES
    )
    unwrapped = []
    for (one, _, data), key in zip(fitting, keys, strict=True):
        if key is None:
            continue
        try:
            unwrapped.append((one, open_sealed(key, data[size:])))
        except MessageDecryptError:
            continue  # another key may open it, by the long way
    return unwrapped


def _label_opener(one: _Opened, openers: Openers) -> Opener | None:
    reader, namespace = one.opening.reader, one.key.namespace
    try:
        if namespace == reader.entity.hash:
            return openers.of_identity_master(reader.ibe_master, _identity(namespace))
        keys = one.opening.held(namespace)
        label = next(iter(keys.label_keys), None) if keys is not None else None
        return None if label is None else openers.of_identity(label.secret, label.identity_point)
    except ObjectError:
        return None  # somebody's useless key


def _content_opener(one: _Opened, partition: Partition, openers: Openers) -> Opener | None:
    reader, namespace = one.opening.reader, one.key.namespace
    try:
        if namespace == reader.entity.hash:
            return openers.of_pattern_master(reader.oaque_master)
        keys = one.opening.held(namespace)
        if keys is None:
            return None
        fitting = (key for key in keys.content_keys(partition) if matches(key.pattern, partition))
        first = next(fitting, None)
        return None if first is None else openers.of_pattern(first.secret, partition)
    except ObjectError:
        return None  # somebody's useless key
