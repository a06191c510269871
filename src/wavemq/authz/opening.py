"""One attempt to open what a queue names with everything that a perspective has.

Owns the order in which keys are tried on attestations (wave.md 4.9); name declarations are for
`name_opening`. Refuses to know where the object came
from and what follows from it; runs in worker threads and touches nothing. Fault model: the bytes
come from a queue that anybody may fill, so whatever is unsound about them is an outcome here and
not an exception, and the number of keys tried is bounded by what `HeldKeys` offers.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from wavemq.authz.name_opening import LockedDeclaration, OpenedDeclaration, try_to_open_name
from wavemq.errors import MessageDecryptError, ObjectError, UnexpectedObjectError, WaveMQError
from wavemq.wave.attestation import Attestation
from wavemq.wave.attestation_open import (
    ENVELOPE_KEY_BYTES,
    PROVER_KEY_BYTES,
    Envelope,
    OpenedAttestation,
    body_key_with_master,
    check_signatures,
    delegated_keys,
    envelope_key_as_subject,
    envelope_key_with_label,
    envelope_key_with_master,
    keys_as_attester,
    open_body,
    open_plain,
    open_with_prover_key,
    read_envelope,
)

if TYPE_CHECKING:
    from wavemq.authz.held_keys import HeldKeys
    from wavemq.wave.entity import Entity
    from wavemq.wave.keyring import EntitySecret
    from wavemq.wave.partition import Partition


@dataclass(frozen=True, slots=True)
class Opened:
    """The body is readable. Its signatures have not been checked: see `check_grant`."""

    attestation: Attestation
    content: OpenedAttestation = field(repr=False)


@dataclass(frozen=True, slots=True)
class Locked:
    """No key opens the body yet.

    Attributes:
        attestation: the public part.
        partition: of its body, where the envelope could be read ("labelled").
        envelope_key: what opened the envelope, 28 bytes, or None ("pending").
        revision: of the subject's held keys that were tried.
    """

    attestation: Attestation
    partition: Partition | None
    envelope_key: bytes | None = field(repr=False)
    revision: int


@dataclass(frozen=True, slots=True)
class Discarded:
    """The object is of no use: malformed, or neither an attestation nor a name declaration."""

    reason: str


Attempt = Opened | Locked | OpenedDeclaration | LockedDeclaration | Discarded


def try_to_open(content: bytes, key: bytes | None, reader: EntitySecret, held: HeldKeys) -> Attempt:
    """Return what became of the attempt; never raises on what the bytes are.

    Args:
        content: the wire object.
        key: what opened it earlier: the prover key (84 bytes), a name's key (56), the envelope
            key (28), empty for a plain body, or None.
        reader: the perspective's own keys.
        held: the keys that it was given.
    """
    try:
        try:
            attestation = Attestation.from_bytes(content)
        except UnexpectedObjectError:
            return try_to_open_name(content, key, reader, held)
        return _try(attestation, key, reader, held)
    except WaveMQError as error:
        return Discarded(error.reason)


def check_grant(opened: Opened, attester: Entity) -> None:
    """Check that the attester signed what was opened.

    Raises:
        InvalidSignatureError: he did not.
    """
    check_signatures(opened.attestation, opened.content.body, attester)


def _with_delegated(attempt: Attempt, reader: EntitySecret) -> Attempt:
    """Add the keys that a newer writer sent to the reader outside of the body (wave.md 4.8)."""
    if not isinstance(attempt, Opened) or attempt.attestation.subject != reader.entity.hash:
        return attempt
    delegated = delegated_keys(attempt.attestation, reader.direct_secret)
    if not delegated:
        return attempt
    addendums = (*attempt.content.addendums, *delegated)
    return replace(attempt, content=replace(attempt.content, addendums=addendums))


def _try(
    attestation: Attestation, key: bytes | None, reader: EntitySecret, held: HeldKeys
) -> Attempt:
    """Return the outcome; raises what is unsound about the attestation."""
    if not attestation.is_encrypted:
        return Opened(attestation, open_plain(attestation))
    if key is not None and len(key) == PROVER_KEY_BYTES:
        return Opened(attestation, open_with_prover_key(attestation, key))
    # Read before the keys are: keys that come meanwhile must cause another attempt.
    revision = held.revision(attestation.subject)
    envelope_key = key if key is not None and len(key) == ENVELOPE_KEY_BYTES else None
    if envelope_key is None:
        own = keys_as_attester(attestation, reader.direct_secret)
        if own is not None:
            return Opened(attestation, open_with_prover_key(attestation, own))
        envelope_key = _envelope_key(attestation, reader, held)
    if envelope_key is None:
        return Locked(attestation, None, None, revision)
    envelope = read_envelope(attestation, envelope_key)
    body_key = _body_key(attestation, envelope, reader, held)
    if body_key is None:
        return Locked(attestation, envelope.partition, envelope_key, revision)
    return Opened(attestation, open_body(attestation, envelope, body_key))


def _envelope_key(attestation: Attestation, reader: EntitySecret, held: HeldKeys) -> bytes | None:
    """Return the key of the envelope, as its subject or with a label key of the subject's."""
    if attestation.subject == reader.entity.hash:
        found = envelope_key_as_subject(attestation, reader.direct_secret)
        if found is not None:
            return found
        identity = reader.entity.hash.to_text().encode()
        return envelope_key_with_master(attestation, reader.entity, reader.ibe_master, identity)
    for label_key in held.label_keys(attestation.subject):
        found = envelope_key_with_label(attestation, label_key)
        if found is not None:
            return found
    return None


def _body_key(
    attestation: Attestation, envelope: Envelope, reader: EntitySecret, held: HeldKeys
) -> bytes | None:
    """Return the key of the body, as its subject or with a content key of the subject's."""
    if attestation.subject == reader.entity.hash:
        return body_key_with_master(envelope, reader.entity, reader.oaque_master)
    owner = held.owner(attestation.subject)
    if owner is None:
        return None
    for content_key in held.matching_content_keys(attestation.subject, envelope.partition):
        try:
            return content_key.open(
                owner.oaque_params, envelope.partition, envelope.body_key_message
            )
        except (MessageDecryptError, ObjectError):
            continue  # somebody's useless key; the next may be the right one
    return None
