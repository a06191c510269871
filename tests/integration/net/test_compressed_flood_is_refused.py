"""A small compressed message that would become a huge one is refused at the doors' limit."""

from __future__ import annotations

from typing import Any

import grpc
import grpc.aio
import pytest

from wavemq.limits import FRAME_BYTES_MAX
from wavemq.net.grpc_door import SERVER_OPTIONS


async def test_message_is_refused_by_its_size_after_decompression() -> None:
    async def count(request: bytes, _context: Any) -> bytes:
        return str(len(request)).encode()

    server = grpc.aio.server(options=SERVER_OPTIONS)
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "Count": grpc.unary_unary_rpc_method_handler(count)
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Door", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    options: list[tuple[str, int]] = [("grpc.max_send_message_length", -1)]
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
            ask: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
                "/test.Door/Count"
            )
            assert await ask(bytes(1000), compression=grpc.Compression.Gzip) == b"1000"
            flood = bytes(2 * FRAME_BYTES_MAX)  # some 40 kB on the wire
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await ask(flood, compression=grpc.Compression.Gzip)
        assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    finally:
        await server.stop(0)
