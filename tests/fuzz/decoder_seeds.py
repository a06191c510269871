"""Honest inputs for the fuzz targets, all from the vectors of the original."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from tests.support.vectors import b64, vectors
from wavemq.wave import der
from wavemq.wave.entity import Entity
from wavemq.wave.keyring import EntitySecret

LARGE_BYTES = 8192


@cache
def entities() -> tuple[bytes, ...]:
    """Return public entities, one of each shape."""
    return tuple(b64(one["public"]) for one in vectors("objects")["entities"].values())


@cache
def entity_secrets() -> tuple[bytes, ...]:
    """Return entity secrets, one of them protected."""
    return tuple(b64(one["secret"]) for one in vectors("objects")["entities"].values())


@cache
def attestations() -> tuple[bytes, ...]:
    """Return attestations with both kinds of body."""
    return tuple(b64(one["der"]) for one in vectors("objects")["attestations"].values())


@cache
def proofs() -> tuple[bytes, ...]:
    """Return proofs, good and bad."""
    return tuple(b64(one["der"]) for one in vectors("objects")["proofs"].values())


@cache
def encrypted_messages() -> tuple[bytes, ...]:
    """Return encrypted messages of both kinds."""
    known = [one for one in vectors("wave")["encrypted"] if "ciphertext" in one]
    return tuple(b64(one["ciphertext"]) for one in known) + tuple(
        b64(one["der"]) for one in vectors("objects")["messages"].values()
    )


@cache
def name_declarations() -> tuple[bytes, ...]:
    """Return name declarations, open and closed."""
    known = vectors("objects")["name_declarations"].values()
    return tuple(b64(one["der"]) for one in (*known, *vectors("wave")["names"]))


@cache
def signatures() -> tuple[bytes, ...]:
    """Return message signatures."""
    return tuple(b64(one["signature"]) for one in vectors("wave")["signatures"])


@cache
def secret_of(name: str) -> EntitySecret:
    """Return an entity secret of the object vectors."""
    return EntitySecret.from_bytes(b64(vectors("objects")["entities"][name]["secret"]))


@cache
def entity_of(name: str) -> Entity:
    """Return an entity of the object vectors."""
    return Entity.from_bytes(b64(vectors("objects")["entities"][name]["public"]))


def parts_of(wire: bytes, tag: int) -> Iterator[bytes]:
    """Yield every element with `tag`, nested ones included, of sound DER."""
    reader = der.Reader(wire)
    while not reader.is_at_end:
        found = reader.peek()
        element = reader.element()
        if found == tag:
            yield element
        if found is not None and found & 0x20:
            content = der.Reader(element).enter(found)
            while not content.is_at_end:
                yield from parts_of(content.element(), tag)


@cache
def routed_messages() -> tuple[bytes, ...]:
    """Return routed messages in protobuf; their proofs are cut, they are not decoded with them."""
    from wavemq.wire import mqpb_pb2 as mqpb

    found = []
    for one in vectors("messages")["messages"]:
        if "message" not in one:
            continue
        message = mqpb.Message.FromString(b64(one["message"]))
        message.proofDER = message.proofDER[:64]
        found.append(message.SerializeToString())
    return tuple(found)


@cache
def storage_answers() -> tuple[bytes, ...]:
    """Return answers of a storage server."""
    plain: list[dict[str, Any]] = [
        {"der": vectors("objects")["entities"]["ns"]["public"], "v1smr": None, "v1promise": None},
        {"hash": "GyAZSVTobuuPkf+YOsxW5shK4pqQfOfnY46GV9UUmbGIpA==", "nextToken": "1"},
        {"hash": "GyAZSVTobuuPkf+YOsxW5shK4pqQfOfnY46GV9UUmbGIpA==", "v1promise": None},
        {"hashScheme": "1.3.6.1.4.1.51157.9.2", "version": "InMem 1.1.0"},
        {},
    ]
    odd = (
        b"[]",
        b"null",
        b'{"der":1e999}',
        b"[" * 100_000,
        b'{"nextToken":"\\ud800","hash":"GyAZSVTobuuPkf+YOsxW5shK4pqQfOfnY46GV9UUmbGIpA=="}',
        b'{"a":' + b"9" * 5000 + b"}",
        b"\xff\xfe{}",
    )
    return tuple(json.dumps(one).encode() for one in plain) + odd
