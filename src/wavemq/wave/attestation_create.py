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
from wavemq.errors import (
    BodySchemeError,
    InvalidE2EEGrantError,
    InvalidJEDIGrantError,
    InvalidParameterError,
)
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
from wavemq.wave.bundle import Addendum, ContentKey, KeyBundle, LabelKey
from wavemq.wave.entity import Entity
from wavemq.wave.hashes import JEDI_PERMISSION_SET, WAVE_PERMISSION_SET
from wavemq.wave.keyring import EntitySecret
from wavemq.wave.location import Location
from wavemq.wave.partition import (
    BODY_TAG,
    THREE_YEARS_NS,
    Partition,
    bundle_partitions,
    e2ee_prefix,
    matches,
    prefix,
    wr1_partition,
)
from wavemq.wave.policy import Policy, RTreePolicy, check_policy
from wavemq.wave.revocation import attestation_revocation_blob, option_of_blob
from wavemq.wave.validity import Validity

GLOBAL_LABEL: Final = b"$GLOBAL"
_DECRYPT: Final = "decrypt"


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


@dataclass(frozen=True, slots=True)
class NamespaceKeys:
    """What an attester holds of a namespace's systems, to hand on in `wave:decrypt` grants.

    Args:
        namespace: the entity.
        label_key: for its own label; None if not held.
        content_keys: of its attribute-based system.
        master: its master keys where the attester is the namespace itself.
    """

    namespace: Entity
    label_key: LabelKey | None = None
    content_keys: tuple[ContentKey, ...] = ()
    master: EntitySecret | None = None


def visibility_label(policy: Policy) -> bytes:
    """Return the IBE identity under which a policy's attestations are labelled (wave.md 4.3)."""
    return policy.namespace.to_text().encode() if isinstance(policy, RTreePolicy) else GLOBAL_LABEL


def grants_decryption(policy: Policy) -> bool:
    """Whether the policy hands on end-to-end encryption keys (wave.md 6.4)."""
    return isinstance(policy, RTreePolicy) and any(
        statement.permission_set == WAVE_PERMISSION_SET for statement in policy.statements
    )


def _decrypt_resource(policy: RTreePolicy, visibility: Sequence[bytes]) -> str:
    """Return the resource of a `wave:decrypt` grant after the checks of wave.md 12.3.

    Raises:
        InvalidE2EEGrantError: one fails.
    """
    statement = policy.statements[0]
    if len(policy.statements) != 1 or len(statement.permissions) > 1:
        raise InvalidE2EEGrantError(
            "a wave:decrypt grant can only have one permission and one statement"
        )
    if not statement.permissions:
        raise InvalidE2EEGrantError("a wave pset grant must have exactly one permission")
    if statement.permissions[0] != _DECRYPT:
        raise InvalidE2EEGrantError("the only valid wave pset permissions is 'decrypt'")
    if visibility:
        raise InvalidE2EEGrantError(
            "a wave:decrypt grant must have no partition specified (it is generated from the "
            "resource)"
        )
    return statement.resource


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
        namespace_keys: needed for a `wave:decrypt` grant.
        is_encrypted: WR1 body, or a plain one.

    Raises:
        InvalidParameterError: policy or period is invalid.
        InvalidE2EEGrantError: a `wave:decrypt` grant breaks a rule, or its keys are not held.
        InvalidJEDIGrantError: JEDI grants are not made here.
        BodySchemeError: the namespace's label key is not held.
        MalformedPartitionError: too many visibility components.
    """
    check_policy(policy)
    components = tuple(visibility)
    extra_prefix: Partition | None = None
    if isinstance(policy, RTreePolicy):
        if any(one.permission_set == JEDI_PERMISSION_SET for one in policy.statements):
            raise InvalidJEDIGrantError("grants of JEDI keys are not supported by this version")
        if grants_decryption(policy):
            extra_prefix = e2ee_prefix(_decrypt_resource(policy, components), is_message=False)
            components = extra_prefix[1:]
    validity = _clipped(not_before, not_after, attester.entity, subject)
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
        if extra_prefix is not None:
            addendums += _namespace_addendums(extra_prefix, validity, namespace_keys)
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


def _namespace_addendums(
    start: Partition, validity: Validity, held: NamespaceKeys | None
) -> list[Addendum]:
    """Return the namespace's keys that a `wave:decrypt` grant hands on (wave.md 4.5).

    Raises:
        BodySchemeError: the namespace's label key is not held.
        InvalidE2EEGrantError: none of the keys can be derived.
    """
    if held is None or (held.master is None and held.label_key is None):
        raise BodySchemeError(
            "could not encrypt", cause=InvalidE2EEGrantError("could find namespace visibility key")
        )
    identity = held.namespace.hash.to_text().encode()
    patterns = bundle_partitions(start, validity.not_before, validity.not_after)
    params = held.namespace.oaque_params
    if held.master is not None:
        label = LabelKey.extract(held.namespace.ibe_params_bytes, held.master.ibe_master, identity)
        return [KeyBundle.derive(params, held.master.oaque_master, patterns), label]
    assert held.label_key is not None
    by_holder: dict[ContentKey, list[Partition]] = {}
    for pattern in patterns:
        for key in held.content_keys:
            if matches(key.pattern, pattern):
                by_holder.setdefault(key, []).append(pattern)
                break
    derived = {
        made.pattern: made
        for key, wanted in by_holder.items()
        for made in KeyBundle.derive(params, wkdibe.SecretKey(key.secret), wanted).keys
    }
    if not derived:
        raise InvalidE2EEGrantError(
            "none of the decryption keys for this resource and period is held by the attester"
        )
    kept = tuple(derived[pattern] for pattern in patterns if pattern in derived)
    return [KeyBundle(params.to_bytes(), kept), held.label_key]
