"""A listener for peers with a small gRPC service behind it, in this process."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import grpc

from wavemq.net.addresses import Address, bound_address, listen
from wavemq.net.certificate import ServerCertificate
from wavemq.net.grpc_server import IDLE_SECONDS_MAX
from wavemq.net.link import LinkLimits, PeeringListener
from wavemq.net.peer_server import serve_links
from wavemq.wave.hashes import Hash
from wavemq.wire.handshake import RouterClaim


@contextlib.asynccontextmanager
async def peering_door(
    service: str,
    methods: Mapping[str, Any],
    *,
    certificate: ServerCertificate,
    claims: Mapping[Hash, RouterClaim],
    limits: LinkLimits | None = None,
    idle_s: float = IDLE_SECONDS_MAX,
) -> AsyncIterator[tuple[PeeringListener, Address]]:
    """Serve methods of a service by name to peers; gives the listener and its address."""
    listening = listen(Address("127.0.0.1", 0))
    served = serve_links(
        listening,
        grpc.method_handlers_generic_handler(service, dict(methods)),
        [f"/{service}/{name}" for name in methods],
        certificate=certificate,
        claims=claims,
        limits=limits,
        is_compressing=False,
        idle_s=idle_s,
    )
    with contextlib.closing(listening):
        async with served as listener:
            serving = asyncio.ensure_future(listener.serve())
            try:
                yield listener, bound_address(listening)
            finally:
                serving.cancel()
                await asyncio.wait({serving})
