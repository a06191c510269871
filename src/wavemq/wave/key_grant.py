"""Grants that hand on decryption keys of their namespace: `wave:decrypt` and JEDI.

Owns the rules for such grants (wave.md 6.4, 12.3; crypto.md 6.5), which keys each hands on, and how
they are derived from what the attester holds. Refuses to know the rest of the attestation and who
holds what. Fault model: an attester may hold less than he wants to give. He then gives what his own
grant covers, for as long as it does, or gets an error that says what is missing: never a grant that
silently opens less than it says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Final

from wavemq.clock import NANOSECONDS_PER_SECOND, Instant
from wavemq.crypto import wkdibe
from wavemq.errors import (
    BodySchemeError,
    InvalidE2EEGrantError,
    InvalidJEDIGrantError,
    RequestError,
)
from wavemq.wave import jedi
from wavemq.wave.bundle import Addendum, ContentKey, KeyBundle, LabelKey
from wavemq.wave.entity import Entity
from wavemq.wave.hashes import JEDI_PERMISSION_SET, WAVE_PERMISSION_SET
from wavemq.wave.keyring import EntitySecret
from wavemq.wave.partition import (
    PREFIX_SLOTS,
    Partition,
    bundle_partitions,
    e2ee_prefix,
    matches,
)
from wavemq.wave.policy import Policy, RTreePolicy
from wavemq.wave.validity import Validity

ATTEMPTS_MAX: Final = 32
"""Held keys that are tried for one pattern."""
PERIODS_TRIED_MAX: Final = 16
"""Periods of the attester's own grants to which a grant may be lowered, the longest first."""
PERIODS_SAID_MAX: Final = 3
_DECRYPT: Final = "decrypt"
_KEY_SETS: Final = (WAVE_PERMISSION_SET, JEDI_PERMISSION_SET)


@dataclass(frozen=True, slots=True)
class NamespaceKeys:
    """What an attester holds of a namespace's systems.

    Args:
        namespace: the entity.
        label_key: for its own label; None if not held.
        content_keys: of its attribute-based system.
        master: its master keys where the attester is the namespace itself.
        periods: for which the attester was granted decryption himself; what he grants of it is
            lowered to one of them where he has no keys for all that was asked.
    """

    namespace: Entity
    label_key: LabelKey | None = None
    content_keys: tuple[ContentKey, ...] = ()
    master: EntitySecret | None = None
    periods: tuple[Validity, ...] = ()


def grants_decryption(policy: Policy) -> bool:
    """Whether the policy hands on keys of its namespace, end-to-end or JEDI (wave.md 6.4)."""
    return isinstance(policy, RTreePolicy) and any(
        statement.permission_set in _KEY_SETS for statement in policy.statements
    )


def key_grant(policy: Policy, visibility: Sequence[bytes]) -> KeyGrant | None:
    """Return what keys a policy hands on; None for a policy that hands on none.

    Args:
        policy: whose statements are well formed.
        visibility: components asked for by the caller; the grant's own take their place.

    Raises:
        InvalidE2EEGrantError: a `wave:decrypt` grant breaks a rule of wave.md 12.3.
        InvalidJEDIGrantError: a JEDI grant breaks a rule of wave.md 6.4.
    """
    if not isinstance(policy, RTreePolicy):
        return None
    used = {statement.permission_set for statement in policy.statements}
    if WAVE_PERMISSION_SET in used:
        resource = _decrypt_resource(policy, visibility)
        start = e2ee_prefix(resource, is_message=False)
        return KeyGrant(resource, start[1:], start, ())
    if JEDI_PERMISSION_SET in used:
        resource, permissions = _jedi_statement(policy)
        return KeyGrant(resource, jedi.grant_components(resource), None, permissions)
    return None


