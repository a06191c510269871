"""Name declarations: an attester's word that a name stands for an entity (wave.md 11).

Owns the format, creation, and the ways to read one with given keys. Refuses to know which keys a
perspective holds and how names are resolved. A declaration that decodes has canonical bytes;
whether the attester signed it is checked with `check_name_signature`.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from wavemq.crypto.hashing import keccak256
from wavemq.crypto.signing import verify
from wavemq.crypto.symmetric import SEALED_KEY_BYTES, open_sealed, seal
from wavemq.errors import (
    InvalidParameterError,
    InvalidSignatureError,
    MalformedDERError,
    MalformedObjectError,
    MessageDecryptError,
    UnexpectedObjectError,
)
from wavemq.limits import OBJECT_BYTES_MAX
from wavemq.wave import der
from wavemq.wave.encrypted import (
    NamespaceKey,
    ReaderKeys,
    namespace_envelope_key,
    read_namespace_envelope,
    seal_for_namespace,
)
from wavemq.wave.entity import Entity
from wavemq.wave.hashes import Hash
from wavemq.wave.keyring import EntitySecret
from wavemq.wave.location import Location
from wavemq.wave.partition import PREFIX_SLOTS, Partition, wr1_partition
from wavemq.wave.pem import decode_pem_or_der
from wavemq.wave.revocation import RevocationOption, option_of_blob, read_options
from wavemq.wave.validity import Validity

NAME_DECLARATION_KIND: Final = (2, 6)
PRIVATE_PARTITION: Final = (b"privatenamedeclarations",)
"""Where an attester declares names that only it can read, in its own namespace (wave.md 11.2)."""
_WR1: Final = (17, 1)
_PLAIN: Final = (17, 2)
_REVOCATIONS: Final = 2
"""The place of the revocations in the signed part."""
_NAME: Final = re.compile(r"[a-z0-9_-]{1,63}")
ENVELOPE_KEY_BYTES: Final = SEALED_KEY_BYTES
NAME_KEY_BYTES: Final = ENVELOPE_KEY_BYTES + SEALED_KEY_BYTES
NAME_PARTS_MAX: Final = 32
"""Parts of one full name."""


@dataclass(frozen=True, slots=True)
class NameBody:
    """What a declaration says, once it can be read.

    Attributes:
        name: one part of a name.
        subject: what it stands for.
        subject_location: where that is stored.
        validity: from when to when.
    """

    name: str
    subject: Hash
    subject_location: Location
    validity: Validity

    def to_der(self) -> bytes:
        """Return the plaintext of the body, without extensions."""
        return der.sequence(
            der.text(self.name),
            self.subject.to_der(),
            self.subject_location.to_der(),
            self.validity.to_der(),
            der.sequence(),
        )

    @classmethod
    def from_bytes(cls, plaintext: bytes) -> NameBody:
        """Decode the plaintext.

        Raises:
            MalformedDERError: it is no canonical body.
            MalformedObjectError: the name breaks the rule of names.
        """
        reader = der.Reader(plaintext)
        inner = reader.sequence()
        reader.finish()
        name = inner.text()
        subject, location = Hash.read(inner), Location.read(inner)
        validity = Validity.read(inner)
        inner.element(der.SEQUENCE)  # extensions: never interpreted
        inner.finish()
        if not is_name(name):
            raise MalformedObjectError("a declared name has characters that no name may have")
        return cls(name, subject, location, validity)


@dataclass(frozen=True)
class NameDeclaration:
    """A decoded declaration; nothing about it has been verified yet.

    Attributes:
        wire: the wire object.
        attester: whose word it is.
        attester_location: where the attester is stored.
        revocations: how it could be revoked.
        content: the body, as it is or sealed.
        key: for the readers of a sealed body; None for a public one.
        tbs: the bytes under the signature.
        signature: by the attester, over `tbs`.
    """

    wire: bytes
    attester: Hash
    attester_location: Location
    revocations: tuple[RevocationOption, ...]
    content: bytes = field(repr=False)
    key: NamespaceKey | None
    tbs: bytes = field(repr=False)
    signature: bytes = field(repr=False)

    @classmethod
    def from_bytes(cls, data: bytes) -> NameDeclaration:
        """Decode a wire object, DER or PEM.

        Raises:
            MalformedDERError: it is no canonical DER.
            UnexpectedObjectError: it is another object.
            MalformedObjectError: it has no key, or keys of several kinds.
            UnsupportedHashSchemeError, UnsupportedLocationSchemeError: as named.
        """
        wire = decode_pem_or_der(data)
        if len(wire) > OBJECT_BYTES_MAX:
            raise MalformedDERError(f"a name declaration has at most {OBJECT_BYTES_MAX} bytes")
        outer = der.Reader(wire)
        kind, value = outer.external()
        outer.finish()
        if kind != NAME_DECLARATION_KIND:
            raise UnexpectedObjectError("DER is not a name declaration")
        inner = value.sequence()
        value.finish()
        tbs_bytes, signature = inner.element(der.SEQUENCE), inner.octets()
        inner.finish()
        tbs = der.Reader(tbs_bytes).sequence()
        attester, location = Hash.read(tbs), Location.read(tbs)
        revocations = read_options(tbs)
        tbs.element(der.SEQUENCE)  # extensions: never interpreted
        content = tbs.octets()
        key = _read_key(tbs)
        tbs.finish()
        return cls(bytes(wire), attester, location, revocations, content, key, tbs_bytes, signature)

    @cached_property
    def hash(self) -> Hash:
        """The declaration's name among objects."""
        return Hash.of(self.wire)

    @property
    def is_public(self) -> bool:
        """Whether anybody may read it."""
        return self.key is None

    @property
    def namespace(self) -> Hash | None:
        """Whose keys open it; None: anybody may read it."""
        return None if self.key is None else self.key.namespace

    @property
    def namespace_location(self) -> Location | None:
        """Where the namespace is stored; None with `namespace`."""
        return None if self.key is None else self.key.location

    def __repr__(self) -> str:
        return f"NameDeclaration({self.hash.to_text()!r})"


