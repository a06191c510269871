"""Programs that acknowledge: what they are done with leaves the queue, and nothing else does."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

import wavemq
from tests.support.tier import Tier, expect_silence, take
from wavemq.errors import InvalidParameterError

READER = Path(__file__).parent / "programs" / "acknowledging_reader.py"


async def fill(bus: wavemq.Bus, topic: str, count: int, *, first: int = 0) -> None:
    for number in range(first, first + count):
        await bus.publish(topic, b"%d" % number)


def numbers(messages: list[wavemq.Received]) -> list[int]:
    return [int(message.payload) for message in messages]


class CrashError(Exception):
    """Stands for a program that dies in the middle."""


async def crash_after(bus: wavemq.Bus, count: int) -> None:
    async with bus.subscribe("ack/*", name="crashing") as readings:
        await fill(bus, "ack/a", 2 * count)
        assert all(message.attempt == 1 for message in await take(readings, count))
        raise CrashError


async def test_what_a_crashed_program_did_not_acknowledge_comes_again_in_order(
    tier: Tier,
) -> None:
    async with tier.at_site("service") as bus:
        with pytest.raises(CrashError):
            await crash_after(bus, 3)
        async with bus.subscribe("ack/*", name="crashing") as readings:
            await fill(bus, "ack/a", 2, first=6)
            again = await take(readings, 6)
            assert numbers(again) == [2, 3, 4, 5, 6, 7], "new ones arrive behind"
            assert again[0].attempt == 2
            assert again[-1].attempt == 1
            await again[-1].ack()
            await expect_silence(readings)
        async with bus.subscribe("ack/*", name="crashing") as readings:
            await expect_silence(readings)


async def test_program_killed_with_sigkill_loses_nothing(tier: Tier) -> None:
    count = 200
    arguments = [
        tier.site.local,
        str(tier.world.path("service.pem")),
        tier.namespace.to_text(),
        "sigkill/*",
        "killed",
    ]
    reader = await asyncio.create_subprocess_exec(
        sys.executable, str(READER), *arguments, stdout=asyncio.subprocess.PIPE
    )
    assert reader.stdout is not None
    async with tier.at_site("service") as bus:
        assert await reader.stdout.readline() == b"subscribed\n"
        await fill(bus, "sigkill/a", count)
        printed = [int(await reader.stdout.readline()) for _ in range(50)]
        reader.kill()
        printed += [int(line) for line in (await reader.stdout.read()).split()]
        await reader.wait()
        async with bus.subscribe("sigkill/*", name="killed") as readings:
            (first,) = await take(readings, 1)
            rest = await take(readings, count - 1 - int(first.payload))
            again = numbers([first, *rest])
        assert printed == list(range(len(printed)))
        assert again == list(range(again[0], count)), "in order, up to the last"
        assert again[0] <= len(printed), "nothing between what was dealt with and what comes again"


async def test_message_that_is_given_back_comes_again_after_its_delay(tier: Tier) -> None:
    async with tier.at_site("service") as bus, bus.subscribe("nack/*") as readings:
        await fill(bus, "nack/a", 1)
        (message,) = await take(readings, 1)
        with pytest.raises(InvalidParameterError):
            await message.nack(-1.0)
        await message.nack(0.5)
        await message.nack(0.0)  # it is not in this program's hands any more
        (again,) = await take(readings, 1)
        assert (again.payload, again.index, again.attempt) == (b"0", message.index, 2)
        await expect_silence(readings)


async def test_program_that_never_asks_again_holds_its_credit_and_no_more(tier: Tier) -> None:
    count = 300
    async with tier.at_site("service") as bus, bus.subscribe("slow/*") as slow:
        async with bus.subscribe("slow/*") as quick:
            await fill(bus, "slow/a", count)
            assert numbers(await take(quick, count)) == list(range(count))
        assert numbers(await take(slow, count)) == list(range(count))


async def test_asking_in_a_new_task_each_time_acknowledges_too(tier: Tier) -> None:
    count = 300  # more than the credit
    async with tier.at_site("service") as bus:
        async with bus.subscribe("tasks/*", name="tasks") as readings:
            await fill(bus, "tasks/a", count)
            got = [await asyncio.wait_for(anext(readings), 30) for _ in range(count)]
            assert numbers(got) == list(range(count))
        async with bus.subscribe("tasks/*", name="tasks") as readings:
            await expect_silence(readings)


async def test_no_message_comes_twice_when_its_router_is_killed_under_a_reader(
    tier: Tier,
) -> None:
    async with tier.at_site("service") as bus, bus.subscribe("killed/*") as readings:
        await fill(bus, "killed/a", 50)
        before = await take(readings, 20)
        tier.site.kill()
        tier.site.start()
        after = await take(readings, 30)
        assert numbers([*before, *after]) == list(range(50))
        await expect_silence(readings)
        assert readings.resumed_count == 1


async def test_plain_subscription_lets_go_of_what_was_sent(tier: Tier) -> None:
    async with tier.at_site("service") as bus:
        async with bus.subscribe("plain/*", name="plain", acknowledge=False) as readings:
            await fill(bus, "plain/a", 2)
            first, _ = await take(readings, 2)
            assert (first.index, first.attempt) == (0, 1)
            await first.nack()  # means nothing here
        async with bus.subscribe("plain/*", name="plain") as readings:
            await expect_silence(readings)
