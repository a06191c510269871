"""Making attestations (wave.md 4.2 to 4.6).

Owns the order of steps, the encrypted body, and the keys that travel with it. Refuses to publish
anything and to know which keys a perspective holds: the keys of a foreign namespace are an
argument. A grant that could not carry the keys that it promises is an error, not a smaller grant.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from wavemq.clock import NANOSECONDS_PER_SECOND, Instant
from wavemq.crypto import exchange, lqibe, wkdibe
from wavemq.crypto.signing import SigningKey
from wavemq.crypto.symmetric import SEALED_KEY_BYTES, seal
from wavemq.errors import InvalidParameterError
from wavemq.wave import der
from wavemq.wave.attestation import (
    ATTESTATION_KIND,
    EPHEMERAL_SIGNATURE,
    PLAINTEXT,
    WR1,
    Attestation,
    VerifierBody,
)
from wavemq.wave.attestation_open import BODY_KEY_BYTES, ENVELOPE_KEY_BYTES
from wavemq.wave.bundle import Addendum, KeyBundle, LabelKey
from wavemq.wave.entity import Entity
from wavemq.wave.key_grant import NamespaceKeys, grants_decryption, key_grant
from wavemq.wave.keyring import EntitySecret
from wavemq.wave.location import Location
from wavemq.wave.partition import (
    BODY_TAG,
    THREE_YEARS_NS,
    Partition,
    bundle_partitions,
    prefix,
    wr1_partition,
)
from wavemq.wave.policy import Policy, RTreePolicy, check_policy
from wavemq.wave.revocation import attestation_revocation_blob, option_of_blob
from wavemq.wave.validity import Validity

__all__ = [
    "GLOBAL_LABEL",
    "CreatedAttestation",
    "NamespaceKeys",
    "create_attestation",
    "grants_decryption",
    "visibility_label",
]

GLOBAL_LABEL: Final = b"$GLOBAL"


@dataclass(frozen=True, slots=True)
class CreatedAttestation:
    """A fresh attestation with its keys.

    Args:
        attestation: the object.
        verifier_key: 28 bytes for verifiers; empty for an unencrypted body.
        prover_key: 84 bytes for provers; empty for an unencrypted body.
    """

    attestation: Attestation
    verifier_key: bytes = field(repr=False)
    prover_key: bytes = field(repr=False)


def visibility_label(policy: Policy) -> bytes:
    """Return the IBE identity under which a policy's attestations are labelled (wave.md 4.3)."""
    return policy.namespace.to_text().encode() if isinstance(policy, RTreePolicy) else GLOBAL_LABEL


def _clipped(
    not_before: Instant, not_after: Instant, attester: Entity, subject: Entity
) -> Validity:
    """Return the period of the grant, within the lives of both entities (wave.md 4.2).

    Raises:
        InvalidParameterError: it is empty or too long.
    """
    if not_after < not_before:
        raise InvalidParameterError("invalid validity times")
    if not_after - THREE_YEARS_NS > not_before:
        raise InvalidParameterError("valid range cannot exceed roughly 3 years")
    end = min(not_after, attester.validity.not_after, subject.validity.not_after)
    if end < not_before:
        raise InvalidParameterError(
            "invalid validity times: the attester's or the subject's entity ends before the grant "
            "begins"
        )
    return Validity(not_before, end)


def _binding(signing_key: SigningKey, ephemeral: SigningKey) -> tuple[bytes, bytes]:
    tbs = der.sequence(der.oid(*EPHEMERAL_SIGNATURE), der.octets(ephemeral.public))
    return tbs, signing_key.sign(tbs)


