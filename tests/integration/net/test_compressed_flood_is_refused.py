"""A small compressed message that would become a huge one is refused at the doors' limit."""

from __future__ import annotations

from typing import Any

import grpc
import grpc.aio
import pytest

from wavemq.limits import FRAME_BYTES_MAX
from wavemq.net.addresses import Address, bound_address, listen
from wavemq.net.grpc_server import GrpcServer
from wavemq.net.reactor import running_reactor


async def test_message_is_refused_by_its_size_after_decompression() -> None:
    async def count(request: bytes, _context: Any) -> bytes:
        return str(len(request)).encode()

    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "Count": grpc.unary_unary_rpc_method_handler(count)
    }
    handler = grpc.method_handlers_generic_handler("test.Door", handlers)
    listening = listen(Address("127.0.0.1", 0))
    port = bound_address(listening).port
    options: list[tuple[str, int]] = [("grpc.max_send_message_length", -1)]
    async with running_reactor() as reactor:
        server = GrpcServer(reactor, handler, ["/test.Door/Count"])
        listener = reactor.http2.listen(listening.detach(), server.number, 1)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
            ask: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
                "/test.Door/Count"
            )
            assert await ask(bytes(1000), compression=grpc.Compression.Gzip) == b"1000"
            flood = bytes(2 * FRAME_BYTES_MAX)  # some 40 kB on the wire
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await ask(flood, compression=grpc.Compression.Gzip)
        assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        await reactor.stop_listening(listener)
        await server.stop()
