"""The worlds that the vector files describe, as object stores and engines."""

from __future__ import annotations

import json
from base64 import b64decode, urlsafe_b64decode
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from tests.support.object_stores import MemoryObjectStore
from wavemq.authz.engine import Engine, EngineConfig
from wavemq.authz.perspective import Perspective
from wavemq.clock import Instant, instant_from_milliseconds
from wavemq.wave.hashes import (
    JEDI_PERMISSION_SET,
    WAVE_PERMISSION_SET,
    WAVEMQ_PERMISSION_SET,
    Hash,
)
from wavemq.wave.keyring import EntitySecret
from wavemq.wave.location import Location
from wavemq.wave.policy import Statement

BLOB_BYTES = 32
"""Every published revocation has this size (wave.md 5), and no other object has."""
DATA = Path(__file__).parents[1] / "vectors" / "data"


@cache
def vectors(name: str) -> dict[str, Any]:
    """Return a vector file, parsed once."""
    parsed: dict[str, Any] = json.loads((DATA / f"{name}.json").read_bytes())
    return parsed


def generated(name: str) -> Instant:
    """Return when the vectors were made, which is what the clock must say."""
    return instant_from_milliseconds(int(vectors(name)["generated_ms"]))


def hash_of(text: str) -> Hash:
    """Return a hash from its text, in either alphabet of base64."""
    return Hash.from_bytes(urlsafe_b64decode(text.replace("+", "-").replace("/", "_")))


def location_of(name: str) -> Location:
    """Return the one storage location of a vector file."""
    location = vectors(name)["location"]
    return Location(location["uri"], location["version"])


def store_of(name: str, storage: str = "storage") -> MemoryObjectStore:
    """Return the object storage of a vector file, complete."""
    location = location_of(name)
    contents: Mapping[str, Any] = vectors(name)[storage]
    store = MemoryObjectStore(location)
    for object_hash, der in contents["objects"].items():
        store.objects[location][hash_of(object_hash)] = b64decode(der)
    for queue, entries in contents["queues"].items():
        store.queues[location][hash_of(queue)] = [hash_of(entry) for entry in entries]
    return store


def without_revocations(store: MemoryObjectStore) -> MemoryObjectStore:
    """Return the store as it was just before the revocations in it were published."""
    for objects in store.objects.values():
        for object_hash in [
            name for name, content in objects.items() if len(content) == BLOB_BYTES
        ]:
            del objects[object_hash]
    return store


def engine_of(name: str, storage: str = "storage", *, state_dir: Path | None = None) -> Engine:
    """Return an engine over the storage of a vector file."""
    return Engine(store_of(name, storage), state_dir, EngineConfig(location_of(name)))


def secret_of(name: str, entity: str) -> EntitySecret:
    """Return the secret of a named entity."""
    known = vectors(name)["entities"][entity]
    passphrase = known.get("passphrase", "").encode()
    return EntitySecret.from_bytes(b64decode(known["secret_der"]), passphrase)


def entity_hash(name: str, entity: str) -> Hash:
    """Return the hash of a named entity."""
    return hash_of(vectors(name)["entities"][entity]["hash"])


async def synchronized(engine: Engine, name: str, entity: str) -> Perspective:
    """Return the perspective of a named entity, its graph up to date."""
    perspective = await engine.perspective(secret_of(name, entity))
    await engine.resync(perspective, now=generated(name))
    return perspective


_SETS = {
    "wave": WAVE_PERMISSION_SET,
    "wavemq": WAVEMQ_PERMISSION_SET,
    "jedi": JEDI_PERMISSION_SET,
}


def statements_of(rows: list[Any]) -> tuple[Statement, ...]:
    """Return statements from rows of [permission set name, permissions by comma, resource]."""
    return tuple(
        Statement(_SETS[name], tuple(permissions.split(",")), resource)
        for name, permissions, resource in rows
    )


def result_statements_of(rows: list[Any]) -> tuple[Statement, ...]:
    """Return statements from rows of [permission set hash, [permissions], resource]."""
    return tuple(
        Statement(hash_of(permission_set), tuple(permissions), resource)
        for permission_set, permissions, resource in rows
    )
