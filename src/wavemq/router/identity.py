"""Who this router is: its entity, and the namespaces that it may route.

Owns the file RouterEntityFile and the check of DesignatedNamespaceFiles. Refuses to know links and
queues. Fault model: files may be missing (made), readable by others (told),
damaged or of another kind (nothing starts); storage may be away when a new entity should be
published, which is then tried again until it succeeds.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Final

import structlog

from wavemq.authz.admission import Admission
from wavemq.authz.objects import ObjectStore
from wavemq.clock import NANOSECONDS_PER_SECOND, Instant
from wavemq.errors import ConfigError, UnavailableError, WaveMQError
from wavemq.limits import OBJECT_BYTES_MAX, PROOF_BYTES_MAX
from wavemq.net.backoff import Backoff
from wavemq.wave.hashes import Hash
from wavemq.wave.keyring import EntitySecret
from wavemq.wave.location import Location
from wavemq.wave.pem import ENTITY_SECRET, decode_pem_or_der, encode_pem

ENTITY_LIFETIME_S: Final = 30 * 365 * 86_400
"""Of an entity made here (wavemq.md 13)."""
CLOCK_SKEW_S: Final = 86_400
"""How far in the past a new entity begins, for readers whose clock is behind."""
_OTHERS: Final = 0o077

_log = structlog.get_logger("wavemq.router.identity")


async def load_router_entity(path: Path, location: Location, now: Instant) -> EntitySecret:
    """Return the router's entity secret; make it, with mode 0600, when the file does not exist.

    Args:
        path: of the file, DER or PEM.
        location: where a new entity says that its revocation would be found.
        now: the present.

    Raises:
        ConfigError: the file cannot be read or made, or holds no usable entity secret.
    """
    secret = await asyncio.to_thread(_load_secret, path)
    if secret is None:
        secret = await asyncio.to_thread(_create, path, location, now)
        _log.info("router_entity_made", path=str(path), entity=secret.entity.hash.to_text())
    try:
        # A machine that has forgotten the time believes that it is earlier than it is. It will
        # learn better; until then nothing that needs the time is granted.
        secret.entity.check_validity(max(now, secret.entity.validity.not_before))
    except WaveMQError as error:
        raise ConfigError(
            f"the entity of RouterEntityFile {path} is not valid", cause=error
        ) from error
    if secret.entity.validity.is_pending(now):
        _log.warning("clock_seems_behind", reason=secret.entity.validity.clock_note(now))
    return secret


async def keep_published(
    secret: EntitySecret, store: ObjectStore, location: Location, random: Random
) -> None:
    """Put the router's public entity into storage unless it is there; try until that is done."""
    backoff = Backoff(random)
    while True:
        try:
            if await store.get(location, secret.entity.hash) is None:
                await store.put(location, secret.entity.wire)
                _log.info("router_entity_published", location=location.url)
        except UnavailableError as error:
            _log.warning("router_entity_not_published", location=location.url, reason=error.reason)
            await asyncio.sleep(backoff.next_delay())
            continue
        return


async def load_designations(
    files: Sequence[Path], router: Hash, admission: Admission, now: Instant
) -> Mapping[Hash, bytes]:
    """Return the routing proofs (DER) by namespace, each checked.

    Raises:
        ConfigError: a file cannot be read, or does not prove `wavemq:route` on everything of its
            namespace for this router's entity, or two are for the same namespace.
        UnavailableError: a proof could not be checked since storage does not answer.
    """
    found: dict[Hash, bytes] = {}
    for path in files:
        content = _read(path, "DesignatedNamespaceFiles", 2 * PROOF_BYTES_MAX)
        try:
            proof = decode_pem_or_der(content)
            verdict = await admission.check_designation(proof, router=router, now=now)
        except UnavailableError:
            raise
        except WaveMQError as error:
            raise ConfigError(
                f"DesignatedNamespaceFiles {path} does not make this router ({router.to_text()}) "
                "a designated one",
                cause=error,
            ) from error
        namespace = verdict.policy.namespace
        if namespace in found:
            raise ConfigError(f"DesignatedNamespaceFiles {path} repeats {namespace.to_text()}")
        found[namespace] = proof
    return found


def _load_secret(path: Path) -> EntitySecret | None:
    """Return the secret in a file; None when the file does not exist."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"RouterEntityFile {path} cannot be read: {error.strerror}") from error
    if mode & _OTHERS:
        _log.warning("router_entity_readable_by_others", path=str(path))
    content = _read(path, "RouterEntityFile", OBJECT_BYTES_MAX)
    try:
        return EntitySecret.from_bytes(content)
    except WaveMQError as error:
        raise ConfigError(f"RouterEntityFile {path} is not usable", cause=error) from error


def _create(path: Path, location: Location, now: Instant) -> EntitySecret:
    second = NANOSECONDS_PER_SECOND
    secret = EntitySecret.create(
        not_before=Instant(now - CLOCK_SKEW_S * second),
        not_after=Instant(now + ENTITY_LIFETIME_S * second),
        revocation_location=location,
    )
    _write_whole(path, encode_pem(ENTITY_SECRET, secret.to_bytes()))
    return secret


def _read(path: Path, what: str, bytes_max: int) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(bytes_max + 1)
    except OSError as error:
        raise ConfigError(f"{what} {path} cannot be read: {error.strerror or error}") from error
    if len(content) > bytes_max:
        raise ConfigError(f"{what} {path} is over {bytes_max} bytes")
    return content


def _write_whole(path: Path, content: bytes) -> None:
    """Write a file that is either absent or complete, also after a crash; mode 0600."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from error
