"""The original's name declarations: read, made again, resolved, and broken."""

from __future__ import annotations

import random
from base64 import b64decode
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.vector_worlds import (
    engine_of,
    entity_hash,
    generated,
    hash_of,
    location_of,
    secret_of,
    synchronized,
    vectors,
)
from wavemq.errors import InvalidSignatureError, LookupFailureError, ObjectError
from wavemq.wave import der
from wavemq.wave.entity import Entity
from wavemq.wave.hashes import Hash
from wavemq.wave.keyring import EntitySecret
from wavemq.wave.name import (
    NAME_DECLARATION_KIND,
    NameBody,
    NameDeclaration,
    OpenedName,
    check_name_signature,
    create_name_declaration,
    name_revocation_blob,
    open_name,
    open_name_with_key,
)
from wavemq.wave.partition import wr1_partition
from wavemq.wave.revocation import exercised_by

OBJECTS = vectors("objects")
DECLARATIONS: dict[str, dict[str, Any]] = OBJECTS["name_declarations"]
NAMES: list[dict[str, Any]] = vectors("wave")["names"]
BEFORE = "storage_before_revocations"
OBJECTS_PASSPHRASE = b"correct horse"


@dataclass(frozen=True)
class Known:
    """One declaration of either file.

    Attributes:
        wire: the original's bytes.
        hash: of it.
        name: what it declares.
        attester: who made it.
        subject: whom it names.
        namespace: who may read it; None: everybody.
        partition: the components of its key.
        blob: what revokes it, where the file says.
    """

    wire: bytes
    hash: Hash
    name: str
    attester: EntitySecret
    subject: Entity
    namespace: EntitySecret | None
    partition: tuple[bytes, ...]
    blob: bytes | None

    def opened(self) -> OpenedName:
        """Return what it says, read by whom it is for."""
        reader = self.namespace or secret_of("wave", "eve")  # who has no part in it
        found = open_name(self.declaration, reader, lambda _: None)
        assert found is not None
        return found

    @property
    def declaration(self) -> NameDeclaration:
        """The decoded declaration."""
        return NameDeclaration.from_bytes(self.wire)


def object_secret(name: str) -> EntitySecret:
    return EntitySecret.from_bytes(
        b64decode(OBJECTS["entities"][name]["secret"]), OBJECTS_PASSPHRASE
    )


def all_known() -> dict[str, Known]:
    found = {}
    for label, known in DECLARATIONS.items():
        wire, namespace = b64decode(known["der"]), known.get("namespace")
        found[f"objects {label}"] = Known(
            wire,
            Hash.of(wire),
            known["name"],
            object_secret(known["attester"]),
            object_secret(known["subject"]).entity,
            None if namespace is None else object_secret(namespace),
            tuple(part.encode() for part in known.get("partition", ())),
            b64decode(known["revocation_blob"]),
        )
    for known in NAMES:
        namespace = known["namespace"]
        found[f"wave {known['name']}"] = Known(
            b64decode(known["der"]),
            hash_of(known["hash"]),
            known["name"],
            secret_of("wave", known["attester"]),
            secret_of("wave", known["subject"]).entity,
            None if namespace is None else secret_of("wave", namespace),
            tuple(part.encode() for part in known["partition"]),
            None,
        )
    return found


KNOWN = all_known()
every_declaration = pytest.mark.parametrize("known", KNOWN.values(), ids=KNOWN)


def test_both_kinds_of_declaration_are_in_both_files() -> None:
    assert sorted(known.namespace is None for known in KNOWN.values()) == [False, False, True, True]


# --- theirs, read by us -------------------------------------------------------------------------


@every_declaration
def test_a_declaration_says_what_the_original_put_into_it(known: Known) -> None:
    declaration = known.declaration
    assert declaration.hash == known.hash
    assert declaration.attester == known.attester.entity.hash
    assert declaration.is_public == (known.namespace is None)
    assert declaration.namespace == (known.namespace and known.namespace.entity.hash)
    check_name_signature(declaration, known.attester.entity)
    body = known.opened().body
    assert (body.name, body.subject) == (known.name, known.subject.hash)


@every_declaration
def test_a_declaration_encodes_to_the_bytes_that_it_came_from(known: Known) -> None:
    declaration = known.declaration
    key = der.external((17, 2), der.sequence())
    if declaration.key is not None:
        sealed = declaration.key
        key = der.external(
            (17, 1),
            der.sequence(
                der.octets(sealed.envelope),
                der.octets(sealed.envelope_key),
                sealed.namespace.to_der(),
                sealed.location.to_der(),
            ),
        )
    tbs = der.sequence(
        declaration.attester.to_der(),
        declaration.attester_location.to_der(),
        der.sequence(*(option.to_der() for option in declaration.revocations)),
        der.sequence(),
        der.octets(declaration.content),
        der.sequence(key),
    )
    again = der.sequence(tbs, der.octets(declaration.signature))
    assert der.external(NAME_DECLARATION_KIND, again) == known.wire
    assert NameBody.from_bytes(known.opened().body.to_der()) == known.opened().body


