"""Abstract grants for tests of the prover: no keys, no objects."""

from __future__ import annotations

import itertools

from tests.support.object_stores import LOCATION
from wavemq.authz.prover import Edge
from wavemq.clock import instant_from_seconds
from wavemq.wave.hashes import WAVEMQ_PERMISSION_SET, Hash
from wavemq.wave.policy import RTreePolicy, Statement

_serial = itertools.count()


def entity(name: str) -> Hash:
    """Return the hash of an entity that exists only by name."""
    return Hash.of(f"entity {name}".encode())


NAMESPACE = entity("namespace")


def statement(
    permissions: str, resource: str, permission_set: Hash = WAVEMQ_PERMISSION_SET
) -> Statement:
    """Return a statement; `permissions` are separated by commas."""
    return Statement(permission_set, tuple(permissions.split(",")), resource)


def edge(
    attester: Hash,
    subject: Hash,
    *statements: Statement,
    indirections: int = 0,
    expiry_s: float = 1e9,
    namespace: Hash = NAMESPACE,
) -> Edge:
    """Return a grant with a hash of its own."""
    return Edge(
        attestation=Hash.of(f"attestation {next(_serial)}".encode()),
        attester=attester,
        subject=subject,
        policy=RTreePolicy(namespace, LOCATION, indirections, statements),
        expiry=instant_from_seconds(expiry_s),
    )
