"""What a standing subscription costs its router."""

from __future__ import annotations

from contextlib import ExitStack
from queue import SimpleQueue
from typing import Any

import grpc
import pytest

from tests.support.hostile_peer import resident_bytes
from tests.support.tier import Tier
from wavemq.wire import mqpb_pb2 as mqpb

SUBSCRIPTIONS = 250
BYTES_MAX = 20_000
"""Of each: 10,000 to 12,000, and 17,000 more with three copies of the secret that it showed."""
ANSWER_SECONDS_MAX = 60.0


def subscribe(tier: Tier, channel: grpc.Channel, stack: ExitStack, method: str, name: str) -> None:
    """Open a subscription as a program does; it is effective when this returns."""
    secret = tier.world.path("service.pem").read_bytes()
    request = mqpb.SubscribeParams(
        perspective=mqpb.Perspective(entitySecret=mqpb.EntitySecret(DER=secret)),
        namespace=tier.namespace.to_bytes(),
        uri=f"quiet/{name}",
        identifier=name,
        expiry=60,
    )
    call: Any
    if method == "Subscribe":
        call = channel.unary_stream(
            "/mqpb.WAVEMQ/Subscribe", request_serializer=mqpb.SubscribeParams.SerializeToString
        )(request, timeout=ANSWER_SECONDS_MAX)
    else:
        requests: SimpleQueue[mqpb.ConsumeRequest | None] = SimpleQueue()
        requests.put(mqpb.ConsumeRequest(subscribe=request))
        stack.callback(requests.put, None)
        call = channel.stream_stream(
            "/mqpb.WAVEMQ/Consume", request_serializer=mqpb.ConsumeRequest.SerializeToString
        )(iter(requests.get, None), timeout=ANSWER_SECONDS_MAX)
    stack.callback(call.cancel)
    assert ("wavemq-subscribed", "1") in call.initial_metadata()


@pytest.mark.parametrize("method", ["Subscribe", "Consume"])
def test_subscription_keeps_little_and_not_what_it_was_asked_for_with(
    tier: Tier, method: str
) -> None:
    with ExitStack() as stack:
        channel = stack.enter_context(grpc.insecure_channel(tier.designated.local))
        for number in range(50):  # what is made once is made now
            subscribe(tier, channel, stack, method, f"{method}/{number}")
        before = resident_bytes(tier.designated.pid)
        for number in range(50, 50 + SUBSCRIPTIONS):
            subscribe(tier, channel, stack, method, f"{method}/{number}")
        grown = resident_bytes(tier.designated.pid) - before
    assert grown / SUBSCRIPTIONS < BYTES_MAX
