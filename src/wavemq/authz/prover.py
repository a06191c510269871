"""The search for chains of grants that together give a subject what it asks for.

Owns the search (wave.md 9.2) over abstract edges. Refuses to know where edges come from, whether
they are still valid, keys, storage and DER. Fault model: the edges may form cycles, may be many,
and may be chosen by somebody who wants the search to take long; the number of labels per entity
is bounded, so the work grows with the number of edges and never with the number of paths.

How it works. Every requested (statement, permission) is one *wish*. A label says: this chain of
edges reaches that entity, may still be extended so often, and for each wish it still carries
these resource patterns. Labels spread breadth first from the namespace. A label is dropped where
an earlier, not longer one reaches the same entity with at least the same patterns and as many
extensions left; a cycle therefore ends at its first return. Any number of chains that reach the
subject is then combined until every wish is covered, with few attestations.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from wavemq.errors import InvalidParameterError, NoProofFoundError
from wavemq.wave import pattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wavemq.clock import Instant
    from wavemq.wave.hashes import Hash
    from wavemq.wave.policy import RTreePolicy, Statement

WISHES_MAX: Final = 1000
"""Requested (statement, permission) pairs; as many as a policy may have statements (6.5)."""
EXTENSIONS_MAX: Final = 255
"""Hops that a chain may have, whatever its attestations permit (wave.md 9.2)."""
LABELS_PER_ENTITY_MAX: Final = 64
"""Undominated ways to one entity that are remembered in one search."""
PATTERNS_PER_WISH_MAX: Final = 64
"""Different patterns that one label carries for one wish; the shortest are kept."""


@dataclass(frozen=True, slots=True)
class Edge:
    """One active RTree attestation, as far as the search needs it.

    Attributes:
        attestation: its hash.
        attester: who granted.
        subject: who was granted to.
        policy: what was granted; already checked against wave.md 6.2.
        expiry: when the attestation ends; among equal chains the one that lasts wins.
    """

    attestation: Hash
    attester: Hash
    subject: Hash
    policy: RTreePolicy
    expiry: Instant


@dataclass(frozen=True, slots=True)
class Wish:
    """One permission on one resource that the proof must grant."""

    permission_set: Hash
    permission: str
    resource: str


Fact = tuple[int, str]
"""A wish by its index, and a pattern that still contains its resource."""


@dataclass(frozen=True, slots=True, eq=False)
class _Label:
    """One way to reach an entity; `parent` and `edge` are None at the namespace only."""

    entity: Hash
    depth: int
    extensions: int
    facts: frozenset[Fact]
    parent: _Label | None
    edge: Edge | None

    def wishes(self) -> frozenset[int]:
        return frozenset(index for index, _ in self.facts)

    def chain(self) -> tuple[Edge, ...]:
        edges: list[Edge] = []
        at: _Label | None = self
        while at is not None and at.edge is not None:
            edges.append(at.edge)
            at = at.parent
        return tuple(reversed(edges))


@dataclass(frozen=True, slots=True)
class _Step:
    """An edge with the patterns that it offers for each wish; useless edges have no step."""

    edge: Edge
    offers: tuple[Fact, ...]


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
    edges: Iterable[Edge], *, namespace: Hash, subject: Hash, statements: Sequence[Statement]
) -> tuple[tuple[Edge, ...], ...]:
    """Return chains from `namespace` to `subject` that together grant all `statements`.

    Args:
        edges: the attestations that may be used; those of other namespaces are ignored.
        namespace: whose authority is asked for.
        subject: who should have it. The namespace itself has no chain to itself (wave.md 9.2).
        statements: what should be granted; each (statement, permission) may come from a chain
            of its own.

    Raises:
        InvalidParameterError: the request is empty, too large or malformed.
        NoProofFoundError: no combination of chains grants everything.
    """
    wishes = wishes_of(statements)
    if subject == namespace:
        raise NoProofFoundError(
            "couldn't find a proof: the namespace entity itself needs none and can have none; "
            "grant to a separate entity"
        )
    steps = _steps_by_attester(edges, namespace, wishes)
    found = _search(steps, wishes, namespace, subject, frozenset(range(len(wishes))))
    reached: set[int] = set().union(*(label.wishes() for label in found))
    for index in range(len(wishes)):
        if index in reached:
            continue
        # The bound on labels may have crowded this wish out; alone it is not crowded.
        alone = _search(steps, wishes, namespace, subject, frozenset((index,)))
        if not alone:
            raise NoProofFoundError("couldn't find a proof")
        found += alone
    return _cover(found, frozenset(range(len(wishes))))


def _steps_by_attester(
    edges: Iterable[Edge], namespace: Hash, wishes: Sequence[Wish]
) -> dict[Hash, list[_Step]]:
    """Return the useful edges by attester, those that last longest first."""
    steps: defaultdict[Hash, list[_Step]] = defaultdict(list)
    for edge in edges:
        if edge.policy.namespace != namespace or edge.subject == namespace:
            continue
        offers = tuple(
            (index, statement.resource)
            for index, wish in enumerate(wishes)
            for statement in edge.policy.statements
            if statement.permission_set == wish.permission_set
            and wish.permission in statement.permissions
            and pattern.is_within(wish.resource, statement.resource)
        )
        if offers:
            steps[edge.attester].append(_Step(edge, offers))
    for outgoing in steps.values():
        outgoing.sort(key=lambda step: (-step.edge.expiry, step.edge.attestation.to_bytes()))
    return steps


def _search(
    steps: dict[Hash, list[_Step]],
    wishes: Sequence[Wish],
    namespace: Hash,
    subject: Hash,
    wanted: frozenset[int],
) -> list[_Label]:
    """Return the undominated labels at `subject` for the `wanted` wishes, shortest first."""
    labels: defaultdict[Hash, list[_Label]] = defaultdict(list)
    frontier = deque([_Label(namespace, 0, EXTENSIONS_MAX, frozenset(), None, None)])
    depth_max = EXTENSIONS_MAX
    while frontier:
        label = frontier.popleft()
        if label.depth >= depth_max or label.extensions == 0:
            continue
        for step in steps.get(label.entity, ()):
            extended = _extend(label, step, wishes, wanted)
            known = labels[step.edge.subject]
            if (
                not extended.facts
                or len(known) >= LABELS_PER_ENTITY_MAX
                or any(_dominates(other, extended) for other in known)
            ):
                continue
            known.append(extended)
            if step.edge.subject != subject:
                frontier.append(extended)
            elif extended.wishes() >= wanted:
                depth_max = min(depth_max, extended.depth)  # a longer chain costs at least as much
    return labels[subject]


def _extend(label: _Label, step: _Step, wishes: Sequence[Wish], wanted: frozenset[int]) -> _Label:
    """Return `label` one hop further: the patterns that survive the intersection (6.5)."""
    offers = (offer for offer in step.offers if offer[0] in wanted)
    if label.edge is None:
        facts = frozenset(offers)
    else:
        carried: defaultdict[int, list[str]] = defaultdict(list)
        for index, resource in label.facts:
            carried[index].append(resource)
        facts = frozenset(
            (index, meet)
            for index, offered in offers
            for resource in carried.get(index, ())
            if (meet := pattern.restrict(resource, offered)) is not None
            and pattern.is_within(wishes[index].resource, meet)
        )
    extensions = min(label.extensions - 1, step.edge.policy.indirections)
    return _Label(step.edge.subject, label.depth + 1, extensions, _bounded(facts), label, step.edge)


def _bounded(facts: frozenset[Fact]) -> frozenset[Fact]:
    """Return `facts` with at most the permitted number of patterns for each wish."""
    if len(facts) <= PATTERNS_PER_WISH_MAX:
        return facts
    kept: defaultdict[int, int] = defaultdict(int)
    chosen = []
    for index, resource in sorted(facts, key=lambda fact: (fact[0], len(fact[1]), fact[1])):
        if kept[index] < PATTERNS_PER_WISH_MAX:
            kept[index] += 1
            chosen.append((index, resource))
    return frozenset(chosen)


def _dominates(one: _Label, other: _Label) -> bool:
    """Whether whatever `other` can become, `one` can become too, and is not longer."""
    return (
        one.depth <= other.depth and one.extensions >= other.extensions and one.facts >= other.facts
    )


def _cover(found: Sequence[_Label], wanted: frozenset[int]) -> tuple[tuple[Edge, ...], ...]:
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
