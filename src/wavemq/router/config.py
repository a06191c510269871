"""The router's configuration file: TOML with the original's keys (wavemq.md 13).

Owns the meaning, default and range of every key, and of the environment variable
METRICS_ADDRESS. Refuses to open anything but the file itself. Fault model: an operator wrote it.
Every mistake is found in one pass and reported at once; nothing starts on a wrong configuration,
and a key that means nothing is a mistake too.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeVar

from wavemq.authz.config import (
    REVOCATION_GRACE_SECONDS,
    REVOCATION_GRACE_SECONDS_MAX,
    REVOCATION_TTL_SECONDS,
    REVOCATION_TTL_SECONDS_MAX,
)
from wavemq.errors import ConfigError, WaveMQError
from wavemq.limits import MIB
from wavemq.net.addresses import Address
from wavemq.net.objects_config import parse_storages
from wavemq.routing.config import Durability
from wavemq.wave.hashes import Hash

CONFIG_BYTES_MAX: Final = MIB
METRICS_VARIABLE: Final = "METRICS_ADDRESS"
METRICS_DEFAULT: Final = "127.0.0.1:6060"
METRICS_OFF: Final = "off"
SECONDS_MAX: Final = 10 * 365 * 86_400
MESSAGES_MAX: Final = 100_000_000
MEBIBYTES_MAX: Final = 16 * 1024 * 1024
UPLINKS_MAX: Final = 1024
DESIGNATED_MAX: Final = 1024

_T = TypeVar("_T")
_ChoiceT = TypeVar("_ChoiceT", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class QueueBounds:
    """Where a queue begins to drop its oldest messages."""

    messages_max: int
    bytes_max: int


@dataclass(frozen=True, slots=True)
class UplinkConfig:
    """The designated router of one namespace."""

    namespace: Hash
    address: Address


@dataclass(frozen=True, slots=True)
class RouterConfig:
    """A configuration without a mistake.

    Attributes:
        database: directory of the WAVE engine's state.
        is_default_unrevoked: what a revocation check means whose storage does not answer.
        revocation_interval_s: seconds within which a revocation takes effect.
        revocation_grace_s: seconds that "not revoked" outlives silence of storage.
        storage_tables: the `[WaveConfig.storage]` tables, by name, checked.
        queue_directory: where the journal of the queues is.
        queue_expiry_s: seconds that an undrained queue lives at most.
        subscription_queue: bounds of each consumer queue.
        uplink_queue: bounds of each queue toward a designated router.
        durability: what the answer to a publish promises.
        local_listen: the door for programs.
        peer_listen: the door for site routers; None: there is none.
        retained_directory: where retained messages are.
        entity_file: the router's entity secret, made when it does not exist.
        designated_files: routing proofs, one per namespace that this router is designated for.
        uplinks: namespaces and their designated routers.
        metrics_listen: the metrics page; None: there is none.
    """

    database: Path
    is_default_unrevoked: bool
    revocation_interval_s: int
    revocation_grace_s: int
    storage_tables: Mapping[str, Mapping[str, object]] = field(repr=False)
    queue_directory: Path
    queue_expiry_s: int
    subscription_queue: QueueBounds
    uplink_queue: QueueBounds
    durability: Durability
    local_listen: Address
    peer_listen: Address | None
    retained_directory: Path
    entity_file: Path
    designated_files: tuple[Path, ...]
    uplinks: tuple[UplinkConfig, ...]
    metrics_listen: Address | None


def load_config(path: Path, environment: Mapping[str, str]) -> RouterConfig:
    """Read and check a configuration file.

    Args:
        path: of the file.
        environment: where METRICS_ADDRESS may be: `host:port`, or `off`.

    Raises:
        ConfigError: the file cannot be read, or has mistakes; the reason lists all of them.
    """
    try:
        with path.open("rb") as file:
            content = file.read(CONFIG_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(
            f"the configuration {path} cannot be read: {error.strerror or error}"
        ) from error
    if len(content) > CONFIG_BYTES_MAX:
        raise ConfigError(f"the configuration {path} is over {CONFIG_BYTES_MAX} bytes")
    try:
        return parse_config(content.decode(), environment)
    except UnicodeDecodeError as error:
        raise ConfigError(f"the configuration {path} is not UTF-8 text") from error
    except ConfigError as error:
        raise ConfigError(f"the configuration {path} is wrong: {error.reason}") from error


def parse_config(text: str, environment: Mapping[str, str]) -> RouterConfig:
    """Check the text of a configuration; arguments and errors as `load_config`."""
    try:
        document = tomllib.loads(text)
    except ValueError as error:  # also a number of more digits than Python converts
        raise ConfigError(f"it is not TOML: {error}") from error
    except RecursionError as error:
        raise ConfigError("it is nested too deeply") from error
    mistakes: list[str] = []
    root = _Table(document, "", mistakes)
    wave = root.table("WaveConfig")
    queue = root.table("QueueConfig")
    local = root.table("LocalConfig")
    peer = root.table("PeerConfig", is_required=False)
    routing = root.table("RoutingConfig")
    values = {
        **_wave_values(wave),
        **_queue_values(queue),
        "local_listen": local.address("listenAddr"),
        "peer_listen": peer.address("listenAddr") if peer.is_present else None,
        **_routing_values(routing),
        "metrics_listen": _metrics_address(environment, mistakes),
    }
    for table in (root, wave, queue, local, peer, routing):
        table.report_unknown_keys()
    if mistakes:
        listed = mistakes[0] if len(mistakes) == 1 else "\n  " + "\n  ".join(mistakes)
        raise ConfigError(listed)
    return RouterConfig(**values)  # type: ignore[arg-type]  # no mistake: each has its type


def _wave_values(table: _Table) -> dict[str, object]:
    for key in ("listenIP", "httpListenIP", "listenUnix"):  # the agent's; accepted, unused
        table.text(key, default="")
    return {
        "database": table.path("database"),
        "is_default_unrevoked": table.boolean("defaultToUnrevoked", default=False),
        "revocation_interval_s": table.integer(
            "revocationCheckInterval",
            low=1,
            high=REVOCATION_TTL_SECONDS_MAX,
            default=REVOCATION_TTL_SECONDS,
        ),
        "revocation_grace_s": table.integer(
            "revocationGrace",
            low=0,
            high=REVOCATION_GRACE_SECONDS_MAX,
            default=REVOCATION_GRACE_SECONDS,
        ),
        "storage_tables": _storage_tables(table.table("storage")),
    }


def _storage_tables(table: _Table) -> Mapping[str, Mapping[str, object]]:
    tables: dict[str, Mapping[str, object]] = {}
    for name in table.names:
        storage = table.table(name)
        tables[name] = {key.lower(): storage.take(key) for key in storage.names}
    if table.is_present:
        try:
            parse_storages(tables)
        except ConfigError as error:
            table.complain("", f"is wrong: {error.reason}")
    return tables


def _queue_values(table: _Table) -> dict[str, object]:
    def bounds(name: str, messages: int, mebibytes: int) -> QueueBounds:
        return QueueBounds(
            messages_max=table.integer(
                f"{name}QueueMaxLength", low=1, high=MESSAGES_MAX, default=messages
            ),
            bytes_max=MIB
            * table.integer(f"{name}QueueMaxSize", low=1, high=MEBIBYTES_MAX, default=mebibytes),
        )

    # Accepted for the original's sake: here whatever has to be written is written at once.
    table.integer("flushInterval", low=0, high=SECONDS_MAX, default=30)
    return {
        "queue_directory": table.path("queueDataStore"),
        "queue_expiry_s": table.integer("queueExpiry", low=1, high=SECONDS_MAX, default=86_400),
        "subscription_queue": bounds("subscription", 10_000, 100),
        "uplink_queue": bounds("trunking", 100_000, 1_000),
        "durability": table.choice("durability", Durability, default=Durability.JOURNALED),
    }


def _routing_values(table: _Table) -> dict[str, object]:
    files: list[Path] = []
    for index, value in enumerate(table.array("DesignatedNamespaceFiles", DESIGNATED_MAX)):
        if isinstance(value, str) and value:
            files.append(Path(value))
        else:
            table.complain(f"DesignatedNamespaceFiles[{index}]", "must be the name of a file")
    uplinks: list[UplinkConfig] = []
    for index, value in enumerate(table.array("Router", UPLINKS_MAX)):
        entry = _Table(value, table.name_of(f"Router[{index}]"), table.mistakes)
        namespace = entry.convert("Namespace", _parse_namespace, "the hash of an entity")
        address = entry.address("Address")
        entry.report_unknown_keys()
        if namespace is None:
            continue
        if any(known.namespace == namespace for known in uplinks):
            table.complain(f"Router[{index}].Namespace", "is configured twice")
        uplinks.append(UplinkConfig(namespace, address))
    return {
        "retained_directory": table.path("PersistDataStore"),
        "entity_file": table.path("RouterEntityFile"),
        "designated_files": tuple(files),
        "uplinks": tuple(uplinks),
    }


def _parse_namespace(text: str) -> Hash:
    try:
        found = Hash.from_text(text)
    except WaveMQError as error:
        raise ConfigError(error.reason) from error
    return found


def _metrics_address(environment: Mapping[str, str], mistakes: list[str]) -> Address | None:
    text = environment.get(METRICS_VARIABLE, "") or METRICS_DEFAULT
    if text == METRICS_OFF:
        return None
    try:
        return Address.parse(text)
    except ConfigError as error:
        mistakes.append(f"environment variable {METRICS_VARIABLE}: {error.reason}, or off")
        return None


class _Table:
    """One TOML table: hands out values by key in any case, and collects mistakes.

    After a mistake it returns a value of the right type, so that the pass goes on; no such value
    leaves this module.
    """

    def __init__(self, value: object, name: str, mistakes: list[str]) -> None:
        self._name = name
        self.mistakes = mistakes
        self._values: dict[str, object] = {}
        self._spelling: dict[str, str] = {}
        self.is_present = isinstance(value, dict)
        if value is None:
            return
        if not isinstance(value, dict):
            mistakes.append(f"{name} must be a table, not {value!r}")
            return
        for key, content in value.items():
            lowered = key.lower()
            if lowered in self._values:
                self.complain(key, "is given twice (keys are matched without regard to case)")
            self._values[lowered] = content
            self._spelling[lowered] = key

    @property
    def names(self) -> list[str]:
        """Keys not taken yet, as the operator wrote them."""
        return list(self._spelling.values())

    def name_of(self, key: str) -> str:
        """Return the full name of a key."""
        return ".".join(part for part in (self._name, key) if part)

    def complain(self, key: str, sentence: str) -> None:
        """Note a mistake at a key, or, with an empty one, at the table itself."""
        self.mistakes.append(f"{self.name_of(key)} {sentence}")

    def take(self, key: str) -> object:
        """Return the value at a key, None if there is none; the key counts as known."""
        self._spelling.pop(key.lower(), None)
        return self._values.pop(key.lower(), None)

    def table(self, key: str, *, is_required: bool = True) -> _Table:
        """Return the table at a key; an absent one that is required is a mistake."""
        value = self.take(key)
        if value is None and is_required and self.is_present:
            self.complain(key, "is missing")
        return _Table(value, self.name_of(key), self.mistakes)

    def array(self, key: str, length_max: int) -> list[object]:
        """Return the array at a key, empty if there is none."""
        value = self.take(key)
        if value is None:
            return []
        if not isinstance(value, list):
            self.complain(key, f"must be an array, not {value!r}")
            return []
        if len(value) > length_max:
            self.complain(key, f"has {len(value)} entries; at most {length_max} are allowed")
        return value[:length_max]

    def text(self, key: str, default: str | None = None) -> str:
        """Return the string at a key; without a default it must be there and not be empty."""
        value = self.take(key)
        if value is None and (default is not None or not self.is_present):
            return default or ""
        if value is None:
            self.complain(key, "is missing")
        elif not isinstance(value, str):
            self.complain(key, f"must be a string, not {value!r}")
        elif not value and default is None:
            self.complain(key, "must not be empty")
        else:
            return value
        return ""

    def path(self, key: str) -> Path:
        """Return the path at a key, as written: relative ones are relative to the process."""
        return Path(self.text(key))

    def convert(self, key: str, parse: Callable[[str], _T], what: str) -> _T | None:
        """Return what `parse` makes of the string at a key; None after a mistake."""
        text = self.text(key)
        if not text:
            return None
        try:
            return parse(text)
        except ConfigError as error:
            self.complain(key, f"must be {what}: {error.reason}")
            return None

    def address(self, key: str) -> Address:
        """Return the address at a key."""
        return self.convert(key, Address.parse, "an address") or Address("", 0)

    def boolean(self, key: str, *, default: bool) -> bool:
        """Return the boolean at a key."""
        value = self.take(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.complain(key, f"must be true or false, not {value!r}")
            return default
        return value

    def integer(self, key: str, *, low: int, high: int, default: int) -> int:
        """Return the whole number at a key."""
        value = self.take(key)
        if value is None:
            return default
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            self.complain(key, f"must be a whole number from {low} to {high}, not {value!r}")
            return default
        return value

    def choice(self, key: str, kind: type[_ChoiceT], *, default: _ChoiceT) -> _ChoiceT:
        """Return the member of an enumeration that is named at a key."""
        value = self.take(key)
        if value is None:
            return default
        for one in kind:
            if one.value == value:
                return one
        named = " or ".join(f'"{one.value}"' for one in kind)
        self.complain(key, f"must be {named}, not {value!r}")
        return default

    def report_unknown_keys(self) -> None:
        """Note every key that nobody asked for."""
        for key in self.names:
            self.complain(key, "is not a key of the configuration")
