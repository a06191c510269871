"""An agent within this process: storages, engine, service, opened and closed together.

Owns their order. Refuses to know transports. Fault model: a state directory that cannot be used, or
a configuration that is wrong, is told before anything is served.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from wavemq.agent.config import AgentConfig
from wavemq.agent.service import AgentService
from wavemq.authz.engine import Engine
from wavemq.clock import Clock
from wavemq.errors import ConfigError


@asynccontextmanager
async def open_local_agent(config: AgentConfig, clock: Clock) -> AsyncIterator[AgentService]:
    """Open an agent of this process, and close it at the end.

    Raises:
        ConfigError: the storage configuration is wrong, or the database's place unusable.
        StorageFaultError: the database cannot be used.
    """
    async with AsyncExitStack() as stack:
        storages = await stack.enter_async_context(config.location_router())
        if config.database is not None:
            _make_private(config.database)
        engine = Engine(storages, config.database, config.engine_config(storages))
        await stack.enter_async_context(engine)
        yield await stack.enter_async_context(AgentService(engine, storages, clock))


def _make_private(directory: Path) -> None:
    """Make the directory of the database; it holds keys, so nobody else may look into it.

    Raises:
        ConfigError: it cannot be made.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ConfigError(f'could not make the state directory "{directory}": {reason}') from error
