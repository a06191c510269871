"""The local door: forming requests for clients, proofs for them, and opening what they receive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest

from tests.support.worlds import DAY_S, NOW, World, after
from wavemq.authz.admission import Admission
from wavemq.authz.client_proofs import SYNC_AGE_SECONDS_MAX, SYNC_RETRY_SECONDS
from wavemq.authz.engine import Engine
from wavemq.authz.perspective import Perspective
from wavemq.authz.proof_cache import FOUND_SECONDS_MAX, NOT_FOUND_SECONDS_MAX
from wavemq.authz.publishing import Publishing
from wavemq.clock import Instant
from wavemq.errors import (
    InvalidE2EEGrantError,
    InvalidParameterError,
    KeyringDecryptError,
    MessageDecryptError,
    NoProofFoundError,
    ObjectError,
    ProofInvalidError,
    StorageError,
    WaveMQError,
)
from wavemq.messages.message import Message, PayloadObject
from wavemq.messages.topic import Topic, TopicFilter
from wavemq.messages.verified import Verified
from wavemq.wave.pem import encode_pem

ANSWER_SECONDS_MAX = 1.0
PAYLOAD = (PayloadObject("text", b"21.5"), PayloadObject("", b"22"))


@dataclass(slots=True)
class Site:
    """A world, and one router's view of it."""

    world: World
    engine: Engine
    admission: Admission
    publishing: Publishing

    async def who(self, name: str) -> Perspective:
        return await self.publishing.identify(self.world[name].to_bytes(), b"", None, NOW)

    async def publish(
        self, name: str, topic: str, *, now: Instant = NOW, **options: object
    ) -> Verified[Message]:
        return await self.publishing.form_message(
            await self.who(name),
            namespace=self.world.hash("namespace"),
            topic=Topic(topic),
            payload=PAYLOAD,
            now=now,
            **options,  # type: ignore[arg-type]  # passed through as given
        )


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    world = await World.create("alice", "bob", "mallory")
    async with world.engine() as engine:
        admission = Admission(engine)
        publishing = Publishing(engine, admission, origin_router="site-1")
        yield Site(world, engine, admission, publishing)
        await publishing.aclose()
        await admission.aclose()


# --- forming ----------------------------------------------------------------------------------


async def test_formed_message_passes_every_door(site: Site) -> None:
    await site.world.grant("namespace", "alice", "publish", "a/*", is_encrypted=True)
    formed = await site.publish("alice", "a/b", is_persisted=True)
    message = formed.value
    assert message.payload == PAYLOAD
    assert message.origin_router == "site-1"
    assert message.is_persisted
    async with site.world.engine() as elsewhere:
        assert (await Admission(elsewhere).check_message(message, NOW)).value == message


async def test_formed_subscription_and_query_pass_every_door(site: Site) -> None:
    await site.world.grant("namespace", "bob", "subscribe", "a/*", not_after=after(9 * DAY_S))
    await site.world.grant("namespace", "bob", "query", "a/*")
    bob, namespace = await site.who("bob"), site.world.hash("namespace")
    for absolute, expected in ((None, 9), (after(2 * DAY_S), 2), (after(99 * DAY_S), 9)):
        subscription = await site.publishing.form_subscription(
            bob,
            namespace=namespace,
            topic_filter=TopicFilter("a/*"),
            identifier="mine",
            expiry_s=60,
            absolute_expiry=absolute,
            now=NOW,
        )
        assert subscription.value.absolute_expiry == after(expected * DAY_S)
        async with site.world.engine() as elsewhere:
            await Admission(elsewhere).check_subscription(subscription.value, NOW)
    query = await site.publishing.form_query(
        bob, namespace=namespace, topic_filter=TopicFilter("a/+"), now=NOW
    )
    async with site.world.engine() as elsewhere:
        await Admission(elsewhere).check_query(query.value, NOW)


async def test_entity_without_grant_forms_nothing(site: Site) -> None:
    await site.world.grant("namespace", "bob", "query", "a/*")
    bob, namespace = await site.who("bob"), site.world.hash("namespace")
    with pytest.raises(NoProofFoundError):
        await site.publish("bob", "a/b")
    with pytest.raises(NoProofFoundError):
        await site.publishing.form_query(
            bob, namespace=namespace, topic_filter=TopicFilter("*"), now=NOW
        )
    with pytest.raises(NoProofFoundError):
        await site.publishing.form_subscription(
            bob,
            namespace=namespace,
            topic_filter=TopicFilter("a/*"),
            identifier="x",
            expiry_s=60,
            now=NOW,
        )


