"""Whoever hands over an entity secret with each call.

Owns the way from secret and passphrase to a perspective, and the memory of opened secrets. Refuses
to know what the caller wants. Fault model: anybody may hand over anything, any number of times; a
secret counts as opened only for the very bytes and passphrase that opened it, its entity's validity
is looked at every time, and keyrings that take long to open hold up each other and nothing else.
Secrets stay in memory and in no log or error.
"""

from __future__ import annotations

import asyncio
import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from wavemq.authz.bounded import BoundedCache, CacheStatistics
from wavemq.authz.validity import ENTITY_REVOKED, period_of_entity
from wavemq.errors import InvalidParameterError
from wavemq.wave.keyring import EntitySecret

if TYPE_CHECKING:
    from wavemq.authz.engine import Engine
    from wavemq.authz.perspective import Perspective
    from wavemq.clock import Instant
    from wavemq.wave.entity import Entity
    from wavemq.wave.location import Location

SECRETS_REMEMBERED_MAX: Final = 1024
"""Opened secrets in memory, found again by the bytes and the passphrase."""
OPENED_AT_ONCE_MAX: Final = 2
"""Keyrings being opened: each may ask for seconds of work, which the disk must not wait for."""
REVOCATION_PATIENCE_SECONDS: Final = 0.15
"""How long a caller waits to hear whether its entity was revoked."""


class Callers:
    """Opens what callers hand over.

    Args:
        engine: keeps the perspectives.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._secrets: BoundedCache[bytes, EntitySecret] = BoundedCache(SECRETS_REMEMBERED_MAX)
        # Its threads end with it.
        self._openers = ThreadPoolExecutor(OPENED_AT_ONCE_MAX, thread_name_prefix="wavemq-secrets")

    def statistics(self) -> CacheStatistics:
        """Return how the memory of opened secrets fares."""
        return self._secrets.statistics()

    async def identify(
        self, secret: bytes, passphrase: bytes, location: Location | None, now: Instant
    ) -> Perspective:
        """Return the perspective of the secret that a client handed over.

        Args:
            secret: an entity secret, DER or PEM.
            passphrase: its passphrase; ignored for an unprotected one.
            location: where the entity is stored; the default location if None.
            now: the entity must be valid at this time.

        Raises:
            InvalidParameterError: there is no secret, or its entity is not valid.
            KeyringDecryptError, PassphraseRequiredError: the passphrase is wrong or missing.
            ObjectError: the secret is malformed.
        """
        if not secret:
            raise InvalidParameterError("the request has no perspective")
        name = _secret_name(secret, passphrase)
        opened = self._secrets.get(name)
        if opened is None:
            # A protected keyring takes 0.1 s and more to open.
            opened = await asyncio.get_running_loop().run_in_executor(
                self._openers, EntitySecret.from_bytes, secret, passphrase
            )
        await self._check_usable(opened.entity, now)
        perspective = await self._engine.perspective(opened, location)
        self._secrets.put(name, opened)
        return perspective

    async def _check_usable(self, entity: Entity, now: Instant) -> None:
        """Check that an entity is within its period and not known to be revoked.

        Raises:
            InvalidParameterError: it is not; silence of storage is no reason.
        """
        validity = period_of_entity(entity, now)
        if validity.is_valid:
            revoked = await self._engine.revocations.first_revoked(
                entity.revocations, now=now, patience_s=REVOCATION_PATIENCE_SECONDS
            )
            if revoked is None:
                return
            validity = ENTITY_REVOKED
        raise InvalidParameterError(f"perspective entity is invalid: {validity.explanation}")


def _secret_name(secret: bytes, passphrase: bytes) -> bytes:
    """Return the name under which an opened secret is remembered; it reveals neither."""
    digest = hashlib.sha256()
    for part in (secret, passphrase):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()
