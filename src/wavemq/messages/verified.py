"""The type of what has been checked.

Owns `Verified`. Refuses to check anything: `wavemq.authz` does, and alone makes these values; a
test reads the whole source tree and fails when anybody else does. Fault model: a queue accepts
nothing else, so forgetting the check is a type error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar, final

from wavemq.clock import Instant
from wavemq.messages.message import Message
from wavemq.quickly import quickly

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@final
@dataclass(frozen=True, slots=True)
class Verified(Generic[T_co]):
    """A value whose signature and proof have been verified.

    Call it in `wavemq.authz` only.

    Attributes:
        value: what was verified.
        granted_until: when its authority ends at the latest.
    """

    value: T_co
    granted_until: Instant


def restored_from_journal(value: T, granted_until: Instant) -> Verified[T]:
    """Return what was verified before it was journaled, read back under its checksum.

    For the reader of the journal only. Whoever can forge the journal can as well replace the
    program; what leaves the router is verified again where it arrives.
    """
    return Verified(value, granted_until)


_made_verified = quickly(Verified)


def with_arrival(message: Verified[Message], now: Instant) -> Verified[Message]:
    """Return a message with one more timestamp; those are not part of what was verified."""
    return _made_verified(message.value.arrived(now), message.granted_until)
