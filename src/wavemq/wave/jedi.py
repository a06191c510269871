"""JEDI: encryption by topic and hour (crypto.md 6).

Owns the mapping from URIs and hours to the twenty slots of a pattern, the two payload parts of a
message, and the patterns that a grant hands on. Refuses to know which keys anybody holds and when
symmetric keys are used again. A message carries no authentication of its own: the router's message
signature must hold before anything is decrypted.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from wavemq.clock import Instant
from wavemq.crypto import wkdibe
from wavemq.errors import InvalidJEDIGrantError, InvalidParameterError, MessageDecryptError
from wavemq.wave.hashes import JEDI_PERMISSION_SET
from wavemq.wave.jedi_time import TIME_COMPONENTS, hour_of, time_components, time_prefixes
from wavemq.wave.partition import SLOTS, URI_SLOTS_MAX, Partition, check_partition
from wavemq.wave.policy import RTreePolicy

DECRYPT_TAG: Final = b"\x00jedi:decrypt"
SIGN_TAG: Final = b"\x00jedi:sign"
PERMISSION_DECRYPT: Final = "decrypt"
PERMISSION_SIGN: Final = "sign"
_TAGS: Final = {PERMISSION_DECRYPT: DECRYPT_TAG, PERMISSION_SIGN: SIGN_TAG}
MESSAGE_URI_SLOTS: Final = SLOTS - 1 - TIME_COMPONENTS
"""Components of a message's URI, its terminator included: thirteen."""
KEY_SCHEMA: Final = "jedi:encryptedKey"
MESSAGE_SCHEMA: Final = "jedi:encryptedMessage"
KEY_CIPHERTEXT_BYTES: Final = wkdibe.CIPHERTEXT_BYTES
KEY_BYTES: Final = 16
IV_BYTES: Final = 16
_TERMINATOR: Final = b"$"


@dataclass(frozen=True, slots=True)
class JEDIKey:
    """A symmetric key, and the ciphertext that hands it to readers.

    Attributes:
        key: AES-128.
        ciphertext: 720 bytes, for one pattern.
    """

    key: bytes = field(repr=False)
    ciphertext: bytes


def uri_components(uri: str) -> tuple[bytes, ...]:
    """Return the components of a URI (crypto.md 6.1); `b""` where it has a `+`.

    Raises:
        InvalidJEDIGrantError: the URI breaks a rule.
    """
    parts = [part for part in uri.split("/") if part]
    components: list[bytes] = []
    for place, part in enumerate(parts):
        if part == "*":
            if place != len(parts) - 1:
                raise InvalidJEDIGrantError("a JEDI resource may only have a * as the last element")
            return tuple(components)
        if part == "$":
            raise InvalidJEDIGrantError("a JEDI resource may not have the element $")
        components.append(b"" if part == "+" else _placed(place, part))
    components.append(_placed(len(parts), _TERMINATOR.decode()))
    return tuple(components)


def _placed(place: int, part: str) -> bytes:
    if place > 0xFF:
        raise InvalidJEDIGrantError("a JEDI resource has too many elements")
    try:
        return bytes((place,)) + part.encode()
    except UnicodeEncodeError as error:
        raise InvalidJEDIGrantError("a JEDI resource is not valid text") from error


def grant_components(resource: str) -> tuple[bytes, ...]:
    """Return the components of a grant's resource, which are its visibility URI too (6.5).

    Raises:
        InvalidJEDIGrantError: the resource breaks a rule, or has more than eleven components.
    """
    components = uri_components(resource)
    if len(components) > URI_SLOTS_MAX:
        raise InvalidJEDIGrantError(
            f"a JEDI resource has at most {URI_SLOTS_MAX} components with its end, "
            f"not {len(components)}"
        )
    return components


def pattern(tag: bytes, components: Sequence[bytes], times: Sequence[bytes]) -> Partition:
    """Return the twenty slots (crypto.md 6.3): the tag, up to 13 components, six of the time.

    Raises:
        InvalidJEDIGrantError: there are more components.
    """
    if len(components) > MESSAGE_URI_SLOTS:
        raise InvalidJEDIGrantError(
            f"JEDI knows {MESSAGE_URI_SLOTS} components of a URI with its end, "
            f"not {len(components)}"
        )
    missing = MESSAGE_URI_SLOTS - len(components)
    return check_partition((tag, *components, *(b"",) * missing, *times))


