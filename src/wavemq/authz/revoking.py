"""Revoking what a perspective has made: itself, its grants, its names.

Owns which blob is published where (wave.md 5). Refuses to look anything up about others'
revocations. Fault model: storage may not answer; nothing is then known to be revoked, and the
caller is told which place failed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wavemq.errors import InternalError

if TYPE_CHECKING:
    from wavemq.authz.library import Library
    from wavemq.authz.objects import ObjectStore
    from wavemq.authz.perspective import Perspective
    from wavemq.authz.revocation import RevocationChecker
    from wavemq.wave.hashes import Hash


class Revoking:
    """Publishes revocations and makes this process forget that it knew better.

    Args:
        store: where blobs go.
        library: where attestations and declarations are looked for.
        revocations: what this process remembers.
    """

    def __init__(
        self, store: ObjectStore, library: Library, revocations: RevocationChecker
    ) -> None:
        self._store = store
        self._library = library
        self._revocations = revocations

    async def revoke_entity(self, perspective: Perspective) -> None:
        """Revoke the perspective's own entity, at every place that its options name.

        Raises:
            InvalidParameterError: the entity has no option that could be exercised.
            StorageError: a place did not take the revocation.
        """
        raise InternalError("not here yet")

    async def revoke_attestation(self, perspective: Perspective, attestation: Hash) -> None:
        """Revoke an attestation that the perspective made.

        Raises:
            LookupFailureError: no configured storage has it.
            InvalidParameterError: it was made by somebody else, or has no option.
            StorageError: storage did not answer.
        """
        raise InternalError("not here yet")

    async def revoke_name(self, perspective: Perspective, declaration: Hash) -> None:
        """Revoke a name declaration that the perspective made.

        The blob goes to the place that the option names and to the attester's (wave.md 5 FIX).

        Raises:
            LookupFailureError: no configured storage has it.
            InvalidParameterError: it was made by somebody else, or has no option.
            StorageError: storage did not answer.
        """
        raise InternalError("not here yet")
