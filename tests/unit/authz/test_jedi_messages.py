"""JEDI at the local door: who can read, which keys are shared, and what is not believed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.support.worlds import DAY_S, NOW, World, after
from wavemq.authz.admission import Admission
from wavemq.authz.engine import Engine
from wavemq.authz.perspective import Perspective
from wavemq.authz.publishing import Publishing
from wavemq.clock import NANOSECONDS_PER_SECOND, Instant
from wavemq.errors import (
    InvalidJEDIGrantError,
    InvalidParameterError,
    InvalidSignatureError,
    LookupFailureError,
    MalformedObjectError,
    MessageDecryptError,
)
from wavemq.limits import MESSAGE_BYTES_MAX
from wavemq.messages.message import Message, PayloadObject
from wavemq.messages.topic import Topic
from wavemq.wave import jedi
from wavemq.wave.attestation_create import NamespaceKeys, create_attestation
from wavemq.wave.attestation_open import open_with_prover_key
from wavemq.wave.bundle import ContentKey
from wavemq.wave.hashes import JEDI_PERMISSION_SET, WAVE_PERMISSION_SET
from wavemq.wave.policy import RTreePolicy, Statement

PAYLOAD = (PayloadObject("text", b"21.5"), PayloadObject("", b""))
HOUR = 3600 * NANOSECONDS_PER_SECOND
HOUR_BEGIN = Instant(NOW // HOUR * HOUR)


@dataclass(slots=True)
class Site:
    world: World
    engine: Engine
    publishing: Publishing

    async def who(self, name: str) -> Perspective:
        return await self.world.perspective(self.engine, name)

    async def publish(
        self,
        topic: str = "a/b",
        *,
        now: Instant = NOW,
        payload: tuple[PayloadObject, ...] = PAYLOAD,
        partition: tuple[bytes, ...] = (),
    ) -> Message:
        formed = await self.publishing.form_message(
            await self.who("publisher"),
            namespace=self.world.hash("namespace"),
            topic=Topic(topic),
            payload=payload,
            now=now,
            encryption_partition=partition,
            is_jedi=True,
        )
        return formed.value

    async def read(self, name: str, message: Message) -> tuple[PayloadObject, ...]:
        return await self.publishing.open_payload(await self.who(name), message)


async def grant_jedi(
    world: World, subject: str, resource: str, *, begin: Instant | None = None
) -> None:
    await world.grant(
        "namespace",
        subject,
        "decrypt",
        resource,
        permission_set=JEDI_PERMISSION_SET,
        is_encrypted=True,
        not_before=begin,
        not_after=after(DAY_S),
    )


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    world = await World.create("publisher", "reader", "blind", "mallory")
    await world.grant("namespace", "publisher", "publish", "*")
    await grant_jedi(world, "reader", "a/*")
    async with world.engine() as engine:
        admission = Admission(engine)
        publishing = Publishing(engine, admission, origin_router="site-1")
        yield Site(world, engine, publishing)
        await publishing.aclose()
        await admission.aclose()


# --- who reads --------------------------------------------------------------------------------


async def test_granted_reader_and_namespace_read_and_nobody_else(site: Site) -> None:
    message = await site.publish()
    assert [one.schema for one in message.payload] == [
        "jedi:encryptedKey",
        "jedi:encryptedMessage",
    ]
    assert message.jedi_timestamp == NOW // NANOSECONDS_PER_SECOND
    assert await site.read("reader", message) == PAYLOAD
    assert await site.read("namespace", message) == PAYLOAD
    for name in ("publisher", "blind"):
        with pytest.raises(MessageDecryptError, match="could not find suitable key"):
            await site.read(name, message)
    elsewhere = await site.publish("b")
    with pytest.raises(MessageDecryptError):
        await site.read("reader", elsewhere)
    assert site.publishing.statistics().messages_unreadable == 3
    assert site.publishing.statistics().messages_opened == 2


async def test_signature_covers_parts_and_time(site: Site) -> None:
    message = await site.publish()
    admission = Admission(site.engine)
    assert (await admission.check_message(message, NOW)).value == message
    assert message.jedi_timestamp is not None
    key, sealed = message.payload
    changed = bytes((sealed.content[0] ^ 1,)) + sealed.content[1:]
    for forged in (
        replace(message, payload=(key, PayloadObject(sealed.schema, changed))),
        replace(message, jedi_timestamp=message.jedi_timestamp + 3600),
        replace(message, jedi_timestamp=None),
    ):
        with pytest.raises(InvalidSignatureError):
            await admission.check_message(forged, NOW)


async def test_both_encryptions_ask_for_both_grants(site: Site) -> None:
    await site.world.grant_decryption("blind", "vault")
    message = await site.publish(partition=(b"vault",), payload=PAYLOAD[:1])
    for name in ("reader", "blind"):
        with pytest.raises(MessageDecryptError):
            await site.read(name, message)
    await site.world.grant_decryption("reader", "vault")
    assert await site.read("reader", message) == PAYLOAD[:1]


async def test_reader_without_a_key_looks_again_once(site: Site) -> None:
    blind = await site.who("blind")
    message = await site.publish()
    later = Instant(NOW + 120 * NANOSECONDS_PER_SECOND)
    with pytest.raises(MessageDecryptError):
        await site.publishing.open_payload(blind, message, NOW)
    await grant_jedi(site.world, "blind", "a/b")
    assert await site.publishing.open_payload(blind, message, later) == PAYLOAD


# --- keys in use ------------------------------------------------------------------------------


async def test_messages_of_one_topic_and_hour_share_their_key_and_nothing_else(site: Site) -> None:
    in_order = [
        await site.publish(now=Instant(HOUR_BEGIN + second * NANOSECONDS_PER_SECOND))
        for second in (0, 1, 3599, 3600)
    ]
    keys = [message.payload[0].content for message in in_order]
    assert keys[0] == keys[1] == keys[2] != keys[3]
    blocks = {message.payload[1].content[:16] for message in in_order}
    assert len(blocks) == len(in_order)
    assert (await site.publish("a/c")).payload[0].content not in keys
    for message in in_order:
        assert await site.read("reader", message) == PAYLOAD


async def test_messages_that_are_formed_at_once_share_their_key(site: Site) -> None:
    found = await asyncio.gather(*(site.publish() for _ in range(5)))
    assert len({message.payload[0].content for message in found}) == 1


async def test_opened_key_is_never_another_perspective_s(site: Site) -> None:
    message = await site.publish()
    assert await site.read("reader", message) == PAYLOAD
    with pytest.raises(MessageDecryptError):
        await site.read("blind", message)


async def test_opened_key_is_remembered_for_its_topic_and_hour_only(site: Site) -> None:
    message = await site.publish()
    assert await site.read("reader", message) == PAYLOAD
    moved = replace(message, topic=Topic("a/c"))
    with pytest.raises(MalformedObjectError):
        await site.read("reader", moved)
    with pytest.raises(MessageDecryptError):
        await site.read("reader", replace(message, topic=Topic("b")))


# --- what is not believed -----------------------------------------------------------------------


async def test_stranger_s_useless_keys_do_not_hide_the_good_ones(site: Site) -> None:
    """Mallory sends the reader keys that pretend to be the namespace's and match everything."""
    world = site.world
    policy = RTreePolicy(
        world.hash("namespace"),
        world.location,
        0,
        (Statement(JEDI_PERMISSION_SET, ("decrypt",), "a/*"),),
    )
    own = NamespaceKeys(world.namespace.entity, master=world["mallory"])
    pretended = create_attestation(
        world["mallory"],
        world.location,
        world["blind"].entity,
        world.location,
        policy,
        not_before=after(-DAY_S),
        not_after=after(DAY_S),
        namespace_keys=own,
    )
    await world.publish(pretended)
    message = await site.publish()
    with pytest.raises(MessageDecryptError):
        await site.read("blind", message)
    await grant_jedi(world, "blind", "a/*")
    assert await site.read("blind", message) == PAYLOAD


