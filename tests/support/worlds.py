"""A small world made on the spot: a namespace, entities, grants, and the storage they are in.

For tests of anything that needs authority. Grants have plain bodies unless asked otherwise: those
cost no pairings and take the same way through discovery, prover and verifier.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.object_stores import LOCATION, MemoryObjectStore
from wavemq.authz.engine import Engine, EngineConfig
from wavemq.authz.perspective import Perspective
from wavemq.clock import Instant, instant_from_seconds
from wavemq.crypto.signing import SigningKey
from wavemq.wave import der
from wavemq.wave.attestation import (
    ATTESTATION_KIND,
    EPHEMERAL_SIGNATURE,
    PLAINTEXT,
    Attestation,
    VerifierBody,
)
from wavemq.wave.attestation_create import (
    CreatedAttestation,
    NamespaceKeys,
    create_attestation,
    grants_decryption,
)
from wavemq.wave.hashes import WAVE_PERMISSION_SET, WAVEMQ_PERMISSION_SET, Hash
from wavemq.wave.keyring import EntitySecret
from wavemq.wave.location import Location
from wavemq.wave.policy import Policy, RTreePolicy, Statement
from wavemq.wave.proof import AttestationReference, ExplicitProof
from wavemq.wave.revocation import attestation_revocation_blob, entity_revocation_blob
from wavemq.wave.validity import Validity

NOW = instant_from_seconds(1_800_000_000)
DAY_S = 86_400


def after(seconds: float) -> Instant:
    """Return the instant `seconds` after `NOW`; before it, where negative."""
    return Instant(NOW + instant_from_seconds(seconds))


@dataclass(slots=True)
class World:
    """Everything that exists.

    Attributes:
        store: where entities and attestations are published.
        namespace: the root of all authority here.
        entities: the others, by name.
        location: the one storage location.
    """

    store: MemoryObjectStore
    namespace: EntitySecret
    entities: dict[str, EntitySecret] = field(default_factory=dict)
    location: Location = LOCATION

    @classmethod
    async def create(cls, *names: str, store: MemoryObjectStore | None = None) -> World:
        """Return a world with a namespace and the named entities, all published."""
        store = store or MemoryObjectStore()
        world = cls(store, make_entity(store.locations[0]), location=store.locations[0])
        await store.put(world.location, world.namespace.entity.wire)
        for name in names:
            await world.add(name)
        return world

    async def add(
        self,
        name: str,
        *,
        not_before: Instant | None = None,
        not_after: Instant | None = None,
        is_published: bool = True,
    ) -> EntitySecret:
        """Make an entity, from a day ago for ten years unless told otherwise."""
        secret = make_entity(self.location, not_before=not_before, not_after=not_after)
        self.entities[name] = secret
        if is_published:
            await self.store.put(self.location, secret.entity.wire)
        return secret

    def __getitem__(self, name: str) -> EntitySecret:
        return self.namespace if name == "namespace" else self.entities[name]

    def hash(self, name: str) -> Hash:
        """Return the hash of a named entity; `namespace` is one of the names."""
        return self[name].entity.hash

    # --- grants -----------------------------------------------------------------------------

    async def grant(
        self,
        attester: str,
        subject: str,
        permissions: str,
        resource: str,
        *,
        indirections: int = 0,
        namespace: str = "namespace",
        permission_set: Hash = WAVEMQ_PERMISSION_SET,
        not_before: Instant | None = None,
        not_after: Instant | None = None,
        is_encrypted: bool = False,
        is_published: bool = True,
    ) -> CreatedAttestation:
        """Grant one statement; permissions are separated by commas."""
        statement = Statement(permission_set, tuple(permissions.split(",")), resource)
        return await self.grant_statements(
            attester,
            subject,
            [statement],
            indirections=indirections,
            namespace=namespace,
            not_before=not_before,
            not_after=not_after,
            is_encrypted=is_encrypted,
            is_published=is_published,
        )

    async def grant_decryption(self, subject: str, resource: str) -> CreatedAttestation:
        """Have the namespace hand on its keys for messages encrypted to `resource`."""
        return await self.grant(
            "namespace",
            subject,
            "decrypt",
            resource,
            permission_set=WAVE_PERMISSION_SET,
            is_encrypted=True,
        )

    async def grant_statements(
        self,
        attester: str,
        subject: str,
        statements: Sequence[Statement],
        *,
        indirections: int = 0,
        namespace: str = "namespace",
        not_before: Instant | None = None,
        not_after: Instant | None = None,
        is_encrypted: bool = False,
        is_published: bool = True,
    ) -> CreatedAttestation:
        """Grant statements; from a day ago for a year unless told otherwise."""
        policy = RTreePolicy(self.hash(namespace), self.location, indirections, tuple(statements))
        keys = None
        if grants_decryption(policy):
            keys = NamespaceKeys(self[namespace].entity, master=self[namespace])
        created = create_attestation(
            self[attester],
            self.location,
            self[subject].entity,
            self.location,
            policy,
            not_before=after(-DAY_S) if not_before is None else not_before,
            not_after=after(365 * DAY_S) if not_after is None else not_after,
            namespace_keys=keys,
            is_encrypted=is_encrypted,
        )
        if is_published:
            await self.publish(created)
        return created

    async def publish(self, created: CreatedAttestation) -> None:
        """Store an attestation and tell its subject's queue."""
        attestation = created.attestation
        stored = await self.store.put(attestation.subject_location, attestation.wire)
        await self.store.enqueue(attestation.subject_location, attestation.subject, stored)

    async def revoke_entity(self, name: str) -> None:
        """Publish the revocation of an entity."""
        await self.store.put(self.location, entity_revocation_blob(self[name].secret64))

    async def revoke_grant(self, attester: str, created: CreatedAttestation) -> None:
        """Publish the revocation of an attestation by `attester`."""
        blob = attestation_revocation_blob(
            self[attester].secret64, created.attestation.ephemeral_key
        )
        await self.store.put(self.location, blob)

    # --- using it ---------------------------------------------------------------------------

    def engine(
        self,
        *,
        state_dir: Path | None = None,
        default_to_unrevoked: bool = False,
        revocation_ttl_s: float = 3600.0,
        revocation_grace_s: float = 0.0,
    ) -> Engine:
        """Return an engine of its own over this world's storage; one without grace."""
        config = EngineConfig(
            self.location,
            default_to_unrevoked=default_to_unrevoked,
            revocation_ttl_s=revocation_ttl_s,
            revocation_grace_s=revocation_grace_s,
        )
        return Engine(self.store, state_dir, config)

    async def perspective(self, engine: Engine, name: str) -> Perspective:
        """Return the perspective of a named entity, its graph up to date at `NOW`."""
        perspective = await engine.perspective(self[name], self.location)
        await engine.resync(perspective, now=NOW)
        return perspective

    def policy(
        self, permissions: str, resource: str, *, namespace: str = "namespace"
    ) -> RTreePolicy:
        """Return what one could require of a proof."""
        statement = Statement(WAVEMQ_PERMISSION_SET, tuple(permissions.split(",")), resource)
        return RTreePolicy(self.hash(namespace), self.location, 0, (statement,))

    def proof(
        self,
        *grants: CreatedAttestation,
        paths: Sequence[Sequence[int]] | None = None,
        entities: Sequence[str] | None = None,
    ) -> bytes:
        """Return an explicit proof put together by hand, however little sense it makes.

        Args:
            grants: the attestations, in order.
            paths: indices into them; one path over all of them if None.
            entities: who is included; everybody if None.
        """
        names = ["namespace", *self.entities] if entities is None else entities
        return ExplicitProof(
            attestations=tuple(reference_to(created) for created in grants),
            paths=tuple(tuple(path) for path in ([range(len(grants))] if paths is None else paths)),
            entities=tuple(self[name].entity.wire for name in names),
        ).to_bytes()


