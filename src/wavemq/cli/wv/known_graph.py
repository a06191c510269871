"""Who granted what to whom, as far as one perspective knows.

Owns the values that `graph` and `explain` work with, and their collection through the agent.
Refuses to draw and to judge. Fault model: the graph may be large and have cycles; how much is
collected is bounded, and what was left out is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from wavemq.agent import calls
from wavemq.cli.wv.identities import BUILT_IN
from wavemq.cli.wv.rendering import hash_text, state_of, time_text
from wavemq.cli.wv.session import Session
from wavemq.cli.wv.views import names_of
from wavemq.wire import wave_pb2 as pb

ENTITIES_MAX: Final = 5_000
"""Entities whose grants are asked for."""
SHORT_CHARACTERS: Final = 10
"""Characters by which a hash without a name is shown."""
VALID: Final = "valid"


@dataclass(frozen=True, slots=True)
class Statement:
    """Permissions of one set on one resource; the set is a multihash."""

    permission_set: bytes
    permissions: tuple[str, ...]
    resource: str


@dataclass(frozen=True, slots=True)
class Grant:
    """One attestation that the perspective can read.

    Attributes:
        attestation: its multihash.
        attester: who granted, a multihash.
        subject: to whom, a multihash.
        namespace: under which authority, a multihash; empty for a trust level.
        statements: what.
        indirections: how many further hops may follow.
        until_ms: milliseconds since the epoch.
        state: `valid`, or in one word why not.
    """

    attestation: bytes
    attester: bytes
    subject: bytes
    namespace: bytes
    statements: tuple[Statement, ...]
    indirections: int
    until_ms: int
    state: str

    @property
    def ending(self) -> str:
        """Until when it holds, and how often it may be passed on."""
        text = f"until {time_text(self.until_ms)}"
        if not self.indirections:
            return text
        hops = "1 more hop" if self.indirections == 1 else f"{self.indirections} more hops"
        return f"{text}, {hops}"

    @property
    def is_valid(self) -> bool:
        """Whether it counts now."""
        return self.state == VALID


@dataclass(frozen=True, slots=True)
class KnownGraph:
    """What a perspective knows.

    Attributes:
        own: the perspective's entity.
        grants: in no particular order.
        names: of entities and permission sets, by multihash.
        is_whole: whether nothing was left out.
    """

    own: bytes
    grants: tuple[Grant, ...]
    names: dict[bytes, str]
    is_whole: bool

    def label(self, multihash: bytes) -> str:
        """Return the name of an entity, or the beginning of its hash."""
        name = self.names.get(multihash, "")
        return name or hash_text(multihash)[:SHORT_CHARACTERS] + "…"

    def set_label(self, multihash: bytes) -> str:
        """Return the name of a permission set, or the beginning of its hash."""
        for name, built_in in BUILT_IN.items():
            if built_in.to_bytes() == multihash:
                return name
        return self.label(multihash)

    def rights(self, grant: Grant) -> str:
        """Return what a grant gives, in one line."""
        if not grant.namespace:
            return "trust"
        return "; ".join(
            f"{self.set_label(one.permission_set)}:{','.join(one.permissions)} on {one.resource}"
            for one in grant.statements
        )

    def entities(self) -> list[bytes]:
        """Return everybody who grants or is granted to, the perspective first."""
        named = [self.own]
        for grant in self.grants:
            named += (grant.attester, grant.subject)
        return list(dict.fromkeys(named))


async def collect(session: Session, perspective: pb.Perspective) -> KnownGraph:
    """Return what a perspective knows, asking for one entity after the other.

    Raises:
        WaveMQError: the perspective cannot be used, or storage failed.
    """
    inspected = await session.ask(
        calls.INSPECT, pb.InspectParams(content=perspective.entitySecret.DER)
    )
    own = inspected.entity.hash
    found: dict[bytes, Grant] = {}
    waiting, seen = [own], {own}
    while waiting and len(seen) <= ENTITIES_MAX:
        entity = waiting.pop()
        for request in (
            pb.LookupAttestationsParams(perspective=perspective, toEntity=entity),
            pb.LookupAttestationsParams(perspective=perspective, fromEntity=entity),
        ):
            answer = await session.ask(calls.LOOKUP_ATTESTATIONS, request)
            for attestation in answer.results:
                if attestation.HasField("body"):
                    grant = _grant(attestation)
                    found[grant.attestation] = grant
                    for party in (grant.attester, grant.subject):
                        if party not in seen:
                            seen.add(party)
                            waiting.append(party)
    grants = tuple(found.values())
    sets = [one.permission_set for grant in grants for one in grant.statements]
    names = await _names(session, perspective, [*seen, *sets])
    return KnownGraph(own, grants, names, is_whole=not waiting)


async def _names(
    session: Session, perspective: pb.Perspective, hashes: Sequence[bytes]
) -> dict[bytes, str]:
    name_of = await names_of(session, perspective, hashes)
    return {one: name for one in hashes if (name := name_of(one))}


def _grant(attestation: pb.Attestation) -> Grant:
    body = attestation.body
    policy = body.policy.rTreePolicy
    return Grant(
        attestation=attestation.hash,
        attester=body.attesterHash,
        subject=attestation.subjectHash,
        namespace=policy.namespace,
        statements=tuple(
            Statement(one.permissionSet, tuple(one.permissions), one.resource)
            for one in policy.statements
        ),
        indirections=policy.indirections,
        until_ms=body.validUntil,
        state=state_of(attestation.validity),
    )
