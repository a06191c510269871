"""`wv`: WAVE entities, grants and proofs on the command line, as the original's tool of that name.

Owns the whole command. Refuses to know routers. Fault model: see `application`.
"""

from __future__ import annotations

from wavemq.cli.wv.application import main

__all__ = ["main"]
