"""What names stand for: whose word counts, which of several, and what was forgotten."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.object_stores import LOCATION, MemoryObjectStore
from tests.support.worlds import DAY_S, NOW, World, after
from wavemq.authz.engine import Engine, EngineConfig
from wavemq.authz.naming import ResolvedName
from wavemq.authz.perspective import Perspective
from wavemq.authz.state import FILE_NAME
from wavemq.authz.verdicts import ValidityState
from wavemq.clock import Instant
from wavemq.errors import (
    InvalidParameterError,
    LookupFailureError,
    StorageError,
    UnsupportedLocationSchemeError,
)
from wavemq.wave.hashes import Hash
from wavemq.wave.location import Location
from wavemq.wave.name import (
    NAME_PARTS_MAX,
    PRIVATE_PARTITION,
    NameBody,
    NameDeclaration,
    create_name_declaration,
    name_revocation_blob,
)
from wavemq.wave.validity import Validity

UNRESOLVED = "(909: name could not be resolved)"
INVALID = "(909: name could not be resolved ((304: invalid WAVE name)))"


class Site:
    """A world with one engine over it."""

    def __init__(self, world: World, engine: Engine) -> None:
        self.world = world
        self.engine = engine

    async def perspective(self, who: str) -> Perspective:
        """Return a perspective, its graph up to date."""
        return await self.world.perspective(self.engine, who)

    async def declare(
        self,
        attester: str,
        name: str,
        subject: str,
        *,
        valid_from: Instant | None = None,
        valid_until: Instant | None = None,
    ) -> NameDeclaration:
        """Declare a public name through the engine."""
        return await self.engine.naming.create(
            await self.perspective(attester),
            name=name,
            subject=self.world.hash(subject),
            subject_location=LOCATION,
            valid_from=after(-DAY_S) if valid_from is None else valid_from,
            valid_until=after(DAY_S) if valid_until is None else valid_until,
            now=NOW,
        )

    async def resolve(
        self, who: str, name: str, *, now: Instant = NOW, top_level: str | None = None
    ) -> ResolvedName:
        """Resolve a name as somebody sees it."""
        return await self.engine.naming.resolve(
            await self.perspective(who),
            name,
            now=now,
            top_level=None if top_level is None else self.world.hash(top_level),
        )

    async def subject(
        self, who: str, name: str, *, now: Instant = NOW, top_level: str | None = None
    ) -> str:
        """Return which entity of the world a name stands for; `""` for none."""
        try:
            found = await self.resolve(who, name, now=now, top_level=top_level)
        except LookupFailureError as error:
            if str(error) != UNRESOLVED:
                raise
            return ""
        names = {self.world.hash(name): name for name in ("namespace", *self.world.entities)}
        return names[found.entity.hash]

    async def revoke(self, attester: str, declaration: NameDeclaration) -> None:
        """Publish the revocation of a name, behind the engine's back."""
        blob = name_revocation_blob(self.world[attester].secret64, declaration)
        await self.world.store.put(LOCATION, blob)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    world = await World.create("a", "b", "c", "mallory")
    async with world.engine(revocation_ttl_s=0.0) as engine:
        yield Site(world, engine)


# --- which ----------------------------------------------------------------------------------------


async def test_created_name_resolves_at_once(site: Site) -> None:
    made = await site.declare("a", "printer", "b")
    found = await site.resolve("a", "printer")
    assert found.entity.hash == site.world.hash("b")
    assert found.location == LOCATION
    assert found.validity.is_valid
    (step,) = found.derivation
    assert step.declaration.wire == made.wire
    assert (step.body.name, step.partition, step.validity.is_valid) == ("printer", None, True)


async def test_created_name_is_published_where_its_attesters_names_are_read(site: Site) -> None:
    made = await site.declare("a", "printer", "b")
    assert site.world.store.objects[LOCATION][made.hash] == made.wire
    assert site.world.store.queues[LOCATION][site.world.hash("a")] == [made.hash]
    async with site.world.engine() as engine:
        assert await Site(site.world, engine).subject("a", "printer") == "b"


