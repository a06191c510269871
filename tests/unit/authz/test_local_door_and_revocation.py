"""The local door when something is revoked while the router runs.

Defects 3 and 4 of the original (wave.md 16.2): revocations never noticed, and a perspective
checked on its first use only.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest

from tests.support.worlds import DAY_S, NOW, World, after
from wavemq.authz.admission import Admission
from wavemq.authz.engine import Engine
from wavemq.authz.proof_cache import FOUND_SECONDS_MAX
from wavemq.authz.proving import REVOKED_GRANTS_MAX
from wavemq.authz.publishing import Publishing
from wavemq.clock import Instant
from wavemq.errors import InvalidParameterError, NoProofFoundError, ProofInvalidError, StorageError
from wavemq.messages.message import Message, PayloadObject, SubscriptionRequest
from wavemq.messages.topic import Topic, TopicFilter

TTL_S = 300
PAYLOAD = (PayloadObject("text", b"21.5"),)


@dataclass(slots=True)
class Site:
    """A world, and one router's view of it."""

    world: World
    engine: Engine
    admission: Admission
    publishing: Publishing

    async def publish(self, name: str, now: Instant = NOW, topic: str = "t") -> Message:
        formed = await self.publishing.form_message(
            await self.publishing.identify(self.world[name].to_bytes(), b"", None, now),
            namespace=self.world.hash("namespace"),
            topic=Topic(topic),
            payload=PAYLOAD,
            now=now,
        )
        return formed.value

    async def subscribe(self, name: str, now: Instant = NOW) -> SubscriptionRequest:
        formed = await self.publishing.form_subscription(
            await self.publishing.identify(self.world[name].to_bytes(), b"", None, now),
            namespace=self.world.hash("namespace"),
            topic_filter=TopicFilter("*"),
            identifier="mine",
            expiry_s=60,
            now=now,
        )
        return formed.value

    @property
    def proofs_built(self) -> int:
        return self.publishing.statistics().proofs_built

    @property
    def lookups(self) -> int:
        return self.engine.statistics().revocation_lookups


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    world = await World.create("alice", "bob", "owner")
    async with world.engine(revocation_ttl_s=TTL_S) as engine:
        admission = Admission(engine)
        publishing = Publishing(engine, admission, origin_router="site-1")
        yield Site(world, engine, admission, publishing)
        await publishing.aclose()
        await admission.aclose()


# --- proofs that were built -----------------------------------------------------------------------


async def test_built_proof_is_looked_up_again_and_not_built_again(site: Site) -> None:
    await site.world.grant("namespace", "alice", "publish", "*")
    first = await site.publish("alice")
    lookups = site.lookups
    for round_number in range(1, 5):
        again = await site.publish("alice", after(round_number * TTL_S))
        assert again.proof == first.proof
        assert site.lookups == lookups + round_number * 3, "grant, attester and subject"
    assert site.proofs_built == 1
    await site.publish("alice", after(FOUND_SECONDS_MAX))
    assert site.proofs_built == 2


@pytest.mark.parametrize("built_s", [0, 100, TTL_S - 1])
async def test_revocation_is_noticed_within_one_interval_of_the_check_and_not_of_the_building(
    site: Site, built_s: float
) -> None:
    grant = await site.world.grant("namespace", "alice", "publish", "*")
    # The options are looked up now, the proof is built later from what is remembered of them.
    await site.engine.verify(site.world.proof(grant), now=NOW)
    await site.publish("alice", after(built_s))
    await site.world.revoke_grant("namespace", grant)
    await site.publish("alice", after(TTL_S - 1))
    with pytest.raises(NoProofFoundError):
        await site.publish("alice", after(TTL_S))


async def test_revocation_that_anybody_found_counts_at_once(site: Site) -> None:
    grant = await site.world.grant("namespace", "alice", "publish", "*")
    other = await site.world.grant("owner", "bob", "publish", "*", namespace="owner")
    await site.publish("alice")
    await site.world.revoke_entity("namespace")
    (option,) = site.world["namespace"].entity.revocations
    assert (await site.engine.revocations.check([option], now=NOW)).revoked is None
    await site.publish("alice", after(1))
    await site.engine.revocations.note_revoked(option)
    with pytest.raises(NoProofFoundError):
        await site.publish("alice", after(2))
    with pytest.raises(ProofInvalidError):
        await site.engine.verify(site.world.proof(grant), now=after(2))
    await site.engine.verify(site.world.proof(other), now=after(2))


async def test_claims_that_share_a_revoked_proof_all_get_another(site: Site) -> None:
    short = await site.world.grant("namespace", "alice", "publish", "*", not_after=after(9 * DAY_S))
    await site.world.grant("namespace", "owner", "publish", "*", indirections=1)
    await site.world.grant("owner", "alice", "publish", "*")
    before = [await site.publish("alice", topic=topic) for topic in ("a", "b", "c")]
    assert len({one.proof for one in before}) == 1
    await site.world.revoke_grant("namespace", short)
    later = [await site.publish("alice", after(TTL_S), topic=topic) for topic in ("a", "b", "c")]
    assert len({one.proof for one in later}) == 1
    assert later[0].proof != before[0].proof
    async with site.world.engine() as elsewhere:
        for one in later:
            await Admission(elsewhere).check_message(one, after(TTL_S))


