"""The ground that a search for chains of grants covers: edges between a namespace and a subject.

Owns edges, wishes, and which edges can be of any use for a request. Refuses to know ways over them,
keys, storage and the time. Fault model: anybody may grant anything to anybody; what does not lie
between the namespace and the subject costs one look and is gone. All work here grows with the
number of edges.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from wavemq.wave import pattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wavemq.clock import Instant
    from wavemq.wave.hashes import Hash
    from wavemq.wave.policy import RTreePolicy, Statement

EXTENSIONS_MAX: Final = 255
"""Hops that a chain may have, whatever its attestations permit (wave.md 9.2)."""


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

    def is_granted_by(self, statement: Statement) -> bool:
        """Whether `statement` alone grants it, as verifiers decide (wave.md 6.6)."""
        return (
            self.permission_set == statement.permission_set
            and self.permission in statement.permissions
            and pattern.is_within(self.resource, statement.resource)
        )


Fact = tuple[int, str]
"""A wish by its index, and a pattern that still contains its resource."""


@dataclass(frozen=True, slots=True)
class Step:
    """An edge with the patterns that it offers for each wish."""

    edge: Edge
    offers: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class Terrain:
    """The edges that can be part of a chain for a request.

    Attributes:
        wishes: what is asked for.
        namespace: where every chain begins.
        subject: where it ends.
    """

    wishes: tuple[Wish, ...]
    namespace: Hash
    subject: Hash
    _steps: dict[Hash, list[Step]] = field(repr=False)
    _hops: dict[Hash, int] = field(repr=False)

    @classmethod
    def survey(
        cls,
        edges: Iterable[Edge],
        wishes: tuple[Wish, ...],
        *,
        namespace: Hash,
        subject: Hash,
    ) -> Terrain:
        """Keep the edges that lie between namespace and subject and offer something."""
        near = [
            edge
            for edge in edges
            if edge.policy.namespace == namespace and edge.subject != namespace
        ]
        between = _between(near, namespace, subject)
        steps: defaultdict[Hash, list[Step]] = defaultdict(list)
        offers_of = _Offers(wishes)
        for edge in between:
            offers = offers_of(edge)
            if offers:
                steps[edge.attester].append(Step(edge, offers))
        for outgoing in steps.values():
            outgoing.sort(key=lambda step: (-step.edge.expiry, step.edge.attestation.to_bytes()))
        hops = _hops_to(subject, [step.edge for outgoing in steps.values() for step in outgoing])
        return cls(wishes, namespace, subject, dict(steps), hops)

    def steps_from(self, entity: Hash) -> Sequence[Step]:
        """Return the useful edges by `entity`, those that last longest first."""
        return self._steps.get(entity, ())

    def hops_from(self, entity: Hash) -> int | None:
        """Return how many edges at least lie between `entity` and the subject; None: no way."""
        return self._hops.get(entity)

    def may_arrive(self, entity: Hash, depth: int, extensions: int) -> bool:
        """Whether a chain of `depth` edges to `entity` has hops enough left for the subject."""
        hops = self._hops.get(entity)
        return hops is not None and hops <= extensions and depth + hops <= EXTENSIONS_MAX


class _Offers:
    """Finds the wishes that an edge serves."""

    __slots__ = ("_by_permission", "_wishes", "_within")

    def __init__(self, wishes: Sequence[Wish]) -> None:
        self._wishes = wishes
        self._by_permission: defaultdict[tuple[Hash, str], list[int]] = defaultdict(list)
        for index, wish in enumerate(wishes):
            self._by_permission[wish.permission_set, wish.permission].append(index)

    def __call__(self, edge: Edge) -> tuple[Fact, ...]:
        return tuple(
            dict.fromkeys(
                (index, statement.resource)
                for statement in edge.policy.statements
                for permission in statement.permissions
                for index in self._by_permission.get((statement.permission_set, permission), ())
                if pattern.is_within(self._wishes[index].resource, statement.resource)
            )
        )


def _between(edges: Sequence[Edge], namespace: Hash, subject: Hash) -> list[Edge]:
    """Return the edges on some way from `namespace` to `subject`, whatever they grant.

    Anybody may grant anything to anybody: this is what keeps strangers' grants from costing more.
    """
    outgoing: defaultdict[Hash, list[Hash]] = defaultdict(list)
    for edge in edges:
        outgoing[edge.attester].append(edge.subject)
    reached = {namespace}
    waiting = [namespace]
    while waiting:
        for entity in outgoing.get(waiting.pop(), ()):
            if entity not in reached:
                reached.add(entity)
                waiting.append(entity)
    hops = _hops_to(subject, edges)
    return [edge for edge in edges if edge.attester in reached and edge.subject in hops]


def _hops_to(subject: Hash, edges: Sequence[Edge]) -> dict[Hash, int]:
    """Return how many edges at least lie between an entity and the subject, where any way does."""
    incoming: defaultdict[Hash, list[Hash]] = defaultdict(list)
    for edge in edges:
        incoming[edge.subject].append(edge.attester)
    hops = {subject: 0}
    waiting = deque([subject])
    while waiting:
        entity = waiting.popleft()
        for attester in incoming.get(entity, ()):
            if attester not in hops:
                hops[attester] = hops[entity] + 1
                waiting.append(attester)
    return hops
