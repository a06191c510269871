"""Real processes and throw-away worlds for tests and demonstrations; shipped for users' own tests.

Owns starting and surely ending routers, storage servers and agents, and making entities, grants
and proofs with the `wv` command. Refuses to know pytest: everything is a context manager. Fault
model: a process may die, hang or never become ready; its log is part of the error.
"""

from __future__ import annotations

from wavemq.testing.processes import (
    AgentProcess,
    ProcessFailedError,
    RouterProcess,
    StorageProcess,
)
from wavemq.testing.settings import AgentSettings, RouterSettings
from wavemq.testing.world import CommandFailedError, World

__all__ = [
    "AgentProcess",
    "AgentSettings",
    "CommandFailedError",
    "ProcessFailedError",
    "RouterProcess",
    "RouterSettings",
    "StorageProcess",
    "World",
]
