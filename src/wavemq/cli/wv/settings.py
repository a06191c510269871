"""Where `wv` finds its agent: a daemon, or storage and state of its own.

Owns the search order: `--agent` or `$WAVE_AGENT` for a daemon; else `--config`, `$WAVE_CONFIG`,
`/etc/wave/wave.toml`, else a storage in the state directory; and `$WAVE_HOME`, default
`~/.local/share/wave`. Refuses to open anything. Fault model: a configuration that was named or
found must be sound; it is never silently passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from wavemq.errors import ConfigError

if TYPE_CHECKING:
    from wavemq.agent.config import AgentConfig

SYSTEM_CONFIG: Final = Path("/etc/wave/wave.toml")
CONFIG_VARIABLE: Final = "WAVE_CONFIG"
HOME_VARIABLE: Final = "WAVE_HOME"


@dataclass(frozen=True, slots=True)
class Settings:
    """Where a command's agent is.

    Attributes:
        daemon: address of a daemon, `HOST:PORT` or `unix:PATH`; None: the agent is in this process.
        local: what an agent in this process works with; None with a daemon.
    """

    daemon: str | None
    local: AgentConfig | None


def read_settings(
    config: str | None, environment: Mapping[str, str], *, daemon: str | None = None
) -> Settings:
    """Find and read the configuration.

    Args:
        config: the file that was named on the command line.
        environment: of the process.
        daemon: the address that was named on the command line or in `$WAVE_AGENT`.

    Raises:
        ConfigError: the file cannot be read or is wrong.
    """
    if daemon:
        return Settings(daemon, None)
    from wavemq.agent.config import AgentConfig, read_config

    state_directory = _state_directory(environment)
    path = _config_path(config, environment)
    if path is None:
        table = {"provider": "local", "path": str(state_directory / "objects")}
        return Settings(None, AgentConfig(state_directory, {"default": table}))
    # A daemon that uses the same file keeps its own database; ours is this user's.
    return Settings(None, replace(read_config(path), database=state_directory))


def _state_directory(environment: Mapping[str, str]) -> Path:
    try:
        named = environment.get(HOME_VARIABLE, "")
        return Path(named).absolute() if named else Path.home() / ".local/share/wave"
    except RuntimeError as error:
        raise ConfigError(f"there is no home directory: set {HOME_VARIABLE}") from error


def _config_path(config: str | None, environment: Mapping[str, str]) -> Path | None:
    named = config or environment.get(CONFIG_VARIABLE, "")
    if named:
        return Path(named)
    return SYSTEM_CONFIG if SYSTEM_CONFIG.exists() else None
