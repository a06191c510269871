"""The outcomes of asking about authority.

Owns the values that the prover, the verifier and the checks of validity return: what was granted,
to whom, until when, or which objects are missing. Refuses to know how they were reached. A
verdict is a function of all its inputs; "could not fetch" is an exception and never a verdict.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from wavemq.errors import ProofInvalidError, UnavailableError

if TYPE_CHECKING:
    from wavemq.clock import Instant
    from wavemq.wave.entity import Entity
    from wavemq.wave.hashes import Hash
    from wavemq.wave.location import Location
    from wavemq.wave.policy import RTreePolicy
    from wavemq.wave.revocation import RevocationOption


class ValidityState(Enum):
    """How an entity or attestation stands at one instant (wave.md 3.5, 7.4)."""

    VALID = "valid"
    EXPIRED = "expired"
    NOT_YET_VALID = "not yet valid"
    REVOKED = "revoked"
    NOT_DECRYPTED = "not decrypted"
    ATTESTER_INVALID = "attester invalid"
    SUBJECT_INVALID = "subject invalid"


@dataclass(frozen=True, slots=True)
class Validity:
    """A state with the sentence that explains it.

    Attributes:
        state: how the object stands.
        message: why, in the words of wave.md 3.5 and 7.4; empty when valid.
        note: about the clocks, for people; there also when a wrong clock was put up with.
    """

    state: ValidityState
    message: str = ""
    note: str = ""

    @property
    def explanation(self) -> str:
        """The message, and the note after it: what to tell a person who is refused."""
        return ": ".join(part for part in (self.message, self.note) if part)

    @property
    def is_valid(self) -> bool:
        """Whether nothing speaks against the object."""
        return self.state is ValidityState.VALID


VALID = Validity(ValidityState.VALID)


@dataclass(frozen=True, slots=True)
class ProofVerdict:
    """What a proof that holds proves.

    Attributes:
        policy: everything that the proof grants.
        subject: the entity that it is granted to.
        subject_entity: the same, decoded; genuine and within its validity.
        subject_location: where the last attestation says that this entity is stored.
        expiry: the first instant at which a part of the proof ceases to be valid.
        attestations: hashes of all references, in the order of the proof.
        paths: indices into `attestations`, namespace side first.
        revocations: every revocation option on which the verdict depends.
        begins: the latest beginning of a part of the proof; after the present only where a
            difference of clocks was put up with.
    """

    policy: RTreePolicy
    subject: Hash
    subject_entity: Entity
    subject_location: Location
    expiry: Instant
    attestations: tuple[Hash, ...]
    paths: tuple[tuple[int, ...], ...]
    revocations: frozenset[RevocationOption]
    begins: Instant


@dataclass(frozen=True, slots=True)
class BuiltProof:
    """A proof that the prover found.

    Attributes:
        der: the explicit proof, with contents and entities (wave.md 16.1 item 13).
        policy: everything that it grants, at least what was asked for.
        subject: who it is for.
        expiry: the first instant at which a part of it ceases to be valid.
        attestations: hashes of its references, in the order of the DER.
        paths: indices into `attestations`, namespace side first.
        revocations: every revocation option that would end it.
    """

    der: bytes
    policy: RTreePolicy
    subject: Hash
    expiry: Instant
    attestations: tuple[Hash, ...]
    paths: tuple[tuple[int, ...], ...]
    revocations: frozenset[RevocationOption]


@dataclass(frozen=True, slots=True)
class Need:
    """An object that a decision waits for, and where it may be found, best place first."""

    hash: Hash
    locations: tuple[Location, ...]


class MissingObjectsError(UnavailableError):
    """A decision cannot be taken until these objects are known; not a verdict.

    Args:
        needs: every object that is known to be missing so far.
    """

    def __init__(self, needs: frozenset[Need]) -> None:
        self.needs = needs
        super().__init__(f"{len(needs)} objects are needed before this can be decided")


class ProofUnresolvedError(ProofInvalidError):
    """A proof names an object that storage says it does not have.

    Has the code of an invalid proof (912), but the object may be published later: the outcome is
    never cached.
    """


class ProofNotYetValidError(ProofInvalidError):
    """A part of a proof begins later.

    Has the code of an invalid proof (912), but time or a corrected clock may mend it: the outcome
    is never cached.
    """