@pytest.mark.parametrize("asked", ["a", "ac", "acm", "acme-", "acmee", "cme", "acme.a", "ACME"])
async def test_name_is_compared_whole_and_not_by_its_beginning(site: Site, asked: str) -> None:
    """Defect 5 of the original: `a` resolves to `acme`."""
    await site.declare("a", "acme", "b")
    with pytest.raises(LookupFailureError):
        await site.resolve("a", asked)
    await site.declare("a", "a", "c")
    assert await site.subject("a", "a") == "c"
    assert await site.subject("a", "acme") == "b"


async def test_full_name_is_resolved_from_right_to_left(site: Site) -> None:
    await site.declare("a", "acme", "b")
    await site.declare("b", "superapp", "c")
    await site.declare("a", "superapp", "mallory")
    assert await site.subject("a", "superapp.acme") == "c"
    found = await site.resolve("a", "superapp.acme")
    assert [step.body.name for step in found.derivation] == ["acme", "superapp"]
    assert await site.subject("a", "acme.superapp") == ""


async def test_only_the_word_of_whom_is_asked_counts(site: Site) -> None:
    """Squatting: mallory names the bank in his own queue and in the victim's."""
    made = await site.declare("mallory", "bank", "mallory")
    await site.world.store.enqueue(LOCATION, site.world.hash("a"), made.hash)
    assert await site.subject("a", "bank") == ""
    assert await site.subject("a", "bank", top_level="mallory") == "mallory"
    await site.declare("a", "bank", "b")
    assert await site.subject("a", "bank") == "b"


async def test_latest_beginning_wins_whatever_the_order_of_declaring(site: Site) -> None:
    await site.declare("a", "x", "b", valid_from=after(-10))
    await site.declare("a", "x", "c", valid_from=after(-5))
    await site.declare("a", "x", "mallory", valid_from=after(-20))
    assert await site.subject("a", "x") == "c"


async def test_equal_beginnings_are_decided_alike_by_everybody(site: Site) -> None:
    first = await site.declare("a", "x", "b")
    second = await site.declare("a", "x", "c")
    expected = "b" if first.hash > second.hash else "c"
    assert await site.subject("a", "x") == expected
    async with site.world.engine() as engine:
        assert await Site(site.world, engine).subject("a", "x") == expected


async def test_expired_and_future_names_stand_for_nothing(site: Site) -> None:
    await site.declare("a", "x", "b", valid_until=after(10))
    assert await site.subject("a", "x") == "b"
    assert await site.subject("a", "x", now=after(10)) == "b"
    assert await site.subject("a", "x", now=after(11)) == ""
    await site.declare("a", "y", "b", valid_from=after(3600))
    assert await site.subject("a", "y") == ""
    assert await site.subject("a", "y", now=after(3600)) == "b"


async def test_minute_of_clock_skew_is_borne_at_the_beginning(site: Site) -> None:
    await site.declare("a", "x", "b", valid_from=after(60))
    await site.declare("a", "y", "b", valid_from=after(61))
    assert await site.subject("a", "x") == "b"
    assert await site.subject("a", "y") == ""


async def test_later_but_expired_name_gives_way_to_the_earlier_one(site: Site) -> None:
    await site.declare("a", "x", "b")
    await site.declare("a", "x", "c", valid_from=after(-5), valid_until=after(5))
    assert await site.subject("a", "x") == "c"
    assert await site.subject("a", "x", now=after(6)) == "b"


# --- revocation -----------------------------------------------------------------------------------


async def test_revoked_name_gives_way_to_an_earlier_one_or_to_nothing(site: Site) -> None:
    old = await site.declare("a", "x", "b", valid_from=after(-10))
    new = await site.declare("a", "x", "c", valid_from=after(-5))
    await site.revoke("a", new)
    assert await site.subject("a", "x", now=after(1)) == "b"
    await site.revoke("a", old)
    assert await site.subject("a", "x", now=after(2)) == ""


async def test_name_revoked_through_the_engine_is_gone_at_once(site: Site) -> None:
    made = await site.declare("a", "x", "b")
    assert await site.subject("a", "x") == "b"
    await site.engine.revoking.revoke_name(await site.perspective("a"), made.hash)
    assert await site.subject("a", "x") == ""


