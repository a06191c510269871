"""Policies of attestations: what is granted where (wave.md 6).

Owns statements, RTree and trust-level policies, and how chains and parallel paths combine them.
Refuses to know who grants. Everything is bounded: a combination that grows beyond the original's
limit is an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from wavemq.errors import InvalidParameterError, MalformedObjectError
from wavemq.wave import der
from wavemq.wave.hashes import Hash
from wavemq.wave.location import Location
from wavemq.wave.pattern import is_valid_resource, is_within, restrict

STATEMENTS_MAX: Final = 10
PERMISSIONS_MAX: Final = 64
COMBINED_STATEMENTS_MAX: Final = 1000
COMPARISONS_MAX: Final = 1_200_000
"""Comparisons of statements for one proof: enough for a union of 1000, and about a second."""
TRUST_MIN: Final = 1
TRUST_MAX: Final = 4
_TRUST_LEVEL: Final = (12, 1)
_RTREE: Final = (12, 2)


@dataclass(frozen=True, slots=True)
class Statement:
    """Permissions on a resource.

    Args:
        permission_set: names the kind of permissions.
        permissions: free text, compared byte for byte.
        resource: a pattern.
    """

    permission_set: Hash
    permissions: tuple[str, ...]
    resource: str

    def to_der(self) -> bytes:
        """Return the element."""
        return der.sequence(
            self.permission_set.to_der(),
            der.sequence(*(der.text(permission) for permission in self.permissions)),
            der.text(self.resource),
        )

    @classmethod
    def read(cls, reader: der.Reader) -> Statement:
        """Read the element."""
        inner = reader.sequence()
        permission_set = Hash.read(inner)
        listed = inner.sequence()
        permissions = []
        while not listed.is_at_end:
            permissions.append(listed.text())
        statement = cls(permission_set, tuple(permissions), inner.text())
        inner.finish()
        return statement

    def is_contained_in(self, other: Statement) -> bool:
        """Whether `other` alone grants all of this (wave.md 6.6)."""
        return (
            self.permission_set == other.permission_set
            and (
                self.permissions == other.permissions
                or set(self.permissions) <= set(other.permissions)
            )
            and is_within(self.resource, other.resource)
        )


@dataclass(frozen=True, slots=True)
class RTreePolicy:
    """Permissions on resources of one namespace.

    Args:
        namespace: the sole authority.
        namespace_location: where its entity is stored.
        indirections: how many further hops may follow.
        statements: what is granted.
    """

    namespace: Hash
    namespace_location: Location
    indirections: int
    statements: tuple[Statement, ...]

    def to_der(self) -> bytes:
        """Return the policy as an EXTERNAL."""
        value = der.sequence(
            self.namespace.to_der(),
            self.namespace_location.to_der(),
            der.integer(self.indirections),
            der.sequence(*(statement.to_der() for statement in self.statements)),
        )
        return der.external(_RTREE, value)


@dataclass(frozen=True, slots=True)
class TrustLevelPolicy:
    """A bare level of trust.

    Args:
        trust: 1 to 4.
    """

    trust: int

    def to_der(self) -> bytes:
        """Return the policy as an EXTERNAL."""
        return der.external(_TRUST_LEVEL, der.sequence(der.integer(self.trust)))


Policy = RTreePolicy | TrustLevelPolicy


def read_policy(reader: der.Reader) -> Policy:
    """Read a policy of either kind.

    Raises:
        MalformedObjectError: it is of an unknown kind or has a negative number of hops.
    """
    kind, value = reader.external()
    if kind not in (_RTREE, _TRUST_LEVEL):
        raise MalformedObjectError("unknown policy scheme")
    inner = value.sequence()
    value.finish()
    if kind == _TRUST_LEVEL:
        trust = TrustLevelPolicy(inner.integer())
        inner.finish()
        return trust
    namespace, location, indirections = Hash.read(inner), Location.read(inner), inner.integer()
    if indirections < 0:
        raise MalformedObjectError("a policy has negative indirections")
    listed = inner.sequence()
    inner.finish()
    statements = []
    while not listed.is_at_end:
        statements.append(Statement.read(listed))
    return RTreePolicy(namespace, location, indirections, tuple(statements))


def check_policy(policy: Policy) -> None:
    """Return if an attestation may carry `policy` (wave.md 6.2).

    Raises:
        InvalidParameterError: it may not; the reason says why.
    """
    if isinstance(policy, TrustLevelPolicy):
        if not TRUST_MIN <= policy.trust <= TRUST_MAX:
            raise InvalidParameterError("policy is invalid (trust level out of range)")
        return
    if len(policy.statements) > STATEMENTS_MAX:
        raise InvalidParameterError(
            f"policy is invalid ({len(policy.statements)} statements; limit {STATEMENTS_MAX})"
        )
    permissions = sum(len(statement.permissions) for statement in policy.statements)
    if permissions > PERMISSIONS_MAX:
        raise InvalidParameterError(
            f"policy is invalid ({permissions} permissions; limit {PERMISSIONS_MAX})"
        )
    for statement in policy.statements:
        if not is_valid_resource(statement.resource):
            raise InvalidParameterError(f"policy is invalid (bad resource {statement.resource!r})")


@dataclass(slots=True)
class Effort:
    """How many statements have been compared with one another, over several combinations.

    Args:
        comparisons_max: how many may be; about a microsecond each.
    """

    comparisons_max: int = COMPARISONS_MAX
    comparisons: int = 0

    def spend(self, comparisons: int) -> None:
        """Note comparisons that are about to be made.

        Raises:
            InvalidParameterError: they are too many.
        """
        self.comparisons += comparisons
        if self.comparisons > self.comparisons_max:
            raise InvalidParameterError("statements form too many combinations")


def _add(kept: list[Statement], new: Statement, effort: Effort) -> bool:
    """Add what is not contained in another; a wider one takes the place of a narrower.

    Returns whether it took a place: then another narrower one may be left.
    """
    effort.spend(2 * len(kept))
    if any(new.is_contained_in(old) for old in kept):
        return False
    for index, old in enumerate(kept):
        if old.is_contained_in(new):
            kept[index] = new
            return True
    kept.append(new)
    if len(kept) > COMBINED_STATEMENTS_MAX:
        raise InvalidParameterError("statements form too many combinations")
    return False


def _same_namespace(left: RTreePolicy, right: RTreePolicy) -> None:
    if left.namespace != right.namespace:
        raise InvalidParameterError("different authority domain")


def intersect(
    left: RTreePolicy, right: RTreePolicy, *, effort: Effort | None = None
) -> RTreePolicy:
    """Return what remains of `left` after a further hop that grants `right` (wave.md 6.5).

    Args:
        left: the chain so far.
        right: of the next hop.
        effort: what earlier combinations have cost; a fresh one if None.

    Raises:
        InvalidParameterError: other namespace, no hop left, or too many combinations.
    """
    effort = effort or Effort()
    _same_namespace(left, right)
    indirections = min(left.indirections - 1, right.indirections)
    if indirections < 0:
        raise InvalidParameterError("insufficient permitted indirections")
    effort.spend(len(left.statements) * len(right.statements))

    def combinations() -> Iterable[Statement]:
        for one in left.statements:
            for other in right.statements:
                if one.permission_set != other.permission_set:
                    continue
                permissions = tuple(p for p in other.permissions if p in one.permissions)
                if not permissions:
                    continue
                resource = restrict(one.resource, other.resource)
                if resource is not None:
                    yield Statement(one.permission_set, permissions, resource)

    kept: list[Statement] = []
    for combined in combinations():
        _add(kept, combined, effort)
    return replace(left, indirections=indirections, statements=tuple(kept))


def union(left: RTreePolicy, right: RTreePolicy) -> RTreePolicy:
    """Return what two parallel paths grant together (wave.md 6.5).

    Raises:
        InvalidParameterError: other namespace, or too many combinations.
    """
    return union_of((left, right))


def union_of(policies: Sequence[RTreePolicy], *, effort: Effort | None = None) -> RTreePolicy:
    """Return what parallel paths grant together: each in turn united with those before it.

    Args:
        policies: of the paths, at least one; a single one is returned as it is.
        effort: what earlier combinations have cost; a fresh one if None.

    Raises:
        InvalidParameterError: different namespaces, or too many combinations.
    """
    effort = effort or Effort()
    whole = policies[0]
    if len(policies) == 1:
        return whole
    kept = list(whole.statements)
    is_settled = False
    for policy in policies[1:]:
        _same_namespace(whole, policy)
        new = policy.statements
        if not is_settled:
            # A union compares all statements anew; where nothing can come of it, it need not.
            new, kept = (*kept, *new), []
        places_taken = sum(_add(kept, one, effort) for one in new)
        is_settled = places_taken == 0
        whole = replace(whole, indirections=min(whole.indirections, policy.indirections))
    return replace(whole, statements=tuple(kept))


def is_subset(policy: RTreePolicy, of: RTreePolicy) -> bool:
    """Whether every statement of `policy` is within some single statement of `of`."""
    return policy.namespace == of.namespace and all(
        any(statement.is_contained_in(granted) for granted in of.statements)
        for statement in policy.statements
    )
