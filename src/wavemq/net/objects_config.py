"""The `[storage.NAME]` tables of a configuration, parsed into values that cannot be wrong.

Owns the rules of wave.md 8.1 and our own provider `local`. Refuses to open anything: no file, no
socket. Fault model: tables are written by an operator; every mistake is a `ConfigError` that names
table, key and what is allowed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

from wavemq.errors import ConfigError
from wavemq.wave.location import Location

DEFAULT_NAME: Final = "default"
"""The location that must exist and is meant where none is named."""
_PROOF_KEYS: Final = ("v1key", "v1auditors")
"""What asks for servers' answers to be proved; see wave.md 8.5."""
_HTTP_KEYS: Final = frozenset({"provider", "url", "version", "v1key", "v1auditors"})
_LOCAL_KEYS: Final = frozenset({"provider", "url", "version", "path"})


@dataclass(frozen=True, slots=True)
class HttpStorage:
    """A storage server that speaks the protocol of wave.md 8.2.

    Attributes:
        name: of its table.
        location: what objects say; its URL includes the prefix of the API.
    """

    name: str
    location: Location

    def __str__(self) -> str:
        return f"HTTP v1 at {self.location.url}"


@dataclass(frozen=True, slots=True)
class LocalStorage:
    """A directory of this machine; needs no server.

    Attributes:
        name: of its table.
        location: what objects say; `local://PATH` unless the table has a `url`.
        path: absolute path of the directory.
    """

    name: str
    location: Location
    path: Path

    def __str__(self) -> str:
        return f"local at {self.location.url}"


Storage = HttpStorage | LocalStorage


def parse_storages(tables: Mapping[str, object]) -> tuple[Storage, ...]:
    """Return the storages of a configuration, the one named `default` first.

    Args:
        tables: the content of `[storage]`: name to table of strings. Keys of a table are matched
            without regard to case. `version` is accepted and has no effect.

    Raises:
        ConfigError: a table breaks a rule of wave.md 8.1, or none is named `default`.
    """
    storages = [_parse_storage(name, table) for name, table in tables.items()]
    if DEFAULT_NAME not in tables:
        raise ConfigError(
            "no storage location is named 'default': add a table [storage.default] with a provider"
        )
    seen: dict[Location, str] = {}
    for storage in storages:
        if storage.location in seen:
            raise ConfigError(
                f"the storage locations {seen[storage.location]!r} and {storage.name!r} have the "
                f"same URL {storage.location.url}: remove one"
            )
        seen[storage.location] = storage.name
    return tuple(sorted(storages, key=lambda storage: storage.name != DEFAULT_NAME))


def _parse_storage(name: str, table: object) -> Storage:
    keys = _strings(name, table)
    provider = keys.get("provider", "")
    match provider:
        case "http_v1":
            return _parse_http(name, keys)
        case "local":
            return _parse_local(name, keys)
        case "":
            raise ConfigError(
                f'storage location {name!r} has no provider: set provider = "http_v1" or "local"'
            )
        case _:
            raise ConfigError(
                f"storage location {name!r} has the unknown provider {provider!r}: "
                'use "http_v1" or "local"'
            )


def _strings(name: str, table: object) -> dict[str, str]:
    if not isinstance(table, Mapping):
        raise ConfigError(f"storage location {name!r} is not a table of strings")
    keys: dict[str, str] = {}
    for key, value in table.items():
        if not isinstance(value, str):
            raise ConfigError(f"storage location {name!r}: {key} is not a string: put it in quotes")
        if key.lower() in keys:
            raise ConfigError(f"storage location {name!r}: {key} occurs twice")
        keys[key.lower()] = value
    return keys


def _refuse_unknown(name: str, keys: Mapping[str, str], known: frozenset[str]) -> None:
    unknown = sorted(keys.keys() - known)
    if unknown:
        raise ConfigError(
            f"storage location {name!r} has the unknown key {unknown[0]!r}: "
            f"known are {', '.join(sorted(known))}"
        )


def _parse_http(name: str, keys: Mapping[str, str]) -> HttpStorage:
    _refuse_unknown(name, keys, _HTTP_KEYS)
    url = keys.get("url", "")
    if not url:
        raise ConfigError(
            f'storage location {name!r} has no url: set it, such as "https://host/v1"'
        )
    if not _is_http_url(url):
        raise ConfigError(
            f'storage location {name!r}: {url!r} is not a URL such as "https://host/v1", '
            "without query and fragment"
        )
    for key in _PROOF_KEYS:
        if keys.get(key, ""):
            # Going on without the check that was asked for would be a silent loss of security.
            raise ConfigError(
                f"storage location {name!r} sets {key}, but proofs of storage servers are not "
                f"checked by this version: remove {key} to trust the server's answers without "
                "proofs"
            )
    return HttpStorage(name, Location(url))


def _is_http_url(url: str) -> bool:
    if not url.isascii() or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        is_port_sound = parts.port is None or parts.port > 0
    except ValueError:
        return False
    is_plain = not parts.query and not parts.fragment and parts.username is None
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and is_plain and is_port_sound


def _parse_local(name: str, keys: Mapping[str, str]) -> LocalStorage:
    _refuse_unknown(name, keys, _LOCAL_KEYS)
    text = keys.get("path", "")
    if not text or "\0" in text:
        raise ConfigError(f"storage location {name!r} has no path: set it to a directory")
    try:
        path = Path(text).expanduser().absolute()
    except RuntimeError as error:
        raise ConfigError(f"storage location {name!r}: path {text!r}: {error}") from error
    return LocalStorage(name, Location(keys.get("url") or local_url(path)), path)


def local_url(path: Path) -> str:
    """Return the URL of a local storage whose table has none: `local://` and its absolute path."""
    return f"local://{quote(os.fsencode(path))}"  # names of files need not be UTF-8