async def test_own_proof_of_a_client_is_used_if_it_holds(site: Site) -> None:
    grant = await site.world.grant("namespace", "alice", "publish", "a/*", is_published=False)
    proof = site.world.proof(grant)
    formed = await site.publish("alice", "a/b", custom_proof=proof)
    assert formed.value.proof == proof
    with pytest.raises(ProofInvalidError):
        await site.publish("alice", "b", custom_proof=proof)
    with pytest.raises(ProofInvalidError):
        await site.publish("bob", "a/b", custom_proof=proof)


async def test_forged_proof_of_a_client_is_refused(site: Site) -> None:
    forged = site.world.proof(await site.world.grant("mallory", "mallory", "publish", "*"))
    with pytest.raises(ProofInvalidError, match="namespace"):
        await site.publish("mallory", "a", custom_proof=forged)


# --- proofs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", ["away", "slow"])
async def test_first_publish_answers_in_time_whatever_storage_does(
    site: Site, trouble: str
) -> None:
    await site.world.grant("namespace", "alice", "publish", "*")
    site.world.store.is_away = trouble == "away"
    site.world.store.delay_s = 30.0 if trouble == "slow" else 0.0
    loop = asyncio.get_running_loop()
    started = loop.time()
    with pytest.raises(NoProofFoundError, match="storage did not answer"):
        await site.publish("alice", "a")
    assert loop.time() - started < ANSWER_SECONDS_MAX


async def test_every_wait_together_stays_within_the_answer_time(site: Site) -> None:
    """Storage hangs after the graph is known: synchronization, revocations, encryption all wait."""
    await site.world.grant("namespace", "alice", "publish", "a/*", is_encrypted=True)
    await site.publish("alice", "a/b")
    site.world.store.delay_s = 30.0
    later = after(FOUND_SECONDS_MAX + 1)
    started = asyncio.get_running_loop().time()
    await site.publish("alice", "a/b", now=later, encryption_partition=(b"plant",))
    with pytest.raises(NoProofFoundError):
        await site.publish("alice", "b", now=after(FOUND_SECONDS_MAX + 2))
    assert asyncio.get_running_loop().time() - started < 2 * ANSWER_SECONDS_MAX


async def test_publish_goes_on_with_what_is_known_while_storage_is_away(site: Site) -> None:
    await site.world.grant("namespace", "alice", "publish", "*", is_encrypted=True)
    await site.publish("alice", "a")
    site.world.store.is_away = True
    started = asyncio.get_running_loop().time()
    await site.publish("alice", "b")
    await site.publish("alice", "a", now=after(FOUND_SECONDS_MAX + 1))
    assert asyncio.get_running_loop().time() - started < ANSWER_SECONDS_MAX


async def test_silence_of_storage_is_not_remembered_as_no_proof(site: Site) -> None:
    await site.world.grant("namespace", "alice", "publish", "*")
    site.world.store.is_away = True
    with pytest.raises(NoProofFoundError):
        await site.publish("alice", "a")
    site.world.store.is_away = False
    with pytest.raises(NoProofFoundError):
        await site.publish("alice", "a", now=after(SYNC_RETRY_SECONDS))
    await site.publish("alice", "a", now=after(SYNC_RETRY_SECONDS + 1))


async def test_no_proof_is_remembered_for_five_minutes(site: Site) -> None:
    with pytest.raises(NoProofFoundError):
        await site.publish("alice", "a")
    await site.world.grant("namespace", "alice", "publish", "*")
    with pytest.raises(NoProofFoundError):
        await site.publish("alice", "a", now=after(NOT_FOUND_SECONDS_MAX - 1))
    await site.publish("alice", "a", now=after(NOT_FOUND_SECONDS_MAX))


async def test_old_knowledge_is_refreshed_before_no_proof_is_believed(site: Site) -> None:
    await site.world.grant("namespace", "alice", "publish", "a/*")
    await site.publish("alice", "a/b")
    await site.world.grant("namespace", "alice", "publish", "b/*")
    await site.publish("alice", "b/c", now=after(SYNC_AGE_SECONDS_MAX + 1))


