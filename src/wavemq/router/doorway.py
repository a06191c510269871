"""What every door of a router stands on.

Owns the bundle of parts that the doors share. Refuses to do anything. Fault model: none.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from wavemq.authz.admission import Admission
from wavemq.clock import Clock
from wavemq.router.counts import DoorCounts
from wavemq.router.driver import Driver


@dataclass(frozen=True, slots=True)
class Doorway:
    """Parts that doors share.

    Attributes:
        driver: of the core.
        admission: checks whatever comes from outside.
        clock: tells the time.
        group: owns the work of the doors.
        counts: of what was refused.
    """

    driver: Driver
    admission: Admission
    clock: Clock
    group: asyncio.TaskGroup
    counts: DoorCounts
