"""Responses that many readers of one message get, composed once.

Owns a small memory of the latest. Refuses to know readers and queues. Fault model: none; a message
is recognised by being the same object, which it is as long as it is remembered here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from wavemq.limits import MIB
from wavemq.messages.message import Message
from wavemq.wire.encoding import encoded_responses, parts_of

REMEMBERED_MAX: Final = 512
"""Messages; readers get them in turn, so a few batches are enough."""
REMEMBERED_BYTES_MAX: Final = 4 * MIB
"""Of their responses, the last one on top."""


class SharedResponses:
    """Messages without proofs as `SubscriptionMessage`."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Message, bytes]] = {}
        self._size_bytes = 0

    def of(self, messages: Sequence[Message]) -> list[bytes]:
        """Return each message as its readers get it."""
        known = self._known
        try:
            return [known[id(one)][1] for one in messages]
        except KeyError:
            return self._composed(messages)

    def _composed(self, messages: Sequence[Message]) -> list[bytes]:
        responses = encoded_responses([parts_of(one) for one in messages])
        for message, response in zip(messages, responses, strict=True):
            if len(self._known) >= REMEMBERED_MAX or self._size_bytes >= REMEMBERED_BYTES_MAX:
                self._known.clear()
                self._size_bytes = 0
            if id(message) not in self._known:
                self._known[id(message)] = (message, response)
                self._size_bytes += len(response)
        return responses
