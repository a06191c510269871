"""What the operator decides about authority, and what the engine tells him in return.

Owns two values. Refuses to know configuration files and metrics.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from wavemq.authz.bounded import CacheStatistics
    from wavemq.wave.location import Location

REVOCATION_TTL_SECONDS: Final = 300
"""Default of `EngineConfig.revocation_ttl_s` and of `revocationCheckInterval`."""
REVOCATION_TTL_SECONDS_MAX: Final = 86_400
REVOCATION_GRACE_SECONDS: Final = 86_400
"""Default of `EngineConfig.revocation_grace_s` and of `revocationGrace`: a day without Internet."""
REVOCATION_GRACE_SECONDS_MAX: Final = 7 * 86_400


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """What the operator decides about authority.

    Attributes:
        default_location: the storage named `default`.
        locations: every configured storage, in the order in which objects of unknown place are
            looked for; the default one alone if empty.
        default_to_unrevoked: treat a revocation that cannot be looked up as not made.
        revocation_ttl_s: how long "not revoked" holds before it is looked up again, in seconds:
            within that time a revocation takes effect.
        revocation_grace_s: how long "not revoked" still holds after it was looked up while storage
            does not answer, in seconds.
    """

    default_location: Location
    locations: tuple[Location, ...] = ()
    default_to_unrevoked: bool = False
    revocation_ttl_s: float = REVOCATION_TTL_SECONDS
    revocation_grace_s: float = REVOCATION_GRACE_SECONDS


@dataclass(frozen=True, slots=True)
class EngineStatistics:
    """How an engine fares; all numbers but `perspectives` and `entities` only grow."""

    perspectives: int
    entities: CacheStatistics
    revocation_lookups: int
    revocation_failures: int
    proofs_verified: int
    proofs_built: int
    skews_tolerated: int