async def test_key_that_lies_about_its_pattern_is_found_out(site: Site) -> None:
    wanted = jedi.message_pattern("a/b", NOW // NANOSECONDS_PER_SECOND)
    params = site.world.namespace.entity.oaque_params
    other = site.world["mallory"].oaque_master.derive(params, wanted)
    made = jedi.new_message_key(params, wanted)
    with pytest.raises(MessageDecryptError, match="does not fit"):
        jedi.unlock(params, ContentKey(wanted, other.to_bytes()), wanted, made.encrypted)


async def test_malformed_parts_are_dropped_not_believed(site: Site) -> None:
    message = await site.publish()
    key, sealed = message.payload
    for payload in (
        (),
        (key,),
        (sealed, key),
        (key, sealed, sealed),
        (PayloadObject("text", key.content), sealed),
    ):
        with pytest.raises(MalformedObjectError):
            await site.read("reader", replace(message, payload=payload))
    for broken_key, broken in (
        (key.content[:-1], sealed.content),
        (bytes(720), sealed.content),
        (key.content, sealed.content[:15]),
    ):
        payload = (PayloadObject(key.schema, broken_key), PayloadObject(sealed.schema, broken))
        with pytest.raises(MessageDecryptError):
            await site.read("reader", replace(message, payload=payload))
    noise = PayloadObject(sealed.schema, bytes(16) + sealed.content[16:])
    with pytest.raises(MalformedObjectError):
        await site.read("reader", replace(message, payload=(key, noise)))
    for at_s in (0, -1, 2**62):
        with pytest.raises(MessageDecryptError):
            await site.read("reader", replace(message, jedi_timestamp=at_s))


async def test_what_cannot_be_encrypted_so_is_refused(site: Site) -> None:
    with pytest.raises(InvalidJEDIGrantError):
        await site.publish("x/" * 12 + "x")
    huge = (PayloadObject("", bytes(MESSAGE_BYTES_MAX)),)
    with pytest.raises(InvalidParameterError, match="encrypted"):
        await site.publish(payload=huge)


async def test_nothing_is_encrypted_under_a_revoked_namespace(site: Site) -> None:
    namespace = site.world.hash("namespace")
    await site.world.revoke_entity("namespace")
    with pytest.raises(LookupFailureError, match="revoked"):
        await site.engine.jedi.encrypt(namespace, None, "a/b", b"x", NOW)


# --- grants -----------------------------------------------------------------------------------


async def test_delegate_hands_on_his_keys_through_the_engine(site: Site) -> None:
    world = site.world
    reader = await site.who("reader")

    async def hand_on(resource: str, *, days: int = 1) -> None:
        statement = Statement(JEDI_PERMISSION_SET, ("decrypt",), resource)
        created = await site.engine.grant(
            reader,
            subject=world.hash("blind"),
            subject_location=world.location,
            policy=RTreePolicy(world.hash("namespace"), world.location, 0, (statement,)),
            valid_from=NOW,
            valid_until=after(days * DAY_S),
            now=NOW,
        )
        await site.engine.publish_attestation(created.attestation)

    for resource, days in (("b/*", 1), ("a/*", 2)):
        with pytest.raises(InvalidJEDIGrantError):
            await hand_on(resource, days=days)
    await hand_on("a/b")
    assert await site.read("blind", await site.publish("a/b")) == PAYLOAD
    with pytest.raises(MessageDecryptError):
        await site.read("blind", await site.publish("a/c"))


async def test_decrypt_grant_of_a_delegate_is_lowered_to_his_own_period(site: Site) -> None:
    """Defect 10 of wave.md 16.2: the original's loses most of its keys and says nothing."""
    world = site.world
    statement = Statement(WAVE_PERMISSION_SET, ("decrypt",), "a/*")
    own = await world.grant_statements(
        "namespace",
        "reader",
        [statement],
        not_before=after(-DAY_S),
        not_after=after(30 * DAY_S),
        is_encrypted=True,
    )
    reader = await site.who("reader")
    created = await site.engine.grant(
        reader,
        subject=world.hash("blind"),
        subject_location=world.location,
        policy=RTreePolicy(world.hash("namespace"), world.location, 0, (statement,)),
        valid_from=after(-20 * DAY_S),
        valid_until=after(400 * DAY_S),
        now=NOW,
    )
    parent = open_with_prover_key(own.attestation, own.prover_key)
    child = open_with_prover_key(created.attestation, created.prover_key)
    assert child.body.validity == parent.body.validity
    assert [key.pattern for key in child.bundles[1].keys] == [
        key.pattern for key in parent.bundles[1].keys
    ]


async def test_keys_survive_a_restart_of_the_reader(site: Site, tmp_path: Path) -> None:
    message = await site.publish()
    for _ in range(2):
        async with site.world.engine(state_dir=tmp_path / "state") as anew:
            reader = await site.world.perspective(anew, "reader")
            door = Publishing(anew, Admission(anew), origin_router="site-2")
            assert await door.open_payload(reader, message) == PAYLOAD
