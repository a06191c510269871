"""Watching over what was granted: revocations that come while the router runs.

Owns the round in which every subscription, every link to a designated router and our own routing
proofs are looked at again, and what follows when one of them was revoked. Refuses to know how
revocations are found, and messages: each of those is checked when it comes. Fault model: storage
may be silent, slow or full of revocations. A round asks for a bounded number of proofs at a time;
silence ends nothing here before its grace is over; whatever goes wrong costs one round.

A round begins every quarter of `revocationCheckInterval` and asks again for answers that would
become too old before the round after the next: so the interval is kept with time to spare. When a
designated router says that a subscription is not granted any more, the next round begins at once
and asks for everything anew: it may have seen a revocation before us, and until ours is proved
anew its messages do not come.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from wavemq.authz.publishing import Publishing
from wavemq.authz.verdicts import ProofNotYetValidError
from wavemq.clock import NANOSECONDS_PER_SECOND, Instant
from wavemq.errors import AuthorizationError, ObjectError, UnavailableError, WaveMQError
from wavemq.net.uplink import Uplink
from wavemq.router.doorway import Doorway
from wavemq.router.guard import guarded
from wavemq.router.uplink_door import UplinkDoor
from wavemq.routing.events import SubscriptionReproved, SubscriptionWithdrawn
from wavemq.routing.subscriptions import StandingSubscription
from wavemq.wave.hashes import Hash

ROUNDS_PER_INTERVAL: Final = 4
ROUND_SECONDS_MIN: Final = 0.25
DOUBTS_PER_ROUND: Final = 4
"""Rounds out of turn between two in turn, at most: designated routers may doubt without cause."""
PROOFS_AT_ONCE_MAX: Final = 8
"""Proofs that one round looks at side by side; lookups have their own bound."""

_log = structlog.get_logger("wavemq.router.watch")


@dataclass(frozen=True, slots=True)
class _Standing:
    """What many subscriptions may stand on together."""

    namespace: Hash
    proof: bytes
    is_local: bool


class AuthorityWatch:
    """Looks again at what was granted.

    Args:
        doorway: the parts that doors share.
        publishing: finds other proofs for local subscriptions.
        uplinks: by namespace.
        uplink_door: knows what the routers at their other ends showed.
        designations: our own routing proofs, by namespace.
        interval_s: within which a revocation must take effect, in seconds.
        grace_s: how long storage may be silent about a subscription of a peer, in seconds.
    """

    def __init__(
        self,
        doorway: Doorway,
        *,
        publishing: Publishing,
        uplinks: Mapping[Hash, Uplink],
        uplink_door: UplinkDoor,
        designations: Mapping[Hash, bytes],
        interval_s: float,
        grace_s: float,
    ) -> None:
        self._driver = doorway.driver
        self._admission = doorway.admission
        self._clock = doorway.clock
        self._publishing = publishing
        self._uplinks = uplinks
        self._uplink_door = uplink_door
        self._designations = designations
        self._pause_s = max(interval_s / ROUNDS_PER_INTERVAL, ROUND_SECONDS_MIN)
        self._grace_ns = round(grace_s * NANOSECONDS_PER_SECOND)
        self._silent_since: dict[_Standing, Instant] = {}

    async def run(self) -> None:
        """Look again and again until cancelled."""
        doubts = self._uplink_door.doubts
        while True:
            try:
                async with asyncio.timeout(self._pause_s):
                    await asyncio.sleep(self._pause_s / (DOUBTS_PER_ROUND + 1))
                    await doubts.wait()
            except TimeoutError:
                pass  # a round in turn
            is_anew = doubts.is_set()
            doubts.clear()
            failed = await guarded("AuthorityWatch", self.look(is_anew=is_anew))
            if isinstance(failed, WaveMQError):
                _log.warning("authority_not_watched", reason=failed.reason)

    async def look(self, *, is_anew: bool = False) -> None:
        """Look at everything once.

        Args:
            is_anew: ask storage about local subscriptions whatever is remembered.
        """
        await self._look_at_subscriptions(is_anew=is_anew)
        for namespace, uplink in self._uplinks.items():
            claim = self._uplink_door.shown(namespace)
            if claim is None:
                continue
            error = await self._end_of(_Standing(namespace, claim.proof, is_local=True))
            if error is not None:
                uplink.drop(f"its routing proof does not hold any more: {error.reason}")
        for namespace, proof in self._designations.items():
            error = await self._end_of(_Standing(namespace, proof, is_local=True))
            if error is not None:
                _log.error(
                    "routing_proof_invalid", namespace=namespace.to_text(), reason=error.reason
                )

    async def _look_at_subscriptions(self, *, is_anew: bool) -> None:
        groups: defaultdict[_Standing, list[StandingSubscription]] = defaultdict(list)
        for one in self._driver.standing_subscriptions():
            groups[_Standing(one.request.namespace, one.request.proof, one.is_local)].append(one)
        self._silent_since = {
            standing: since for standing, since in self._silent_since.items() if standing in groups
        }
        waiting = list(groups.items())
        for first in range(0, len(waiting), PROOFS_AT_ONCE_MAX):
            batch = waiting[first : first + PROOFS_AT_ONCE_MAX]
            await asyncio.gather(
                *(
                    self._look_at(standing, group, is_anew=is_anew and standing.is_local)
                    for standing, group in batch
                )
            )

    async def _look_at(
        self, standing: _Standing, group: Sequence[StandingSubscription], *, is_anew: bool
    ) -> None:
        """End or prove anew what stands on a proof that does not hold any more."""
        error = await self._end_of(standing, is_anew=is_anew)
        if error is None:
            return
        for one in group:
            await self._withdraw(one, error)

    async def _end_of(self, standing: _Standing, *, is_anew: bool = False) -> WaveMQError | None:
        """Return why a proof does not hold any more; None: it does, as far as is known."""
        now = self._clock.now()
        try:
            await self._admission.check_still_granted(
                standing.namespace,
                standing.proof,
                now=now,
                is_lenient=standing.is_local,
                is_anew=is_anew,
            )
        except ProofNotYetValidError:
            return None  # it was valid: the clock has been set back
        except (AuthorizationError, ObjectError) as error:
            return error
        except UnavailableError as error:
            # Local subscribers go on without storage, like local publishers.
            since = self._silent_since.setdefault(standing, now)
            is_over = not standing.is_local and now - since >= self._grace_ns
            return error if is_over else None
        self._silent_since.pop(standing, None)
        return None

    async def _withdraw(self, one: StandingSubscription, error: WaveMQError) -> None:
        request = one.request
        about = {
            "source": request.source.to_text(),
            "topic_filter": request.topic_filter.text,
            "is_local": one.is_local,
        }
        if one.is_local:
            reproved = await self._publishing.reprove(request, self._clock.now())
            if reproved is not None and reproved.value.proof != request.proof:
                _log.info("subscription_proved_anew", reason=error.reason, **about)
                self._driver.report(SubscriptionReproved(one.queue, request.proof, reproved))
                return
        _log.warning("subscription_withdrawn", reason=error.reason, **about)
        reason = f"the subscription is not granted any more: {error.reason}"
        self._driver.report(SubscriptionWithdrawn(one.queue, request.proof, reason))
