"""Which chains of grants together give a subject what it asks for, with few attestations.

Owns what is wished for and the choice among the chains that `search` finds (wave.md 9.2). Refuses
to know how they are found, where edges come from, whether they are still valid, keys and storage.
Fault model: that of `search`; a request itself is bounded and comes from our own side.

Every requested (statement, permission) is one *wish*. Any number of chains that reach the subject
is combined until every wish is covered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wavemq.authz.search import Budget, Label, Walk
from wavemq.authz.terrain import Edge, Terrain, Wish
from wavemq.errors import InvalidParameterError, NoProofFoundError
from wavemq.wave import pattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wavemq.wave.hashes import Hash
    from wavemq.wave.policy import Statement

__all__ = ["WISHES_MAX", "Edge", "Wish", "find_chains", "wishes_of"]

WISHES_MAX: Final = 1000
"""Requested (statement, permission) pairs; as many as a policy may have statements (6.5)."""
_WALKS: Final = 3
"""Kinds of walks that share a budget: all wishes together, each alone, each exactly."""


def wishes_of(statements: Sequence[Statement]) -> tuple[Wish, ...]:
    """Return the distinct (statement, permission) pairs of a request, in order.

    Raises:
        InvalidParameterError: nothing is asked for, too much is, or a resource is malformed.
    """
    wishes = tuple(
        dict.fromkeys(
            Wish(statement.permission_set, permission, statement.resource)
            for statement in statements
            for permission in statement.permissions
        )
    )
    if not wishes:
        raise InvalidParameterError("a proof must be asked for at least one permission")
    if len(wishes) > WISHES_MAX:
        raise InvalidParameterError(
            f"{len(wishes)} permissions are requested; the limit is {WISHES_MAX}"
        )
    for wish in wishes:
        if not pattern.is_valid_resource(wish.resource):
            raise InvalidParameterError(f"the resource {wish.resource!r} is malformed")
    return wishes


def find_chains(
    edges: Iterable[Edge],
    *,
    namespace: Hash,
    subject: Hash,
    statements: Sequence[Statement],
    budget: Budget | None = None,
) -> tuple[tuple[Edge, ...], ...]:
    """Return chains from `namespace` to `subject` that together grant all `statements`.

    Args:
        edges: the attestations that may be used; those of other namespaces are ignored.
        namespace: whose authority is asked for.
        subject: who should have it. The namespace itself has no chain to itself (wave.md 9.2).
        statements: what should be granted; each (statement, permission) may come from a chain
            of its own.
        budget: how much work the search may cause; the usual amount if None.

    Raises:
        InvalidParameterError: the request is empty, too large or malformed.
        NoProofFoundError: no combination of chains grants everything, or the budget ended before
            one was found.
    """
    wishes = wishes_of(statements)
    if subject == namespace:
        raise NoProofFoundError(
            "couldn't find a proof: the namespace entity itself needs none and can have none; "
            "grant to a separate entity"
        )
    budget = budget or Budget()
    terrain = Terrain.survey(edges, wishes, namespace=namespace, subject=subject)
    everything = frozenset(range(len(wishes)))
    found = Walk(terrain, budget.share(_WALKS)).together(everything)
    missing = everything.difference(*(label.wishes() for label in found))
    for index in sorted(missing):
        # The bounds of the walk may have crowded this wish out; alone it is not crowded.
        share = _WALKS * len(missing)
        alone = Walk(terrain, budget.share(share)).together(frozenset((index,)))
        if not alone:
            exact = Walk(terrain, budget.share(share)).exactly(index)
            if exact is None:
                raise NoProofFoundError("couldn't find a proof")
            alone = [exact]
        found += alone
    return _cover(found, everything)


def _cover(found: Sequence[Label], wanted: frozenset[int]) -> tuple[tuple[Edge, ...], ...]:
    """Return few chains among `found` that cover all `wanted` wishes, few attestations first.

    Raises:
        NoProofFoundError: some wish is in no label.
    """
    offers = [(label.wishes(), label.chain()) for label in found]
    single = min((chain for carried, chain in offers if carried >= wanted), key=len, default=None)
    chosen: list[tuple[frozenset[int], tuple[Edge, ...]]] = []
    used: set[Hash] = set()
    missing = set(wanted)
    while missing:
        best = min(
            (offer for offer in offers if offer[0] & missing),
            key=lambda offer: _new_edges(offer[1], used) / len(offer[0] & missing),
            default=None,
        )
        if best is None:
            raise NoProofFoundError("couldn't find a proof")
        chosen.append(best)
        missing -= best[0]
        used.update(edge.attestation for edge in best[1])
    chosen = _without_redundant(chosen, wanted)
    cost = len({edge.attestation for _, chain in chosen for edge in chain})
    if single is not None and len(single) <= cost:
        return (single,)
    return tuple(chain for _, chain in chosen)


def _new_edges(chain: Sequence[Edge], used: set[Hash]) -> int:
    """Return how many attestations of `chain` are not in the proof yet."""
    return sum(edge.attestation not in used for edge in chain)


def _without_redundant(
    chosen: list[tuple[frozenset[int], tuple[Edge, ...]]], wanted: frozenset[int]
) -> list[tuple[frozenset[int], tuple[Edge, ...]]]:
    """Return `chosen` without chains whose wishes the others cover; earliest first."""
    kept = list(chosen)
    for candidate in chosen:
        others = [offer for offer in kept if offer is not candidate]
        if frozenset().union(*(carried for carried, _ in others)) >= wanted:
            kept = others
    return kept
