"""Work at a door that must not end the router.

Owns the one place where an unexpected exception of a door's work becomes an error of ours. Refuses
to know the work. Fault model: input nobody thought of; it costs its sender an answer and us a line
in the log.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

import structlog

from wavemq.errors import InternalError, WaveMQError

T = TypeVar("T")

_log = structlog.get_logger("wavemq.router.door")


async def guarded(what: str, work: Awaitable[T]) -> T | WaveMQError:
    """Return the result of `work`, or the error that it raised."""
    try:
        return await work
    except WaveMQError as error:
        return error
    except Exception:  # noqa: BLE001 - logged whole, told in one sentence
        _log.exception("door_failed", what=what)
        return InternalError("the router failed; its log says why")
