"""End-to-end encryption of contents, and opening them with what a perspective holds.

Owns for whom may be encrypted and which keys are offered for opening (wave.md 10). Refuses to know
topics and messages. Fault model: silence of storage about a revocation does not keep a site from
encrypting to the entities that it knows; ciphertexts come from anybody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wavemq.authz.coalescing import Coalescing
from wavemq.authz.validity import period_of_entity
from wavemq.crypto.encapsulation import Openers
from wavemq.errors import InvalidParameterError, LookupFailureError
from wavemq.wave.encrypted import decrypt_message, encrypt_message, message_partition
from wavemq.wave.encrypted_bulk import Opening, Sealing, decrypt_messages, encrypt_messages

if TYPE_CHECKING:
    from wavemq.authz.library import Library
    from wavemq.authz.perspective import Perspective
    from wavemq.authz.revocation import RevocationChecker
    from wavemq.authz.workers import Workers
    from wavemq.clock import Instant
    from wavemq.wave.entity import Entity
    from wavemq.wave.hashes import Hash
    from wavemq.wave.location import Location
    from wavemq.wave.validity import Validity

PATIENCE_SECONDS: Final = 0.1
"""How long encrypting waits to hear whether whom it is for was revoked."""


class ContentCipher:
    """Encrypts and decrypts in worker threads, what is asked for at the same time together.

    Args:
        library: resolves entities.
        revocations: says who is known to be revoked.
        workers: where the pairing work is done.
    """

    def __init__(self, library: Library, revocations: RevocationChecker, workers: Workers) -> None:
        self._library = library
        self._revocations = revocations
        self._workers = workers
        openers = Openers()
        self._sealing: Coalescing[Sealing, bytes] = Coalescing(workers, encrypt_messages)
        self._opening: Coalescing[Opening, bytes | None] = Coalescing(
            workers, lambda openings: decrypt_messages(openings, openers)
        )

    async def aclose(self) -> None:
        """Give up what waits for being encrypted or decrypted."""
        await self._sealing.aclose()
        await self._opening.aclose()

    async def encrypt(
        self,
        content: bytes,
        *,
        now: Instant,
        namespace: Hash | None,
        namespace_location: Location,
        resource: str,
        recipient: Hash | None,
        recipient_location: Location | None,
        period: Validity,
    ) -> bytes:
        """Return `content` encrypted end to end (wave.md 10.2).

        Args:
            content: at least one byte.
            now: the present.
            namespace: readers are those with `wave:decrypt` on `resource` here.
            namespace_location: where the namespace's entity is stored.
            resource: without wildcards.
            recipient: one entity that may read it.
            recipient_location: where that entity is stored; tried everywhere if None.
            period: readers through the namespace need a grant that covers it.

        Raises:
            InvalidParameterError: nothing to encrypt, nobody to encrypt to, or a bad period.
            InvalidE2EEGrantError: the resource breaks a rule.
            LookupFailureError: an entity is not in storage, or not valid.
            StorageError: an entity is not known here and storage does not answer.
        """
        reader = through = None
        if recipient is not None:
            reader = await usable_entity(
                self._library, self._revocations, recipient, recipient_location, now
            )
        if namespace is not None:
            through = await usable_entity(
                self._library, self._revocations, namespace, namespace_location, now
            )
        if through is not None and reader is None:
            if not content:
                raise InvalidParameterError("there is nothing to encrypt")
            partition = message_partition(resource, period.not_before, period.not_after)
            return await self._sealing.run(Sealing(content, through, namespace_location, partition))
        return await self._workers.run(
            encrypt_message,
            content,
            recipient=reader,
            namespace=through,
            namespace_location=namespace_location,
            resource=resource,
            not_before=period.not_before,
            not_after=period.not_after,
        )

    async def decrypt(self, perspective: Perspective, ciphertext: bytes) -> bytes:
        """Return what was encrypted, with the keys that the perspective has now.

        Raises:
            InvalidParameterError: this is no encrypted message.
            MalformedObjectError: a key opened it, but what it leads to is unsound.
            MessageDecryptError: there is no key for it; after a synchronization there may be.
        """
        held = perspective.state.graph.keys.reader_keys
        found = await self._opening.run(
            Opening(ciphertext, perspective.secret, held), party=perspective.hash
        )
        if found is not None:
            return found
        # By itself, since trying all keys may take long.
        return await self._workers.run(decrypt_message, ciphertext, perspective.secret, held)


async def usable_entity(
    library: Library,
    revocations: RevocationChecker,
    entity_hash: Hash,
    location: Location | None,
    now: Instant,
) -> Entity:
    """Return an entity to encrypt to, which is not known to be expired or revoked.

    Raises:
        LookupFailureError: it is not in storage, or not valid.
        StorageError: it is not known here and storage does not answer.
    """
    places = (location, *library.locations)  # the entity counts, not where it is
    entity = await library.required_entity(entity_hash, places)
    validity = period_of_entity(entity, now)
    if not validity.is_valid:
        raise LookupFailureError(f"the entity {entity_hash.to_text()}: {validity.explanation}")
    revoked = await revocations.first_revoked(
        entity.revocations, now=now, patience_s=PATIENCE_SECONDS
    )
    if revoked is not None:
        raise LookupFailureError(f"the entity {entity_hash.to_text()} has been revoked")
    return entity
