"""Revoking entities and attestations: what is published where, and what this process then knows.

Named after defects 3 and 17 of the original (wave.md 16.2).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest

from tests.support.object_stores import MemoryObjectStore
from tests.support.worlds import NOW, World, after
from wavemq.authz.admission import Admission
from wavemq.authz.engine import Engine, EngineConfig
from wavemq.authz.perspective import Perspective
from wavemq.authz.publishing import Publishing
from wavemq.authz.revocation import Standing
from wavemq.authz.verdicts import ValidityState
from wavemq.errors import (
    InvalidParameterError,
    LookupFailureError,
    NoProofFoundError,
    ObjectError,
    ProofInvalidError,
    StorageError,
    UnsupportedLocationSchemeError,
)
from wavemq.messages.message import PayloadObject
from wavemq.messages.topic import Topic
from wavemq.wave.attestation_create import CreatedAttestation, create_attestation
from wavemq.wave.hashes import Hash
from wavemq.wave.keyring import EntitySecret
from wavemq.wave.location import Location
from wavemq.wave.name import (
    NameBody,
    NameDeclaration,
    create_name_declaration,
    name_revocation_blob,
)
from wavemq.wave.policy import RTreePolicy
from wavemq.wave.revocation import (
    RevocationOption,
    attestation_revocation_blob,
    entity_revocation_blob,
)
from wavemq.wave.validity import Validity as Period

HOME = Location("http://127.0.0.1:8080/v1")
AWAY = Location("http://127.0.0.1:8081/v1")
UNSERVED = Location("http://127.0.0.1:8082/v1")


@dataclass(frozen=True, slots=True)
class Site:
    """One engine at two storages."""

    world: World
    engine: Engine

    @property
    def store(self) -> MemoryObjectStore:
        return self.world.store

    async def perspective(self, name: str) -> Perspective:
        return await self.world.perspective(self.engine, name)

    def blob_of(self, attester: str, created: CreatedAttestation) -> bytes:
        return attestation_revocation_blob(
            self.world[attester].secret64, created.attestation.ephemeral_key
        )


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    store = MemoryObjectStore(HOME, AWAY)
    world = await World.create("alice", "bob", store=store)
    config = EngineConfig(HOME, locations=(HOME, AWAY), revocation_grace_s=0)
    async with Engine(store, None, config) as engine:
        yield Site(world, engine)


def elsewhere(world: World, attester: str, subject: str, place: Location) -> CreatedAttestation:
    """Return a grant to somebody who lives at another place; it is stored nowhere yet."""
    statements = world.policy("publish", "*").statements
    return create_attestation(
        world[attester],
        HOME,
        world[subject].entity,
        place,
        RTreePolicy(world.hash("namespace"), HOME, 0, statements),
        not_before=after(-60),
        not_after=after(3600),
        is_encrypted=False,
    )


def stored(site: Site, place: Location, blob: bytes) -> bool:
    return site.store.objects[place].get(Hash.of(blob)) == blob


# --- entities -------------------------------------------------------------------------------------


async def test_entity_revokes_itself_where_its_option_says(site: Site) -> None:
    await site.engine.revoking.revoke_entity(await site.perspective("alice"))
    blob = entity_revocation_blob(site.world["alice"].secret64)
    assert len(blob) == 32
    assert stored(site, HOME, blob)
    assert not stored(site, AWAY, blob)


async def with_options(site: Site, name: str, *options: RevocationOption) -> Perspective:
    """Return the perspective of an entity with other options than its own."""
    known = await site.perspective(name)
    entity = replace(known.secret.entity, revocations=options)
    return Perspective(replace(known.secret, entity=entity), HOME, known.state)


async def test_entity_is_revoked_at_every_supported_place(site: Site) -> None:
    secret = site.world["alice"]
    blob = entity_revocation_blob(secret.secret64)
    name = Hash.of(blob)
    handle = await with_options(
        site,
        "alice",
        RevocationOption(name, UNSERVED),
        RevocationOption(name, HOME),
        RevocationOption(None, None, unknown=b"\x05\x00"),
        RevocationOption(name, AWAY),
        RevocationOption(Hash.of(b"somebody's"), HOME),
    )
    await site.engine.revoking.revoke_entity(handle)
    assert stored(site, HOME, blob)
    assert stored(site, AWAY, blob)


async def test_place_that_fails_is_told_and_the_others_get_the_revocation(site: Site) -> None:
    secret = site.world["alice"]
    blob = entity_revocation_blob(secret.secret64)
    handle = await with_options(
        site,
        "alice",
        RevocationOption(Hash.of(blob), HOME),
        RevocationOption(Hash.of(blob), AWAY),
    )
    site.store.away_locations.add(HOME)
    with pytest.raises(StorageError, match=HOME.url):
        await site.engine.revoking.revoke_entity(handle)
    assert stored(site, AWAY, blob)
    assert site.engine.revocations.known_revoked([RevocationOption(Hash.of(blob), AWAY)])
    assert not site.engine.revocations.known_revoked([RevocationOption(Hash.of(blob), HOME)])


async def test_entity_without_an_option_cannot_be_revoked(site: Site) -> None:
    secret = EntitySecret.create(
        not_before=after(-60), not_after=after(60), revocation_location=None
    )
    perspective = await site.engine.perspective(secret, HOME)
    with pytest.raises(InvalidParameterError, match="no revocation option"):
        await site.engine.revoking.revoke_entity(perspective)


async def test_entity_that_no_storage_here_serves_is_told_so(site: Site) -> None:
    secret = EntitySecret.create(
        not_before=after(-60), not_after=after(60), revocation_location=UNSERVED
    )
    perspective = await site.engine.perspective(secret, HOME)
    with pytest.raises(UnsupportedLocationSchemeError):
        await site.engine.revoking.revoke_entity(perspective)


# --- attestations ---------------------------------------------------------------------------------


async def test_attestation_is_revoked_by_its_attester(site: Site) -> None:
    created = await site.world.grant("namespace", "alice", "publish", "*")
    namespace = await site.perspective("namespace")
    await site.engine.revoking.revoke_attestation(namespace, created.attestation.hash)
    blob = site.blob_of("namespace", created)
    assert stored(site, HOME, blob)
    assert [option.hash for option in created.attestation.revocations] == [Hash.of(blob)]


async def test_only_the_attester_can_revoke(site: Site) -> None:
    created = await site.world.grant("namespace", "alice", "publish", "*")
    before = dict(site.store.objects[HOME])
    for name in ("alice", "bob"):
        perspective = await site.perspective(name)
        with pytest.raises(InvalidParameterError) as caught:
            await site.engine.revoking.revoke_attestation(perspective, created.attestation.hash)
        assert str(caught.value) == "(304: attestation was not created by the given entity)"
    assert site.store.objects[HOME] == before


async def test_attestation_is_searched_beyond_the_first_place_without_it(site: Site) -> None:
    """Defect 17 of the original: it gave up at the first location that did not have it."""
    created = elsewhere(site.world, "namespace", "alice", AWAY)
    await site.store.put(AWAY, created.attestation.wire)
    namespace = await site.perspective("namespace")
    await site.engine.revoking.revoke_attestation(namespace, created.attestation.hash)
    assert stored(site, AWAY, site.blob_of("namespace", created))
    assert not stored(site, HOME, site.blob_of("namespace", created))


async def test_attestation_is_searched_beyond_a_place_that_is_down(site: Site) -> None:
    created = elsewhere(site.world, "namespace", "alice", AWAY)
    await site.store.put(AWAY, created.attestation.wire)
    namespace = await site.perspective("namespace")
    site.store.away_locations.add(HOME)
    await site.engine.revoking.revoke_attestation(namespace, created.attestation.hash)
    assert stored(site, AWAY, site.blob_of("namespace", created))


async def test_attestation_that_only_this_process_remembers_can_be_revoked(site: Site) -> None:
    created = await site.world.grant("namespace", "alice", "publish", "*")
    await site.perspective("alice")
    del site.store.objects[HOME][created.attestation.hash]
    namespace = await site.perspective("namespace")
    await site.engine.revoking.revoke_attestation(namespace, created.attestation.hash)
    assert stored(site, HOME, site.blob_of("namespace", created))


async def test_what_nobody_has_and_silence_are_told_apart(site: Site) -> None:
    namespace = await site.perspective("namespace")
    with pytest.raises(LookupFailureError):
        await site.engine.revoking.revoke_attestation(namespace, Hash.of(b"nothing"))
    site.store.is_away = True
    with pytest.raises(StorageError):
        await site.engine.revoking.revoke_attestation(namespace, Hash.of(b"nothing"))


async def test_object_of_another_kind_is_not_revoked(site: Site) -> None:
    namespace = await site.perspective("namespace")
    with pytest.raises(ObjectError):
        await site.engine.revoking.revoke_attestation(namespace, site.world.hash("alice"))


async def test_nothing_is_known_revoked_that_storage_did_not_take(site: Site) -> None:
    created = await site.world.grant("namespace", "alice", "publish", "*")
    namespace = await site.perspective("namespace")
    await site.perspective("alice")
    site.store.is_away = True
    with pytest.raises(StorageError):
        await site.engine.revoking.revoke_attestation(namespace, created.attestation.hash)
    site.store.is_away = False
    await site.engine.verify(site.world.proof(created), now=NOW)


async def test_revoking_twice_is_revoking(site: Site) -> None:
    created = await site.world.grant("namespace", "alice", "publish", "*")
    namespace = await site.perspective("namespace")
    for _ in range(2):
        await site.engine.revoking.revoke_attestation(namespace, created.attestation.hash)


# --- names ----------------------------------------------------------------------------------------


async def declared(
    site: Site, attester: str, *, attester_at: Location, subject_at: Location, stored_at: Location
) -> NameDeclaration:
    """Declare alice's name, and store the declaration."""
    body = NameBody("printer", site.world.hash("alice"), subject_at, Period(NOW, after(3600)))
    declaration = create_name_declaration(site.world[attester], attester_at, body)
    await site.store.put(stored_at, declaration.wire)
    return declaration