def create_attestation(
    attester: EntitySecret,
    attester_location: Location,
    subject: Entity,
    subject_location: Location,
    policy: Policy,
    *,
    not_before: Instant,
    not_after: Instant,
    visibility: Sequence[bytes] = (),
    namespace_keys: NamespaceKeys | None = None,
    is_encrypted: bool = True,
) -> CreatedAttestation:
    """Return a fresh attestation of `policy` to `subject`.

    Args:
        attester: who grants.
        attester_location: where the attester's entity is stored.
        subject: who is granted to.
        subject_location: where the subject's entity is stored; revocations go there.
        policy: what is granted.
        not_before: first instant.
        not_after: last instant; lowered to the ends of both entities.
        visibility: up to eleven components of the visibility URI, `b""` for any.
        namespace_keys: needed for a `wave:decrypt` or JEDI grant, whose period may be lowered to
            that of the attester's own keys.
        is_encrypted: WR1 body, or a plain one.

    Raises:
        InvalidParameterError: policy or period is invalid.
        InvalidE2EEGrantError: a `wave:decrypt` grant breaks a rule, or its keys are not held.
        InvalidJEDIGrantError: the same for a JEDI grant.
        BodySchemeError: the namespace's label key is not held.
        MalformedPartitionError: too many visibility components.
    """
    check_policy(policy)
    components = tuple(visibility)
    keys = key_grant(policy, components)
    validity = _clipped(not_before, not_after, attester.entity, subject)
    if keys is not None:
        if not is_encrypted:
            raise keys.refusal("a grant of decryption keys must be encrypted, to carry them")
        components = keys.components
        validity = keys.fitted(validity, namespace_keys)
    start = prefix(BODY_TAG, components) if isinstance(policy, RTreePolicy) else (b"",) * 12
    ephemeral = SigningKey.generate()
    binding, binding_signature = _binding(attester.signing_key, ephemeral)
    body = VerifierBody(
        attester=attester.entity.hash,
        attester_location=attester_location,
        validity=_whole_seconds(validity),
        policy=policy,
        binding=binding,
        binding_kind=EPHEMERAL_SIGNATURE,
        binding_key=ephemeral.public,
        binding_signature=binding_signature,
    )
    if is_encrypted:
        addendums: list[Addendum] = [
            LabelKey.extract(
                attester.entity.ibe_params_bytes, attester.ibe_master, visibility_label(policy)
            ),
            KeyBundle.derive(
                attester.entity.oaque_params,
                attester.oaque_master,
                bundle_partitions(start, validity.not_before, validity.not_after),
            ),
        ]
        if keys is not None and namespace_keys is not None:
            addendums += keys.addendums(validity, namespace_keys)
        partition = wr1_partition(start, validity.not_before, validity.not_after)
        content, verifier_key, prover_key = _wr1(
            attester.entity, subject, body, addendums, partition, visibility_label(policy)
        )
    else:
        value = der.sequence(body.to_der(), der.sequence(), der.sequence())
        content, verifier_key, prover_key = der.external(PLAINTEXT, value), b"", b""
    blob = attestation_revocation_blob(attester.secret64, ephemeral.public)
    tbs = der.sequence(
        subject.hash.to_der(),
        subject_location.to_der(),
        der.sequence(option_of_blob(blob, subject_location).to_der()),
        der.sequence(),
        content,
    )
    outer = der.sequence(der.octets(ephemeral.public), der.octets(ephemeral.sign(tbs)))
    wire = der.external(
        ATTESTATION_KIND, der.sequence(tbs, der.external(EPHEMERAL_SIGNATURE, outer))
    )
    return CreatedAttestation(Attestation.from_bytes(wire), verifier_key, prover_key)


def _whole_seconds(validity: Validity) -> Validity:
    unit = NANOSECONDS_PER_SECOND
    return replace(
        validity,
        not_before=Instant(validity.not_before // unit * unit),
        not_after=Instant(validity.not_after // unit * unit),
    )


def _wr1(
    attester: Entity,
    subject: Entity,
    body: VerifierBody,
    addendums: Iterable[Addendum],
    partition: Partition,
    label: bytes,
) -> tuple[bytes, bytes, bytes]:
    """Return the encrypted body, the verifier key and the prover key (wave.md 4.4)."""
    body_key = secrets.token_bytes(BODY_KEY_BYTES)
    envelope_key = secrets.token_bytes(ENVELOPE_KEY_BYTES)
    prover_body = der.sequence(
        der.sequence(*(addendum.to_der() for addendum in addendums)), der.sequence()
    )
    envelope = der.sequence(
        der.octets(wkdibe.encrypt(subject.oaque_params, partition, body_key)),
        der.sequence(*(der.octets(slot) for slot in partition)),
    )
    value = der.sequence(
        der.octets(seal(body_key[SEALED_KEY_BYTES:], der.sequence(body.to_der()))),
        der.octets(seal(body_key[:SEALED_KEY_BYTES], prover_body)),
        der.octets(seal(envelope_key, envelope)),
        der.octets(lqibe.encrypt(subject.ibe_params, label, envelope_key)),
        der.octets(exchange.direct_encrypt(subject.direct_key, envelope_key)),
        der.octets(exchange.direct_encrypt(attester.direct_key, envelope_key + body_key)),
    )
    return der.external(WR1, value), body_key[SEALED_KEY_BYTES:], envelope_key + body_key