def message_pattern(uri: str, at: Instant) -> Partition:
    """Return the pattern of a message on a topic in the hour of an instant.

    Raises:
        InvalidParameterError: the topic has a wildcard or too many levels, or the time is outside
            the years that JEDI knows.
    """
    try:
        components = uri_components(uri)
        if not components or b"" in components or components[-1][1:] != _TERMINATOR:
            raise InvalidParameterError("a message encrypted with JEDI needs a topic, no pattern")
        return pattern(DECRYPT_TAG, components, time_components(hour_of(at)))
    except InvalidJEDIGrantError as error:
        raise InvalidParameterError(
            f"the topic cannot be used with JEDI: {error.reason}"
        ) from error


def grant_patterns(
    permissions: Sequence[str], components: Sequence[bytes], not_before: Instant, not_after: Instant
) -> list[Partition]:
    """Return the patterns whose keys a grant hands on, in the original's order (crypto.md 6.5).

    Args:
        permissions: `decrypt`, `sign` or both.
        components: of the resource, as from `grant_components`.
        not_before: first instant of the grant.
        not_after: last instant.

    Raises:
        InvalidJEDIGrantError: the period is not one that JEDI knows.
    """
    tags = [_TAGS[one] for one in (PERMISSION_DECRYPT, PERMISSION_SIGN) if one in permissions]
    found = []
    for index, prefix in enumerate(time_prefixes(not_before, not_after)):
        ordered = tags if index % 2 == 0 else tags[::-1]
        found += [pattern(tag, components, time_components(prefix)) for tag in ordered]
    return found


def grants_jedi(policy: RTreePolicy) -> bool:
    """Whether a policy hands on JEDI keys."""
    return any(one.permission_set == JEDI_PERMISSION_SET for one in policy.statements)


def jedi_grant(policy: RTreePolicy) -> tuple[tuple[str, ...], tuple[bytes, ...]]:
    """Return permissions and components of a JEDI grant after the checks of wave.md 6.4.

    Raises:
        InvalidJEDIGrantError: one fails.
    """
    if len(policy.statements) != 1:
        raise InvalidJEDIGrantError("a JEDI grant can only have one statement")
    statement = policy.statements[0]
    permissions = statement.permissions
    if not permissions:
        raise InvalidJEDIGrantError("a JEDI grant must have at least one permission")
    if len(set(permissions)) != len(permissions):
        raise InvalidJEDIGrantError("a JEDI grant names a permission twice")
    for permission in permissions:
        if permission not in _TAGS:
            raise InvalidJEDIGrantError("the only valid JEDI permissions are 'decrypt' and 'sign'")
    return permissions, grant_components(statement.resource)


# --- messages ----------------------------------------------------------------------------------


def new_key(params: wkdibe.Params, wanted: Partition) -> JEDIKey:
    """Return a fresh symmetric key for the holders of keys that match a pattern.

    Raises:
        MalformedObjectError: the parameters are unsound.
    """
    key, ciphertext = wkdibe.encapsulate(params, wanted, KEY_BYTES)
    return JEDIKey(key, ciphertext)


def seal_content(key: JEDIKey, content: bytes) -> bytes:
    """Return IV and AES-128-CTR ciphertext of a content; the IV is fresh each time."""
    iv = secrets.token_bytes(IV_BYTES)
    return iv + _counter_mode(key.key, iv, content)


def open_key(
    holder: wkdibe.MasterKey | wkdibe.SecretKey,
    params: wkdibe.Params,
    wanted: Partition,
    ciphertext: bytes,
) -> bytes:
    """Return the symmetric key of a message; a wrong holder gives a wrong key, unnoticed.

    Raises:
        MessageDecryptError: the ciphertext is unsound.
    """
    if len(ciphertext) != KEY_CIPHERTEXT_BYTES:
        raise MessageDecryptError("could not decrypt: wrong length")
    return wkdibe.decapsulate(holder, params, wanted, ciphertext, KEY_BYTES)


def open_content(key: bytes, sealed: bytes) -> bytes:
    """Return the content of IV and ciphertext.

    Raises:
        MessageDecryptError: it is too short to have an IV.
    """
    if len(sealed) < IV_BYTES:
        raise MessageDecryptError("could not decrypt: wrong length")
    return _counter_mode(key, sealed[:IV_BYTES], sealed[IV_BYTES:])


def _counter_mode(key: bytes, iv: bytes, content: bytes) -> bytes:
    stream = Cipher(algorithms.AES128(key), modes.CTR(iv)).encryptor()
    return stream.update(content) + stream.finalize()