def _decrypt_resource(policy: RTreePolicy, visibility: Sequence[bytes]) -> str:
    """Return the resource of a `wave:decrypt` grant after the checks of wave.md 12.3."""
    statement = policy.statements[0]
    if len(policy.statements) != 1 or len(statement.permissions) > 1:
        raise InvalidE2EEGrantError(
            "a wave:decrypt grant can only have one permission and one statement"
        )
    if not statement.permissions:
        raise InvalidE2EEGrantError("a wave pset grant must have exactly one permission")
    if statement.permissions[0] != _DECRYPT:
        raise InvalidE2EEGrantError("the only valid wave pset permissions is 'decrypt'")
    if visibility:
        raise InvalidE2EEGrantError(
            "a wave:decrypt grant must have no partition specified (it is generated from the "
            "resource)"
        )
    return statement.resource


def _jedi_statement(policy: RTreePolicy) -> tuple[str, tuple[str, ...]]:
    """Return resource and permissions of a JEDI grant; its keys are for one resource only."""
    if len(policy.statements) != 1:
        raise InvalidJEDIGrantError(
            "a JEDI grant can only have one statement, since its keys are for one resource"
        )
    (statement,) = policy.statements
    permissions = statement.permissions
    if not permissions or not set(permissions) <= {jedi.DECRYPT, jedi.SIGN}:
        raise InvalidJEDIGrantError("the only valid JEDI grants are 'decrypt' and 'sign'")
    if len(set(permissions)) != len(permissions):
        raise InvalidJEDIGrantError("a JEDI grant names a permission twice")
    return statement.resource, permissions


@dataclass(frozen=True, slots=True)
class KeyGrant:
    """Keys that go with a grant.

    Args:
        resource: what they are for.
        components: which take the place of the visibility URI.
        start: slots 0 to 11 of end-to-end keys; None for JEDI keys.
        permissions: of a JEDI grant; none for end-to-end keys.
    """

    resource: str
    components: tuple[bytes, ...]
    start: Partition | None
    permissions: tuple[str, ...]

    def patterns(self, validity: Validity) -> list[Partition]:
        """Return the patterns whose keys cover a period, in the original's order.

        Raises:
            InvalidJEDIGrantError: JEDI cannot express the period.
        """
        if self.start is None:
            return jedi.grant_patterns(self.components, self.permissions, validity)
        return bundle_partitions(self.start, validity.not_before, validity.not_after)

    def refusal(self, reason: str) -> RequestError:
        """Return the error for a grant of this kind that cannot be made."""
        return (
            InvalidJEDIGrantError(reason) if self.start is None else InvalidE2EEGrantError(reason)
        )

    def fitted(self, validity: Validity, held: NamespaceKeys | None) -> Validity:
        """Return the part of a period for which all keys can be derived (wave.md 4.5).

        An end-to-end grant is lowered at both ends to what its attester was granted; a JEDI grant
        is made whole or not at all (crypto.md 6.5).

        Raises:
            BodySchemeError: the namespace's label key is not held.
            InvalidE2EEGrantError, InvalidJEDIGrantError: there is no such part.
        """
        if held is None or (held.master is None and held.label_key is None):
            raise BodySchemeError(
                "could not encrypt", cause=self.refusal("could find namespace visibility key")
            )
        if held.master is not None:
            return validity
        patterns = self.patterns(validity)
        holders = _Holders(held, patterns)
        missing = holders.missing(patterns)
        if not missing:
            return validity
        if not holders.are_any:
            raise self.refusal(
                f"none of the decryption keys for {self.resource} is held by the attester"
            )
        if self.start is not None:
            for period in _overlaps(validity, held.periods):
                if not holders.missing(self.patterns(period)):
                    return period
        raise self.refusal(
            f"the attester does not hold all decryption keys for {self.resource} from "
            f"{_day(validity.not_before)} to {_day(validity.not_after)}: {len(missing)} of "
            f"{len(patterns)} are missing; {_granted(held.periods)}"
        )

    def addendums(self, validity: Validity, held: NamespaceKeys) -> list[Addendum]:
        """Return the keys for a period from `fitted`: their bundle and the namespace's label key.

        Raises:
            InvalidE2EEGrantError, InvalidJEDIGrantError: a key is not held after all.
        """
        patterns = self.patterns(validity)
        params = held.namespace.oaque_params
        if held.master is not None:
            identity = held.namespace.hash.to_text().encode()
            label = LabelKey.extract(
                held.namespace.ibe_params_bytes, held.master.ibe_master, identity
            )
            return [KeyBundle.derive(params, held.master.oaque_master, patterns), label]
        assert held.label_key is not None  # `fitted` has refused otherwise
        by_holder: dict[ContentKey, list[Partition]] = {}
        holders = _Holders(held, patterns)
        for pattern in patterns:
            holder = holders.of(pattern)
            if holder is None:
                raise self.refusal(f"a decryption key for {self.resource} is not held")
            by_holder.setdefault(holder, []).append(pattern)
        derived = {}
        for key, wanted in by_holder.items():
            for made in KeyBundle.derive(params, wkdibe.SecretKey(key.secret), wanted).keys:
                derived[made.pattern] = made
        # The order and the deltas are those of the keys that are sent (wave.md 4.6).
        kept = tuple(derived[pattern] for pattern in patterns)
        return [KeyBundle(params.to_bytes(), kept), held.label_key]


