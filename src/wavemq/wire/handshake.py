"""The peering handshake, without sockets: what each side says and may expect (wavemq.md 3).

Owns the bytes between TLS and HTTP/2, and the bound on each of them. Refuses to know sockets,
time and authority: whoever holds the connection feeds received bytes, enforces
`limits.HANDSHAKE_SECONDS_MAX`, and has the claim checked. Fault model: the peer may send anything,
in pieces of any size, or stop; what breaks a bound is refused as soon as the bound is known to be
broken, before the bytes themselves are collected.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final

from wavemq.errors import HandshakeError, InvalidParameterError, WaveMQError
from wavemq.limits import PROOF_BYTES_MAX, SIGNATURE_BYTES_MAX
from wavemq.wave.hashes import Hash

HASH_BYTES: Final = 34
_SIGNATURE_LENGTH: Final = struct.Struct("<H")
_PROOF_LENGTH: Final = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class RouterClaim:
    """What a designated router says about itself; worth nothing until it is checked.

    Attributes:
        router: hash of its entity.
        signature: DER signature by that entity over the signature field of its TLS certificate.
        proof: explicit proof (DER) that the entity may route the namespace.
    """

    router: Hash
    signature: bytes = field(repr=False)
    proof: bytes = field(repr=False)

    def to_bytes(self) -> bytes:
        """Return the server's whole part of the handshake.

        Raises:
            InvalidParameterError: signature or proof is empty or over its limit.
        """
        if not 0 < len(self.signature) <= SIGNATURE_BYTES_MAX:
            raise InvalidParameterError(
                f"a handshake signature has 1 to {SIGNATURE_BYTES_MAX} bytes, "
                f"not {len(self.signature)}"
            )
        if not 0 < len(self.proof) <= PROOF_BYTES_MAX:
            raise InvalidParameterError(
                f"a routing proof has 1 to {PROOF_BYTES_MAX} bytes, not {len(self.proof)}"
            )
        return b"".join(
            (
                self.router.to_bytes(),
                _SIGNATURE_LENGTH.pack(len(self.signature)),
                self.signature,
                _PROOF_LENGTH.pack(len(self.proof)),
                self.proof,
            )
        )


class ServerHandshake:
    """The designated router's side: wait for the namespace that a peer names."""

    def __init__(self) -> None:
        self._received = bytearray()

    def receive(self, chunk: bytes) -> Hash | None:
        """Take bytes from the peer; return the namespace once all its 34 bytes are here.

        Raises:
            HandshakeError: the bytes are not a hash; close the connection.
        """
        self._received += chunk
        if len(self._received) < HASH_BYTES:
            return None
        return _parse_hash(bytes(self._received[:HASH_BYTES]), "the peer's namespace")

    @property
    def surplus(self) -> bytes:
        """Bytes that followed the namespace: the begin of HTTP/2 of a hasty peer."""
        return bytes(self._received[HASH_BYTES:])


class ClientHandshake:
    """The site router's side: name the namespace, collect the claim.

    Args:
        namespace: what the peer must be able to route.
    """

    def __init__(self, namespace: Hash) -> None:
        self.opening = namespace.to_bytes()
        self._received = bytearray()
        self._surplus = b""

    def receive(self, chunk: bytes) -> RouterClaim | None:
        """Take bytes from the designated router; return its claim once it is complete.

        Raises:
            HandshakeError: a length is zero or over its limit, or the entity is not a hash.
        """
        self._received += chunk
        received = self._received
        signature_at = HASH_BYTES + _SIGNATURE_LENGTH.size
        if len(received) < signature_at:
            return None
        (signature_bytes,) = _SIGNATURE_LENGTH.unpack_from(received, HASH_BYTES)
        _check_length("signature", signature_bytes, SIGNATURE_BYTES_MAX)
        proof_length_at = signature_at + signature_bytes
        proof_at = proof_length_at + _PROOF_LENGTH.size
        if len(received) < proof_at:
            return None
        (proof_bytes,) = _PROOF_LENGTH.unpack_from(received, proof_length_at)
        _check_length("proof", proof_bytes, PROOF_BYTES_MAX)
        end = proof_at + proof_bytes
        if len(received) < end:
            return None
        self._surplus = bytes(received[end:])
        return RouterClaim(
            router=_parse_hash(bytes(received[:HASH_BYTES]), "the router's entity"),
            signature=bytes(received[signature_at:proof_length_at]),
            proof=bytes(received[proof_at:end]),
        )

    def receive_end(self) -> HandshakeError:
        """Return what it means that the router closed the connection instead of going on."""
        if not self._received:
            return HandshakeError(
                "the router closed the connection: it does not route this namespace, "
                "or it refuses peers"
            )
        return HandshakeError(
            f"the router closed the connection after {len(self._received)} bytes of its claim"
        )

    @property
    def surplus(self) -> bytes:
        """Bytes that followed the claim: the begin of HTTP/2."""
        return self._surplus


def _check_length(what: str, length: int, length_max: int) -> None:
    if not 0 < length <= length_max:
        raise HandshakeError(
            f"the router announced a {what} of {length} bytes; allowed are 1 to {length_max}"
        )


def _parse_hash(content: bytes, what: str) -> Hash:
    try:
        return Hash.from_bytes(content)
    except WaveMQError as error:
        raise HandshakeError(f"{what} is not a hash", cause=error) from error