def is_name(text: str) -> bool:
    """Whether `text` may be one part of a name (wave.md 11.2)."""
    return _NAME.fullmatch(text) is not None


def split_full_name(full: str) -> tuple[str, ...]:
    """Return the parts of a full name, the one that is looked up first at the front.

    Raises:
        InvalidParameterError: it is no name.
    """
    parts = full.split(".")
    if len(parts) > NAME_PARTS_MAX or not all(is_name(part) for part in parts):
        raise InvalidParameterError("invalid WAVE name")
    return tuple(reversed(parts))


def _read_key(tbs: der.Reader) -> NamespaceKey | None:
    """Return the key of a sealed body, None for a plain one; there is exactly one of either."""
    listed = tbs.sequence()
    kind, value = listed.external()
    fields = value.sequence()
    value.finish()
    if kind == _PLAIN:
        fields.finish()
        listed.finish()
        return None
    if kind != _WR1:
        raise MalformedObjectError("a name declaration has a key of unknown kind")
    key = NamespaceKey(fields.octets(), fields.octets(), Hash.read(fields), Location.read(fields))
    fields.finish()
    listed.finish()
    return key


def _tbs(
    attester: EntitySecret,
    location: Location,
    options: Sequence[RevocationOption],
    content: bytes,
    key: bytes,
) -> bytes:
    return der.sequence(
        attester.entity.hash.to_der(),
        location.to_der(),
        der.sequence(*(option.to_der() for option in options)),
        der.sequence(),
        der.octets(content),
        der.sequence(key),
    )


@dataclass(frozen=True, slots=True)
class OpenedName:
    """A declaration that could be read.

    Attributes:
        body: what it says.
        partition: the twenty slots of its key; None for a public one.
        key: opens it without any other key, 56 bytes: of the envelope, then of the body; empty
            for a public one.
    """

    body: NameBody
    partition: Partition | None
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class CreatedName:
    """A fresh declaration with the key that opens it.

    Attributes:
        declaration: the object.
        opened: what it says, as somebody with its keys reads it.
    """

    declaration: NameDeclaration
    opened: OpenedName


