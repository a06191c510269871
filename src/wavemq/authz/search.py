"""The walk over grants that finds chains from a namespace to a subject.

Owns the labels, what makes one label better than another, and every bound on the walk. Refuses to
choose among what it finds, and to know keys, storage and the time. Fault model: the edges may form
cycles, may be many, and may be chosen by somebody who wants the walk to take long or to hide an
honest way. The work is bounded by a budget, and grows with the number of edges, not with the number
of paths.

How it works. A label says: this chain of edges reaches that entity, may still be extended so
often, and carries these patterns for each wish. Labels spread from the namespace, those first that
can reach the subject soonest. One is dropped where a known, not longer one reaches the same entity
with at least the same patterns and as many extensions left, so that a cycle ends at its first
return; and where it has fewer extensions left than there are hops to the subject.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final

from wavemq.authz.terrain import EXTENSIONS_MAX
from wavemq.errors import InvalidParameterError
from wavemq.wave import pattern
from wavemq.wave.policy import intersect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wavemq.authz.terrain import Edge, Fact, Step, Terrain
    from wavemq.wave.hashes import Hash
    from wavemq.wave.policy import RTreePolicy, Statement

Patterns = dict[int, list[str]]
"""The patterns that a label carries, by the index of the wish."""

LABELS_PER_ENTITY_MAX: Final = 64
"""Undominated ways to one entity that one walk remembers."""
PATTERNS_PER_WISH_MAX: Final = 64
"""Different patterns that one label carries for one wish; the shortest are kept."""
WORK_MAX: Final = 4_000_000
"""Elements of patterns and labels that one request may cause to be compared: about two seconds."""
_WORK_PER_MEETING: Final = 4
"""What the intersection of two patterns costs beside their elements."""


@dataclass(slots=True)
class Budget:
    """How much work one request has caused, and how much it may cause."""

    work_max: int = WORK_MAX
    work: int = 0
    _whole: Budget | None = None

    def is_spent(self) -> bool:
        """Whether the walk must end with what it has."""
        return self.work >= self.work_max

    def spend(self, work: int) -> None:
        """Note work that is about to be done."""
        self.work += work
        if self._whole is not None:
            self._whole.spend(work)

    def share(self, count: int) -> Budget:
        """Return one of `count` equal shares; what is spent of it is spent of the whole."""
        return Budget(self.work_max // count, 0, self)


@dataclass(frozen=True, slots=True, eq=False)
class Label:
    """One way to reach an entity.

    Attributes:
        entity: who is reached.
        depth: how many edges that took.
        extensions: how many more may follow.
        facts: which patterns the chain carries for which wishes.
        policy: what a verifier makes of the chain; None while nobody has asked.
        parent: the way without its last edge; None at the namespace only.
        edge: the last edge; None at the namespace only.
    """

    entity: Hash
    depth: int
    extensions: int
    facts: frozenset[Fact]
    policy: RTreePolicy | None = None
    parent: Label | None = None
    edge: Edge | None = None

    def wishes(self) -> frozenset[int]:
        """Return the indices of the wishes that the chain carries."""
        return frozenset(index for index, _ in self.facts)

    def patterns(self) -> Patterns:
        """Return the patterns by the index of the wish."""
        carried: defaultdict[int, list[str]] = defaultdict(list)
        for index, resource in self.facts:
            carried[index].append(resource)
        return carried

    def chain(self) -> tuple[Edge, ...]:
        """Return the edges, the namespace's side first."""
        edges: list[Edge] = []
        at: Label | None = self
        while at is not None and at.edge is not None:
            edges.append(at.edge)
            at = at.parent
        return tuple(reversed(edges))


