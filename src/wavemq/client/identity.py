"""Who the caller is, and which namespace it talks about.

Owns reading an entity secret and a namespace from what the caller gave (bytes, path or text), and
checks them before anything is sent. Refuses to resolve WAVE names: that takes the perspective
graph. Fault model: any file content; what is not an entity secret is refused with a sentence that
says so.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from wavemq.errors import (
    InvalidMultihashError,
    InvalidParameterError,
    ObjectError,
    UnexpectedObjectError,
)
from wavemq.limits import ENTITY_BYTES_MAX
from wavemq.wave.entity import parse_entity
from wavemq.wave.hashes import Hash
from wavemq.wave.keyring import EntitySecret
from wavemq.wire import mqpb_pb2 as mqpb

HASH_BYTES: Final = 34

EntitySource = str | os.PathLike[str] | bytes
NamespaceSource = Hash | str | os.PathLike[str] | bytes


@dataclass(frozen=True, slots=True)
class Identity:
    """The caller's entity, ready to be handed to the router with each request.

    Args:
        entity: hash of the entity.
        secret: the secret's bytes as given (DER or PEM); never shown.
        passphrase: what opens them, or empty; never shown.
    """

    entity: Hash
    secret: bytes = field(repr=False)
    passphrase: bytes = field(repr=False)

    def to_perspective(self) -> mqpb.Perspective:
        """Return the request field; the location is left to the router's default."""
        return mqpb.Perspective(
            entitySecret=mqpb.EntitySecret(DER=self.secret, passphrase=self.passphrase)
        )


def load_identity(entity: EntitySource, passphrase: str | bytes | None) -> Identity:
    """Read and open an entity secret.

    Args:
        entity: path of a secrets file, or its content, DER or PEM.
        passphrase: needed when the secret is protected.

    Raises:
        InvalidParameterError: the file cannot be read, or is larger than any secret.
        UnexpectedObjectError: it holds something else, such as a public entity or a proof.
        PassphraseRequiredError: it is protected and no passphrase was given.
        KeyringDecryptError: the passphrase is wrong.
        ObjectError: it is damaged.
    """
    content, name = _read(entity, "entity")
    phrase = passphrase.encode() if isinstance(passphrase, str) else passphrase
    try:
        opened = EntitySecret.from_bytes(content, phrase)
    except ObjectError as error:
        raise UnexpectedObjectError(
            f"{name} is not an entity secret, as `wv mkentity` writes", cause=error
        ) from error
    return Identity(entity=opened.entity.hash, secret=content, passphrase=phrase or b"")


def load_namespace(namespace: NamespaceSource) -> Hash:
    """Return the hash of a namespace.

    Args:
        namespace: a `Hash`; its 34 bytes or 48-character text; or the path or content of a file
            with the namespace's entity, public or secret (a secret is only hashed, never sent).

    Raises:
        InvalidParameterError: it is none of these.
    """
    if isinstance(namespace, Hash):
        return namespace
    if isinstance(namespace, str) and not Path(namespace).exists():
        try:
            return Hash.from_text(namespace)
        except InvalidMultihashError as error:
            raise InvalidParameterError(
                f"namespace {namespace!r} is neither a file nor a hash of 48 characters"
            ) from error
    content, name = _read(namespace, "namespace")
    try:
        return (
            Hash.from_bytes(content) if len(content) == HASH_BYTES else parse_entity(content).hash
        )
    except (InvalidMultihashError, ObjectError) as error:
        raise InvalidParameterError(
            f"{name} holds neither an entity nor a hash", cause=error
        ) from error


def _read(source: str | os.PathLike[str] | bytes, what: str) -> tuple[bytes, str]:
    """Return the content and a name for messages; the content itself is never in a message."""
    if isinstance(source, bytes):
        content, name = source, f"the {what} given as bytes"
    else:
        path = Path(source)
        name = f"{what} file {str(path)!r}"
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InvalidParameterError(f"{name} cannot be read: {error.strerror}") from error
    if len(content) > ENTITY_BYTES_MAX:
        raise InvalidParameterError(
            f"{name} has {len(content)} bytes; the limit is {ENTITY_BYTES_MAX}"
        )
    return content, name
