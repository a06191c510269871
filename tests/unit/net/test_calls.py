"""A call over a link, whatever its other end sends."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import grpc
import grpc.aio
import pytest

from wavemq.net.grpc_channel import Call
from wavemq.net.reactor import Reactor
from wavemq.wire import mqpb_pb2 as mqpb


async def test_response_that_is_no_message_ends_the_call_with_a_status() -> None:
    cancelled: list[int] = []
    http2 = SimpleNamespace(consumed=lambda *_: None, cancel=cancelled.append)
    reactor = SimpleNamespace(http2=http2, add_call=lambda *_: None, remove_call=lambda *_: None)
    call: Call[Any, Any] = Call(
        cast(Reactor, reactor),
        7,
        mqpb.PeerPublishParams.SerializeToString,
        mqpb.PublishAnswers.FromString,
    )
    call.message(mqpb.PublishAnswers(accepted=[1]).SerializeToString())
    call.message(b"\xff")
    assert (await call.read()).accepted == [1]
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await call.read()
    assert failure.value.code() is grpc.StatusCode.INTERNAL
    assert cancelled == [7]
