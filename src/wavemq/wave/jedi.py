"""JEDI: encryption by topic and hour under a namespace's WKD-IBE system (crypto.md 6).

Owns how topics and times become patterns, which patterns a grant hands on, and the format of
messages. Refuses to know who holds which keys, and remembers nothing. Fault model: nothing here is
authenticated: a changed ciphertext decrypts to noise, so a message's signature must be checked
first. A key from a stranger may be no key at all, which `unlock` finds out before it is believed.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

from wavemq.clock import NANOSECONDS_PER_SECOND
from wavemq.crypto import wkdibe
from wavemq.crypto.symmetric import CTR_BLOCK_BYTES, CTR_KEY_BYTES, count
from wavemq.errors import InvalidJEDIGrantError, MessageDecryptError
from wavemq.wave.bundle import ContentKey
from wavemq.wave.jedi_time import TIME_COMPONENTS, time_components, time_of, time_prefixes
from wavemq.wave.partition import SLOTS, URI_SLOTS_MAX, Partition
from wavemq.wave.validity import Validity

DECRYPT: Final = "decrypt"
SIGN: Final = "sign"
DECRYPT_TAG: Final = b"\x00jedi:decrypt"
SIGN_TAG: Final = b"\x00jedi:sign"
ENCRYPTED_KEY_BYTES: Final = wkdibe.CIPHERTEXT_BYTES
ENCRYPTED_KEY_SCHEMA: Final = "jedi:encryptedKey"
ENCRYPTED_MESSAGE_SCHEMA: Final = "jedi:encryptedMessage"
COMPONENTS_MAX: Final = SLOTS - 1 - TIME_COMPONENTS
"""Components of a topic, its terminator included; a grant has room for eleven."""
_TERMINATOR: Final = b"$"


def uri_components(uri: str) -> tuple[bytes, ...]:
    """Return the components of a topic or topic filter; `b""` stands for any level.

    Raises:
        InvalidJEDIGrantError: `*` is not the last level, a level is `$`, there are too many
            levels, or the text is not Unicode.
    """
    parts = [part for part in uri.split("/") if part]
    if "*" in parts[:-1]:
        raise InvalidJEDIGrantError("a JEDI resource may only have a * as the last element")
    is_prefix = parts[-1:] == ["*"]
    levels = parts[:-1] if is_prefix else parts
    if len(levels) + (not is_prefix) > COMPONENTS_MAX:
        raise InvalidJEDIGrantError(
            f"a JEDI resource has at most {COMPONENTS_MAX} components, its end included"
        )
    components = [
        b"" if level == "+" else bytes((position,)) + _level(level)
        for position, level in enumerate(levels)
    ]
    if not is_prefix:
        components.append(bytes((len(levels),)) + _TERMINATOR)
    return tuple(components)


def _level(level: str) -> bytes:
    try:
        encoded = level.encode()
    except UnicodeEncodeError as error:
        raise InvalidJEDIGrantError("a JEDI resource is not Unicode text") from error
    if encoded == _TERMINATOR:
        raise InvalidJEDIGrantError("a JEDI resource may not have an element that is '$' alone")
    return encoded


def pattern(tag: bytes, components: Sequence[bytes], times: Sequence[bytes]) -> Partition:
    """Return the twenty slots: a tag, up to thirteen components, and six of time."""
    free = (b"",) * (COMPONENTS_MAX - len(components))
    return (tag, *components, *free, *times)


def message_pattern(uri: str, at_s: int) -> Partition:
    """Return the pattern under which a message on `uri` is encrypted at an instant.

    Raises:
        InvalidJEDIGrantError: topic or time are beyond what JEDI can express.
    """
    return pattern(DECRYPT_TAG, uri_components(uri), time_components(time_of(at_s)))


# --- grants -----------------------------------------------------------------------------------


def grant_components(uri: str) -> tuple[bytes, ...]:
    """Return the components of a grant's resource, which also become its visibility.

    Raises:
        InvalidJEDIGrantError: the resource breaks a rule, or is longer than a grant may name.
    """
    components = uri_components(uri)
    if len(components) > URI_SLOTS_MAX:
        raise InvalidJEDIGrantError(
            f"a JEDI grant has at most {URI_SLOTS_MAX} components, the end of its resource included"
        )
    return components


def grant_patterns(
    components: Sequence[bytes], permissions: Collection[str], validity: Validity
) -> list[Partition]:
    """Return the patterns whose keys a grant hands on, in the original's order (crypto.md 6.5).

    Args:
        components: of its resource.
        permissions: from `decrypt` and `sign`.
        validity: its period; the hours of both ends are covered whole.

    Raises:
        InvalidJEDIGrantError: the period is not within the years that JEDI knows.
    """
    tags = [tag for name, tag in ((DECRYPT, DECRYPT_TAG), (SIGN, SIGN_TAG)) if name in permissions]
    prefixes = time_prefixes(
        validity.not_before // NANOSECONDS_PER_SECOND, validity.not_after // NANOSECONDS_PER_SECOND
    )
    return [
        pattern(tag, components, time_components(prefix))
        for index, prefix in enumerate(prefixes)
        for tag in (tags[::-1] if index % 2 else tags)
    ]


# --- messages ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MessageKey:
    """What one topic's messages of one hour are encrypted with.

    Args:
        secret: 16 bytes.
        encrypted: the same for holders of a fitting key, 720 bytes.
    """

    secret: bytes = field(repr=False)
    encrypted: bytes


def new_message_key(params: wkdibe.Params, wanted: Partition) -> MessageKey:
    """Return a fresh key for readers whose own key matches `wanted`.

    Raises:
        MalformedObjectError: the parameters are unsound.
    """
    secret, encrypted = wkdibe.encapsulate(params, wanted, CTR_KEY_BYTES)
    return MessageKey(secret, encrypted)


def seal_with(key: bytes, content: bytes) -> bytes:
    """Return a fresh counter block (16 bytes) and the content encrypted from it on."""
    block = secrets.token_bytes(CTR_BLOCK_BYTES)
    return block + count(key, block, content)


def open_with(key: bytes, sealed: bytes) -> bytes:
    """Return the content; noise where key or ciphertext are wrong.

    Raises:
        MessageDecryptError: it is too short.
    """
    if len(sealed) < CTR_BLOCK_BYTES:
        raise MessageDecryptError("could not decrypt JEDI message (it is too short)")
    return count(key, sealed[:CTR_BLOCK_BYTES], sealed[CTR_BLOCK_BYTES:])


def unlock_with_master(
    params: wkdibe.Params, master: wkdibe.MasterKey, wanted: Partition, encrypted: bytes
) -> bytes:
    """Return the secret of a message key, as the namespace itself.

    Raises:
        MessageDecryptError: the bytes are no ciphertext.
    """
    return wkdibe.decapsulate(master, params, wanted, encrypted, CTR_KEY_BYTES)


def unlock(params: wkdibe.Params, held: ContentKey, wanted: Partition, encrypted: bytes) -> bytes:
    """Return the secret of a message key with a key that matches `wanted`.

    A key that is not what it claims would yield noise, so it first opens a key of our own.

    Raises:
        MessageDecryptError: the held key does not fit, or the bytes are no ciphertext.
        MalformedObjectError: the held key or the parameters are unsound.
    """
    holder = wkdibe.SecretKey(held.secret)
    secret = wkdibe.decapsulate(holder, params, wanted, encrypted, CTR_KEY_BYTES)
    trial = new_message_key(params, wanted)
    opened = wkdibe.decapsulate(holder, params, wanted, trial.encrypted, CTR_KEY_BYTES)
    if not secrets.compare_digest(opened, trial.secret):
        raise MessageDecryptError("could not decrypt JEDI message (the key does not fit)")
    return secret