async def test_one_proof_serves_all_topics_that_it_covers(site: Site) -> None:
    await site.world.grant("namespace", "alice", "publish", "a/*")
    proofs = {(await site.publish("alice", f"a/{n}")).value.proof for n in range(20)}
    assert len(proofs) == 1
    assert site.engine.statistics().proofs_built == 1


async def test_many_first_publishes_at_once_build_one_proof(site: Site) -> None:
    await site.world.grant("namespace", "alice", "publish", "a/*", is_encrypted=True)
    await asyncio.gather(*(site.publish("alice", "a/b") for _ in range(20)))
    assert site.engine.statistics().proofs_built == 1


async def test_proof_is_not_used_beyond_its_end(site: Site) -> None:
    await site.world.grant("namespace", "alice", "publish", "*", not_after=after(60))
    assert (await site.publish("alice", "a")).granted_until == after(60)
    with pytest.raises(NoProofFoundError):
        await site.publish("alice", "a", now=after(61))


async def test_revoked_grant_is_left_and_another_used(site: Site) -> None:
    short = await site.world.grant(
        "namespace", "alice", "publish", "*", not_after=after(300 * DAY_S)
    )
    long = await site.world.grant(
        "namespace", "alice", "publish", "a/*", not_after=after(360 * DAY_S)
    )
    first = await site.publish("alice", "a/b")
    assert first.granted_until == after(360 * DAY_S)
    await site.world.revoke_grant("namespace", long)
    later = after(3600)
    second = await site.publish("alice", "a/b", now=later)
    assert second.granted_until == after(300 * DAY_S)
    await site.world.revoke_grant("namespace", short)
    with pytest.raises(NoProofFoundError):
        await site.publish("alice", "a/b", now=after(2 * 3600))


async def test_revoked_entity_can_prove_nothing(site: Site) -> None:
    await site.world.grant("namespace", "alice", "publish", "*")
    await site.world.revoke_entity("alice")
    with pytest.raises(InvalidParameterError, match="Entity has been revoked"):
        await site.publish("alice", "a")


# --- who --------------------------------------------------------------------------------------


async def test_passphrase_is_checked_every_time(site: Site) -> None:
    locked = site.world["alice"].to_bytes(b"correct horse")
    identify = site.publishing.identify
    await identify(locked, b"correct horse", None, NOW)
    for passphrase in (b"wrong", b"", b"correct horse "):
        for _ in range(2):
            with pytest.raises(KeyringDecryptError):
                await identify(locked, passphrase, None, NOW)
    assert (await identify(locked, b"correct horse", None, NOW)).hash == site.world.hash("alice")


async def test_secret_is_accepted_as_pem(site: Site) -> None:
    pem = encode_pem("WAVE ENTITY SECRET", site.world["alice"].to_bytes())
    perspective = await site.publishing.identify(pem, b"", None, NOW)
    assert perspective.hash == site.world.hash("alice")


@pytest.mark.parametrize("secret", [b"", b"garbage", b"-----BEGIN WAVE ENTITY SECRET-----"])
async def test_what_is_no_secret_is_refused(site: Site, secret: bytes) -> None:
    with pytest.raises(WaveMQError):
        await site.publishing.identify(secret, b"", None, NOW)


async def test_public_entity_is_no_secret(site: Site) -> None:
    with pytest.raises(WaveMQError):
        await site.publishing.identify(site.world["alice"].entity.wire, b"", None, NOW)


async def test_validity_of_the_entity_is_checked_every_time(site: Site) -> None:
    brief = await site.world.add("brief", not_before=after(0), not_after=after(60))
    secret = brief.to_bytes()
    await site.publishing.identify(secret, b"", None, NOW)
    for moment, reason in ((after(-61), "not valid yet"), (after(61), "expired")):
        with pytest.raises(InvalidParameterError, match=reason):
            await site.publishing.identify(secret, b"", None, moment)


# --- contents ---------------------------------------------------------------------------------


