"""The round that looks again at what was granted: what ends, what goes on, what silence means."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import cast

import pytest

from tests.support.worlds import DAY_S, NOW, World, after
from wavemq.authz.admission import Admission
from wavemq.authz.engine import Engine
from wavemq.authz.publishing import Publishing
from wavemq.clock import FixedClock
from wavemq.messages.message import SubscriptionRequest
from wavemq.messages.topic import TopicFilter
from wavemq.net.uplink import Uplink
from wavemq.router.counts import DoorCounts
from wavemq.router.doorway import Doorway
from wavemq.router.driver import Driver
from wavemq.router.uplink_door import UplinkDoor
from wavemq.router.watch import PROOFS_AT_ONCE_MAX, AuthorityWatch
from wavemq.routing.events import Event, SubscriptionReproved, SubscriptionWithdrawn
from wavemq.routing.records import QueueId
from wavemq.routing.subscriptions import StandingSubscription
from wavemq.wave.attestation_create import CreatedAttestation
from wavemq.wave.hashes import Hash
from wavemq.wire.handshake import RouterClaim

TTL_S = 300
GRACE_S = 3600


@dataclass(slots=True)
class CoreStub:
    """Says which subscriptions there are, and listens."""

    standing: list[StandingSubscription] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def standing_subscriptions(self) -> list[StandingSubscription]:
        return self.standing

    def report(self, event: Event) -> None:
        self.events.append(event)


@dataclass(slots=True)
class LinkStub:
    """An uplink that can be dropped, and its door."""

    claim: RouterClaim | None = None
    reasons: list[str] = field(default_factory=list)

    def drop(self, reason: str) -> None:
        self.reasons.append(reason)

    def shown(self, namespace: Hash) -> RouterClaim | None:
        return self.claim


@dataclass(slots=True)
class Scene:
    """A watch over a core that is not there."""

    world: World
    engine: Engine
    admission: Admission
    publishing: Publishing
    clock: FixedClock = field(default_factory=lambda: FixedClock(NOW))
    core: CoreStub = field(default_factory=CoreStub)
    link: LinkStub = field(default_factory=LinkStub)
    designations: dict[Hash, bytes] = field(default_factory=dict)
    watch: AuthorityWatch = field(init=False)

    def __post_init__(self) -> None:
        doorway = Doorway(
            cast("Driver", self.core),
            self.admission,
            self.clock,
            asyncio.TaskGroup(),
            DoorCounts(),
        )
        self.watch = AuthorityWatch(
            doorway,
            publishing=self.publishing,
            uplinks={self.world.hash("namespace"): cast("Uplink", self.link)},
            uplink_door=cast("UplinkDoor", self.link),
            designations=self.designations,
            interval_s=TTL_S,
            grace_s=GRACE_S,
        )

    async def look(self, seconds: float) -> list[Event]:
        """Look at that time; return what was reported."""
        self.clock.instant = after(seconds)
        self.core.events = []
        await self.watch.look()
        return self.core.events

    async def add(self, who: str, *, is_local: bool, identifier: str = "mine") -> QueueId:
        """Add a subscription of somebody."""
        formed = await self.publishing.form_subscription(
            await self.publishing.identify(self.world[who].to_bytes(), b"", None, NOW),
            namespace=self.world.hash("namespace"),
            topic_filter=TopicFilter("*"),
            identifier=identifier,
            expiry_s=60,
            now=NOW,
        )
        return self.stand(formed.value, is_local=is_local)

    def stand(self, request: SubscriptionRequest, *, is_local: bool) -> QueueId:
        queue = QueueId(len(self.core.standing) + 1)
        self.core.standing.append(StandingSubscription(queue, request, is_local))
        return queue

    async def grant(self, who: str) -> CreatedAttestation:
        return await self.world.grant("namespace", who, "subscribe", "*")


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    world = await World.create("alice", "bob", "router")
    async with world.engine(revocation_ttl_s=TTL_S) as engine:
        admission = Admission(engine)
        publishing = Publishing(engine, admission, origin_router="here")
        yield Scene(world, engine, admission, publishing)
        await publishing.aclose()
        await admission.aclose()


async def test_nothing_is_reported_while_nothing_is_revoked(scene: Scene) -> None:
    await scene.grant("alice")
    await scene.add("alice", is_local=True)
    await scene.add("alice", is_local=False)
    for seconds in (0, TTL_S, DAY_S):
        assert await scene.look(seconds) == []


async def test_everything_that_stands_on_a_revoked_proof_ends(scene: Scene) -> None:
    grant = await scene.grant("alice")
    await scene.grant("bob")
    ends = [
        await scene.add("alice", is_local=is_local, identifier=str(number))
        for number in range(3)
        for is_local in (True, False)
    ]
    stays = await scene.add("bob", is_local=False)
    await scene.world.revoke_grant("namespace", grant)
    assert await scene.look(TTL_S / 2 - 1) == []
    events = await scene.look(TTL_S / 2)
    assert {event.queue for event in events if isinstance(event, SubscriptionWithdrawn)} == set(
        ends
    )
    assert stays not in {
        event.queue for event in events if isinstance(event, SubscriptionWithdrawn)
    }
    assert len(events) == len(ends)
    for event in events:
        assert isinstance(event, SubscriptionWithdrawn)
        assert event.reason.startswith("the subscription is not granted any more: ")
        assert event.proof == scene.core.standing[0].request.proof


async def test_local_subscription_with_another_path_is_proved_anew(scene: Scene) -> None:
    first = await scene.grant("alice")
    local = await scene.add("alice", is_local=True)
    of_peer = await scene.add("alice", is_local=False)
    proof = scene.core.standing[0].request.proof
    await scene.world.grant("namespace", "bob", "subscribe", "*", indirections=1)
    await scene.world.grant("bob", "alice", "subscribe", "*")
    await scene.world.revoke_grant("namespace", first)
    events = await scene.look(TTL_S)
    (reproved,) = (event for event in events if isinstance(event, SubscriptionReproved))
    (withdrawn,) = (event for event in events if isinstance(event, SubscriptionWithdrawn))
    assert (reproved.queue, reproved.proof, withdrawn.queue) == (local, proof, of_peer)
    assert reproved.subscription.value.proof != proof


async def test_doubted_local_subscription_is_looked_at_anew(scene: Scene) -> None:
    grant = await scene.grant("alice")
    local = await scene.add("alice", is_local=True)
    await scene.add("alice", is_local=False)
    await scene.look(0)
    await scene.world.revoke_grant("namespace", grant)
    assert await scene.look(1) == []
    scene.core.events = []
    await scene.watch.look(is_anew=True)
    assert local in {
        event.queue for event in scene.core.events if isinstance(event, SubscriptionWithdrawn)
    }


async def test_round_asks_storage_once_for_each_option(scene: Scene) -> None:
    for name in ("alice", "bob"):
        await scene.grant(name)
        for number in range(3 * PROOFS_AT_ONCE_MAX):
            await scene.add(name, is_local=False, identifier=str(number))
    lookups = scene.engine.statistics().revocation_lookups
    await scene.look(TTL_S)
    # Two grants, two subjects, and the namespace that made both.
    assert scene.engine.statistics().revocation_lookups == lookups + 5


async def test_silence_ends_subscriptions_of_peers_after_the_grace_and_local_ones_never(
    scene: Scene,
) -> None:
    await scene.grant("alice")
    await scene.add("alice", is_local=True)
    of_peer = await scene.add("alice", is_local=False)
    await scene.look(0)
    scene.world.store.is_away = True
    for seconds in (TTL_S, TTL_S + GRACE_S - 1):
        assert await scene.look(seconds) == []
    (event,) = await scene.look(TTL_S + GRACE_S)
    assert isinstance(event, SubscriptionWithdrawn)
    assert event.queue == of_peer


async def test_grace_begins_anew_after_an_answer(scene: Scene) -> None:
    await scene.grant("alice")
    await scene.add("alice", is_local=False)
    scene.world.store.is_away = True
    assert await scene.look(TTL_S) == []
    scene.world.store.is_away = False
    assert await scene.look(GRACE_S) == []
    scene.world.store.is_away = True
    assert await scene.look(TTL_S + GRACE_S) == []


async def test_clock_that_is_set_back_ends_nothing(scene: Scene) -> None:
    await scene.world.grant("namespace", "alice", "subscribe", "*", not_before=NOW)
    await scene.add("alice", is_local=False)
    await scene.add("alice", is_local=True)
    assert await scene.look(-DAY_S / 2) == []
    assert await scene.look(0) == []


@pytest.mark.parametrize("revoked", [True, False])
async def test_link_is_dropped_when_its_router_was_revoked(scene: Scene, revoked: bool) -> None:
    grant = await scene.world.grant("namespace", "router", "route", "*")
    proof = scene.world.proof(grant)
    scene.link.claim = RouterClaim(
        router=scene.world.hash("router"), signature=b"signature", proof=proof
    )
    scene.designations[scene.world.hash("namespace")] = proof
    await scene.look(0)
    if revoked:
        await scene.world.revoke_entity("router")
    await scene.look(TTL_S)
    assert [reason[:43] for reason in scene.link.reasons] == (
        ["its routing proof does not hold any more: p"] if revoked else []
    )


async def test_link_that_is_not_there_is_not_dropped(scene: Scene) -> None:
    await scene.look(0)
    assert scene.link.reasons == []


async def test_silence_drops_no_link(scene: Scene) -> None:
    grant = await scene.world.grant("namespace", "router", "route", "*")
    proof = scene.world.proof(grant)
    scene.link.claim = RouterClaim(
        router=scene.world.hash("router"), signature=b"signature", proof=proof
    )
    await scene.look(0)
    scene.world.store.is_away = True
    await scene.look(10 * DAY_S)
    assert scene.link.reasons == []
