"""WAVEMQ: secure tiered publish/subscribe for places with bad networks.

The names of the SDK are loaded when they are first used, so that a command which needs none of
them does not pay for gRPC at its start.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wavemq.client import (
        Bus,
        ConnectionChange,
        LinkState,
        PayloadObject,
        PublishUnconfirmedError,
        QueryAnswers,
        Received,
        ReconnectPolicy,
        RouterStatus,
        Subscription,
        connect,
    )
    from wavemq.errors import WaveMQError

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
    "WaveMQError",
    "__version__",
    "connect",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Load a name of the SDK on its first use."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "wavemq.errors" if name == "WaveMQError" else "wavemq.client"
    found: object = getattr(import_module(home), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted(__all__)