async def test_encrypted_payload_is_for_those_who_may_read_it(site: Site) -> None:
    await site.world.grant("namespace", "alice", "publish", "*", is_encrypted=True)
    await site.world.grant_decryption("bob", "plant/*")
    formed = await site.publish("alice", "t", encryption_partition=(b"plant", b"line1"))
    message = formed.value
    assert message.encryption_partition == (b"plant", b"line1")
    assert b"21.5" not in b"".join(one.content for one in message.payload)
    await site.admission.check_message(message, NOW)
    readers = {name: await site.world.perspective(site.engine, name) for name in ("bob", "alice")}
    assert await site.publishing.open_payload(readers["bob"], message) == PAYLOAD
    with pytest.raises(MessageDecryptError):
        await site.publishing.open_payload(readers["alice"], message)
    statistics = site.publishing.statistics()
    assert (statistics.messages_opened, statistics.messages_unreadable) == (1, 1)


async def test_reader_whose_grant_came_later_is_helped_by_looking_again(site: Site) -> None:
    await site.world.grant("namespace", "alice", "publish", "*")
    message = (await site.publish("alice", "t", encryption_partition=(b"plant",))).value
    bob = await site.world.perspective(site.engine, "bob")
    await site.world.grant_decryption("bob", "plant")
    soon, later = after(SYNC_AGE_SECONDS_MAX), after(SYNC_AGE_SECONDS_MAX + 1)
    for moment in (None, NOW, soon):
        with pytest.raises(MessageDecryptError):
            await site.publishing.open_payload(bob, message, moment)
    assert await site.publishing.open_payload(bob, message, later) == PAYLOAD


async def test_namespace_itself_reads_everything(site: Site) -> None:
    await site.world.grant("namespace", "alice", "publish", "*")
    formed = await site.publish("alice", "t", encryption_partition=(b"plant",))
    namespace = await site.world.perspective(site.engine, "namespace")
    assert await site.publishing.open_payload(namespace, formed.value) == PAYLOAD


async def test_plain_payload_is_for_everybody(site: Site) -> None:
    await site.world.grant("namespace", "alice", "publish", "*")
    formed = await site.publish("alice", "t")
    assert await site.publishing.open_payload(await site.who("mallory"), formed.value) == PAYLOAD


@pytest.mark.parametrize(
    ("partition", "error"),
    [
        ((b"a", b"*"), InvalidE2EEGrantError),
        ((b"+",), InvalidE2EEGrantError),
        ((b"a", b""), InvalidE2EEGrantError),
        ((b"x",) * 12, InvalidE2EEGrantError),
        ((b"\xff",), InvalidParameterError),
    ],
    ids=["star", "plus", "empty", "deep", "not text"],
)
async def test_bad_partition_is_refused(
    site: Site, partition: tuple[bytes, ...], error: type[WaveMQError]
) -> None:
    await site.world.grant("namespace", "alice", "publish", "*")
    with pytest.raises(error):
        await site.publish("alice", "t", encryption_partition=partition)


async def test_empty_content_cannot_be_encrypted(site: Site) -> None:
    await site.world.grant("namespace", "alice", "publish", "*")
    with pytest.raises(InvalidParameterError):
        await site.publishing.form_message(
            await site.who("alice"),
            namespace=site.world.hash("namespace"),
            topic=Topic("t"),
            payload=(PayloadObject("", b""),),
            now=NOW,
            encryption_partition=(b"plant",),
        )


async def test_encrypting_goes_on_while_storage_is_away(site: Site) -> None:
    await site.world.grant("namespace", "alice", "publish", "*")
    await site.publish("alice", "t")
    site.world.store.is_away = True
    await site.publish("alice", "t", encryption_partition=(b"plant",))


async def test_own_proof_needs_storage_unless_the_operator_says_otherwise(site: Site) -> None:
    proof = site.world.proof(await site.world.grant("namespace", "alice", "publish", "*"))
    site.world.store.is_away = True
    with pytest.raises(StorageError):
        await site.publish("alice", "t", custom_proof=proof)


async def test_content_that_is_not_encrypted_as_it_says_is_the_object_s_fault(site: Site) -> None:
    """The reader asked for nothing wrong: his door drops the message, and his stream goes on."""
    await site.world.grant("namespace", "alice", "publish", "a/*")
    formed = await site.publish("alice", "a/b", encryption_partition=(b"a",))
    payload = (PayloadObject("text", b"no ciphertext"),)
    with pytest.raises(ObjectError):
        await site.publishing.open_payload(
            await site.who("bob"), replace(formed.value, payload=payload)
        )