async def test_silence_about_a_revocation_is_no_answer(site: Site) -> None:
    await site.declare("a", "x", "b")
    perspective = await site.perspective("a")
    site.world.store.is_away = True
    with pytest.raises(StorageError):
        await site.engine.naming.resolve(perspective, "x", now=NOW)


async def test_silence_is_assumed_to_be_no_revocation_where_the_operator_says_so() -> None:
    world = await World.create("a", "b")
    async with world.engine(default_to_unrevoked=True) as engine:
        here = Site(world, engine)
        await here.declare("a", "x", "b")
        perspective = await here.perspective("a")
        await engine.entity(world.hash("b"))
        world.store.is_away = True
        found = await engine.naming.resolve(perspective, "x", now=NOW)
        assert found.entity.hash == world.hash("b")


async def test_revoked_entity_between_breaks_the_chain(site: Site) -> None:
    await site.declare("a", "acme", "b")
    await site.declare("b", "app", "c")
    assert await site.subject("a", "app.acme") == "c"
    await site.world.revoke_entity("b")
    with pytest.raises(LookupFailureError, match="Entity has been revoked"):
        await site.resolve("a", "app.acme", now=after(1))


async def test_revoked_entity_at_the_end_is_found_and_said_to_be_revoked(site: Site) -> None:
    await site.declare("a", "x", "b")
    await site.world.revoke_entity("b")
    found = await site.resolve("a", "x", now=after(1))
    assert found.validity.state is ValidityState.REVOKED


async def test_revoked_top_level_attester_names_nothing(site: Site) -> None:
    await site.declare("b", "x", "c")
    a = await site.perspective("a")
    await site.engine.mark_interesting(a, site.world.hash("b"), LOCATION)
    assert await site.subject("a", "x", top_level="b") == "c"
    await site.world.revoke_entity("b")
    with pytest.raises(LookupFailureError, match="revoked"):
        await site.resolve("a", "x", top_level="b", now=after(1))


# --- what is no name ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "a.", ".a", "a..b", "A", "a b", "a\n", "\na", "ä", "a" * 64, "a/b", "a.B"),
        ".".join(["a"] * (NAME_PARTS_MAX + 1)),
    ],
)
async def test_what_is_no_name_is_said_to_be_none(site: Site, name: str) -> None:
    with pytest.raises(LookupFailureError) as refused:
        await site.resolve("a", name)
    assert str(refused.value) == INVALID


async def test_unknown_name_is_not_resolved(site: Site) -> None:
    with pytest.raises(LookupFailureError) as refused:
        await site.resolve("a", "unknown")
    assert str(refused.value) == UNRESOLVED


@pytest.mark.parametrize("name", ["", "A", "a.b", "a\n", "a" * 64, "é"])
async def test_only_names_are_declared(site: Site, name: str) -> None:
    with pytest.raises(InvalidParameterError):
        await site.declare("a", name, "b")
    assert site.world.store.queues[LOCATION][site.world.hash("a")] == []


@pytest.mark.parametrize("name", ["a", "0", "_", "-", "a" * 63, "a-b_c9"])
async def test_every_name_is_declared(site: Site, name: str) -> None:
    await site.declare("a", name, "b")
    assert await site.subject("a", name) == "b"


async def test_period_must_not_end_before_it_begins(site: Site) -> None:
    with pytest.raises(InvalidParameterError):
        await site.declare("a", "x", "b", valid_from=after(1), valid_until=NOW)
    await site.declare("a", "x", "b", valid_from=NOW, valid_until=NOW)


async def test_namespace_its_location_and_partition_go_together(site: Site) -> None:
    a = await site.perspective("a")
    namespace = site.world.hash("namespace")
    wrong: list[tuple[Hash | None, Location | None, tuple[bytes, ...]]] = [
        (namespace, LOCATION, ()),
        (namespace, None, (b"p",)),
        (None, LOCATION, (b"p",)),
        (None, LOCATION, ()),
        (None, None, (b"p",)),
        (namespace, LOCATION, (b"p",) * 13),
    ]
    for who, where, partition in wrong:
        with pytest.raises(InvalidParameterError):
            await site.engine.naming.create(
                a,
                name="x",
                subject=namespace,
                subject_location=LOCATION,
                valid_from=NOW,
                valid_until=NOW,
                now=NOW,
                namespace=who,
                namespace_location=where,
                partition=partition,
            )
    assert site.world.store.queues[LOCATION][site.world.hash("a")] == []


