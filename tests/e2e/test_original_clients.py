"""Clients of the original router, unmodified: pyxbos 0.2.33, and bare gRPC calls like theirs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from tests.e2e.pyxbos_environment import interpreter
from tests.support.tier import Tier, take
from wavemq.wire import mqpb_pb2 as mqpb

PROGRAMS = Path(__file__).resolve().parent / "programs"
ANSWER_SECONDS_MAX = 30.0

# Serialized XBOS messages: device state at time 1 of a thermostat at 21.5 and at 43 degrees.
XBOS_21_5 = bytes.fromhex("a2060f0801220b0a09090000000000803540")
XBOS_43 = bytes.fromhex("a2060f0801220b0a09090000000000804540")


@pytest.fixture(scope="session")
def pyxbos() -> Path:
    """The Python in which pyxbos is installed; made on first use."""
    return interpreter()


@asynccontextmanager
async def program(python: Path, name: str, tier: Tier) -> AsyncIterator[asyncio.StreamReader]:
    """Run one of the programs beside this file as the service; give its output; kill it after."""
    running = await asyncio.create_subprocess_exec(
        str(python),
        str(PROGRAMS / name),
        tier.site.local,
        str(tier.world.path("service.pem")),
        tier.namespace.to_text(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert running.stdout is not None
    try:
        yield running.stdout
    finally:
        running.kill()
        await running.communicate()


async def line_with(output: asyncio.StreamReader, word: str) -> list[str]:
    """Return the words of the first line that begins with `word`."""
    seen: list[str] = []
    async with asyncio.timeout(ANSWER_SECONDS_MAX):
        while raw := await output.readline():
            seen.append(raw.decode())
            words = seen[-1].split()
            if words[:1] == [word]:
                return words
    raise AssertionError("the program ended early:\n" + "".join(seen))


async def test_pyxbos_driver_publishes_and_gets_its_writes(tier: Tier, pyxbos: Path) -> None:
    async with (
        tier.at_designated("observer") as cloud,
        cloud.subscribe("building/thermostat/state") as states,
        program(pyxbos, "pyxbos_driver.py", tier) as output,
        tier.at_site("service") as site,
    ):
        state, again = await take(states, 2)
        assert state.schema == "xbosproto/XBOS"
        assert state.payload == again.payload
        await site.publish(
            "building/thermostat/write/setpoint", state.payload, schema="xbosproto/XBOS"
        )
        assert await line_with(output, "written") == [
            "written",
            "building/thermostat/write/setpoint",
            "21.5",
            "True",
        ]


async def test_pyxbos_process_subscribes_and_publishes(tier: Tier, pyxbos: Path) -> None:
    async with (
        tier.at_site("reader") as observer,
        observer.subscribe("building/doubled") as doubled,
        program(pyxbos, "pyxbos_process.py", tier) as output,
        tier.at_site("service") as site,
    ):
        # Its subscription is made at some moment that it does not tell: publish until it hears.
        heard = asyncio.ensure_future(line_with(output, "heard"))
        while not heard.done():
            await site.publish("building/one/measured", XBOS_21_5, schema="xbosproto/XBOS")
            await asyncio.wait({heard}, timeout=0.2)
        assert await heard == ["heard", "building/one/measured", "21.5", "True"]
        (message,) = await take(doubled, 1)
        assert message.payload == XBOS_43


class TestBareCalls:
    """The sequences of calls that the original's Go clients make, on one plain channel."""

    @staticmethod
    def perspective(tier: Tier) -> mqpb.Perspective:
        secret = tier.world.path("service.pem").read_bytes()
        return mqpb.Perspective(entitySecret=mqpb.EntitySecret(DER=secret))

    def test_publish_right_after_subscribe_is_answered_on_the_subscription(
        self, tier: Tier
    ) -> None:
        with grpc.insecure_channel(tier.site.local) as channel:
            subscribe = channel.unary_stream(
                "/mqpb.WAVEMQ/Subscribe",
                request_serializer=mqpb.SubscribeParams.SerializeToString,
                response_deserializer=mqpb.SubscriptionMessage.FromString,
            )
            publish = channel.unary_unary(
                "/mqpb.WAVEMQ/Publish",
                request_serializer=mqpb.PublishParams.SerializeToString,
                response_deserializer=mqpb.PublishResponse.FromString,
            )
            for round_number in range(5):
                stream = subscribe(
                    mqpb.SubscribeParams(
                        perspective=self.perspective(tier),
                        namespace=tier.namespace.to_bytes(),
                        uri="rpc/signal/response",
                        expiry=10,
                    ),
                    timeout=ANSWER_SECONDS_MAX,
                )
                answer = publish(
                    mqpb.PublishParams(
                        perspective=self.perspective(tier),
                        namespace=tier.namespace.to_bytes(),
                        uri="rpc/signal/response",
                        content=[mqpb.PayloadObject(schema="x", content=bytes([round_number]))],
                    ),
                    timeout=ANSWER_SECONDS_MAX,
                )
                assert not answer.error.code
                first = next(stream)
                assert not first.error.code
                assert first.message.tbs.payload[0].content == bytes([round_number])
                assert not first.message.proofDER
                stream.cancel()

    def test_errors_are_answers_and_not_failed_calls(self, tier: Tier) -> None:
        with grpc.insecure_channel(tier.site.local) as channel:
            publish = channel.unary_unary(
                "/mqpb.WAVEMQ/Publish",
                request_serializer=mqpb.PublishParams.SerializeToString,
                response_deserializer=mqpb.PublishResponse.FromString,
            )
            requests = (
                mqpb.PublishParams(),
                mqpb.PublishParams(perspective=self.perspective(tier), uri="a"),
                mqpb.PublishParams(
                    perspective=self.perspective(tier),
                    namespace=tier.namespace.to_bytes(),
                    uri="a/+",
                ),
                mqpb.PublishParams(
                    perspective=mqpb.Perspective(entitySecret=mqpb.EntitySecret(DER=b"junk")),
                    namespace=tier.namespace.to_bytes(),
                    uri="a",
                ),
            )
            for request in requests:
                answer = publish(request, timeout=ANSWER_SECONDS_MAX)
                assert answer.error.code
                assert answer.error.message.startswith(f"({answer.error.code}: ")

    def test_connection_status_counts_uplinks(self, tier: Tier) -> None:
        with grpc.insecure_channel(tier.site.local) as channel:
            status = channel.unary_unary(
                "/mqpb.WAVEMQ/ConnectionStatus",
                request_serializer=mqpb.ConnectionStatusParams.SerializeToString,
                response_deserializer=mqpb.ConnectionStatusResponse.FromString,
            )
            answer = status(mqpb.ConnectionStatusParams(), timeout=ANSWER_SECONDS_MAX)
            assert answer.totalPeers == 1
            assert answer.connectedPeers in (0, 1)
