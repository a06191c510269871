"""Why an entity can or cannot do a thing.

Owns the reasoning over known grants: how far the permission reaches from the namespace, from whom a
chain would lead on to the subject, and what stands in the way. Refuses to collect and to print; the
agent's prover decides, this only explains. Fault model: the graph may be large and have cycles;
every entity is visited once for each number of hops that are left.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass
from typing import Final

from wavemq.cli.wv.known_graph import Grant, KnownGraph
from wavemq.wave import pattern

OBSTACLES_MAX: Final = 20
HOPS_MAX: Final = 255
"""Hops of a chain, whatever its grants permit (wave.md 9.2)."""


@dataclass(frozen=True, slots=True)
class Wish:
    """One permission on one resource under one namespace; hashes are multihashes."""

    namespace: bytes
    permission_set: bytes
    permission: str
    resource: str
    subject: bytes


@dataclass(frozen=True, slots=True)
class Obstacle:
    """A known grant that would help, and why it does not."""

    grant: Grant
    reason: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why not, or how.

    Attributes:
        reach: the chain from the namespace that comes nearest to the subject; the whole way where
            the subject has the permission.
        granter: who could make the missing grant; None where nothing is missing.
        receiver: to whom it would have to be made.
        rest: the chain that leads on from the receiver to the subject.
        obstacles: grants in the way.
    """

    reach: tuple[Grant, ...]
    granter: bytes | None
    receiver: bytes | None
    rest: tuple[Grant, ...]
    obstacles: tuple[Obstacle, ...]

    @property
    def is_granted(self) -> bool:
        """Whether a chain leads to the subject."""
        return self.granter is None


def covers(grant: Grant, wish: Wish) -> bool:
    """Whether a grant, by itself, gives what is wished for."""
    return grant.namespace == wish.namespace and any(
        one.permission_set == wish.permission_set
        and wish.permission in one.permissions
        and pattern.is_within(wish.resource, one.resource)
        for one in grant.statements
    )


def explain(graph: KnownGraph, wish: Wish) -> Explanation:
    """Return how far the permission reaches, and the nearest missing grant.

    Args:
        graph: what is known.
        wish: what the subject wants to do.
    """
    useful = [grant for grant in graph.grants if grant.is_valid and covers(grant, wish)]
    forward = _forward(useful, wish.namespace)
    if wish.subject in forward and wish.subject != wish.namespace:
        return Explanation(forward[wish.subject], None, None, (), ())
    backward = _backward(useful, wish.subject)
    granter, receiver = _nearest(forward, backward)
    return Explanation(
        reach=forward[granter],
        granter=granter,
        receiver=receiver,
        rest=backward[receiver],
        obstacles=tuple(_obstacles(graph, wish, forward, backward)),
    )


def _forward(grants: list[Grant], namespace: bytes) -> dict[bytes, tuple[Grant, ...]]:
    """Return for each entity that has the permission the shortest chain that gives it."""
    outgoing: defaultdict[bytes, list[Grant]] = defaultdict(list)
    for grant in grants:
        outgoing[grant.attester].append(grant)
    chains: dict[bytes, tuple[Grant, ...]] = {namespace: ()}
    best: dict[bytes, int] = {namespace: HOPS_MAX}
    waiting: deque[tuple[bytes, int, tuple[Grant, ...]]] = deque([(namespace, HOPS_MAX, ())])
    while waiting:
        entity, left, chain = waiting.popleft()
        if left == 0:
            continue
        for grant in outgoing[entity]:
            then = min(left - 1, grant.indirections)
            if then > best.get(grant.subject, -1):
                best[grant.subject] = then
                longer = (*chain, grant)
                chains.setdefault(grant.subject, longer)
                waiting.append((grant.subject, then, longer))
    return chains


def _backward(grants: list[Grant], subject: bytes) -> dict[bytes, tuple[Grant, ...]]:
    """Return for each entity from which a chain leads to the subject the shortest one."""
    incoming: defaultdict[bytes, list[Grant]] = defaultdict(list)
    for grant in grants:
        incoming[grant.subject].append(grant)
    chains: dict[bytes, tuple[Grant, ...]] = {subject: ()}
    waiting = deque([subject])
    while waiting:
        entity = waiting.popleft()
        for grant in incoming[entity]:
            # What follows a grant must fit into the hops that it still permits.
            if grant.attester not in chains and grant.indirections >= len(chains[entity]):
                chains[grant.attester] = (grant, *chains[entity])
                waiting.append(grant.attester)
    return chains


def _nearest(
    forward: dict[bytes, tuple[Grant, ...]], backward: dict[bytes, tuple[Grant, ...]]
) -> tuple[bytes, bytes]:
    """Return who could grant to whom so that the least else is needed: the longest known parts."""
    receiver = max(backward, key=lambda one: (len(backward[one]), one))
    able = [
        entity
        for entity, chain in forward.items()
        if _left(chain) > len(backward[receiver]) or not chain
    ]
    granter = max(able, key=lambda one: (len(forward[one]), one))
    return granter, receiver


def _left(chain: tuple[Grant, ...]) -> int:
    """Return how many further hops a chain permits."""
    left = HOPS_MAX
    for grant in chain:
        left = min(left - 1, grant.indirections)
    return left


def _obstacles(
    graph: KnownGraph,
    wish: Wish,
    forward: dict[bytes, tuple[Grant, ...]],
    backward: dict[bytes, tuple[Grant, ...]],
) -> list[Obstacle]:
    """Return grants that lead toward the subject and do not count, the most telling first."""
    found = []
    for grant in graph.grants:
        if grant.namespace != wish.namespace:
            continue
        leads_on = grant.subject in backward or grant.attester in forward
        if not leads_on or (grant.is_valid and covers(grant, wish) and grant.subject in forward):
            continue
        reason = _reason(grant, wish, forward)
        if reason:
            found.append(Obstacle(grant, reason))
    found.sort(key=lambda one: (one.grant.subject not in backward, _order(one.grant)))
    return found[:OBSTACLES_MAX]


def _order(grant: Grant) -> tuple[list[tuple[str, bytes, tuple[str, ...]]], int, bytes]:
    """Return what gives grants an order that people can follow: what, until when."""
    return (
        [(one.resource, one.permission_set, one.permissions) for one in grant.statements],
        grant.until_ms,
        grant.attestation,
    )


def _reason(grant: Grant, wish: Wish, forward: dict[bytes, tuple[Grant, ...]]) -> str:
    if not covers(grant, wish):
        sets = [one for one in grant.statements if one.permission_set == wish.permission_set]
        if not any(wish.permission in one.permissions for one in sets):
            return f"does not grant {wish.permission}"
        return f"does not cover {wish.resource}"
    if not grant.is_valid:
        return f"is {grant.state}"
    if grant.attester not in forward:
        return "its granter does not have the permission"
    if _left(forward[grant.attester]) == 0:
        return "its granter may not pass the permission on: no more hops"
    return ""
