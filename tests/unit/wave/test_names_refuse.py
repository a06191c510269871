"""What is no name, no declaration, or not for this reader (wave.md 11)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.object_stores import LOCATION
from tests.support.worlds import after, make_entity
from wavemq.errors import (
    InvalidParameterError,
    InvalidSignatureError,
    MalformedObjectError,
    ObjectError,
)
from wavemq.wave import der, name
from wavemq.wave.bundle import ContentKey, LabelKey
from wavemq.wave.encrypted import ReaderKeys
from wavemq.wave.keyring import EntitySecret
from wavemq.wave.partition import BODY_TAG, E2EE_TAG, bundle_partitions, prefix
from wavemq.wave.validity import Validity

PERIOD = Validity(after(0), after(3600))
NO_NAMES = ["", "a\n", "\na", "a.b", "A", "ä", "a b", "a/b", "\uff41", "a" * 64, "a\x00"]


@pytest.fixture(scope="module")
def namespace() -> EntitySecret:
    return make_entity()


@pytest.fixture(scope="module")
def attester() -> EntitySecret:
    return make_entity()


def body(text: str, subject: EntitySecret) -> name.NameBody:
    return name.NameBody(text, subject.entity.hash, LOCATION, PERIOD)


@pytest.mark.parametrize("text", NO_NAMES)
def test_what_is_no_name_is_neither_declared_nor_read(attester: EntitySecret, text: str) -> None:
    assert not name.is_name(text)
    no_name = body(text, attester)
    with pytest.raises(InvalidParameterError):
        name.create_name_declaration(attester, LOCATION, no_name)
    with pytest.raises(MalformedObjectError):
        name.NameBody.from_bytes(no_name.to_der())


@pytest.mark.parametrize("full", ["", ".", "a.", ".a", "a..b", "a.b\n", "a.B", "a" * 64, ".a" * 40])
def test_what_is_no_full_name_is_refused(full: str) -> None:
    with pytest.raises(InvalidParameterError):
        name.split_full_name(full)


def test_full_name_is_looked_up_from_its_end() -> None:
    assert name.split_full_name("lamp.kitchen.home") == ("home", "kitchen", "lamp")


def test_declaration_by_another_is_refused(attester: EntitySecret, namespace: EntitySecret) -> None:
    declared = name.create_name_declaration(attester, LOCATION, body("lamp", namespace))
    name.check_name_signature(declared, attester.entity)
    with pytest.raises(InvalidSignatureError):
        name.check_name_signature(declared, namespace.entity)
    claimed = replace(declared, attester=namespace.entity.hash)
    with pytest.raises(InvalidSignatureError):
        name.check_name_signature(claimed, namespace.entity)
    changed = replace(declared, tbs=declared.tbs.replace(b"lamp", b"damp"))
    with pytest.raises(InvalidSignatureError):
        name.check_name_signature(changed, attester.entity)


def delegate_keys(namespace: EntitySecret, tag: bytes) -> ReaderKeys:
    """What an entity holds that was granted everything, for one kind of content."""
    patterns = bundle_partitions(prefix(tag, ()), PERIOD.not_before, PERIOD.not_after)
    params = namespace.entity.oaque_params
    keys = [
        ContentKey(pattern, namespace.oaque_master.derive(params, pattern).to_bytes())
        for pattern in patterns
    ]
    identity = namespace.entity.hash.to_text().encode()
    label = LabelKey.extract(namespace.entity.ibe_params_bytes, namespace.ibe_master, identity)
    return ReaderKeys(namespace.entity, (label,), lambda _: keys)


@pytest.mark.parametrize(
    ("partition", "is_read"),
    [((BODY_TAG, b"a"), True), ((BODY_TAG,), True), ((b"a",), False), ((E2EE_TAG,), False)],
)
def test_delegate_reads_what_begins_with_the_tag_of_attestations_only(
    namespace: EntitySecret, attester: EntitySecret, partition: tuple[bytes, ...], is_read: bool
) -> None:
    declared = name.create_name_declaration(
        attester,
        LOCATION,
        body("lamp", attester),
        namespace=namespace.entity,
        namespace_location=LOCATION,
        partition=partition,
    )
    held = delegate_keys(namespace, BODY_TAG)
    opened = name.open_name(declared, attester, lambda _: held)
    assert (opened is not None) == is_read
    owner = name.open_name(declared, namespace, lambda _: None)
    assert owner is not None
    assert owner.body.name == "lamp"


def test_content_of_another_key_is_malformed(
    attester: EntitySecret, namespace: EntitySecret
) -> None:
    declared = name.create_name_declaration(
        attester,
        LOCATION,
        body("lamp", attester),
        namespace=namespace.entity,
        namespace_location=LOCATION,
        partition=name.PRIVATE_PARTITION,
    )
    for key in (bytes(28), b"", bytes(27)):
        with pytest.raises(MalformedObjectError):
            name.open_name_with_key(declared, key)


def test_declaration_without_a_key_or_with_two_is_refused(attester: EntitySecret) -> None:
    declared = name.create_name_declaration(attester, LOCATION, body("lamp", attester))
    plain = der.external((17, 2), der.sequence())
    assert der.sequence(plain) in declared.wire
    outer = der.Reader(declared.tbs).sequence()
    parts = []
    while not outer.is_at_end:
        parts.append(outer.element())
    for keys in (der.sequence(), der.sequence(plain, plain)):
        tbs = der.sequence(*parts[:-1], keys)
        wire = der.external((2, 6), der.sequence(tbs, der.octets(bytes(64))))
        with pytest.raises(ObjectError):
            name.NameDeclaration.from_bytes(wire)
