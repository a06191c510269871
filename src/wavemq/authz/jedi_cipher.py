"""JEDI encryption of messages, and opening them with what a perspective holds.

Owns the keys in use: one for each topic and hour, as the original makes them, and those that
readers have opened (crypto.md 6.4). Refuses to know protobuf, payload objects and signatures, which
must have been checked before anything is opened here. Fault model: ciphertexts and held keys come
from anybody, so what is remembered is bounded and each perspective has its own memory; silence of
storage does not keep a site from encrypting under a namespace that it knows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from wavemq.authz.bounded import BoundedCache
from wavemq.authz.cipher import usable_entity
from wavemq.authz.single_flight import SingleFlight
from wavemq.clock import NANOSECONDS_PER_SECOND
from wavemq.errors import MessageDecryptError, ObjectError, RequestError
from wavemq.wave import jedi
from wavemq.wave.jedi_time import HOUR_SECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wavemq.authz.library import Library
    from wavemq.authz.perspective import Perspective
    from wavemq.authz.revocation import RevocationChecker
    from wavemq.authz.workers import Workers
    from wavemq.clock import Instant
    from wavemq.crypto import wkdibe
    from wavemq.wave.bundle import ContentKey
    from wavemq.wave.hashes import Hash
    from wavemq.wave.location import Location
    from wavemq.wave.partition import Partition

SENDING_KEYS_MAX: Final = 4096
"""Topics whose key of this hour is remembered; each takes about 1 KiB."""
OPENED_KEYS_MAX: Final = 4096
"""Opened keys that are remembered over all perspectives; each takes about 1.5 KiB."""
_NO_KEY: Final = "could not decrypt JEDI message (could not find suitable key)"


@dataclass(frozen=True, slots=True)
class SealedForJEDI:
    """The two parts of an encrypted payload.

    Attributes:
        encrypted_key: 720 bytes; the same for all messages of one topic and hour.
        encrypted_message: a fresh counter block (16 bytes) and the ciphertext.
    """

    encrypted_key: bytes
    encrypted_message: bytes = field(repr=False)


class _Sending(NamedTuple):
    """One topic within one hour of the clock."""

    namespace: Hash
    topic: str
    hour: int


class _Receiving(NamedTuple):
    """An encrypted key as one perspective meets it."""

    reader: Hash
    location: Location
    namespace: Hash
    pattern: Partition
    encrypted_key: bytes


class JEDICipher:
    """Encrypts and decrypts in worker threads.

    Args:
        library: resolves entities.
        revocations: says who is known to be revoked.
        workers: where the pairing work is done.
    """

    def __init__(self, library: Library, revocations: RevocationChecker, workers: Workers) -> None:
        self._library = library
        self._revocations = revocations
        self._workers = workers
        self._sending: BoundedCache[tuple[Hash, str], tuple[int, jedi.MessageKey]] = BoundedCache(
            SENDING_KEYS_MAX
        )
        self._opened: BoundedCache[_Receiving, bytes] = BoundedCache(OPENED_KEYS_MAX)
        self._making: SingleFlight[_Sending, jedi.MessageKey] = SingleFlight()
        self._opening: SingleFlight[_Receiving, bytes] = SingleFlight()

    async def aclose(self) -> None:
        """Cancel what is being made or opened."""
        await self._making.aclose()
        await self._opening.aclose()

    # --- sending ----------------------------------------------------------------------------

    async def encrypt(
        self,
        namespace: Hash,
        namespace_location: Location | None,
        topic: str,
        payload: bytes,
        at: Instant,
    ) -> SealedForJEDI:
        """Return `payload` for readers with JEDI's `decrypt` on a topic at an instant.

        Args:
            namespace: under whose system.
            namespace_location: where its entity is stored; tried everywhere if None.
            topic: without wildcards.
            payload: of any length.
            at: the present; it must go with the message, in whole seconds.

        Raises:
            InvalidJEDIGrantError: topic or time are beyond what JEDI can express.
            LookupFailureError: the namespace's entity is not in storage, or not valid.
            StorageError: the namespace's entity is not known here and storage does not answer.
        """
        at_s = at // NANOSECONDS_PER_SECOND
        hour = at_s // HOUR_SECONDS
        known = self._sending.get((namespace, topic))
        if known is not None and known[0] == hour:
            key = known[1]
        else:
            wanted = jedi.message_pattern(topic, at_s)

            async def make() -> jedi.MessageKey:
                entity = await usable_entity(
                    self._library, self._revocations, namespace, namespace_location, at
                )
                made = await self._workers.run(jedi.new_message_key, entity.oaque_params, wanted)
                self._sending.put((namespace, topic), (hour, made))
                return made

            key = await self._making.run(_Sending(namespace, topic, hour), make)
        return SealedForJEDI(key.encrypted, jedi.seal_with(key.secret, payload))

    # --- receiving --------------------------------------------------------------------------

    async def decrypt(
        self,
        perspective: Perspective,
        namespace: Hash,
        topic: str,
        at_s: int,
        encrypted_key: bytes,
        encrypted_message: bytes,
    ) -> bytes:
        """Return what was encrypted, with the keys that the perspective has now.

        The signature of the message must have been checked: nothing else protects the content.

        Args:
            perspective: the reader.
            namespace: of the message.
            topic: of the message.
            at_s: the message's own time, in seconds since the epoch.
            encrypted_key: 720 bytes.
            encrypted_message: counter block and ciphertext.

        Raises:
            MessageDecryptError: there is no key for it; after a synchronization there may be. Or
                the message is none that JEDI can express.
        """
        try:
            wanted = jedi.message_pattern(topic, at_s)
        except RequestError as error:
            raise MessageDecryptError("could not decrypt JEDI message", cause=error) from error
        if len(encrypted_key) != jedi.ENCRYPTED_KEY_BYTES:
            raise MessageDecryptError("could not decrypt JEDI message (its key has a wrong length)")
        place = _Receiving(perspective.hash, perspective.location, namespace, wanted, encrypted_key)
        secret = self._opened.get(place)
        if secret is None:
            secret = await self._opening.run(place, lambda: self._open(perspective, place))
        return jedi.open_with(secret, encrypted_message)

    async def _open(self, perspective: Perspective, place: _Receiving) -> bytes:
        """Return the secret of an encrypted key and remember it."""
        if place.namespace == perspective.hash:
            secret = await self._workers.run(
                jedi.unlock_with_master,
                perspective.entity.oaque_params,
                perspective.secret.oaque_master,
                place.pattern,
                place.encrypted_key,
            )
        else:
            held = perspective.state.graph.keys
            owner = held.owner(place.namespace)
            if owner is None:
                raise MessageDecryptError(_NO_KEY)
            fitting = held.matching_content_keys(place.namespace, place.pattern)
            secret = await self._workers.run(
                _unlock, owner.oaque_params, fitting, place.pattern, place.encrypted_key
            )
        self._opened.put(place, secret)
        return secret


def _unlock(
    params: wkdibe.Params, held: Sequence[ContentKey], wanted: Partition, encrypted: bytes
) -> bytes:
    """Return the secret with the first held key that is sound."""
    for key in held:
        try:
            return jedi.unlock(params, key, wanted, encrypted)
        except (MessageDecryptError, ObjectError):
            continue  # somebody's useless key; the next may be the right one
    raise MessageDecryptError(_NO_KEY)
