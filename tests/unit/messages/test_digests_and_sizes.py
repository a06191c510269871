"""What is signed of messages and requests, byte for byte (wavemq.md 4)."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from tests.support.core_values import entity, message, query, subscription
from wavemq.clock import Instant
from wavemq.messages.message import (
    MESSAGE_OVERHEAD_BYTES,
    PayloadObject,
    message_digest,
    query_digest,
    subscription_digest,
    subscription_id,
    subscription_id_of_bytes,
)

MESSAGE = replace(
    message("a/b", origin="router").value,
    payload=(PayloadObject("s1", b"c1"), PayloadObject("s2", b"c2")),
)
HEAD = MESSAGE.source.to_bytes() + MESSAGE.namespace.to_bytes()


def sha3(content: bytes) -> bytes:
    return hashlib.sha3_256(content).digest()


def test_message_digest_is_over_the_plain_concatenation() -> None:
    assert message_digest(MESSAGE) == sha3(HEAD + b"a/b" + b"s1c1s2c2" + b"router")


def test_message_digest_ends_with_the_jedi_timestamp_in_little_endian() -> None:
    stamped = replace(MESSAGE, jedi_timestamp=0x0102)
    tail = b"\x02\x01" + bytes(6)
    assert message_digest(stamped) == sha3(HEAD + b"a/b" + b"s1c1s2c2" + b"router" + tail)
    assert message_digest(replace(MESSAGE, jedi_timestamp=0)) != message_digest(MESSAGE)


def test_what_routers_add_is_not_signed() -> None:
    travelled = replace(
        MESSAGE.arrived(Instant(1)).dequeued(3),
        proof=b"",
        encryption_partition=(b"p",),
        is_persisted=True,
        signature=b"",
    )
    assert travelled.timestamps == (1,)
    assert travelled.drops == (3,)
    assert message_digest(travelled) == message_digest(MESSAGE)


def test_subscription_digest_binds_identity_filter_and_router_but_no_expiry() -> None:
    request = subscription("a/*", "name", router_id="router").value
    content = request.source.to_bytes() + request.namespace.to_bytes() + b"a/*namerouter"
    assert subscription_digest(request) == sha3(content)
    longer = replace(request, expiry_s=9, absolute_expiry=Instant(1))
    assert subscription_digest(longer) == subscription_digest(request)


def test_query_digest_is_over_namespace_and_filter() -> None:
    request = query("a/+").value
    assert query_digest(request) == sha3(request.namespace.to_bytes() + b"a/+")
    assert query_digest(replace(request, source=entity("other"))) == query_digest(request)


@pytest.mark.parametrize("proof", [b"", b"p" * 55_000])
def test_size_counts_the_message_without_its_proof(proof: bytes) -> None:
    plain = replace(message("a/b", b"x" * 100).value, proof=proof)
    sized = replace(plain, encryption_partition=(b"part", b"ition"), timestamps=(Instant(1),))
    assert MESSAGE_OVERHEAD_BYTES < plain.size_bytes < 400
    assert sized.size_bytes == plain.size_bytes + 9 + 8


def test_contents_and_proofs_are_not_in_the_representation() -> None:
    secret = replace(message("a", b"hunter2").value, proof=b"long proof")
    assert "hunter2" not in repr(secret)
    assert "long proof" not in repr(secret)
    assert "hunter2" not in repr(PayloadObject("text", b"hunter2"))


def test_subscription_identity_is_that_of_entity_and_identifier() -> None:
    source = entity("someone")
    assert subscription_id(source, "n") == subscription_id_of_bytes(source.to_bytes(), "n")
    assert subscription_id(source, "n") != subscription_id(entity("else"), "n")
    assert len(subscription_id(source, "n")) == 44