def blob_of_name(site: Site, attester: str, declaration: NameDeclaration) -> bytes:
    return name_revocation_blob(site.world[attester].secret64, declaration)


async def test_revocation_of_a_name_is_published_where_it_is_looked_for(site: Site) -> None:
    """Defect 12 of the original: published at the attester's place, looked for at the subject's."""
    made = await declared(site, "bob", attester_at=HOME, subject_at=AWAY, stored_at=HOME)
    (option,) = made.revocations
    assert option.location == AWAY
    before = await site.engine.revocations.check([option], now=NOW)
    assert before.standing is Standing.UNREVOKED
    await site.engine.revoking.revoke_name(await site.perspective("bob"), made.hash)
    blob = blob_of_name(site, "bob", made)
    assert option.hash == Hash.of(blob)
    assert stored(site, AWAY, blob)
    assert stored(site, HOME, blob), "as the original would"
    async with Engine(site.store, None, site.engine.config) as stranger:
        found = await stranger.revocations.check([option], now=NOW)
    assert found.standing is Standing.REVOKED
    here = await site.engine.revocations.check([option], now=after(1))
    assert here.standing is Standing.REVOKED


async def test_attesters_place_need_not_take_the_revocation_of_a_name(site: Site) -> None:
    for place in (HOME, UNSERVED):
        made = await declared(site, "bob", attester_at=place, subject_at=AWAY, stored_at=AWAY)
        bob = await site.perspective("bob")
        site.store.away_locations = {HOME}
        await site.engine.revoking.revoke_name(bob, made.hash)
        assert stored(site, AWAY, blob_of_name(site, "bob", made))
        site.store.away_locations.clear()


