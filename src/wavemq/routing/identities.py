"""Which message is which: lanes in which order is kept, and repeats of what came before.

Owns two short names made of hashes: that of a lane (one origin router, one topic), and that of a
message (who formed it, its signature, and when it was formed), with the memory of those that came.
Refuses to know links and disk. Fault model: peers repeat what was not answered when a link broke,
also after either end was restarted; a hostile one can make anything up, which crowds out memories
of its own scope first, and of others only in their age.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from wavemq.messages.message import Message
from wavemq.routing.records import LaneKey, QueueId, Scope

REMEMBERED_PER_ORIGIN: Final = 4096
"""Messages of one origin router that are recognised; a site has fewer than that unsettled."""
REMEMBERED_PER_QUEUE: Final = 256
"""Messages of one subscription's stream that are recognised, where the peer gives no positions."""
REMEMBERED_MAX: Final = 262_144
"""Messages that are recognised in all, some 30 MB; scopes that were quiet for longest go first."""
_LANES_CACHED: Final = 16_384
_ORIGINS_CACHED: Final = 4096
_SCOPE_BYTES: Final = 16


@lru_cache(_LANES_CACHED)
def lane_key(origin_router: str, topic: str) -> LaneKey:
    """Return what stands for the messages of an origin router on a topic."""
    digest = blake2b(topic.encode(), digest_size=8, key=_short(origin_router)).digest()
    return LaneKey(int.from_bytes(digest, "big", signed=True))


@lru_cache(_ORIGINS_CACHED)
def origin_scope(origin_router: str) -> Scope:
    """Return the scope of what comes from site routers, by who formed it."""
    return Scope(b"o" + _short(origin_router))


def queue_scope(queue: QueueId) -> Scope:
    """Return the scope of what a designated router sends for a subscription."""
    return Scope(b"q" + queue.to_bytes(8, "big"))


def message_identity(message: Message) -> int | None:
    """Return what tells a message from another of the same content; None if nothing does.

    Its first timestamp is given once, where it was formed, and repeated with it. The signature
    binds the rest. A forger can only make his own messages look alike.
    """
    if not message.timestamps:
        return None
    formed = (message.timestamps[0] & 0xFFFF_FFFF_FFFF_FFFF).to_bytes(8, "big")
    digest = blake2b(formed, digest_size=8, key=_short(message.origin_router))
    digest.update(message.signature)
    return int.from_bytes(digest.digest(), "big")


@lru_cache(_ORIGINS_CACHED)
def _short(text: str) -> bytes:
    """Return 16 bytes for a text of any length."""
    return blake2b(text.encode(), digest_size=_SCOPE_BYTES).digest()


class Repeats:
    """Identities that came before, the newest of each scope.

    Args:
        stored: those on disk, the oldest of a scope first, quiet scopes first.
        remembered_max: of all scopes.
    """

    def __init__(
        self,
        stored: Mapping[Scope, Sequence[int]],
        *,
        remembered_max: int = REMEMBERED_MAX,
    ) -> None:
        self._scopes: OrderedDict[Scope, dict[int, None]] = OrderedDict()
        self._count = 0
        self._remembered_max = remembered_max
        for scope, identities in stored.items():
            kept = dict.fromkeys(identities[-_remembered(scope) :])
            self._scopes[scope] = kept
            self._count += len(kept)

    def __len__(self) -> int:
        return self._count

    def knows(self, scope: Scope, identity: int) -> bool:
        """Return whether something came before."""
        known = self._scopes.get(scope)
        return known is not None and identity in known

    def note(self, scope: Scope, identity: int) -> list[Scope]:
        """Remember something new; return the scopes that were forgotten for it."""
        known = self._scopes.get(scope)
        if known is None:
            known = self._scopes[scope] = {}
        else:
            self._scopes.move_to_end(scope)
        known[identity] = None
        self._count += 1
        if len(known) > _remembered(scope):
            del known[next(iter(known))]
            self._count -= 1
        forgotten: list[Scope] = []
        while self._count > self._remembered_max and len(self._scopes) > 1:
            quiet, identities = self._scopes.popitem(last=False)
            self._count -= len(identities)
            forgotten.append(quiet)
        return forgotten

    def forget(self, scope: Scope, identity: int) -> None:
        """Take something for new when it comes again."""
        known = self._scopes.get(scope)
        if known is not None and identity in known:
            del known[identity]
            self._count -= 1

    def forget_scope(self, scope: Scope) -> bool:
        """Forget all of a scope; return whether there was anything."""
        identities = self._scopes.pop(scope, None)
        if identities is None:
            return False
        self._count -= len(identities)
        return True


def _remembered(scope: Scope) -> int:
    return REMEMBERED_PER_ORIGIN if scope[:1] == b"o" else REMEMBERED_PER_QUEUE
