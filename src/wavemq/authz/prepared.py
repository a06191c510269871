"""What it takes to form plain messages again and again, looked up once.

Owns the memory of who may publish on which topic and with which proof, under the name of the
secret that a client shows. Refuses to decide anything: an entry holds only as long as everything
that it was made from is fresh, and is made by what decided. Fault model: clients may show secrets
and name topics without end, so the memory is bounded; names are SHA-256 of what was shown, so that
nobody's entry is found by anybody else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from wavemq._kernel import MessageSigner
from wavemq.authz.bounded import BoundedCache
from wavemq.crypto.signing import PUBLIC_BYTES, SIGNATURE_BYTES
from wavemq.wave import signature

if TYPE_CHECKING:
    from wavemq.authz.perspective import Perspective
    from wavemq.authz.proof_cache import HeldProof
    from wavemq.clock import Instant
    from wavemq.messages.topic import Topic
    from wavemq.wave.hashes import Hash
    from wavemq.wave.location import Location

PREPARED_MAX: Final = 16_384
"""Topics of callers; each stands for about 1 KiB."""
SIGNERS_MAX: Final = 512


@dataclass(frozen=True, slots=True)
class Prepared:
    """One caller's publishing on one topic.

    Attributes:
        source: hash of the caller's entity.
        location: where that is stored.
        namespace: of the topic.
        topic: what is published on.
        held: the proof, with what is known of its revocation.
        signer: signs as the caller.
        since: when the caller's entity was looked at.
        until: until when nothing of that changes, unless a revocation is found.
        epoch: of the revocations that were known.
    """

    source: Hash
    location: Location
    namespace: Hash
    topic: Topic
    held: HeldProof
    signer: MessageSigner = field(repr=False)
    since: Instant
    until: Instant
    epoch: int

    def is_usable(self, now: Instant, epoch: int) -> bool:
        """Whether nothing that this depends on can have changed, as far as is known."""
        return (
            self.since <= now < self.until
            and epoch == self.epoch
            and self.held.is_usable(now)
            and self.held.is_fresh(now, epoch)
        )


PlainDraft = tuple[Prepared, tuple[tuple[str, bytes], ...], bool]
"""A message to be formed: who and where, the contents (schema, bytes), whether it is persisted."""


class PreparedPublishes:
    """Remembers what was prepared, and who signs.

    Args:
        origin_router: this router's id, which goes into every message.
    """

    def __init__(self, origin_router: str) -> None:
        self._origin_router = origin_router
        self._prepared: BoundedCache[tuple[bytes, bytes, str], Prepared] = BoundedCache(
            PREPARED_MAX
        )
        self._signers: BoundedCache[tuple[Hash, Location], MessageSigner] = BoundedCache(
            SIGNERS_MAX
        )

    def get(self, caller: bytes, namespace: bytes, topic: str) -> Prepared | None:
        """Return what was prepared for a caller and a topic, usable or not."""
        return self._prepared.get((caller, namespace, topic))

    def put(self, caller: bytes, prepared: Prepared) -> None:
        """Remember it under the name of what the caller shows."""
        key = (caller, prepared.namespace.to_bytes(), prepared.topic.text)
        self._prepared.put(key, prepared)

    def signer_of(self, perspective: Perspective) -> MessageSigner:
        """Return what signs as a perspective; the key is wiped when nobody holds it any more."""
        key = (perspective.hash, perspective.location)
        signer = self._signers.get(key)
        if signer is None:
            location = perspective.location
            signer = MessageSigner(
                perspective.secret.message_signing_key.secret64[:PUBLIC_BYTES],
                perspective.hash.to_bytes(),
                (location.url, location.version),
                self._origin_router,
                signature.encode(bytes(SIGNATURE_BYTES))[:-SIGNATURE_BYTES],
            )
            self._signers.put(key, signer)
        return signer
