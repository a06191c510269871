"""From what a perspective knows to a proof that others can check.

Owns the choice of edges that are valid now, the assembly of the explicit proof (wave.md 9.1) and
its check by our own verifier before anybody sees it. Refuses to know the search itself and where
grants come from. Fault model: a grant may have been revoked since it was found; one that is known
to be is left out and the search repeated. Where storage does not say, the proof is built and the
verifier decides.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from wavemq.authz.prover import Edge, find_chains
from wavemq.authz.validity import period_of_body, period_of_entity
from wavemq.authz.verdicts import BuiltProof
from wavemq.authz.verifier import ProofWorld, verify_proof
from wavemq.errors import (
    NoProofFoundError,
    ProofInvalidError,
    StorageError,
    WaveMQError,
)
from wavemq.wave.policy import RTreePolicy, check_policy
from wavemq.wave.proof import AttestationReference, ExplicitProof

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from wavemq.authz.graph import ActiveGrant
    from wavemq.authz.library import Library
    from wavemq.authz.revocation import RevocationChecker
    from wavemq.authz.workers import Workers
    from wavemq.clock import Instant
    from wavemq.wave.hashes import Hash
    from wavemq.wave.policy import Statement
    from wavemq.wave.revocation import RevocationOption

REVOKED_GRANTS_MAX: Final = 64
"""Searches that one request may repeat because what they found turned out to be revoked."""
GRANTS_BESIDE_MAX: Final = 256
"""Grants between the same two entities as a revoked one that are looked up together after it."""


def edges_of(grants: Iterable[ActiveGrant], namespace: Hash, now: Instant) -> list[Edge]:
    """Return the grants whose periods allow their use now, as edges; revocations aside."""
    edges = []
    for grant in grants:
        policy = grant.body.policy
        if not isinstance(policy, RTreePolicy) or policy.namespace != namespace:
            continue
        if not all(
            period.is_valid
            for period in (
                period_of_body(grant.body, now),
                period_of_entity(grant.attester, now),
                period_of_entity(grant.subject, now),
            )
        ):
            continue
        try:
            check_policy(policy)
        except WaveMQError:
            continue  # a verifier would refuse it too (wave.md 6.2)
        edges.append(
            Edge(
                attestation=grant.hash,
                attester=grant.attester.hash,
                subject=grant.subject.hash,
                policy=policy,
                expiry=min(
                    grant.body.validity.not_after,
                    grant.attester.validity.not_after,
                    grant.subject.validity.not_after,
                ),
            )
        )
    return edges


async def prove(
    grants: Sequence[ActiveGrant],
    *,
    namespace: Hash,
    subject: Hash,
    statements: Sequence[Statement],
    now: Instant,
    patience_s: float,
    library: Library,
    revocations: RevocationChecker,
    workers: Workers,
) -> BuiltProof:
    """Return a proof that `subject` has what `statements` say in `namespace`.

    Args:
        grants: everything that the perspective knows.
        namespace: whose authority is asked for.
        subject: who should have it.
        statements: what should be granted.
        now: the instant at which the proof must hold.
        patience_s: how long to wait for storage to say that something is revoked.
        library: holds the contents of the attestations.
        revocations: looks revocation options up.
        workers: where the search runs.

    Raises:
        InvalidParameterError: the request is empty, too large or malformed.
        NoProofFoundError: no combination of grants gives it.
        StorageError: an attestation was forgotten and storage does not answer.
    """
    by_hash = {grant.hash: grant for grant in grants}
    edges = edges_of(grants, namespace, now)
    if revocations.epoch:
        edges = _unrevoked(edges, by_hash, revocations)
    deadline = asyncio.get_running_loop().time() + patience_s
    for _ in range(REVOKED_GRANTS_MAX):
        chains = await workers.run(
            find_chains, edges, namespace=namespace, subject=subject, statements=statements
        )
        used = {edge.attestation: by_hash[edge.attestation] for chain in chains for edge in chain}
        revoked = await revocations.first_revoked(
            set().union(*(_options(grant) for grant in used.values())),
            now=now,
            patience_s=deadline - asyncio.get_running_loop().time(),
        )
        if revoked is None:
            contents = await _contents(used, library)
            return await workers.run(_assemble, chains, used, contents, now)
        ways = {
            (edge.attester, edge.subject)
            for chain in chains
            for edge in chain
            if revocations.known_revoked(_options(by_hash[edge.attestation])) is not None
        }
        edges = _unrevoked(edges, by_hash, revocations)
        # What was granted beside a revoked grant is likely to be next, and revoked as well.
        beside = [edge for edge in edges if (edge.attester, edge.subject) in ways]
        await revocations.check_patiently(
            set().union(
                *(_options(by_hash[edge.attestation]) for edge in beside[:GRANTS_BESIDE_MAX])
            ),
            now=now,
            patience_s=deadline - asyncio.get_running_loop().time(),
        )
        edges = _unrevoked(edges, by_hash, revocations)
    raise NoProofFoundError("couldn't find a proof: too many grants turned out to be revoked")


def _unrevoked(
    edges: Iterable[Edge], by_hash: Mapping[Hash, ActiveGrant], revocations: RevocationChecker
) -> list[Edge]:
    """Return the edges of which nothing is known to be revoked."""
    return [
        edge
        for edge in edges
        if revocations.known_revoked(_options(by_hash[edge.attestation])) is None
    ]


def _options(grant: ActiveGrant) -> set[RevocationOption]:
    """Return the options that would end a grant."""
    return {
        *grant.revocations,
        *grant.attester.revocations,
        *grant.subject.revocations,
    }


async def _contents(used: dict[Hash, ActiveGrant], library: Library) -> dict[Hash, bytes]:
    """Return the wire objects of the attestations in use.

    Raises:
        StorageError: one was forgotten here and cannot be fetched.
    """
    # Their number is bounded by the length and the number of the chains.
    found = await asyncio.gather(
        *(library.object(name, (grant.subject_location,)) for name, grant in used.items())
    )
    contents = {}
    for name, content in zip(used, found, strict=True):
        if content is None:
            raise StorageError(f"the attestation {name.to_text()} is no longer in storage")
        contents[name] = content
    return contents


def _assemble(
    chains: tuple[tuple[Edge, ...], ...],
    used: dict[Hash, ActiveGrant],
    contents: dict[Hash, bytes],
    now: Instant,
) -> BuiltProof:
    """Return the explicit proof of `chains`, checked by our own verifier.

    Raises:
        NoProofFoundError: it does not verify.
    """
    order = {found: index for index, found in enumerate(used)}
    entities = {
        party.hash: party.wire
        for grant in used.values()
        for party in (grant.attester, grant.subject)
    }
    der = ExplicitProof(
        attestations=tuple(
            AttestationReference(
                hash=found,
                content=contents[found],
                locations=(grant.subject_location,),
                verifier_key=grant.verifier_key or None,
            )
            for found, grant in used.items()
        ),
        paths=tuple(tuple(order[edge.attestation] for edge in chain) for chain in chains),
        entities=tuple(entities.values()),
    ).to_bytes()
    try:
        verdict = verify_proof(der, ProofWorld(), now=now)
    except ProofInvalidError as error:
        raise NoProofFoundError("couldn't find a proof", cause=error) from error
    return BuiltProof(
        der=der,
        policy=verdict.policy,
        subject=verdict.subject,
        expiry=verdict.expiry,
        attestations=verdict.attestations,
        paths=verdict.paths,
        revocations=verdict.revocations,
    )
