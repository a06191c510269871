"""The main job: hello world through two routers, with real authority."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import httpx

from tests.support.tier import Tier, take, wait_uplinks

ROOT = Path(__file__).resolve().parents[2]


async def run_hello(*arguments: str, environment: dict[str, str] | None = None) -> tuple[int, str]:
    hello = await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "examples" / "hello.py"),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment,
    )
    try:
        output, _ = await asyncio.wait_for(hello.communicate(), 60)
    finally:
        if hello.returncode is None:
            hello.kill()
            await hello.wait()
    assert hello.returncode is not None
    return hello.returncode, output.decode()


async def test_hello_program_prints_five_times_and_the_other_router_delivers_them(
    tier: Tier,
) -> None:
    async with (
        tier.at_designated("observer") as observer,
        observer.subscribe("example/*") as far,
    ):
        status, output = await run_hello(
            "--address",
            tier.site.local,
            "--entity",
            str(tier.world.path("service.pem")),
            "--namespace",
            tier.namespace.to_text(),
        )
        assert (status, output.splitlines()) == (0, ["hello world"] * 5)
        for message in await take(far, 5):
            assert message.payload == b"hello world"
            assert message.schema == "text"
            assert message.topic == "example/topic"
            assert message.source == tier.world.hash_of("service")
            assert message.namespace == tier.namespace
            assert message.encryption_partition == (b"example", b"topic")
            assert message.timestamps[0] > 10**18
            assert not any(message.drops)
            assert message.proof is None


async def test_hello_program_reads_its_settings_from_the_environment(tier: Tier) -> None:
    status, output = await run_hello(
        environment={
            "WAVEMQ_ADDRESS": tier.site.local,
            "WAVE_DEFAULT_ENTITY": str(tier.world.path("service.pem")),
            "WAVEMQ_NAMESPACE": str(tier.world.path("namespace.pem")),
        },
    )
    assert (status, output.splitlines()) == (0, ["hello world"] * 5)


async def test_hello_program_without_a_grant_says_so_without_a_traceback(tier: Tier) -> None:
    status, output = await run_hello(
        "--address",
        tier.site.local,
        "--entity",
        str(tier.world.path("stranger.pem")),
        "--namespace",
        tier.namespace.to_text(),
    )
    assert status == 1
    assert output.startswith("hello: ")
    assert "Traceback" not in output


async def test_message_published_in_the_cloud_reaches_the_site(tier: Tier) -> None:
    async with (
        tier.at_site("reader") as site,
        tier.at_designated("operator") as cloud,
        site.subscribe("command/+/open") as commands,
    ):
        await wait_uplinks(site, 1)
        # The designated router learns of the subscription over the uplink; until then it has
        # nobody to deliver to, so publish until one arrives.
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            first = group.create_task(take(commands, 1))
            while not first.done():
                await cloud.publish("command/valve/open", b"now")
                await asyncio.sleep(0.2)
        (message,) = first.result()
        assert (message.topic, message.payload) == ("command/valve/open", b"now")


async def test_proof_is_delivered_where_it_is_asked_for(tier: Tier) -> None:
    async with (
        tier.at_site("service") as bus,
        bus.subscribe("proved/*", include_proof=True) as proved,
    ):
        await bus.publish("proved/one", b"x")
        (message,) = await take(proved, 1)
        assert message.proof is not None
        tier.world.path("delivered.der").write_bytes(message.proof)
    output = await asyncio.to_thread(tier.world.run, "inspect", str(tier.world.path("service.pem")))
    assert message.source.to_text() in output


async def test_metrics_count_what_happened_under_the_names_of_the_original(tier: Tier) -> None:
    async with tier.at_site("service") as bus, bus.subscribe("counted/*") as counted:
        before = await read_metrics(tier.site.metrics)
        await bus.publish("counted/one", b"x")
        await take(counted, 1)
        after = await read_metrics(tier.site.metrics)
    assert after["route_published_messages"] - before["route_published_messages"] == 1
    assert before["route_active_subscriptions"] >= 1
    assert after["route_active_upstream_connections"] == 1


async def read_metrics(address: str) -> dict[str, float]:
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"http://{address}/metrics")
    answer.raise_for_status()
    lines = [line.split() for line in answer.text.splitlines() if not line.startswith("#")]
    return {words[0]: float(words[1]) for words in lines if len(words) == 2}