async def test_prover_is_not_stopped_by_any_number_of_revoked_grants(site: Site) -> None:
    for _ in range(REVOKED_GRANTS_MAX + 6):
        grant = await site.world.grant("namespace", "alice", "publish", "*")
        await site.world.revoke_grant("namespace", grant)
    kept = await site.world.grant("namespace", "alice", "publish", "*", not_after=after(DAY_S))
    perspective = await site.world.perspective(site.engine, "alice")
    built = await site.engine.prove(
        perspective,
        namespace=site.world.hash("namespace"),
        statements=site.world.policy("publish", "t").statements,
        now=after(TTL_S),
    )
    assert built.attestations == (kept.attestation.hash,)


async def test_silence_does_not_hold_up_local_clients(site: Site) -> None:
    await site.world.grant("namespace", "alice", "publish", "*")
    first = await site.publish("alice")
    site.world.store.is_away = True
    for seconds in (TTL_S, 2 * TTL_S, DAY_S):
        async with asyncio.timeout(1):
            assert (await site.publish("alice", after(seconds))).source == first.source
    with pytest.raises(StorageError):
        await site.admission.check_message(first, after(DAY_S))


async def test_slow_storage_holds_a_client_up_once_in_a_while_only(site: Site) -> None:
    await site.world.grant("namespace", "alice", "publish", "*")
    await site.publish("alice")
    site.world.store.delay_s = 20.0
    loop = asyncio.get_running_loop()
    began = loop.time()
    for seconds in range(20):
        await site.publish("alice", after(TTL_S + seconds))
    assert loop.time() - began < 2.0


# --- the entity itself ----------------------------------------------------------------------------


async def test_revoked_perspective_is_refused_at_the_first_call_after_the_interval(
    site: Site,
) -> None:
    """Defect 4 of the original: validity was bypassed on second use."""
    await site.world.grant("namespace", "alice", "publish", "*")
    await site.publish("alice")
    await site.world.revoke_entity("alice")
    await site.publish("alice", after(TTL_S - 1))
    for _ in range(2):
        with pytest.raises(
            InvalidParameterError, match="perspective entity is invalid: Entity has been revoked"
        ):
            await site.publish("alice", after(TTL_S))


async def test_silence_is_no_reason_to_refuse_a_perspective(site: Site) -> None:
    site.world.store.is_away = True
    await site.publishing.identify(site.world["alice"].to_bytes(), b"", None, NOW)


# --- subscriptions that stand ---------------------------------------------------------------------


async def test_subscription_is_proved_anew_under_the_same_signature(site: Site) -> None:
    direct = await site.world.grant("namespace", "bob", "subscribe", "*")
    await site.world.grant("namespace", "owner", "subscribe", "*", indirections=1)
    await site.world.grant("owner", "bob", "subscribe", "*", not_after=after(9 * DAY_S))
    request = await site.subscribe("bob")
    await site.world.revoke_grant("namespace", direct)
    again = await site.publishing.reprove(request, after(TTL_S))
    assert again is not None
    assert again.value.proof != request.proof
    assert again.value.absolute_expiry == again.granted_until == after(9 * DAY_S)
    assert replace(again.value, proof=b"", absolute_expiry=None) == replace(
        request, proof=b"", absolute_expiry=None
    )
    async with site.world.engine() as elsewhere:
        await Admission(elsewhere).check_subscription(again.value, after(TTL_S))


async def test_subscription_without_another_path_is_not_proved_anew(site: Site) -> None:
    direct = await site.world.grant("namespace", "bob", "subscribe", "*")
    request = await site.subscribe("bob")
    await site.world.revoke_grant("namespace", direct)
    assert await site.publishing.reprove(request, after(TTL_S)) is None


async def test_subscription_of_an_entity_that_is_not_here_is_not_proved_anew(site: Site) -> None:
    await site.world.grant("namespace", "bob", "subscribe", "*")
    request = await site.subscribe("bob")
    async with site.world.engine() as engine:
        restarted = Publishing(engine, Admission(engine), origin_router="site-1")
        assert await restarted.reprove(request, NOW) is None


async def test_standing_proof_is_looked_at_ahead_of_time(site: Site) -> None:
    direct = await site.world.grant("namespace", "bob", "subscribe", "*")
    request = await site.subscribe("bob")
    namespace = site.world.hash("namespace")

    async def look(seconds: float, *, is_lenient: bool = False) -> None:
        await site.admission.check_still_granted(
            namespace, request.proof, now=after(seconds), is_lenient=is_lenient
        )

    await look(0)
    await site.world.revoke_grant("namespace", direct)
    await look(TTL_S / 2 - 1)
    with pytest.raises(ProofInvalidError):
        await look(TTL_S / 2)
    with pytest.raises(ProofInvalidError):
        await look(TTL_S / 2 + 1, is_lenient=True)


async def test_silence_about_a_standing_proof_is_told_to_the_strict_only(site: Site) -> None:
    await site.world.grant("namespace", "bob", "subscribe", "*")
    request = await site.subscribe("bob")
    namespace = site.world.hash("namespace")
    site.world.store.is_away = True
    for seconds in (1, TTL_S):
        await site.admission.check_still_granted(
            namespace, request.proof, now=after(seconds), is_lenient=True
        )
    await site.admission.check_still_granted(
        namespace, request.proof, now=after(TTL_S - 1), is_lenient=False
    )
    with pytest.raises(StorageError):
        await site.admission.check_still_granted(
            namespace, request.proof, now=after(TTL_S), is_lenient=False
        )