class _Holders:
    """Finds for each pattern a held key from which its own can be derived.

    Anybody may have sent the attester keys that are not what they say. Such a key would be handed
    on without an error, so each is tried before it is used.

    Args:
        held: what there is.
        patterns: all for one resource.
    """

    def __init__(self, held: NamespaceKeys, patterns: Sequence[Partition]) -> None:
        starts = {pattern[:PREFIX_SLOTS] for pattern in patterns}
        self._params = held.namespace.oaque_params
        self._fitting = [
            key
            for key in held.content_keys
            if any(matches(key.pattern[:PREFIX_SLOTS], start) for start in starts)
        ]
        self._genuine: dict[ContentKey, bool] = {}

    @property
    def are_any(self) -> bool:
        """Whether any key is for the resource, whatever its time."""
        return bool(self._fitting)

    def of(self, pattern: Partition) -> ContentKey | None:
        """Return the most credible key for a pattern."""
        matching = (key for key in self._fitting if matches(key.pattern, pattern))
        return next(filter(self._is_genuine, islice(matching, ATTEMPTS_MAX)), None)

    def missing(self, patterns: Sequence[Partition]) -> list[Partition]:
        """Return the patterns for which there is no key."""
        return [pattern for pattern in patterns if self.of(pattern) is None]

    def _is_genuine(self, key: ContentKey) -> bool:
        known = self._genuine.get(key)
        if known is None:
            known = self._genuine[key] = key.is_genuine(self._params)
        return known


def _overlaps(validity: Validity, periods: Sequence[Validity]) -> list[Validity]:
    """Return what each period has in common with the wanted one, the longest first."""
    common = [
        Validity(
            max(validity.not_before, period.not_before), min(validity.not_after, period.not_after)
        )
        for period in periods
    ]
    whole = sorted(
        (one for one in common if one.not_before <= one.not_after),
        key=lambda one: one.not_before - one.not_after,
    )
    return whole[:PERIODS_TRIED_MAX]


def _granted(periods: Sequence[Validity]) -> str:
    if not periods:
        return "no grant of them to the attester is known"
    spans = (
        f"{_day(one.not_before)} to {_day(one.not_after)}" for one in periods[:PERIODS_SAID_MAX]
    )
    return f"the attester was granted them from {', '.join(spans)}"


def _day(instant: Instant) -> str:
    at = datetime.fromtimestamp(instant // NANOSECONDS_PER_SECOND, UTC)
    return f"{at:%Y-%m-%d %H:%M} UTC"
