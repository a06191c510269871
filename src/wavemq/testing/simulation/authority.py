"""Who may do what in a simulated world: a table instead of proofs.

Owns the table, and plays admission for the doors of routers. Refuses cryptography: that is tested
where it is. Fault model: storage of authority may be silent for a while; an entity whose authority
was revoked is refused from the moment at which a router has heard of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from wavemq.clock import Instant
from wavemq.errors import ProofInvalidError, StorageError, WaveMQError
from wavemq.messages.message import Message, SubscriptionRequest
from wavemq.messages.verified import Verified, restored_from_journal
from wavemq.wave.hashes import Hash

FOREVER: Final = Instant(4_000_000_000 * 10**9)
CHECK_SECONDS_MAX: Final = 0.003


class SimulatedAuthority:
    """One router's knowledge of who is revoked; stands where `Admission` does."""

    def __init__(self) -> None:
        self.revoked: set[Hash] = set()
        self.is_storage_silent = False

    def known_messages(
        self, messages: Sequence[Message], now: Instant
    ) -> list[Verified[Message] | WaveMQError | None]:
        """Answer every third message at once, as a memory of verdicts does without storage."""
        del now
        return [
            None
            if one.signature[0] % 3 or one.source in self.revoked
            else restored_from_journal(one, FOREVER)
            for one in messages
        ]

    async def check_message(self, message: Message, now: Instant) -> Verified[Message]:
        """Return a message whose source may publish."""
        del now
        await self._check(message.source, message.signature)
        return restored_from_journal(message, FOREVER)

    async def check_subscription(
        self, request: SubscriptionRequest, now: Instant
    ) -> Verified[SubscriptionRequest]:
        """Return a subscription whose source may subscribe."""
        del now
        await self._check(request.source, request.signature)
        return restored_from_journal(request, FOREVER)

    async def _check(self, source: Hash, signature: bytes) -> None:
        # Some checks take longer than others, so that what must stay in order is put to the test.
        await asyncio.sleep(CHECK_SECONDS_MAX * signature[0] / 255)
        if self.is_storage_silent:
            raise StorageError("the storage does not answer")
        if source in self.revoked:
            raise ProofInvalidError("the authority was revoked")
