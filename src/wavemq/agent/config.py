"""The configuration of an agent: `wave.toml` (wave.md 8.1, 14.1).

Owns its keys, which are matched without regard to case, and what they mean. Refuses to open
anything. Fault model: the file is written by people; whatever is wrong in it is told in one
sentence that names the file and the key, and nothing is passed over in silence.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from wavemq.authz.config import (
    REVOCATION_GRACE_SECONDS,
    REVOCATION_GRACE_SECONDS_MAX,
    REVOCATION_TTL_SECONDS,
    REVOCATION_TTL_SECONDS_MAX,
    EngineConfig,
)
from wavemq.errors import ConfigError
from wavemq.limits import MIB
from wavemq.net.addresses import Address
from wavemq.net.objects import LocationRouter

SYSTEM_CONFIG: Final = Path("/etc/wave/wave.toml")
CONFIG_BYTES_MAX: Final = MIB
_T = TypeVar("_T")
_ROUTER_TABLE: Final = "waveconfig"
_KNOWN: Final = (
    "database",
    "listenIp",
    "httpListenIp",
    "listenUnix",
    "defaultToUnrevoked",
    "revocationCheckInterval",
    "revocationGrace",
    "storage",
)


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """What an agent works with.

    Attributes:
        database: directory of what was learned, private; None: in memory.
        storage_tables: the content of `[storage]`.
        grpc: where gRPC is served; None: not on TCP.
        http: where the HTTP gateway is served; None: nowhere.
        unix: path of a Unix socket on which gRPC is served; None: none.
        is_default_unrevoked: whether an object counts as unrevoked while storage does not answer.
        revocation_ttl_s: how long "not revoked" holds before it is looked up again, in seconds.
        revocation_grace_s: how long it still holds after that while storage does not answer.
    """

    database: Path | None
    storage_tables: Mapping[str, object]
    grpc: Address | None = None
    http: Address | None = None
    unix: Path | None = None
    is_default_unrevoked: bool = False
    revocation_ttl_s: int = REVOCATION_TTL_SECONDS
    revocation_grace_s: int = REVOCATION_GRACE_SECONDS

    def location_router(self) -> LocationRouter:
        """Return the storages.

        Raises:
            ConfigError: a table is wrong.
        """
        return LocationRouter.from_tables(self.storage_tables)

    def engine_config(self, storages: LocationRouter) -> EngineConfig:
        """Return what the engine has to know."""
        return EngineConfig(
            default_location=storages.default_location,
            locations=storages.locations,
            default_to_unrevoked=self.is_default_unrevoked,
            revocation_ttl_s=self.revocation_ttl_s,
            revocation_grace_s=self.revocation_grace_s,
        )


def read_config(path: Path, *, are_storages_checked: bool = True) -> AgentConfig:
    """Read a configuration file of an agent, or the `[WaveConfig]` part of a router's.

    Args:
        path: of the file.
        are_storages_checked: whether what the storage tables say is looked at here already.

    Raises:
        ConfigError: the file cannot be read, or something in it is wrong.
    """
    keys = _Keys(path, _wave_table(path))
    tables = keys.take("storage", dict, "a table", {})
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise keys.wrong(f"storage location {name!r} is not a table of strings")
        for key, value in table.items():
            if not isinstance(value, str):
                raise keys.wrong(f"storage location {name!r}: {key} is not a text")
    config = AgentConfig(
        database=keys.path("database"),
        storage_tables=tables,
        grpc=keys.address("listenIp"),
        http=keys.address("httpListenIp"),
        unix=keys.path("listenUnix"),
        is_default_unrevoked=keys.take("defaultToUnrevoked", bool, "true or false", False),
        revocation_ttl_s=keys.seconds(
            "revocationCheckInterval", 1, REVOCATION_TTL_SECONDS_MAX, REVOCATION_TTL_SECONDS
        ),
        revocation_grace_s=keys.seconds(
            "revocationGrace", 0, REVOCATION_GRACE_SECONDS_MAX, REVOCATION_GRACE_SECONDS
        ),
    )
    keys.finish()
    if are_storages_checked:
        try:
            config.location_router()
        except ConfigError as error:
            raise keys.wrong(error.reason) from error
    return config


class _Keys:
    """The keys of a file, in lower case; hands each out once."""

    def __init__(self, path: Path, table: Mapping[str, object]) -> None:
        self._path = path
        self._left: dict[str, object] = {}
        for key, value in table.items():
            if key.lower() in self._left:
                raise self.wrong(f"{key} is given twice (keys are matched without regard to case)")
            self._left[key.lower()] = value

    def wrong(self, sentence: str) -> ConfigError:
        return ConfigError(f'configuration "{self._path}": {sentence}')

    def take(self, key: str, kind: type[_T], what: str, default: _T) -> _T:
        value = self._left.pop(key.lower(), default)
        if not isinstance(value, kind):
            raise self.wrong(f"{key} is not {what}")
        return value

    def path(self, key: str) -> Path | None:
        text = self.take(key, str, "a text", "")
        return Path(text).absolute() if text else None

    def address(self, key: str) -> Address | None:
        text = self.take(key, str, "a text", "")
        try:
            return Address.parse(text) if text else None
        except ConfigError as error:
            raise self.wrong(f"{key}: {error.reason}") from error

    def seconds(self, key: str, low: int, high: int, default: int) -> int:
        what = f"a whole number from {low} to {high}"
        value = self.take(key, int, what, default)
        if isinstance(value, bool) or not low <= value <= high:
            raise self.wrong(f"{key} is not {what}")
        return value

    def finish(self) -> None:
        if self._left:
            unknown = min(self._left)
            raise self.wrong(f"unknown key {unknown!r}: known are {', '.join(_KNOWN)}")


def _wave_table(path: Path) -> Mapping[str, object]:
    """Return the WAVE part of a WAVE or a router configuration."""
    try:
        with path.open("rb") as file:
            content = file.read(CONFIG_BYTES_MAX + 1)
        if len(content) > CONFIG_BYTES_MAX:
            raise ConfigError(f'configuration "{path}" is larger than {CONFIG_BYTES_MAX} bytes')
        keys = tomllib.loads(content.decode())
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ConfigError(f'could not read configuration "{path}": {reason}') from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f'configuration "{path}" is not TOML: {error}') from error
    for key, value in keys.items():
        if key.lower() == _ROUTER_TABLE and isinstance(value, dict):
            return value
    return keys
