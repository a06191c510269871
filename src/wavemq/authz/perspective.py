"""One entity's view of authority, and the handle by which callers refer to it.

Owns the shared state of a perspective (its graph and how fresh that is) and the check that a
secret really belongs to the entity that it claims. Refuses to know passphrases: whoever parses a
secret checks them. Fault model: a caller may present the public entity of somebody else with
keys of his own; state is found by entity hash, so every secret is checked against the entity
before it is let near the state.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wavemq.authz.graph import PerspectiveGraph
from wavemq.errors import InvalidParameterError

if TYPE_CHECKING:
    from wavemq.authz.discovery import Discovery
    from wavemq.clock import Instant
    from wavemq.wave.entity import Entity
    from wavemq.wave.hashes import Hash
    from wavemq.wave.keyring import EntitySecret
    from wavemq.wave.location import Location


@dataclass(slots=True)
class PerspectiveState:
    """What all handles of one perspective share.

    Attributes:
        secret: the entity with its keys, as first presented.
        discovery: the graph and what brings it up to date.
        synchronized: when the last complete synchronization began; None before the first.
        attempted: when the last synchronization began, complete or not.
    """

    secret: EntitySecret = field(repr=False)
    discovery: Discovery = field(repr=False)
    synchronized: Instant | None = None
    attempted: Instant | None = None

    @property
    def graph(self) -> PerspectiveGraph:
        """The perspective's knowledge."""
        return self.discovery.graph


@dataclass(frozen=True, slots=True)
class Perspective:
    """A handle: an entity whose secret the caller holds, and where it is stored.

    Attributes:
        secret: the entity with its keys.
        location: the storage that attestations by this entity name as its place.
        state: what the engine knows from this entity's point of view.
    """

    secret: EntitySecret = field(repr=False)
    location: Location
    state: PerspectiveState = field(repr=False)

    @property
    def entity(self) -> Entity:
        """The public entity."""
        return self.secret.entity

    @property
    def hash(self) -> Hash:
        """The hash of the entity."""
        return self.secret.entity.hash


def check_possession(secret: EntitySecret) -> None:
    """Check that the keys of a secret belong to its entity.

    Raises:
        InvalidParameterError: they do not.
    """
    if secret.signing_key.public != secret.entity.verifying_key:
        raise InvalidParameterError("the keys of this entity secret do not belong to its entity")
    message_key = secret.message_signing_key.public
    if message_key not in secret.entity.message_signing_keys:
        raise InvalidParameterError(
            "the message signing key of this entity secret does not belong to its entity"
        )


def check_same_secret(secret: EntitySecret, known: EntitySecret) -> None:
    """Check that a secret for a known entity has the keys that were presented before.

    Raises:
        InvalidParameterError: it does not.
    """
    if secret is known:
        return
    if not hmac.compare_digest(secret.to_bytes(), known.to_bytes()):
        raise InvalidParameterError(
            "this entity secret has other keys than the one presented before for the same entity"
        )
