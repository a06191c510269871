"""A site and a designated router in one process, with real authority, sockets and disks."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import grpc.aio
import httpx
import pytest

import wavemq
from tests.support import routers
from tests.support.routers import Ground, ground, running
from tests.support.stubs import LocalClient
from tests.support.waiting import until_answered
from wavemq.errors import (
    Code,
    DesignatedRouterLinkDownError,
    NoProofFoundError,
    SubscriptionFailedError,
    UpstreamError,
    WaveMQError,
)
from wavemq.router.process import BoundAddresses
from wavemq.testing import RouterSettings
from wavemq.wire import mqpb_pb2 as mqpb

TAKE_SECONDS_MAX = 15.0
QUIET_SECONDS = 0.4


@dataclass(frozen=True, slots=True)
class Tier:
    ground: Ground
    designated: BoundAddresses
    site: BoundAddresses

    def at_site(self, who: str = "service") -> wavemq.Bus:
        return self.ground.bus(self.site.local, who)

    def perspective(self, who: str) -> mqpb.Perspective:
        secret = self.ground.world[who].to_bytes()
        return mqpb.Perspective(entitySecret=mqpb.EntitySecret(DER=secret))

    def at_designated(self, who: str = "service") -> wavemq.Bus:
        return self.ground.bus(self.designated.local, who)


async def wait_connected(bus: wavemq.Bus, connected: int = 1) -> None:
    async def is_so() -> bool:
        return (await bus.status()).uplinks_connected == connected

    await until_answered(f"{connected} uplinks are connected", is_so)


async def take(subscription: wavemq.Subscription, count: int) -> list[bytes]:
    found: list[bytes] = []
    try:
        async with asyncio.timeout(TAKE_SECONDS_MAX):
            while len(found) < count:
                found.append((await anext(subscription)).payload)
    except TimeoutError as error:
        raise AssertionError(f"only {found} came in time") from error
    return found


async def expect_silence(subscription: wavemq.Subscription) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(QUIET_SECONDS):
            await anext(subscription)


@pytest.fixture
async def prepared(tmp_path: Path) -> AsyncIterator[Ground]:
    async with ground(tmp_path, "designated", "service", "observer", "stranger") as made:
        world = made.world
        await world.grant("namespace", "service", "publish,subscribe,query", "*")
        await world.grant("namespace", "observer", "subscribe,query", "*")
        await world.grant_decryption("service", "*")
        yield made


@pytest.fixture
async def tier(prepared: Ground) -> AsyncIterator[Tier]:
    designated_settings = await prepared.designated_settings("designated")
    async with running(designated_settings, prepared.clock) as designated:
        site_settings = prepared.settings("site", uplink=str(designated.peer))
        async with running(site_settings, prepared.clock) as site:
            yield Tier(prepared, designated, site)


# --- publish and deliver -----------------------------------------------------------------------


async def test_message_of_the_site_is_delivered_at_the_site_and_in_the_cloud(tier: Tier) -> None:
    async with (
        tier.at_site() as site,
        tier.at_designated("observer") as cloud,
        site.subscribe("example/*") as near,
        cloud.subscribe("example/*") as far,
    ):
        await wait_connected(site)
        for number in range(5):
            await site.publish("example/topic", f"{number}".encode())
        expected = [f"{number}".encode() for number in range(5)]
        assert await take(near, 5) == expected
        assert await take(far, 5) == expected
        await expect_silence(near)
        await expect_silence(far)


async def test_message_of_the_cloud_is_delivered_at_the_site(tier: Tier) -> None:
    async with (
        tier.at_site("observer") as site,
        tier.at_designated() as cloud,
        site.subscribe("command/+") as commands,
    ):
        await wait_connected(site)
        async with asyncio.timeout(TAKE_SECONDS_MAX), asyncio.TaskGroup() as group:
            first = group.create_task(take(commands, 1))
            while not first.done():
                await cloud.publish("command/open", b"now")
                await asyncio.sleep(0.05)
        assert first.result() == [b"now"]


async def test_encrypted_message_is_read_by_the_granted_only(tier: Tier) -> None:
    async with (
        tier.at_site() as site,
        tier.at_designated("observer") as observer,
        tier.at_designated() as reader,
        observer.subscribe("vault/*") as blind,
        reader.subscribe("vault/*") as granted,
    ):
        await wait_connected(site)
        await site.publish("vault/code", b"1234", encryption_partition="vault/code")
        await site.publish("vault/code", b"clear")
        assert await take(granted, 2) == [b"1234", b"clear"]
        assert await take(blind, 1) == [b"clear"]


async def test_many_messages_arrive_once_and_in_order(tier: Tier) -> None:
    count = 300
    async with (
        tier.at_site() as site,
        tier.at_designated("observer") as cloud,
        cloud.subscribe("load/*") as far,
    ):
        await wait_connected(site)
        async with asyncio.TaskGroup() as group:
            receiving = group.create_task(take(far, count))
            for start in range(0, count, 20):
                numbers = range(start, start + 20)
                await asyncio.gather(
                    *(site.publish(f"load/{one % 4}", b"%d" % one) for one in numbers)
                )
        numbers_of = [int(one) for one in receiving.result()]
        assert sorted(numbers_of) == list(range(count))
        for topic in range(4):
            own = [one for one in numbers_of if one % 4 == topic]
            assert own == sorted(own)
        await expect_silence(far)


async def test_request_published_right_after_its_subscription_gets_its_answer(tier: Tier) -> None:
    """As some clients do: open the stream, do not wait, publish, await the answer."""
    perspective, namespace = tier.perspective("service"), tier.ground.namespace.to_bytes()
    subscribe = mqpb.SubscribeParams(
        perspective=perspective, namespace=namespace, uri="call/response", expiry=10
    )
    publish = mqpb.PublishParams(
        perspective=perspective,
        namespace=namespace,
        uri="call/response",
        content=[mqpb.PayloadObject(schema="s", content=b"answer")],
    )
    async with grpc.aio.insecure_channel(str(tier.site.local)) as channel:
        client = LocalClient(channel)
        stream = client.subscribe(subscribe, timeout=15)
        published = await client.publish(publish, timeout=15)
        assert not published.HasField("error")
        response = await stream.read()
        assert isinstance(response, mqpb.SubscriptionMessage)
        assert response.message.tbs.payload[0].content == b"answer"
        assert response.message.timestamps[0] > 0
        stream.cancel()


# --- retained messages --------------------------------------------------------------------------


async def test_query_answers_at_both_routers(tier: Tier) -> None:
    async with tier.at_site() as site, tier.at_designated("observer") as cloud:
        await wait_connected(site)
        await site.publish("roof/temperature", b"20", persist=True)
        await site.publish("roof/temperature", b"21", persist=True)
        await site.publish("roof/humidity", b"50", persist=True)

        expected = {"roof/temperature": b"21", "roof/humidity": b"50"}

        async def is_retained() -> bool:
            return {one.topic: one.payload for one in await cloud.query("roof/*")} == expected

        await until_answered("both topics are retained", is_retained)
        assert {one.topic: one.payload for one in await site.query("roof/*")} == expected


# --- refusals -----------------------------------------------------------------------------------


async def test_stranger_moves_nothing(tier: Tier) -> None:
    async with (
        tier.at_site() as site,
        tier.at_site("stranger") as stranger,
        site.subscribe("*") as everything,
    ):
        with pytest.raises(NoProofFoundError):
            await stranger.publish("example/topic", b"x")
        with pytest.raises(WaveMQError):
            async with stranger.subscribe("example/*"):
                pass
        with pytest.raises(NoProofFoundError):
            await stranger.query("example/*")
        await expect_silence(everything)


async def test_namespace_that_nobody_routes_is_refused_for_subscriptions(tier: Tier) -> None:
    async with tier.at_site() as site:
        with pytest.raises(SubscriptionFailedError, match="no configured DR"):
            async with site.subscribe("a/*", namespace=tier.ground.world.hash("stranger")):
                pass


async def test_name_in_use_for_another_filter_is_refused(tier: Tier) -> None:
    async with tier.at_site() as site:
        async with site.subscribe("one/*", name="ingest"):
            pass
        with pytest.raises(SubscriptionFailedError, match="one/"):
            async with site.subscribe("two/*", name="ingest"):
                pass


async def test_protected_secret_needs_its_passphrase_with_every_call(tier: Tier) -> None:
    secret = tier.ground.world["service"].to_bytes(b"right")
    async with grpc.aio.insecure_channel(str(tier.site.local)) as channel:
        client = LocalClient(channel)
        codes = []
        for passphrase in (b"", b"wrong", b"right", b"wrong", b""):
            held = mqpb.EntitySecret(DER=secret, passphrase=passphrase)
            params = mqpb.PublishParams(
                perspective=mqpb.Perspective(entitySecret=held),
                namespace=tier.ground.namespace.to_bytes(),
                uri="a",
            )
            codes.append((await client.publish(params, timeout=15)).error.code)
    assert codes[1:4] == [Code.KEYRING_DECRYPT_FAILED, 0, Code.KEYRING_DECRYPT_FAILED]
    assert codes[0] == codes[4] != 0


# --- loss and return ----------------------------------------------------------------------------


async def test_site_goes_on_alone_and_catches_up(prepared: Ground) -> None:
    designated_settings = await prepared.designated_settings("designated")
    async with running(designated_settings, prepared.clock) as first:
        assert first.peer is not None
        again = RouterSettings(
            directory=designated_settings.directory,
            storage=designated_settings.storage,
            routing_proofs=designated_settings.routing_proofs,
            peer_listen=str(first.peer),
            local_listen=str(first.local),
        )
        site_settings = prepared.settings("site", uplink=str(first.peer))
        site_running = running(site_settings, prepared.clock)
        site = await site_running.__aenter__()
        bus = prepared.bus(site.local, "service")
        await bus.__aenter__()
        near = bus.subscribe("outage/*")
        await near.__aenter__()
        await wait_connected(bus)
        cloud = prepared.bus(first.local, "observer")
        async with cloud, cloud.subscribe("outage/*", name="kept") as far:
            await bus.publish("outage/a", b"before")
            assert await take(far, 1) == [b"before"]
            assert await take(near, 1) == [b"before"]
    await wait_connected(bus, 0)
    with pytest.raises((DesignatedRouterLinkDownError, UpstreamError)):
        await bus.query("outage/*")
    during = [b"during %d" % number for number in range(20)]
    for one in during:
        await bus.publish("outage/a", one)
    assert await take(near, 20) == during
    async with running(again, prepared.clock) as second:
        cloud = prepared.bus(second.local, "observer")
        async with cloud, cloud.subscribe("outage/*", name="kept") as far:
            assert await take(far, 20) == during
            await expect_silence(far)
    await near.__aexit__(None, None, None)
    await bus.__aexit__(None, None, None)
    await site_running.__aexit__(None, None, None)


async def test_answered_message_survives_a_restart(prepared: Ground) -> None:
    settings = prepared.settings("site", uplink="127.0.0.1:1")
    async with running(settings, prepared.clock) as site:
        bus = prepared.bus(site.local, "service")
        async with bus:
            async with bus.subscribe("kept/*", name="kept"):
                pass
            await bus.publish("kept/a", b"1")
    async with running(settings, prepared.clock) as site:
        bus = prepared.bus(site.local, "service")
        async with bus, bus.subscribe("kept/*", name="kept") as kept:
            assert await take(kept, 1) == [b"1"]
    async with running(settings, prepared.clock) as site:
        bus = prepared.bus(site.local, "service")
        async with bus, bus.subscribe("kept/*", name="kept") as kept:
            await expect_silence(kept)


# --- operation ----------------------------------------------------------------------------------


async def test_metrics_count_what_happened(tier: Tier) -> None:
    async with tier.at_site() as site, site.subscribe("counted/*") as counted:
        await wait_connected(site)
        await site.publish("counted/one", b"x")
        await take(counted, 1)
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"http://{tier.site.metrics}/metrics")
            missing = await client.get(f"http://{tier.site.metrics}/other")
    values = dict(line.split() for line in answer.text.splitlines() if not line.startswith("#"))
    assert float(values["route_published_messages"]) == 1
    assert float(values["route_active_subscriptions"]) == 1
    assert float(values["route_active_upstream_connections"]) == 1
    assert "process_resident_memory_bytes" in values
    assert missing.status_code == 404


async def test_status_page_shows_uplinks_subscriptions_and_drops(tier: Tier) -> None:
    async with (
        tier.at_site() as bus,
        bus.subscribe("status/*", name="shown") as readings,
        httpx.AsyncClient(trust_env=False) as client,
    ):
        await wait_connected(bus)
        await bus.publish("status/a", b"1")
        await anext(readings)
        page = (await client.get(f"http://{tier.site.metrics}/status")).json()
    assert page["durability"] == "journaled"
    assert not page["is_disk_failing"]
    (uplink,) = page["uplinks"]
    assert uplink["is_connected"]
    assert page["dropped_messages"].keys() == {
        "length",
        "size",
        "expiry",
        "revoked",
        "ended",
        "refused",
        "corrupt",
        "unverifiable",
    }
    shown = [one for one in page["fullest_subscriptions"] if one["identifier"] == "shown"]
    assert [(one["filter"], one["is_attached"], one["is_local"]) for one in shown] == [
        ("status/*", True, True)
    ]


async def test_metrics_port_that_is_taken_does_not_stop_the_router(
    prepared: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(routers, "METRICS", {"METRICS_ADDRESS": f"127.0.0.1:{port}"})
        async with running(prepared.settings("site"), prepared.clock) as site:
            assert site.metrics is None
            assert site.ready_line().endswith(" peer=- metrics=-")


async def test_doors_take_the_ports_that_are_free(tier: Tier) -> None:
    assert tier.site.peer is None
    assert tier.designated.peer is not None
    assert tier.site.local.port != 0
    assert tier.site.ready_line() == (
        f"ready local={tier.site.local} peer=- metrics={tier.site.metrics}"
    )
