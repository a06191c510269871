from __future__ import annotations

import struct

import pytest

from wavemq.errors import HandshakeError, InvalidParameterError
from wavemq.limits import PROOF_BYTES_MAX, SIGNATURE_BYTES_MAX
from wavemq.wave.hashes import Hash
from wavemq.wire.handshake import ClientHandshake, RouterClaim, ServerHandshake

NAMESPACE = Hash.of(b"namespace")
ROUTER = Hash.of(b"router")
CLAIM = RouterClaim(router=ROUTER, signature=b"s" * 80, proof=b"p" * 5000)


def announced(signature_bytes: int, proof_bytes: int | None = None) -> bytes:
    """The begin of a claim, up to where a length is announced."""
    begin = ROUTER.to_bytes() + struct.pack("<H", signature_bytes)
    if proof_bytes is None:
        return begin
    return begin + b"s" * signature_bytes + struct.pack("<I", proof_bytes)


def test_both_sides_understand_each_other() -> None:
    server, client = ServerHandshake(), ClientHandshake(NAMESPACE)
    assert client.opening == NAMESPACE.to_bytes()
    assert server.receive(client.opening) == NAMESPACE
    assert client.receive(CLAIM.to_bytes()) == CLAIM
    assert server.surplus == client.surplus == b""


def test_claim_has_the_layout_of_the_wire_contract() -> None:
    assert CLAIM.to_bytes() == b"".join(
        (
            ROUTER.to_bytes(),
            (80).to_bytes(2, "little"),
            CLAIM.signature,
            (5000).to_bytes(4, "little"),
            CLAIM.proof,
        )
    )


def test_claim_may_arrive_byte_by_byte() -> None:
    client = ClientHandshake(NAMESPACE)
    content = CLAIM.to_bytes()
    for index in range(len(content) - 1):
        assert client.receive(content[index : index + 1]) is None
    assert client.receive(content[-1:]) == CLAIM


def test_namespace_may_arrive_byte_by_byte() -> None:
    server = ServerHandshake()
    content = NAMESPACE.to_bytes()
    for index in range(len(content) - 1):
        assert server.receive(content[index : index + 1]) is None
    assert server.receive(content[-1:]) == NAMESPACE


def test_bytes_of_http2_that_follow_at_once_are_kept() -> None:
    server, client = ServerHandshake(), ClientHandshake(NAMESPACE)
    assert server.receive(client.opening + b"PRI *") == NAMESPACE
    assert server.surplus == b"PRI *"
    assert client.receive(CLAIM.to_bytes() + b"settings") == CLAIM
    assert client.surplus == b"settings"


def test_namespace_that_is_no_hash_is_refused() -> None:
    with pytest.raises(HandshakeError, match="namespace is not a hash"):
        ServerHandshake().receive(b"\xff" * 34)


def test_router_that_is_no_hash_is_refused() -> None:
    content = b"\xff" * 34 + CLAIM.to_bytes()[34:]
    with pytest.raises(HandshakeError, match="entity is not a hash"):
        ClientHandshake(NAMESPACE).receive(content)


@pytest.mark.parametrize("length", [1, SIGNATURE_BYTES_MAX])
def test_signature_within_its_limit_is_read(length: int) -> None:
    assert ClientHandshake(NAMESPACE).receive(announced(length)) is None


@pytest.mark.parametrize("length", [0, SIGNATURE_BYTES_MAX + 1, 0xFFFF])
def test_signature_over_its_limit_is_refused_before_it_is_read(length: int) -> None:
    with pytest.raises(HandshakeError, match=f"signature of {length} bytes"):
        ClientHandshake(NAMESPACE).receive(announced(length))


@pytest.mark.parametrize("length", [1, PROOF_BYTES_MAX])
def test_proof_within_its_limit_is_read(length: int) -> None:
    assert ClientHandshake(NAMESPACE).receive(announced(80, length)) is None


@pytest.mark.parametrize("length", [0, PROOF_BYTES_MAX + 1, 11 * 1024 * 1024, 0xFFFFFFFF])
def test_proof_over_its_limit_is_refused_before_it_is_read(length: int) -> None:
    with pytest.raises(HandshakeError, match=f"proof of {length} bytes"):
        ClientHandshake(NAMESPACE).receive(announced(80, length))


def test_end_without_a_byte_says_that_the_router_does_not_route_the_namespace() -> None:
    assert "does not route" in ClientHandshake(NAMESPACE).receive_end().reason


def test_end_within_the_claim_says_so() -> None:
    client = ClientHandshake(NAMESPACE)
    client.receive(CLAIM.to_bytes()[:100])
    assert "after 100 bytes" in client.receive_end().reason


@pytest.mark.parametrize(
    ("signature", "proof"),
    [
        (b"", b"p"),
        (b"s" * (SIGNATURE_BYTES_MAX + 1), b"p"),
        (b"s", b""),
        (b"s", b"p" * (PROOF_BYTES_MAX + 1)),
    ],
)
def test_claim_that_peers_would_refuse_is_not_made(signature: bytes, proof: bytes) -> None:
    with pytest.raises(InvalidParameterError):
        RouterClaim(router=ROUTER, signature=signature, proof=proof).to_bytes()


def test_signature_and_proof_do_not_show_in_logs() -> None:
    assert "ssss" not in repr(CLAIM)
    assert "pppp" not in repr(CLAIM)