@every_declaration
def test_the_partition_is_the_given_components_without_a_tag_and_the_period(known: Known) -> None:
    opened = known.opened()
    if known.namespace is None:
        assert opened.partition is None
        return
    period = opened.body.validity
    prefix = (*known.partition, *(b"",) * (12 - len(known.partition)))
    assert opened.partition == wr1_partition(prefix, period.not_before, period.not_after)
    assert open_name_with_key(known.declaration, opened.key) == opened


@every_declaration
def test_only_the_attester_can_revoke_it(known: Known) -> None:
    declaration = known.declaration
    blob = name_revocation_blob(known.attester.secret64, declaration)
    assert known.blob in (None, blob)
    assert exercised_by(blob, declaration.revocations) == declaration.revocations
    assert [option.location for option in declaration.revocations] == [
        known.opened().body.subject_location
    ]
    foreign = name_revocation_blob(secret_of("wave", "eve").secret64, declaration)
    assert exercised_by(foreign, declaration.revocations) == ()


@every_declaration
def test_a_sealed_one_stays_closed_for_others(known: Known) -> None:
    if known.namespace is not None:
        eve = secret_of("wave", "eve")
        assert open_name(known.declaration, eve, lambda _: None) is None


@every_declaration
def test_no_change_of_a_byte_goes_unnoticed(known: Known) -> None:
    chance = random.Random(7)
    for _ in range(300):
        place = chance.randrange(len(known.wire))
        broken = bytearray(known.wire)
        broken[place] ^= 1 << chance.randrange(8)
        with pytest.raises(ObjectError):
            check_name_signature(NameDeclaration.from_bytes(bytes(broken)), known.attester.entity)


@every_declaration
def test_a_cut_or_lengthened_one_is_malformed(known: Known) -> None:
    for wrong in (known.wire[:-1], known.wire + b"\0", known.wire[:40], b""):
        with pytest.raises(ObjectError):
            NameDeclaration.from_bytes(wrong)


@every_declaration
def test_it_is_by_its_attester_and_nobody_else(known: Known) -> None:
    with pytest.raises(InvalidSignatureError):
        check_name_signature(known.declaration, secret_of("wave", "eve").entity)


# --- ours, like theirs --------------------------------------------------------------------------


def shape(element: bytes) -> object:
    """Return tags and lengths of everything, and the bytes of nothing."""
    tag = element[0]
    if not tag & 0x20:
        return tag, len(element)
    inner = der.Reader(element).enter(tag)
    parts = []
    while not inner.is_at_end:
        parts.append(shape(inner.element()))
    return tag, parts


@every_declaration
def test_what_we_make_of_the_same_wishes_is_what_the_original_made(known: Known) -> None:
    """A public declaration has no randomness at all: ours has the same bytes."""
    theirs, opened = known.declaration, known.opened()
    ours = create_name_declaration(
        known.attester,
        theirs.attester_location,
        opened.body,
        namespace=None if known.namespace is None else known.namespace.entity,
        namespace_location=theirs.namespace_location,
        partition=known.partition,
    )
    assert shape(ours.wire) == shape(theirs.wire)
    if known.namespace is None:
        assert ours.wire == theirs.wire
        return
    again = open_name(ours, known.namespace, lambda _: None)
    assert again is not None
    assert (again.body, again.partition) == (opened.body, opened.partition)


# --- resolving ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES, ids=lambda name: str(name["name"]))
async def test_everybody_resolves_what_he_resolved_with_the_original(name: dict[str, Any]) -> None:
    """The files ask for the names that the attester gave."""
    top_level = entity_hash("wave", name["attester"])
    now = generated("wave")
    async with engine_of("wave", BEFORE) as engine:
        for who, expected in name["resolves"].items():
            perspective = await synchronized(engine, "wave", who)
            if isinstance(expected, str):
                found = await engine.naming.resolve(
                    perspective, name["name"], now=now, top_level=top_level
                )
                assert found.entity.hash == hash_of(expected)
                assert [one.declaration.hash for one in found.derivation] == [hash_of(name["hash"])]
                assert found.location == location_of("wave")
            else:
                with pytest.raises(LookupFailureError) as refused:
                    await engine.naming.resolve(
                        perspective, name["name"], now=now, top_level=top_level
                    )
                assert int(refused.value.code) == expected["code"]
                assert str(refused.value) == expected["message"]


async def test_the_namespace_resolves_the_hidden_name_once_it_follows_the_attester() -> None:
    name = next(one for one in NAMES if one["namespace"] == "namespace")
    attester, now = entity_hash("wave", name["attester"]), generated("wave")
    async with engine_of("wave", BEFORE) as engine:
        perspective = await synchronized(engine, "wave", "namespace")
        await engine.mark_interesting(perspective, attester, location_of("wave"))
        await engine.resync(perspective, now=now)
        found = await engine.naming.resolve(perspective, name["name"], now=now, top_level=attester)
        assert found.entity.hash == entity_hash("wave", name["subject"])