async def test_partition_of_twelve_components_is_taken(site: Site) -> None:
    a = await site.perspective("a")
    partition = tuple(b"%d" % n for n in range(12))
    await site.engine.naming.create(
        a,
        name="x",
        subject=site.world.hash("b"),
        subject_location=LOCATION,
        valid_from=NOW,
        valid_until=after(DAY_S),
        now=NOW,
        namespace=a.hash,
        namespace_location=LOCATION,
        partition=partition,
    )
    async with site.world.engine() as engine:
        (found,) = (await site.world.perspective(engine, "a")).state.graph.names.all()
        assert found.partition is not None
        assert found.partition[:12] == partition


async def test_namespace_that_is_nowhere_is_said(site: Site) -> None:
    with pytest.raises(LookupFailureError):
        await site.engine.naming.create(
            await site.perspective("a"),
            name="x",
            subject=site.world.hash("b"),
            subject_location=LOCATION,
            valid_from=NOW,
            valid_until=NOW,
            now=NOW,
            namespace=Hash.of(b"nobody"),
            namespace_location=LOCATION,
            partition=PRIVATE_PARTITION,
        )


async def test_name_that_was_not_stored_is_not_known(site: Site) -> None:
    a = await site.perspective("a")
    site.world.store.is_away = True
    with pytest.raises(StorageError):
        await site.engine.naming.create(
            a,
            name="x",
            subject=site.world.hash("b"),
            subject_location=LOCATION,
            valid_from=NOW,
            valid_until=after(DAY_S),
            now=NOW,
        )
    site.world.store.is_away = False
    assert await site.subject("a", "x") == ""
    assert await site.engine.naming.reverse(a, site.world.hash("b")) is None


async def test_place_that_no_storage_serves_takes_no_name(site: Site) -> None:
    nowhere = Location("http://nowhere.example/v1")
    with pytest.raises(UnsupportedLocationSchemeError):
        await site.engine.naming.create(
            await site.engine.perspective(site.world["a"], nowhere),
            name="x",
            subject=site.world.hash("b"),
            subject_location=LOCATION,
            valid_from=NOW,
            valid_until=NOW,
            now=NOW,
        )


async def test_name_of_what_is_nowhere_is_not_resolved(site: Site) -> None:
    a = await site.perspective("a")
    await site.engine.naming.create(
        a,
        name="x",
        subject=Hash.of(b"nobody"),
        subject_location=LOCATION,
        valid_from=NOW,
        valid_until=after(DAY_S),
        now=NOW,
    )
    with pytest.raises(LookupFailureError, match="name could not be resolved"):
        await site.resolve("a", "x")


async def test_name_of_something_else_than_an_entity_is_not_resolved(site: Site) -> None:
    garbage = await site.world.store.put(LOCATION, b"garbage")
    body = NameBody("x", garbage, LOCATION, Validity(NOW, after(DAY_S)))
    made = create_name_declaration(site.world["a"], LOCATION, body)
    await site.world.store.put(LOCATION, made.wire)
    await site.world.store.enqueue(LOCATION, site.world.hash("a"), made.hash)
    with pytest.raises(LookupFailureError, match="name could not be resolved"):
        await site.resolve("a", "x")


async def test_subject_is_found_in_another_storage_than_the_name_says() -> None:
    """The entity counts, not where somebody says it is."""
    elsewhere = Location("http://elsewhere.example/v1")
    world = await World.create("a", "b", store=MemoryObjectStore(LOCATION, elsewhere))
    config = EngineConfig(LOCATION, locations=(LOCATION, elsewhere))
    async with Engine(world.store, None, config) as engine:
        here = Site(world, engine)
        await engine.naming.create(
            await here.perspective("a"),
            name="x",
            subject=world.hash("b"),
            subject_location=elsewhere,
            valid_from=NOW,
            valid_until=after(DAY_S),
            now=NOW,
        )
        assert await here.subject("a", "x") == "b"