def create_name_declaration(
    attester: EntitySecret,
    attester_location: Location,
    body: NameBody,
    *,
    namespace: Entity | None = None,
    namespace_location: Location | None = None,
    partition: Sequence[bytes] = (),
) -> NameDeclaration:
    """Return a fresh declaration; see `declare_name`."""
    return declare_name(
        attester,
        attester_location,
        body,
        namespace=namespace,
        namespace_location=namespace_location,
        partition=partition,
    ).declaration


def declare_name(
    attester: EntitySecret,
    attester_location: Location,
    body: NameBody,
    *,
    namespace: Entity | None = None,
    namespace_location: Location | None = None,
    partition: Sequence[bytes] = (),
) -> CreatedName:
    """Return a fresh declaration, and the key with which its maker can always read it.

    Args:
        attester: whose word it is.
        attester_location: where its entity is stored.
        body: name, subject, period.
        namespace: whose keys open it; public if None.
        namespace_location: where the namespace is stored; goes together with `namespace`.
        partition: slots 0 to 11 of the key, as they are; goes together with `namespace`.

    Raises:
        InvalidParameterError: name, period or partition break a rule (wave.md 11.2).
    """
    if not is_name(body.name):
        raise InvalidParameterError("invalid name: use 1 to 63 characters of a-z, 0-9, _ and -")
    start, end = body.validity.not_before, body.validity.not_after
    if end < start:
        raise InvalidParameterError("invalid validity times")
    if len(partition) > PREFIX_SLOTS:
        raise InvalidParameterError(
            f"the partition of a name has at most {PREFIX_SLOTS} components, not {len(partition)}"
        )
    plaintext = body.to_der()
    if namespace is None:
        if partition or namespace_location is not None:
            raise InvalidParameterError("namespace, its location and partition go together")
        content, key = plaintext, der.external(_PLAIN, der.sequence())
        slots: Partition | None = None
        name_key = b""
    else:
        if namespace_location is None or not partition:
            raise InvalidParameterError("namespace, its location and partition go together")
        name_key = secrets.token_bytes(NAME_KEY_BYTES)
        envelope_key, content_key = name_key[:SEALED_KEY_BYTES], name_key[SEALED_KEY_BYTES:]
        prefix = (*partition, *(b"",) * (PREFIX_SLOTS - len(partition)))
        slots = wr1_partition(prefix, start, end)
        sealed = seal_for_namespace(namespace, namespace_location, slots, content_key, envelope_key)
        content, key = seal(content_key, plaintext), der.external(_WR1, sealed)
    unrevocable = _tbs(attester, attester_location, (), content, key)
    blob = _revocation_blob(attester.secret64, unrevocable)
    # The option names the subject's place, where checkers look (wave.md 5).
    option = option_of_blob(blob, body.subject_location)
    tbs = _tbs(attester, attester_location, (option,), content, key)
    signature = attester.signing_key.sign(tbs)
    wire = der.external(NAME_DECLARATION_KIND, der.sequence(tbs, der.octets(signature)))
    whole = NameBody.from_bytes(plaintext)  # in whole seconds
    return CreatedName(NameDeclaration.from_bytes(wire), OpenedName(whole, slots, name_key))


def name_revocation_blob(attester_secret64: bytes, declaration: NameDeclaration) -> bytes:
    """Return the 32 bytes whose publication revokes a declaration (wave.md 5).

    They come from its signed part as it was before the revocation was put into it.

    Args:
        attester_secret64: of the attester's primary key.
        declaration: which one.
    """
    reader = der.Reader(declaration.tbs).sequence()
    elements = []
    while not reader.is_at_end:
        elements.append(reader.element())
    elements[_REVOCATIONS] = der.sequence()
    return _revocation_blob(attester_secret64, der.sequence(*elements))


