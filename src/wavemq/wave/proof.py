"""Explicit proofs: chains of attestations with what is needed to read them (wave.md 9.1).

Owns the codec and its limits. Refuses to say whether a proof holds: that is `authz.verifier`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from wavemq.errors import MalformedDERError, ProofInvalidError, UnexpectedObjectError
from wavemq.limits import PROOF_BYTES_MAX
from wavemq.wave import der
from wavemq.wave.hashes import Hash
from wavemq.wave.location import Location
from wavemq.wave.pem import decode_pem_or_der

PROOF_KIND: Final = (2, 3)
_VERIFIER_KEY: Final = (4, 1)
VERIFIER_KEY_BYTES: Final = 28
LIST_ITEMS_MAX: Final = 4096
"""Items of any list in a proof; no honest proof comes near."""


@dataclass(frozen=True, slots=True)
class AttestationReference:
    """An attestation by hash, with what is needed to read it.

    Args:
        hash: of the attestation.
        content: the wire object; None in a compact proof.
        locations: where it is stored.
        verifier_key: 28 bytes; None for an unencrypted one.
    """

    hash: Hash
    content: bytes | None
    locations: tuple[Location, ...]
    verifier_key: bytes | None = field(repr=False)

    def to_der(self) -> bytes:
        """Return the element."""
        keys = b""
        if self.verifier_key is not None:
            keys = der.external(_VERIFIER_KEY, der.octets(self.verifier_key))
        return der.sequence(
            self.hash.to_der(),
            b"" if self.content is None else der.explicit(0, der.octets(self.content)),
            der.explicit(1, der.sequence(*(place.to_der() for place in self.locations))),
            der.explicit(2, der.sequence(keys)),
            der.explicit(3, der.sequence()),
            der.explicit(4, der.sequence()),
        )

    @classmethod
    def read(cls, reader: der.Reader) -> AttestationReference:
        """Read the element.

        Raises:
            ProofInvalidError: a verifier key has the wrong length.
        """
        inner = reader.sequence()
        name = Hash.read(inner)
        content = None
        if inner.peek() == der.EXPLICIT:
            wrapped = inner.enter(der.EXPLICIT)
            content = wrapped.octets()
            wrapped.finish()
        listed = _tagged(inner, 1)
        locations = []
        while not listed.is_at_end:
            locations.append(Location.read(listed))
        keys = _tagged(inner, 2)
        verifier_key = None
        while not keys.is_at_end:
            kind, value = keys.external()
            if kind == _VERIFIER_KEY and verifier_key is None:
                verifier_key = value.octets()
                value.finish()
                if len(verifier_key) != VERIFIER_KEY_BYTES:
                    raise ProofInvalidError(f"a verifier key has {VERIFIER_KEY_BYTES} bytes")
        _tagged(inner, 3)
        _tagged(inner, 4)
        inner.finish()
        if len(locations) > LIST_ITEMS_MAX:
            raise ProofInvalidError("a reference has too many locations")
        return cls(name, content, tuple(locations), verifier_key)


def _tagged(reader: der.Reader, number: int) -> der.Reader:
    """Return a reader of the SEQUENCE inside an explicit tag."""
    wrapped = reader.enter(der.EXPLICIT | number)
    inner = wrapped.sequence()
    wrapped.finish()
    return inner


@dataclass(frozen=True, slots=True)
class ExplicitProof:
    """A decoded proof; nothing about it has been verified.

    Args:
        attestations: what it refers to.
        paths: indices into `attestations`, the namespace's side first.
        entities: wire objects of everybody concerned.
    """

    attestations: tuple[AttestationReference, ...]
    paths: tuple[tuple[int, ...], ...]
    entities: tuple[bytes, ...]

    @classmethod
    def from_bytes(cls, data: bytes) -> ExplicitProof:
        """Decode a wire object, DER or PEM.

        Raises:
            ProofInvalidError: it is too large, or a list in it is.
            MalformedDERError: it is no canonical DER.
            UnexpectedObjectError: it is another object.
        """
        wire = decode_pem_or_der(data)
        if len(wire) > PROOF_BYTES_MAX:
            raise ProofInvalidError(
                f"the proof has {len(wire)} bytes; the limit is {PROOF_BYTES_MAX}"
            )
        outer = der.Reader(wire)
        kind, value = outer.external()
        outer.finish()
        if kind != PROOF_KIND:
            raise UnexpectedObjectError("object is not a proof")
        inner = value.sequence()
        value.finish()
        references: list[AttestationReference] = []
        listed = inner.sequence()
        while not listed.is_at_end:
            references.append(AttestationReference.read(listed))
            _bound(references)
        paths: list[tuple[int, ...]] = []
        listed = inner.sequence()
        while not listed.is_at_end:
            path: list[int] = []
            steps = listed.sequence()
            while not steps.is_at_end:
                path.append(steps.integer())
                _bound(path)
            paths.append(tuple(path))
            _bound(paths)
        entities: list[bytes] = []
        listed = inner.sequence()
        while not listed.is_at_end:
            entities.append(listed.octets())
            _bound(entities)
        inner.element(der.SEQUENCE)  # extensions: never interpreted
        inner.finish()
        return cls(tuple(references), tuple(paths), tuple(entities))

    def to_bytes(self) -> bytes:
        """Return the wire object."""
        value = der.sequence(
            der.sequence(*(reference.to_der() for reference in self.attestations)),
            der.sequence(
                *(der.sequence(*(der.integer(step) for step in path)) for path in self.paths)
            ),
            der.sequence(*(der.octets(entity) for entity in self.entities)),
            der.sequence(),
        )
        return der.external(PROOF_KIND, value)

    def compact(self) -> ExplicitProof:
        """Return the proof without contents and entities; its verifier needs storage."""
        references = tuple(replace(one, content=None) for one in self.attestations)
        return replace(self, attestations=references, entities=())


def _bound(
    items: list[AttestationReference] | list[int] | list[tuple[int, ...]] | list[bytes],
) -> None:
    if len(items) > LIST_ITEMS_MAX:
        raise MalformedDERError(f"a list in the proof has more than {LIST_ITEMS_MAX} items")