def forge(
    attester: EntitySecret,
    subject: EntitySecret,
    policy: Policy,
    *,
    claimed_attester: Hash | None = None,
    binder: EntitySecret | None = None,
) -> CreatedAttestation:
    """Return a plain attestation that `create_attestation` would refuse to make.

    Args:
        attester: who signs.
        subject: who is granted to.
        policy: anything at all.
        claimed_attester: who the body says it is by.
        binder: whose key signs the binding; the attester's if None.
    """
    ephemeral = SigningKey.generate()
    binding = der.sequence(der.oid(*EPHEMERAL_SIGNATURE), der.octets(ephemeral.public))
    body = VerifierBody(
        attester=claimed_attester or attester.entity.hash,
        attester_location=LOCATION,
        validity=Validity(after(-DAY_S), after(365 * DAY_S)),
        policy=policy,
        binding=binding,
        binding_kind=EPHEMERAL_SIGNATURE,
        binding_key=ephemeral.public,
        binding_signature=(binder or attester).signing_key.sign(binding),
    )
    tbs = der.sequence(
        subject.entity.hash.to_der(),
        LOCATION.to_der(),
        der.sequence(),
        der.sequence(),
        der.external(PLAINTEXT, der.sequence(body.to_der(), der.sequence(), der.sequence())),
    )
    signature = der.sequence(der.octets(ephemeral.public), der.octets(ephemeral.sign(tbs)))
    wire = der.external(
        ATTESTATION_KIND, der.sequence(tbs, der.external(EPHEMERAL_SIGNATURE, signature))
    )
    return CreatedAttestation(Attestation.from_bytes(wire), b"", b"")


def reference_to(created: CreatedAttestation) -> AttestationReference:
    """Return a complete reference to an attestation."""
    attestation = created.attestation
    return AttestationReference(
        attestation.hash,
        attestation.wire,
        (attestation.subject_location,),
        created.verifier_key or None,
    )


def make_entity(
    location: Location = LOCATION,
    *,
    not_before: Instant | None = None,
    not_after: Instant | None = None,
) -> EntitySecret:
    """Return a fresh entity, valid from a day before `NOW` for ten years if not told otherwise."""
    return EntitySecret.create(
        not_before=after(-DAY_S) if not_before is None else not_before,
        not_after=after(10 * 365 * DAY_S) if not_after is None else not_after,
        revocation_location=location,
    )
