"""Policies of attestations: what is granted where (wave.md 6).

Owns statements, RTree and trust-level policies, and how chains and parallel paths combine them.
Refuses to know who grants. Everything is bounded: a combination that grows beyond the original's
limit is an error.
"""

from __future__ import annotations

from collections.abc import Iterable
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
            and set(self.permissions) <= set(other.permissions)
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


def _without_duplicates(statements: Iterable[Statement]) -> tuple[Statement, ...]:
    """Keep what is not contained in another; a wider one takes the place of a narrower."""
    kept: list[Statement] = []
    for new in statements:
        if any(new.is_contained_in(old) for old in kept):
            continue
        for index, old in enumerate(kept):
            if old.is_contained_in(new):
                kept[index] = new
                break
        else:
            kept.append(new)
        if len(kept) > COMBINED_STATEMENTS_MAX:
            raise InvalidParameterError("statements form too many combinations")
    return tuple(kept)


def _same_namespace(left: RTreePolicy, right: RTreePolicy) -> None:
    if left.namespace != right.namespace:
        raise InvalidParameterError("different authority domain")


def intersect(left: RTreePolicy, right: RTreePolicy) -> RTreePolicy:
    """Return what remains of `left` after a further hop that grants `right` (wave.md 6.5).

    Raises:
        InvalidParameterError: other namespace, no hop left, or too many combinations.
    """
    _same_namespace(left, right)
    indirections = min(left.indirections - 1, right.indirections)
    if indirections < 0:
        raise InvalidParameterError("insufficient permitted indirections")

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

    return replace(left, indirections=indirections, statements=_without_duplicates(combinations()))


def union(left: RTreePolicy, right: RTreePolicy) -> RTreePolicy:
    """Return what two parallel paths grant together (wave.md 6.5).

    Raises:
        InvalidParameterError: other namespace, or too many combinations.
    """
    _same_namespace(left, right)
    return replace(
        left,
        indirections=min(left.indirections, right.indirections),
        statements=_without_duplicates(left.statements + right.statements),
    )


def is_subset(policy: RTreePolicy, of: RTreePolicy) -> bool:
    """Whether every statement of `policy` is within some single statement of `of`."""
    return policy.namespace == of.namespace and all(
        any(statement.is_contained_in(granted) for granted in of.statements)
        for statement in policy.statements
    )
