"""Names of any kind: what was declared is what is read, by whom it is for and nobody else."""

from __future__ import annotations

from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.worlds import make_entity
from wavemq.clock import NANOSECONDS_PER_SECOND, Instant
from wavemq.errors import InvalidParameterError, WaveMQError
from wavemq.wave.hashes import Hash
from wavemq.wave.keyring import EntitySecret
from wavemq.wave.location import Location
from wavemq.wave.name import (
    NAME_PARTS_MAX,
    NameBody,
    NameDeclaration,
    check_name_signature,
    declare_name,
    is_name,
    name_revocation_blob,
    open_name,
    open_name_with_key,
    split_full_name,
)
from wavemq.wave.partition import wr1_partition
from wavemq.wave.revocation import exercised_by
from wavemq.wave.validity import Validity


@cache
def secret_of(_who: str) -> EntitySecret:
    return make_entity()


part = st.text("abcxyz0189_-", min_size=1, max_size=63)
hashes = st.binary(min_size=32, max_size=32).map(Hash)
locations = st.text(max_size=60).map(Location)
# Partitions express times until about the year 3226; DER's UTCTime ends in 2049.
seconds = st.integers(0, 4_000_000_000)
components = st.lists(st.binary(max_size=40), min_size=1, max_size=12)


@st.composite
def bodies(draw: st.DrawFn) -> NameBody:
    begin, end = sorted((draw(seconds), draw(seconds)))
    unit = NANOSECONDS_PER_SECOND
    period = Validity(Instant(begin * unit), Instant(end * unit))
    return NameBody(draw(part), draw(hashes), draw(locations), period)


@given(bodies(), locations)
def test_public_name_is_read_by_anybody(body: NameBody, place: Location) -> None:
    made = declare_name(secret_of("attester"), place, body)
    again = NameDeclaration.from_bytes(made.declaration.wire)
    assert again == made.declaration
    assert again.attester_location == place
    assert again.is_public
    check_name_signature(again, secret_of("attester").entity)
    found = open_name(again, secret_of("stranger"), lambda _: None)
    assert found == made.opened
    assert found.body == body
    assert NameBody.from_bytes(body.to_der()) == body


@settings(max_examples=15, deadline=None)
@given(bodies(), locations, components)
def test_sealed_name_is_read_by_its_namespace_alone(
    body: NameBody, place: Location, partition: list[bytes]
) -> None:
    namespace, attester = secret_of("namespace"), secret_of("attester")
    made = declare_name(
        attester,
        place,
        body,
        namespace=namespace.entity,
        namespace_location=place,
        partition=partition,
    )
    again = NameDeclaration.from_bytes(made.declaration.wire)
    assert (again.namespace, again.namespace_location) == (namespace.entity.hash, place)
    found = open_name(again, namespace, lambda _: None)
    assert found == made.opened
    assert found.body == body
    prefix = (*partition, *(b"",) * (12 - len(partition)))
    period = body.validity
    assert found.partition == wr1_partition(prefix, period.not_before, period.not_after)
    for other in ("attester", "stranger"):
        assert open_name(again, secret_of(other), lambda _: None) is None
    assert open_name_with_key(again, found.key) == found


@given(bodies(), locations)
def test_attesters_blob_revokes_it_and_nobody_elses(body: NameBody, place: Location) -> None:
    made = declare_name(secret_of("attester"), place, body).declaration
    (option,) = made.revocations
    assert option.location == body.subject_location
    blob = name_revocation_blob(secret_of("attester").secret64, made)
    assert exercised_by(blob, made.revocations) == (option,)
    other = name_revocation_blob(secret_of("stranger").secret64, made)
    assert exercised_by(other, made.revocations) == ()


@given(bodies(), st.integers(0), st.integers(1, 255))
def test_changed_declaration_is_refused(body: NameBody, place: int, change: int) -> None:
    attester = secret_of("attester")
    wire = bytearray(declare_name(attester, Location("http://s"), body).declaration.wire)
    wire[place % len(wire)] ^= change
    try:
        check_name_signature(NameDeclaration.from_bytes(bytes(wire)), attester.entity)
    except WaveMQError:
        return
    raise AssertionError("a changed declaration passed")


@given(st.lists(part, min_size=1, max_size=NAME_PARTS_MAX))
def test_full_name_is_split_from_its_end(parts: list[str]) -> None:
    assert split_full_name(".".join(parts)) == tuple(reversed(parts))


@given(st.text(max_size=70))
def test_what_may_be_declared_is_what_can_be_asked_for(text: str) -> None:
    try:
        parts = split_full_name(text)
    except InvalidParameterError:
        assert not is_name(text)
        return
    assert all(is_name(one) for one in parts)
    assert is_name(text) == (len(parts) == 1)