def _revocation_blob(attester_secret64: bytes, unrevocable: bytes) -> bytes:
    return keccak256(b"revocation" + attester_secret64 + unrevocable)


def check_name_signature(declaration: NameDeclaration, attester: Entity) -> None:
    """Check that the attester signed the declaration.

    Raises:
        InvalidSignatureError: it did not, or may not.
    """
    if declaration.attester != attester.hash:
        raise InvalidSignatureError("the declaration names another attester")
    if not attester.may_attest:
        raise InvalidSignatureError("the attester's key may not sign name declarations")
    verify(attester.verifying_key, declaration.signature, declaration.tbs)


def open_name(
    declaration: NameDeclaration,
    reader: EntitySecret,
    held: Callable[[Hash], ReaderKeys | None],
) -> OpenedName | None:
    """Return what a declaration says, or None where no key opens it.

    Args:
        declaration: its signature may be unchecked.
        reader: whose master keys are tried, where it is the namespace.
        held: returns what the reader holds of a namespace, or None.

    Raises:
        ObjectError: what the keys lead to is unsound.
    """
    if declaration.key is None:
        return open_public_name(declaration)
    envelope_key = namespace_envelope_key(declaration.key, reader, held)
    if envelope_key is None:
        return None
    return open_labelled_name(declaration, declaration.key, envelope_key, reader, held)[1]


def open_public_name(declaration: NameDeclaration) -> OpenedName:
    """Return what a declaration for everybody says.

    Raises:
        ObjectError: the body is unsound.
    """
    return OpenedName(NameBody.from_bytes(declaration.content), None, b"")


def open_labelled_name(
    declaration: NameDeclaration,
    key: NamespaceKey,
    envelope_key: bytes,
    reader: EntitySecret,
    held: Callable[[Hash], ReaderKeys | None],
) -> tuple[Partition, OpenedName | None]:
    """Return the partition, and what the declaration says where the reader has a key for that.

    Args:
        declaration: to read.
        key: of the declaration.
        envelope_key: 28 bytes, as `namespace_envelope_key` finds it.
        reader: as for `open_name`.
        held: as for `open_name`.

    Raises:
        ObjectError: what the keys lead to is unsound.
    """
    envelope = read_namespace_envelope(key, envelope_key)
    content_key = envelope.content_key(key.namespace, reader, held)
    if content_key is None:
        return envelope.partition, None
    body = open_name_body(declaration, content_key)
    return envelope.partition, OpenedName(body, envelope.partition, envelope_key + content_key)


def open_name_with_key(declaration: NameDeclaration, name_key: bytes) -> OpenedName:
    """Return what a declaration says, with the key that opened it before.

    Args:
        declaration: to read.
        name_key: 56 bytes, from `OpenedName`; of no use for a public declaration.

    Raises:
        ObjectError: the key is wrong, or what it opens is unsound.
    """
    if declaration.key is None:
        return open_public_name(declaration)
    if len(name_key) != NAME_KEY_BYTES:
        raise MalformedObjectError(f"the key of a name has {NAME_KEY_BYTES} bytes")
    envelope = read_namespace_envelope(declaration.key, name_key[:SEALED_KEY_BYTES])
    body = open_name_body(declaration, name_key[SEALED_KEY_BYTES:])
    return OpenedName(body, envelope.partition, name_key)


def open_name_body(declaration: NameDeclaration, content_key: bytes) -> NameBody:
    """Return what a sealed body says.

    Args:
        declaration: whose body is sealed.
        content_key: 28 bytes.

    Raises:
        ObjectError: the key is wrong, or what it opens is unsound.
    """
    if len(content_key) != SEALED_KEY_BYTES:
        raise MalformedObjectError("ciphertext is not correctly constructed")
    try:
        return NameBody.from_bytes(open_sealed(content_key, declaration.content))
    except MessageDecryptError as error:
        raise MalformedObjectError("ciphertext is not correctly constructed") from error