class Walk:
    """A walk over a terrain.

    Args:
        terrain: the edges, and what is asked for.
        budget: how much work it may cause.
    """

    __slots__ = ("_budget", "_terrain", "_work_per_meeting")

    def __init__(self, terrain: Terrain, budget: Budget) -> None:
        self._terrain = terrain
        self._budget = budget
        # A pattern that contains a wish has hardly more elements than the wish.
        longest = max(wish.resource.count("/") + 1 for wish in terrain.wishes)
        self._work_per_meeting = _WORK_PER_MEETING + longest

    # --- the usual walk ---------------------------------------------------------------------

    def together(self, wanted: frozenset[int]) -> list[Label]:
        """Return undominated ways to the subject for `wanted` wishes together, shortest first.

        Each carries what a verifier will make of it, and at least one wish.
        """
        labels: defaultdict[Hash, list[Label]] = defaultdict(list)
        frontier = _Frontier(self._terrain)
        length_max = EXTENSIONS_MAX
        while (label := frontier.take(length_max)) is not None:
            carried = label.patterns()
            for step in self._terrain.steps_from(label.entity):
                if self._budget.is_spent():
                    return self._as_verified(labels[self._terrain.subject])
                extended = self._extend(label, carried, step, wanted)
                known = labels[step.edge.subject]
                if (
                    extended is None
                    or len(known) >= LABELS_PER_ENTITY_MAX
                    or self._is_dominated(extended, known)
                ):
                    continue
                known.append(extended)
                if step.edge.subject != self._terrain.subject:
                    frontier.add(extended)
                elif extended.wishes() >= wanted:
                    # A longer chain costs at least as much.
                    length_max = min(length_max, extended.depth)
        return self._as_verified(labels[self._terrain.subject])

    def _extend(
        self, label: Label, carried: Patterns, step: Step, wanted: frozenset[int]
    ) -> Label | None:
        """Return `label` one hop further: the patterns that survive the intersection (6.5)."""
        edge = step.edge
        extensions = min(label.extensions - 1, edge.policy.indirections)
        if not self._terrain.may_arrive(edge.subject, label.depth + 1, extensions):
            return None
        offers = [offer for offer in step.offers if offer[0] in wanted]
        self._budget.spend(1 + len(step.offers))
        if label.edge is None:
            facts = frozenset(offers)
        else:
            pairs = [
                (index, resource, offered)
                for index, offered in offers
                for resource in carried.get(index, ())
            ]
            self._budget.spend(len(pairs) * self._work_per_meeting)
            facts = frozenset(
                (index, meet)
                for index, resource, offered in pairs
                if (meet := pattern.restrict(resource, offered)) is not None
                and pattern.is_within(self._terrain.wishes[index].resource, meet)
            )
        if not facts:
            return None
        return Label(edge.subject, label.depth + 1, extensions, _bounded(facts), None, label, edge)

    def _is_dominated(self, label: Label, known: Sequence[Label]) -> bool:
        """Whether whatever `label` can become, a known and not longer one can become too."""
        self._budget.spend(len(known))
        return any(
            other.depth <= label.depth
            and other.extensions >= label.extensions
            and other.facts >= label.facts
            for other in known
        )

    def _as_verified(self, labels: Sequence[Label]) -> list[Label]:
        """Return `labels` with the facts that a verifier finds in their chains.

        It drops a statement that is within another, which may then lose a topic that the dropped
        one would have kept (wave.md 6.3, 6.5); and it gives up on too many combinations.
        """
        folded: dict[Label, RTreePolicy | None] = {}

        def fold(label: Label) -> RTreePolicy | None:
            ways: list[Label] = []
            at: Label | None = label
            while at is not None and at.edge is not None and at not in folded:
                ways.append(at)
                at = at.parent
            for way in reversed(ways):
                folded[way] = self._fold(way, folded)
            return folded[label]

        found = []
        for label in labels:
            policy = fold(label)
            facts = frozenset() if policy is None else self._facts(policy)
            if facts:
                found.append(
                    Label(
                        label.entity,
                        label.depth,
                        label.extensions,
                        facts,
                        policy,
                        label.parent,
                        label.edge,
                    )
                )
        return found

    def _fold(self, label: Label, folded: dict[Label, RTreePolicy | None]) -> RTreePolicy | None:
        """Return what a verifier makes of a chain, given the same for its parent."""
        if label.edge is None or label.parent is None:
            return None
        if label.parent.edge is None:
            return label.edge.policy
        before = folded[label.parent]
        return None if before is None else self._intersect(before, label.edge.policy)

    def _intersect(self, policy: RTreePolicy, further: RTreePolicy) -> RTreePolicy | None:
        pairs = len(policy.statements) * len(further.statements)
        self._budget.spend(pairs * self._work_per_meeting)
        try:
            return intersect(policy, further)
        except InvalidParameterError:
            return None

    def _facts(self, policy: RTreePolicy) -> frozenset[Fact]:
        return frozenset(
            (index, statement.resource)
            for index, wish in enumerate(self._terrain.wishes)
            for statement in policy.statements
            if wish.is_granted_by(statement)
        )

    # --- the exact walk ---------------------------------------------------------------------

    def exactly(self, index: int) -> Label | None:
        """Return a shortest way for one wish, keeping with each label what a verifier has of it.

        Finds what the usual walk loses to its bounds and to the intersection's own losses: here
        labels differ when their policies do, and only the budget bounds their number.
        """
        wish = self._terrain.wishes[index]
        seen: dict[tuple[Hash, frozenset[Statement]], int] = {}
        frontier = _Frontier(self._terrain)
        while (label := frontier.take(EXTENSIONS_MAX)) is not None:
            for step in self._terrain.steps_from(label.entity):
                if self._budget.is_spent():
                    return None
                edge = step.edge
                self._budget.spend(1 + len(step.offers))
                extensions = min(label.extensions - 1, edge.policy.indirections)
                if not any(
                    offered == index for offered, _ in step.offers
                ) or not self._terrain.may_arrive(edge.subject, label.depth + 1, extensions):
                    continue
                policy: RTreePolicy | None = edge.policy
                if label.policy is not None:
                    policy = self._intersect(label.policy, edge.policy)
                if policy is None:
                    continue
                facts = frozenset(
                    (index, statement.resource)
                    for statement in policy.statements
                    if wish.is_granted_by(statement)
                )
                key = (edge.subject, frozenset(policy.statements))
                self._budget.spend(1 + len(policy.statements))
                if not facts or seen.get(key, -1) >= extensions:
                    continue
                seen[key] = extensions
                extended = Label(
                    edge.subject, label.depth + 1, extensions, facts, policy, label, edge
                )
                if edge.subject == self._terrain.subject:
                    return extended
                frontier.add(extended)
        return None


class _Frontier:
    """The labels that are to be extended, those nearest to the subject in all first.

    A chain that reaches the subject soon is found before anybody's maze is walked.
    """

    __slots__ = ("_count", "_heap", "_terrain")

    def __init__(self, terrain: Terrain) -> None:
        self._terrain = terrain
        self._heap: list[tuple[int, int, int, Label]] = []
        self._count = 0
        self.add(Label(terrain.namespace, 0, EXTENSIONS_MAX, frozenset()))

    def add(self, label: Label) -> None:
        """Have a label extended; nothing happens if no way leads on from its entity."""
        hops = self._terrain.hops_from(label.entity)
        if hops is not None:
            self._count += 1  # the earlier of two equals first; labels themselves have no order
            heappush(self._heap, (label.depth + hops, -label.depth, self._count, label))

    def take(self, length_max: int) -> Label | None:
        """Return the next label that can be part of a chain of at most that length."""
        if not self._heap or self._heap[0][0] > length_max:
            return None
        return heappop(self._heap)[-1]


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
