"""The SDK: what a program at a site uses to publish, subscribe and query.

Owns the connection to one local router and the programmer's view of a message. Refuses to know
keys beyond the caller's own entity secret, authority, or routing: the router proves, signs,
encrypts and decrypts. Fault model: the router may be away, restart, or answer with an error at
any time; calls then wait within a bound, resume, or raise one of `wavemq.errors`.
"""

from __future__ import annotations

from wavemq.client.bus import Bus, RouterStatus, connect
from wavemq.client.failures import PublishUnconfirmedError
from wavemq.client.query import QueryAnswers
from wavemq.client.received import Received
from wavemq.client.reconnect import ConnectionChange, LinkState, ReconnectPolicy
from wavemq.client.subscription import Subscription
from wavemq.messages.message import PayloadObject

__all__ = [
    "Bus",
    "ConnectionChange",
    "LinkState",
    "PayloadObject",
    "PublishUnconfirmedError",
    "QueryAnswers",
    "Received",
    "ReconnectPolicy",
    "RouterStatus",
    "Subscription",
    "connect",
]