async def test_place_where_a_revocation_is_looked_for_must_take_it(site: Site) -> None:
    made = await declared(site, "bob", attester_at=HOME, subject_at=AWAY, stored_at=HOME)
    bob = await site.perspective("bob")
    site.store.away_locations.add(AWAY)
    with pytest.raises(StorageError, match=AWAY.url):
        await site.engine.revoking.revoke_name(bob, made.hash)
    assert not site.engine.revocations.known_revoked(made.revocations)


async def test_only_the_attester_can_revoke_a_name(site: Site) -> None:
    made = await declared(site, "bob", attester_at=HOME, subject_at=HOME, stored_at=HOME)
    for name in ("alice", "namespace"):
        with pytest.raises(InvalidParameterError, match="not created by the given entity"):
            await site.engine.revoking.revoke_name(await site.perspective(name), made.hash)
    assert not stored(site, HOME, blob_of_name(site, "alice", made))


async def test_name_is_searched_beyond_the_first_place_without_it(site: Site) -> None:
    """Defect 17 of the original."""
    made = await declared(site, "bob", attester_at=HOME, subject_at=HOME, stored_at=AWAY)
    await site.engine.revoking.revoke_name(await site.perspective("bob"), made.hash)
    assert stored(site, HOME, blob_of_name(site, "bob", made))


