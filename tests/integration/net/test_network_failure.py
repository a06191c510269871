"""A defect of the network's thread is told, and ends whoever needs it."""

from __future__ import annotations

import asyncio

import pytest

from wavemq.errors import InternalError
from wavemq.net.addresses import Address, listen
from wavemq.net.reactor import running_reactor


@pytest.mark.parametrize("in_loop", [True, False], ids=["in its loop", "in a task it needs"])
async def test_panic_of_the_network_is_an_error_for_who_runs_it(in_loop: bool) -> None:
    async with running_reactor() as reactor:
        service = reactor.http2.serve([], 1000, 10, False, 1.0, 60.0)
        listener = reactor.http2.listen(listen(Address("127.0.0.1", 0)).detach(), service, 10)
        reactor.http2.panic_for_test(in_loop)
        with pytest.raises(InternalError, match="the network's thread failed"):
            async with asyncio.timeout(10):
                await reactor.run()
        # Stopping in order does not wait for what is not there any more.
        async with asyncio.timeout(10):
            await reactor.stop_listening(listener)
            await reactor.end_service(service, 1.0)
