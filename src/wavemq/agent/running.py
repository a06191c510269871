"""One WAVE daemon, from its configuration to its end.

Owns the assembly, and the order of stopping: first the doors, then what they lead to. Refuses to
know the calls. Fault model: whatever is wrong before it serves ends it with one sentence; later,
SIGTERM and SIGINT stop it in order.
"""

from __future__ import annotations

import asyncio
import ipaddress
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from wavemq.agent.config import AgentConfig, read_config
from wavemq.agent.grpc_server import serve_grpc
from wavemq.agent.http_gateway import serve_http
from wavemq.agent.opening import open_local_agent
from wavemq.clock import Clock, SystemClock
from wavemq.errors import ConfigError, StorageFaultError, WaveMQError
from wavemq.net.addresses import Address

_log = structlog.get_logger("wavemq.agent")

LOCAL_NAMES: Final = frozenset({"localhost"})


@dataclass(frozen=True, slots=True)
class BoundAgent:
    """Where a daemon is found; None: that door does not exist."""

    grpc: Address | None
    http: Address | None
    unix: Path | None

    def doors(self) -> dict[str, str]:
        """Return the doors that exist, by kind."""
        doors = {"grpc": self.grpc, "http": self.http, "unix": self.unix}
        return {kind: str(where) for kind, where in doors.items() if where is not None}

    def line(self) -> str:
        """Return the line that scripts wait for (wave.md 14.1)."""
        return f"server started on {self.grpc or self.unix or self.http}"


def run_agent(path: Path, *, on_ready: Callable[[BoundAgent], None]) -> None:
    """Run the daemon of a configuration file until SIGTERM or SIGINT.

    Args:
        path: of the configuration.
        on_ready: told where the doors are, once they are open.

    Raises:
        ConfigError: the configuration, or an address in it, is not usable; its reason begins as
            the original's does.
        StorageFaultError: the database cannot be used.
    """
    try:
        config = read_config(path, are_storages_checked=False)
    except ConfigError as error:
        raise ConfigError(f"could not parse config file: {error.reason}") from error
    if config.database is None:
        raise ConfigError(f'state database error: "{path}" names no database')
    try:
        config.location_router()
    except ConfigError as error:
        raise ConfigError(f"storage overlay error: {error.reason}") from error
    asyncio.run(_run_until_signal(config, on_ready))


async def _run_until_signal(config: AgentConfig, on_ready: Callable[[BoundAgent], None]) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    await run(config, clock=SystemClock(), stopping=stopping, on_ready=on_ready)


async def run(
    config: AgentConfig,
    *,
    clock: Clock,
    stopping: asyncio.Event,
    on_ready: Callable[[BoundAgent], None],
) -> None:
    """Run a daemon until `stopping` is set; errors as `run_agent`.

    Args:
        config: of the daemon.
        clock: tells the time.
        stopping: set it to stop in order.
        on_ready: told where the doors are, once they are open.
    """
    if config.grpc is None and config.http is None and config.unix is None:
        raise ConfigError(
            "nothing to listen at: set listenIp, for instance to 127.0.0.1:410, or listenUnix"
        )
    try:
        async with AsyncExitStack() as stack:
            try:
                service = await stack.enter_async_context(open_local_agent(config, clock))
            except (ConfigError, StorageFaultError) as error:
                raise StorageFaultError(f"state database error: {error.reason}") from error
            grpc = await stack.enter_async_context(
                serve_grpc(service, address=config.grpc, unix=config.unix)
            )
            http = None
            if config.http is not None:
                http = await stack.enter_async_context(serve_http(service, config.http))
            for address in (grpc, http):
                _warn_if_reachable(address)
            bound = BoundAgent(grpc, http, config.unix)
            # For programs that asked for any free port; stdout has the original's line alone.
            _log.info("agent_started", **bound.doors())
            on_ready(bound)
            await stopping.wait()
    except* WaveMQError as group:
        raise _first(group) from group
    _log.info("agent_stopped")


def _first(group: BaseExceptionGroup[WaveMQError]) -> WaveMQError:
    """Return the first of the errors that a group of tasks ended with."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, WaveMQError)
    return error


def _warn_if_reachable(address: Address | None) -> None:
    """Say so if others than this machine's programs can call: callers bring secrets, in clear."""
    if address is None or address.host in LOCAL_NAMES:
        return
    try:
        is_local = ipaddress.ip_address(address.host).is_loopback
    except ValueError:
        is_local = False
    if not is_local:
        _log.warning(
            "agent_reachable_from_outside",
            address=str(address),
            advice="secrets travel in clear in every call: listen at 127.0.0.1",
        )
