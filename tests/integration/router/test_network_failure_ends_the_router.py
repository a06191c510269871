"""A router whose network has failed ends with an error, so that a supervisor starts it again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.routers import ground, running
from wavemq.errors import InternalError
from wavemq.net.reactor import running_reactor


async def test_panic_of_the_network_ends_the_router_with_an_error(tmp_path: Path) -> None:
    async with ground(tmp_path, "designated") as made, asyncio.timeout(30):
        settings = await made.designated_settings("designated")
        router = running(settings, made.clock)
        await router.__aenter__()
        async with running_reactor() as reactor:
            reactor.http2.panic_for_test(in_loop=True)
            with pytest.raises(InternalError):
                await reactor.run()
        with pytest.raises(InternalError, match="the network's thread failed: asked to"):
            await router.__aexit__(None, None, None)