async def test_kinds_are_not_mixed_up(site: Site) -> None:
    made = await declared(site, "bob", attester_at=HOME, subject_at=HOME, stored_at=HOME)
    granted = await site.world.grant("bob", "alice", "publish", "*", namespace="bob")
    bob = await site.perspective("bob")
    with pytest.raises(ObjectError):
        await site.engine.revoking.revoke_attestation(bob, made.hash)
    with pytest.raises(ObjectError):
        await site.engine.revoking.revoke_name(bob, granted.attestation.hash)
    with pytest.raises(LookupFailureError):
        await site.engine.revoking.revoke_name(bob, Hash.of(b"nothing"))


# --- what this process then knows -----------------------------------------------------------------


@pytest.mark.parametrize("what", ["attestation", "entity"])
async def test_own_revocation_counts_at_once_everywhere(site: Site, what: str) -> None:
    """Defect 3 of the original: after revoking through a daemon, it went on believing for hours."""
    world, engine = site.world, site.engine
    created = await world.grant("namespace", "alice", "publish", "*")
    proof = world.proof(created)
    admission = Admission(engine)
    publishing = Publishing(engine, admission, origin_router="here")
    alice = await publishing.identify(world["alice"].to_bytes(), b"", None, NOW)
    formed = await publishing.form_message(
        alice,
        namespace=world.hash("namespace"),
        topic=Topic("t"),
        payload=(PayloadObject("text", b"1"),),
        now=NOW,
    )
    await admission.check_message(formed.value, NOW)
    await engine.verify(proof, now=NOW)
    lookups = engine.statistics().revocation_lookups

    revoker = await site.perspective("namespace" if what == "attestation" else "alice")
    if what == "attestation":
        await engine.revoking.revoke_attestation(revoker, created.attestation.hash)
    else:
        await engine.revoking.revoke_entity(revoker)

    later = after(1)
    with pytest.raises(ProofInvalidError):
        await engine.verify(proof, now=later)
    with pytest.raises(ProofInvalidError):
        await admission.check_message(formed.value, later)
    (answer,) = await admission.check_messages([formed.value], later)
    assert isinstance(answer, ProofInvalidError)
    with pytest.raises(NoProofFoundError):
        await publishing.form_message(
            alice,
            namespace=world.hash("namespace"),
            topic=Topic("t"),
            payload=(PayloadObject("text", b"2"),),
            now=later,
        )
    found = await engine.lookup(alice, now=later, subject=alice.hash)
    expected = ValidityState.REVOKED if what == "attestation" else ValidityState.SUBJECT_INVALID
    assert [one.validity.state for one in found] == [expected]
    if what == "entity":
        with pytest.raises(InvalidParameterError, match="Entity has been revoked"):
            await publishing.identify(world["alice"].to_bytes(), b"", None, later)
    assert engine.statistics().revocation_lookups == lookups, "all of that from memory"
    await publishing.aclose()
    await admission.aclose()


async def test_proofs_of_others_are_kept(site: Site) -> None:
    world, engine = site.world, site.engine
    kept = await world.grant("namespace", "bob", "publish", "*")
    gone = await world.grant("namespace", "alice", "publish", "*")
    await engine.verify(world.proof(kept), now=NOW)
    namespace = await site.perspective("namespace")
    await engine.revoking.revoke_attestation(namespace, gone.attestation.hash)
    await engine.verify(world.proof(kept), now=after(1))
