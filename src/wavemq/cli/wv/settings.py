"""Where `wv` finds its storage and keeps its state.

Owns the search order: `--config`, `$WAVE_CONFIG`, `/etc/wave/wave.toml`, else a storage in the
state directory; and `$WAVE_HOME`, default `~/.local/share/wave`. Refuses to open storage. Fault
model: a configuration that was named or found must be sound; it is never silently passed over.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wavemq.authz.config import (
    REVOCATION_GRACE_SECONDS,
    REVOCATION_GRACE_SECONDS_MAX,
    REVOCATION_TTL_SECONDS,
    REVOCATION_TTL_SECONDS_MAX,
)
from wavemq.errors import ConfigError
from wavemq.limits import MIB
from wavemq.net.objects import LocationRouter

SYSTEM_CONFIG: Final = Path("/etc/wave/wave.toml")
CONFIG_BYTES_MAX: Final = MIB
CONFIG_VARIABLE: Final = "WAVE_CONFIG"
HOME_VARIABLE: Final = "WAVE_HOME"
_KEYS: Final = frozenset(
    {
        "database",
        "listenip",
        "httplistenip",
        "listenunix",
        "defaulttounrevoked",
        "revocationcheckinterval",
        "revocationgrace",
        "storage",
    }
)
_ROUTER_TABLE: Final = "waveconfig"


@dataclass(frozen=True, slots=True)
class Settings:
    """What a command works with.

    Attributes:
        state_directory: private; what was learned is remembered here.
        storage_tables: the content of `[storage]`.
        is_default_unrevoked: whether an object counts as unrevoked while storage does not answer.
        revocation_ttl_s: how long "not revoked" holds before it is looked up again, in seconds.
        revocation_grace_s: how long it still holds after that while storage does not answer.
    """

    state_directory: Path
    storage_tables: Mapping[str, object]
    is_default_unrevoked: bool = False
    revocation_ttl_s: int = REVOCATION_TTL_SECONDS
    revocation_grace_s: int = REVOCATION_GRACE_SECONDS

    def location_router(self) -> LocationRouter:
        """Return the storages.

        Raises:
            ConfigError: a table is wrong.
        """
        return LocationRouter.from_tables(self.storage_tables)


def read_settings(config: str | None, environment: Mapping[str, str]) -> Settings:
    """Find and read the configuration.

    Args:
        config: the file that was named on the command line.
        environment: of the process.

    Raises:
        ConfigError: the file cannot be read or is wrong.
    """
    state_directory = _state_directory(environment)
    path = _config_path(config, environment)
    if path is None:
        table = {"provider": "local", "path": str(state_directory / "objects")}
        return Settings(state_directory, {"default": table})
    keys = _wave_table(path)
    unknown = sorted(keys.keys() - _KEYS)
    if unknown:
        raise ConfigError(
            f'configuration "{path}" has the unknown key {unknown[0]!r}: '
            f"known are {', '.join(sorted(_KEYS))}"
        )
    tables, unrevoked = keys.get("storage", {}), keys.get("defaulttounrevoked", False)
    if not isinstance(tables, dict):
        raise ConfigError(f'configuration "{path}": storage is not a table')
    if not isinstance(unrevoked, bool):
        raise ConfigError(f'configuration "{path}": defaultToUnrevoked is not true or false')
    try:
        LocationRouter.from_tables(tables)
    except ConfigError as error:
        raise ConfigError(f'configuration "{path}": {error.reason}') from error
    return Settings(
        state_directory,
        tables,
        unrevoked,
        _seconds(
            path,
            keys,
            "revocationCheckInterval",
            1,
            REVOCATION_TTL_SECONDS_MAX,
            REVOCATION_TTL_SECONDS,
        ),
        _seconds(
            path,
            keys,
            "revocationGrace",
            0,
            REVOCATION_GRACE_SECONDS_MAX,
            REVOCATION_GRACE_SECONDS,
        ),
    )


def _seconds(
    path: Path, keys: Mapping[str, object], key: str, low: int, high: int, default: int
) -> int:
    """Return the whole number of seconds at a key.

    Raises:
        ConfigError: it is none, or out of range.
    """
    value = keys.get(key.lower(), default)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ConfigError(
            f'configuration "{path}": {key} is not a whole number from {low} to {high}'
        )
    return value


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


def _wave_table(path: Path) -> dict[str, object]:
    """Return the keys of the WAVE part in lower case, of a WAVE or a router configuration."""
    try:
        with path.open("rb") as file:
            content = file.read(CONFIG_BYTES_MAX + 1)
        if len(content) > CONFIG_BYTES_MAX:
            raise ConfigError(f'configuration "{path}" is larger than {CONFIG_BYTES_MAX} bytes')
        keys = _lower(tomllib.loads(content.decode()))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ConfigError(f'could not read configuration "{path}": {reason}') from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f'configuration "{path}" is not TOML: {error}') from error
    router_part = keys.get(_ROUTER_TABLE)
    return _lower(router_part) if isinstance(router_part, dict) else keys


def _lower(table: Mapping[str, object]) -> dict[str, object]:
    return {key.lower(): value for key, value in table.items()}