def everything_in(directory: Path) -> bytes:
    """Return the content of all files, the database among them."""
    assert (directory / FILE_NAME).exists()
    return b"".join(file.read_bytes() for file in directory.iterdir())


# --- reverse names --------------------------------------------------------------------------------


async def test_reverse_name_is_what_was_declared_or_resolved(site: Site) -> None:
    a = await site.perspective("a")
    naming = site.engine.naming
    assert await naming.reverse(a, site.world.hash("b")) is None
    await site.declare("a", "acme", "b")
    await site.declare("b", "app", "c")
    assert await naming.reverse(a, site.world.hash("b")) == "acme"
    assert await naming.reverse(a, site.world.hash("c")) is None
    await site.resolve("a", "app.acme")
    assert await naming.reverse(a, site.world.hash("c")) == "app.acme"
    b = await site.perspective("b")
    assert await naming.reverse(b, site.world.hash("c")) == "app"
    assert await naming.reverse(b, site.world.hash("b")) is None


async def test_name_under_another_top_level_is_no_name_of_ours(site: Site) -> None:
    await site.declare("b", "x", "c")
    a = await site.perspective("a")
    await site.engine.mark_interesting(a, site.world.hash("b"), LOCATION)
    assert await site.subject("a", "x", top_level="b") == "c"
    assert await site.engine.naming.reverse(a, site.world.hash("c")) is None


async def test_name_that_moved_on_is_no_longer_that_of_the_first(site: Site) -> None:
    a = await site.perspective("a")
    await site.declare("a", "printer", "b", valid_from=after(-10))
    await site.declare("a", "printer", "c", valid_from=after(-5))
    assert await site.engine.naming.reverse(a, site.world.hash("b")) is None
    assert await site.engine.naming.reverse(a, site.world.hash("c")) == "printer"


async def test_reverse_names_outlive_the_process_and_are_not_readable_on_disk(
    tmp_path: Path,
) -> None:
    world = await World.create("a", "b")
    async with world.engine(state_dir=tmp_path) as engine:
        here = Site(world, engine)
        a = await here.perspective("a")
        await engine.naming.create(
            a,
            name="quite-a-secret-name",
            subject=world.hash("b"),
            subject_location=LOCATION,
            valid_from=NOW,
            valid_until=after(DAY_S),
            now=NOW,
            namespace=a.hash,
            namespace_location=LOCATION,
            partition=PRIVATE_PARTITION,
        )
    assert b"quite-a-secret-name" not in everything_in(tmp_path)
    async with world.engine(state_dir=tmp_path) as engine:
        a = await engine.perspective(world["a"], LOCATION)
        assert await engine.naming.reverse(a, world.hash("b")) == "quite-a-secret-name"


# --- for tools ------------------------------------------------------------------------------------


async def test_declarations_are_listed_with_how_they_stand(site: Site) -> None:
    valid = await site.declare("a", "valid", "b")
    revoked = await site.declare("a", "revoked", "b")
    expired = await site.declare("a", "expired", "b", valid_until=after(1))
    future = await site.declare("a", "future", "b", valid_from=after(3600))
    theirs = await site.declare("b", "theirs", "c")
    await site.revoke("a", revoked)
    a = await site.perspective("a")
    listed = await site.engine.naming.declarations(a, site.world.hash("a"), now=after(2))
    assert {one.declaration.hash: (one.validity.state, one.validity.message) for one in listed} == {
        valid.hash: (ValidityState.VALID, ""),
        revoked.hash: (ValidityState.REVOKED, "Name declaration has been revoked"),
        expired.hash: (ValidityState.EXPIRED, "Name declaration expired"),
        future.hash: (ValidityState.NOT_YET_VALID, "Name declaration not yet valid"),
    }
    assert [one.body.name for one in listed] == ["expired", "future", "revoked", "valid"]
    everything = await site.engine.naming.declarations(a, now=NOW)
    assert len(everything) == 5
    assert theirs.hash in {one.declaration.hash for one in everything}
    assert await site.engine.naming.declarations(a, Hash.of(b"nobody"), now=NOW) == []
