"""Whether an explicit proof holds: a pure function of the proof, the objects and the time.

Owns the rules of wave.md 9.3 with every correction marked FIX there; above all that each path
begins at the namespace, which the original never checked. Refuses to know storage, caches, clocks
and revocation lookups: it says which objects it lacks and which revocation options its verdict
depends on, and the engine sees to both. Fault model: the proof comes from an enemy; every count
in it is bounded before it is worked on, and objects are used only after their hash and signature
hold.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Final, Protocol

from wavemq import limits
from wavemq.authz.verdicts import (
    MissingObjectsError,
    Need,
    ProofNotYetValidError,
    ProofUnresolvedError,
    ProofVerdict,
)
from wavemq.clock import Instant
from wavemq.crypto.hashing import keccak256_many
from wavemq.crypto.signing import SignedBytes, verify_each
from wavemq.errors import ProofInvalidError, WaveMQError
from wavemq.wave.attestation import Attestation
from wavemq.wave.attestation_open import open_with_verifier_key, signatures_of
from wavemq.wave.entity import Entity
from wavemq.wave.hashes import Hash
from wavemq.wave.policy import (
    Effort,
    RTreePolicy,
    check_policy,
    intersect,
    is_subset,
    union_of,
)
from wavemq.wave.proof import AttestationReference, ExplicitProof

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wavemq.wave.attestation import VerifierBody
    from wavemq.wave.revocation import RevocationOption

REFERENCES_MAX: Final = 1024
"""Attestations in one proof."""
ENTITIES_MAX: Final = 2 * REFERENCES_MAX
"""Entities in one proof: two for each attestation."""
REVOCATIONS_MAX: Final = REFERENCES_MAX + ENTITIES_MAX
"""Revocation options on which one proof depends: one for each object. Each costs a lookup."""
PATHS_MAX: Final = 256
"""Paths in one proof."""
PATH_LENGTH_MAX: Final = 256
"""Attestations on one path (the prover stops at 255)."""


class EntitySource(Protocol):
    """Entities that are known to be genuine, by hash."""

    def get(self, entity_hash: Hash, /) -> Entity | None:
        """Return the entity, or None when it is not known."""
        ...


class _Nobody:
    """Knows no entity."""

    __slots__ = ()

    def get(self, _entity_hash: Hash, /) -> Entity | None:
        """Return None."""
        return None


_NOBODY: Final = _Nobody()


@dataclass(frozen=True, slots=True)
class ProofWorld:
    """The objects beside the proof.

    Attributes:
        objects: contents of attestations and entities that the proof does not bring along;
            checked against their hash here.
        entities: what is known of entities already.
        absent: objects that storage says it does not have.
    """

    objects: Mapping[Hash, bytes] = field(default_factory=dict)
    entities: EntitySource = _NOBODY
    absent: frozenset[Hash] = frozenset()


@dataclass(frozen=True, slots=True)
class _Grant:
    """One reference, opened and genuine."""

    hash: Hash
    attestation: Attestation
    body: VerifierBody
    policy: RTreePolicy


@dataclass(slots=True)
class _Needs:
    """What turned out to be missing so far, so that all of it can be fetched at once."""

    world: ProofWorld
    found: set[Need] = field(default_factory=set)

    def add(self, need: Need, *, what: str) -> None:
        """Note a missing object.

        Raises:
            ProofUnresolvedError: storage does not have it.
        """
        if need.hash in self.world.absent:
            raise ProofUnresolvedError(f"could not resolve {what} {need.hash.to_text()}")
        self.found.add(need)

    def check(self) -> None:
        """Stop here if anything is missing.

        Raises:
            MissingObjectsError: something is.
        """
        if self.found:
            raise MissingObjectsError(frozenset(self.found))


def verify_proof(
    proof: bytes,
    world: ProofWorld,
    *,
    now: Instant,
    required: RTreePolicy | None = None,
    subject: Hash | None = None,
    namespace: Hash | None = None,
) -> ProofVerdict:
    """Return what `proof` proves at `now`, revocations aside.

    Args:
        proof: an ExplicitProof wire object (DER).
        world: objects that are not in the proof.
        now: the instant at which every attestation and entity must be valid.
        required: a policy that must be contained in what the proof grants (wave.md 6.6).
        subject: the entity that the proof must be for.
        namespace: whose authority the proof must be about; that of `required` if None.

    Raises:
        ProofInvalidError: the proof is malformed, forged, expired or insufficient.
        ProofUnresolvedError: it needs an object that storage does not have.
        MissingObjectsError: it needs objects that `world` lacks.
    """
    decoded = _decode(proof)
    entities = _Entities(decoded, world)
    needs = _Needs(world)
    grants = _open_references(decoded, world, entities, needs)
    needs.check()
    if namespace is None and required is not None:
        namespace = required.namespace
    verdict = _fold(decoded, grants, entities, namespace)
    _check_periods(grants, entities, now)
    if verdict.expiry < now:
        raise ProofInvalidError("proof contains an expired entity")
    if required is not None and not is_subset(required, verdict.policy):
        raise ProofInvalidError("proof is well formed but grants insufficient permissions")
    if subject is not None and verdict.subject != subject:
        raise ProofInvalidError("proof is well formed but the subject does not match")
    return verdict


def _decode(proof: bytes) -> ExplicitProof:
    """Return the decoded proof, its counts within bounds.

    Raises:
        ProofInvalidError: it is malformed or too large.
    """
    if len(proof) > limits.PROOF_BYTES_MAX:
        raise ProofInvalidError(
            f"the proof has {len(proof)} bytes; the limit is {limits.PROOF_BYTES_MAX}"
        )
    try:
        decoded = ExplicitProof.from_bytes(proof)
    except WaveMQError as error:
        raise ProofInvalidError("the proof is malformed", cause=error) from error
    _limit(len(decoded.attestations), REFERENCES_MAX, "attestations")
    _limit(len(decoded.entities), ENTITIES_MAX, "entities")
    _limit(len(decoded.paths), PATHS_MAX, "paths")
    if not decoded.paths:
        raise ProofInvalidError("the proof has no path")
    for path in decoded.paths:
        _limit(len(path), PATH_LENGTH_MAX, "attestations on a path")
        if not path:
            raise ProofInvalidError("path of length 0")
        if any(not 0 <= index < len(decoded.attestations) for index in path):
            raise ProofInvalidError("proof refers to non-included attestation")
    return decoded


def _limit(count: int, limit: int, what: str) -> None:
    """Refuse a proof that has more than `limit` of something."""
    if count > limit:
        raise ProofInvalidError(f"the proof has {count} {what}; the limit is {limit}")


def _decode_entities(contents: Sequence[bytes]) -> list[Entity]:
    """Return genuine entities.

    Raises:
        ProofInvalidError: one is unsound.
    """
    try:
        return Entity.all_from_bytes(contents)
    except WaveMQError as error:
        raise ProofInvalidError("could not parse included entity", cause=error) from error


class _Entities:
    """The entities of a proof and of the world around it."""

    __slots__ = ("_decoded", "_included", "_world")

    def __init__(self, proof: ExplicitProof, world: ProofWorld) -> None:
        self._world = world
        self._decoded: dict[Hash, Entity] = {}
        strangers: dict[Hash, bytes] = {}
        included = [Hash(digest) for digest in keccak256_many(proof.entities)]
        for entity_hash, content in zip(included, proof.entities, strict=True):
            known = world.entities.get(entity_hash)
            if known is None:
                strangers[entity_hash] = content
            else:
                self._decoded[entity_hash] = known
        decoded = _decode_entities(tuple(strangers.values()))
        self._decoded.update(zip(strangers, decoded, strict=True))
        self._included = frozenset(included)

    def get(self, entity_hash: Hash) -> Entity | None:
        """Return a genuine entity, if it is known.

        Raises:
            ProofInvalidError: the object with that hash is not a sound entity.
        """
        known = self._decoded.get(entity_hash) or self._world.entities.get(entity_hash)
        if known is None:
            content = self._world.objects.get(entity_hash)
            if content is None or Hash.of(content) != entity_hash:
                return None
            known = _decode_entities((content,))[0]
        self._decoded[entity_hash] = known
        return known

    def required(self, entity_hash: Hash) -> Entity:
        """Return an entity that `_open_references` found to be known."""
        entity = self.get(entity_hash)
        if entity is None:
            raise MissingObjectsError(frozenset((Need(entity_hash, ()),)))
        return entity

    def parties(self, grants: Sequence[_Grant]) -> dict[Hash, Entity]:
        """Return everybody who grants or is granted to."""
        named = (
            party for grant in grants for party in (grant.body.attester, grant.attestation.subject)
        )
        return {party: self.required(party) for party in named}

    def expiry(self, grants: Sequence[_Grant]) -> Instant:
        """Return the earliest end of an included entity, or of one that takes part."""
        included = (self.required(entity_hash) for entity_hash in self._included)
        concerned = (*included, *self.parties(grants).values())
        return min(entity.validity.not_after for entity in concerned)

    def revocations(self, grants: Sequence[_Grant]) -> frozenset[RevocationOption]:
        """Return the options of all attestations and of everybody who takes part.

        Raises:
            ProofInvalidError: there are too many to look up.
        """
        options: set[RevocationOption] = set()
        for entity in self.parties(grants).values():
            options.update(entity.revocations)
        for grant in grants:
            options.update(grant.attestation.revocations)
        _limit(len(options), REVOCATIONS_MAX, "revocation options")
        return frozenset(options)


def _open_references(
    proof: ExplicitProof, world: ProofWorld, entities: _Entities, needs: _Needs
) -> list[_Grant]:
    """Return every reference opened; complete only if nothing was added to `needs`.

    What is bulk work, hashes at the beginning and signatures at the end, is done for all
    references at once.
    """
    contents = _contents(proof, world)
    grants: list[_Grant] = []
    signed: list[SignedBytes] = []
    signed_references: list[int] = []
    for index, reference in enumerate(proof.attestations):
        content = contents.get(index)
        if content is None:
            needs.add(Need(reference.hash, reference.locations), what="attestation")
            continue
        attestation, body = _open(reference, content, index)
        attester = entities.get(body.attester)
        if attester is None:
            needs.add(Need(body.attester, (body.attester_location,)), what="the attesting entity")
        else:
            try:
                signed += signatures_of(attestation, body, attester)
            except WaveMQError as error:
                raise _not_parsed(index, error) from error
            signed_references += (index, index)
        if entities.get(attestation.subject) is None:
            needs.add(
                Need(attestation.subject, (attestation.subject_location,)), what="the subject"
            )
        if not isinstance(body.policy, RTreePolicy):
            raise ProofInvalidError("not an RTree policy")
        try:
            check_policy(body.policy)
        except WaveMQError as error:
            raise _not_parsed(index, error) from error
        grants.append(_Grant(reference.hash, attestation, body, body.policy))
    for index, failure in zip(signed_references, verify_each(signed), strict=True):
        if failure is not None:
            raise _not_parsed(index, failure)
    return grants


def _contents(proof: ExplicitProof, world: ProofWorld) -> dict[int, bytes]:
    """Return the contents of the references that are at hand, by index, each what it should be.

    Raises:
        ProofInvalidError: a content is another object than its reference names.
    """
    contents = {
        index: content
        for index, reference in enumerate(proof.attestations)
        if (content := reference.content or world.objects.get(reference.hash)) is not None
    }
    for index, content in contents.items():
        if len(content) > limits.OBJECT_BYTES_MAX:
            raise _not_as_named(index)
    for index, digest in zip(contents, keccak256_many(tuple(contents.values())), strict=True):
        if Hash(digest) != proof.attestations[index].hash:
            raise _not_as_named(index)
    return contents


def _not_as_named(index: int) -> ProofInvalidError:
    return ProofInvalidError(f"attestation {index} is not the object that its hash names")


def _open(
    reference: AttestationReference, content: bytes, index: int
) -> tuple[Attestation, VerifierBody]:
    """Return the attestation in `content`, and its body.

    Raises:
        ProofInvalidError: it is malformed, or does not open.
    """
    try:
        attestation = Attestation.from_bytes(content)
        return attestation, open_with_verifier_key(attestation, reference.verifier_key)
    except WaveMQError as error:
        raise _not_parsed(index, error) from error


def _not_parsed(index: int, cause: WaveMQError) -> ProofInvalidError:
    return ProofInvalidError(f"could not parse attestation {index}", cause=cause)


def _fold(
    proof: ExplicitProof,
    grants: Sequence[_Grant],
    entities: _Entities,
    wanted: Hash | None,
) -> ProofVerdict:
    """Return what the paths grant together.

    Raises:
        ProofInvalidError: a path does not begin at the namespace, is broken, or grants more
            hops than it may; or the paths disagree.
    """
    _check_links(proof, grants, wanted)
    try:
        policy = _combine(proof.paths, [grant.policy for grant in grants], Effort())
    except WaveMQError as error:
        raise ProofInvalidError("bad policy intersection", cause=error) from error
    end = grants[proof.paths[0][-1]].attestation
    return ProofVerdict(
        policy=policy,
        subject=end.subject,
        subject_entity=entities.required(end.subject),
        subject_location=end.subject_location,
        expiry=min(entities.expiry(grants), *(grant.body.validity.not_after for grant in grants)),
        attestations=tuple(grant.hash for grant in grants),
        paths=proof.paths,
        revocations=entities.revocations(grants),
        begins=max(
            period.not_before
            for grant in grants
            for period in (
                grant.body.validity,
                entities.required(grant.attestation.subject).validity,
                entities.required(grant.body.attester).validity,
            )
        ),
    )


@dataclass(slots=True)
class _Way:
    """The beginning of some paths: what it grants, and how paths go on, by the next index."""

    policy: RTreePolicy
    further: dict[int, _Way] = field(default_factory=dict)


def _combine(
    paths: Sequence[Sequence[int]], policies: Sequence[RTreePolicy], effort: Effort
) -> RTreePolicy:
    """Return what the policies along each path, and the paths together, grant (wave.md 6.5).

    Paths often have their beginning in common, which is then combined once.

    Raises:
        InvalidParameterError: a hop is not permitted, or there are too many combinations.
    """
    roots: dict[int, _Way] = {}
    ends = []
    for path in paths:
        way = roots.setdefault(path[0], _Way(policies[path[0]]))
        for index in path[1:]:
            further = way.further.get(index)
            if further is None:
                further = _Way(intersect(way.policy, policies[index], effort=effort))
                way.further[index] = further
            way = further
        ends.append(way.policy)
    return union_of(ends, effort=effort)


def _check_links(proof: ExplicitProof, grants: Sequence[_Grant], wanted: Hash | None) -> None:
    """Check the shape of every path: root, links, one namespace, one end.

    Raises:
        ProofInvalidError: a path is not a chain from the namespace to the common subject.
    """
    subject = grants[proof.paths[0][-1]].attestation.subject
    namespace = grants[proof.paths[0][0]].policy.namespace
    if wanted is not None and namespace != wanted:
        raise ProofInvalidError("proof is well formed but grants insufficient permissions")
    for path in proof.paths:
        first = grants[path[0]]
        if first.body.attester != first.policy.namespace:
            raise ProofInvalidError("path does not begin at the namespace entity")
        for index, following in pairwise(path):
            if grants[index].attestation.subject != grants[following].body.attester:
                raise ProofInvalidError("path has broken links")
        if grants[path[-1]].attestation.subject != subject:
            raise ProofInvalidError("paths don't terminate at same entity")
        if any(grants[index].policy.namespace != namespace for index in path):
            raise ProofInvalidError("bad policy intersection: different authority domain")


def _check_periods(grants: Sequence[_Grant], entities: _Entities, now: Instant) -> None:
    """Check that every reference and everybody in it is within its validity (wave.md 7.4).

    Raises:
        ProofInvalidError: something has expired or is not valid yet.
    """
    for grant in grants:
        parties = (
            entities.required(grant.attestation.subject),
            entities.required(grant.body.attester),
        )
        for period in (grant.body.validity, *(party.validity for party in parties)):
            if period.is_expired(now):
                raise ProofInvalidError("proof contains expired or revoked attestations")
            if period.is_pending(now):
                raise ProofNotYetValidError(
                    "proof contains expired or revoked attestations: a part of it "
                    f"{period.clock_note(now)}"
                )
