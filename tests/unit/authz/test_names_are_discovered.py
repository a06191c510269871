"""Names in queues: who finds whose, with which keys, whatever else is in the queues."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.object_stores import LOCATION, MemoryObjectStore
from tests.support.worlds import DAY_S, NOW, World, after, forge, make_entity
from wavemq.authz import graph as graph_module
from wavemq.authz import known_names as known_names_module
from wavemq.authz.graph import PerspectiveGraph
from wavemq.authz.perspective import Perspective
from wavemq.authz.state import FILE_NAME, EntryState
from wavemq.errors import InvalidParameterError
from wavemq.wave import der
from wavemq.wave.hashes import Hash
from wavemq.wave.keyring import EntitySecret
from wavemq.wave.location import Location
from wavemq.wave.name import (
    NAME_DECLARATION_KIND,
    NameBody,
    NameDeclaration,
    create_name_declaration,
)
from wavemq.wave.partition import BODY_TAG
from wavemq.wave.validity import Validity

PERIOD = Validity(after(-DAY_S), after(100 * DAY_S))


async def declare(
    world: World,
    attester: str,
    name: str,
    subject: str,
    *,
    namespace: str | None = None,
    partition: Sequence[bytes] = (),
    is_published: bool = True,
    queue: str | None = None,
) -> NameDeclaration:
    """Declare a name as another process would, and publish it."""
    made = create_name_declaration(
        world[attester],
        world.location,
        NameBody(name, world.hash(subject), world.location, PERIOD),
        namespace=None if namespace is None else world[namespace].entity,
        namespace_location=None if namespace is None else world.location,
        partition=partition,
    )
    if is_published:
        await publish(world, made, queue or attester)
    return made


async def publish(world: World, made: NameDeclaration, queue: str) -> None:
    stored = await world.store.put(world.location, made.wire)
    await world.store.enqueue(world.location, world.hash(queue), stored)


def names(perspective: Perspective) -> set[str]:
    """Return every name that the perspective can read."""
    return {name.body.name for name in perspective.state.graph.names.all()}


# --- reach ----------------------------------------------------------------------------------------


async def test_own_public_and_private_names_are_found() -> None:
    world = await World.create("a", "b")
    await declare(world, "a", "open", "b")
    await declare(world, "a", "secret", "b", namespace="a", partition=[b"privatenamedeclarations"])
    async with world.engine() as engine:
        assert names(await world.perspective(engine, "a")) == {"open", "secret"}


async def test_names_of_names_are_found() -> None:
    """The subject of an active declaration becomes interesting (wave.md 11.4)."""
    world = await World.create("a", "b", "c", "d")
    await declare(world, "a", "one", "b")
    await declare(world, "b", "two", "c")
    await declare(world, "c", "three", "d")
    async with world.engine() as engine:
        assert names(await world.perspective(engine, "a")) == {"one", "two", "three"}


async def test_circle_of_names_ends() -> None:
    world = await World.create("a", "b")
    await declare(world, "a", "b", "b")
    await declare(world, "b", "a", "a")
    await declare(world, "a", "self", "a")
    async with world.engine() as engine:
        assert names(await world.perspective(engine, "a")) == {"a", "b", "self"}


async def test_subject_is_followed_to_where_it_lives() -> None:
    elsewhere = Location("http://elsewhere.example/v1")
    world = await World.create("a", "b", "c", store=MemoryObjectStore(LOCATION, elsewhere))
    made = create_name_declaration(
        world["a"], LOCATION, NameBody("b", world.hash("b"), elsewhere, PERIOD)
    )
    await publish(world, made, "a")
    inner = create_name_declaration(
        world["b"], elsewhere, NameBody("c", world.hash("c"), elsewhere, PERIOD)
    )
    await world.store.put(elsewhere, inner.wire)
    await world.store.enqueue(elsewhere, world.hash("b"), inner.hash)
    async with world.engine() as engine:
        assert names(await world.perspective(engine, "a")) == {"b", "c"}


async def test_sealed_name_in_a_shared_namespace_is_for_those_who_hold_its_keys() -> None:
    """A delegate's keys begin with the tag, so the partition must too (wave.md 11.3)."""
    world = await World.create("delegate", "foreigner", "printer")
    await world.grant("namespace", "delegate", "publish", "*", is_encrypted=True)
    await world.grant("foreigner", "foreigner", "publish", "*", namespace="foreigner")
    tagged = (BODY_TAG, b"floor1")
    await declare(world, "namespace", "tagged", "printer", namespace="namespace", partition=tagged)
    await declare(
        world, "namespace", "untagged", "printer", namespace="namespace", partition=(b"floor1",)
    )
    async with world.engine() as engine:
        assert names(await world.perspective(engine, "namespace")) == {"tagged", "untagged"}
        delegate = await world.perspective(engine, "delegate")
        assert names(delegate) == {"tagged"}
        assert len(delegate.state.graph.locked()) == 1
        foreigner = await engine.perspective(world["foreigner"], LOCATION)
        await engine.mark_interesting(foreigner, world.hash("namespace"), LOCATION)
        await engine.resync(foreigner, now=NOW)
        assert names(foreigner) == set()
        assert len(foreigner.state.graph.locked()) == 2


async def test_sealed_name_becomes_active_when_keys_of_its_namespace_come() -> None:
    """Defect 11 of the original: promotion must do all that opening at once does."""
    world = await World.create("a", "b", "c")
    partition = (BODY_TAG, b"x")
    await declare(world, "a", "sealed", "b", namespace="namespace", partition=partition)
    await declare(world, "b", "behind", "c")
    async with world.engine() as engine:
        perspective = await world.perspective(engine, "a")
        assert names(perspective) == set(), "who declares need not hold keys"
        (locked,) = perspective.state.graph.locked()
        assert locked.state is EntryState.PENDING
        await world.grant("namespace", "a", "publish", "*", is_encrypted=True)
        await engine.resync(perspective, now=NOW)
        assert names(perspective) == {"sealed", "behind"}
        assert perspective.state.graph.locked() == []


async def test_sealed_name_is_labelled_while_only_its_label_is_held(tmp_path: Path) -> None:
    world = await World.create("a", "b")
    sealed = await declare(
        world, "a", "sealed", "b", namespace="namespace", partition=(b"untagged",)
    )
    await world.grant("namespace", "a", "publish", "*", is_encrypted=True)
    for _ in range(2):  # the second time from disk
        async with world.engine(state_dir=tmp_path) as engine:
            perspective = await world.perspective(engine, "a")
            (locked,) = perspective.state.graph.locked()
            assert (locked.hash, locked.state) == (sealed.hash, EntryState.LABELLED)
            assert locked.key is not None
            assert len(locked.key) == 28


async def test_entity_that_is_followed_by_hand_shows_its_names(tmp_path: Path) -> None:
    world = await World.create("a", "b", "c")
    async with world.engine(state_dir=tmp_path) as engine:
        perspective = await world.perspective(engine, "a")
        await engine.mark_interesting(perspective, world.hash("b"), LOCATION)
        await engine.resync(perspective, now=NOW)
        assert names(perspective) == set()
    await declare(world, "b", "late", "c")
    async with world.engine(state_dir=tmp_path) as engine:  # interest outlives the process
        assert names(await world.perspective(engine, "a")) == {"late"}


async def test_following_more_than_may_be_followed_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = await World.create("a")
    async with world.engine() as engine:
        perspective = await world.perspective(engine, "a")
        monkeypatch.setattr(graph_module, "INTERESTING_QUEUES_MAX", 2)
        await engine.mark_interesting(perspective, Hash.of(b"1"), LOCATION)
        await engine.mark_interesting(perspective, Hash.of(b"1"), LOCATION)
        with pytest.raises(InvalidParameterError, match="as many entities as it may"):
            await engine.mark_interesting(perspective, Hash.of(b"2"), LOCATION)


# --- the next process -----------------------------------------------------------------------------


async def test_names_are_there_again_without_storage(tmp_path: Path) -> None:
    world = await World.create("a", "b")
    await declare(world, "a", "open", "b")
    await declare(world, "a", "private", "b", namespace="a", partition=(b"p",))
    async with world.engine(state_dir=tmp_path) as engine:
        await world.perspective(engine, "a")
    world.store.is_away = True
    async with world.engine(state_dir=tmp_path) as engine:
        perspective = await engine.perspective(world["a"], LOCATION)
        assert names(perspective) == {"open", "private"}
        assert all(name.partition for name in perspective.state.graph.names.all()) is False


async def test_what_was_declared_for_others_stays_readable_for_its_maker(tmp_path: Path) -> None:
    """The key of what one has made oneself is kept, sealed."""
    world = await World.create("a", "b")
    async with world.engine(state_dir=tmp_path) as engine:
        perspective = await world.perspective(engine, "a")
        await engine.naming.create(
            perspective,
            name="theirs",
            subject=world.hash("b"),
            subject_location=LOCATION,
            valid_from=NOW,
            valid_until=after(DAY_S),
            now=NOW,
            namespace=world.hash("namespace"),
            namespace_location=LOCATION,
            partition=(b"untagged",),
        )
        assert names(perspective) == {"theirs"}
    async with world.engine(state_dir=tmp_path) as engine:
        assert names(await world.perspective(engine, "a")) == {"theirs"}
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        (sealed,) = connection.execute("SELECT sealed FROM entries").fetchone()
        assert len(sealed) == 12 + 56 + 16


async def test_names_that_an_older_version_threw_away_are_looked_at_again(tmp_path: Path) -> None:
    """It did not know name declarations and marked them as useless, for ever."""
    world = await World.create("a", "b")
    await declare(world, "a", "old", "b")
    async with world.engine(state_dir=tmp_path) as engine:
        await world.perspective(engine, "a")
    connection = sqlite3.connect(tmp_path / FILE_NAME)
    with connection:
        connection.execute("UPDATE entries SET state = 5, sealed = NULL")
        connection.execute("PRAGMA user_version = 0")
    connection.close()
    async with world.engine(state_dir=tmp_path) as engine:
        assert names(await world.perspective(engine, "a")) == {"old"}


async def test_what_is_useless_is_not_looked_at_again_by_every_process(tmp_path: Path) -> None:
    world = await World.create("a")
    garbage = await world.store.put(LOCATION, b"garbage")
    await world.store.enqueue(LOCATION, world.hash("a"), garbage)
    for _ in range(3):
        async with world.engine(state_dir=tmp_path) as engine:
            await world.perspective(engine, "a")
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        assert connection.execute("SELECT state FROM entries").fetchall() == [
            (int(EntryState.DISCARDED),)
        ]
    assert world.store.gets.count(garbage) == 1


# --- hostile queues -------------------------------------------------------------------------------


def resigned(made: NameDeclaration, signer: EntitySecret) -> NameDeclaration:
    """Return the declaration with somebody else's signature."""
    signature = der.octets(signer.signing_key.sign(made.tbs))
    wire = der.external(NAME_DECLARATION_KIND, der.sequence(made.tbs, signature))
    return NameDeclaration.from_bytes(wire)


async def test_name_that_its_attester_did_not_sign_is_ignored() -> None:
    world = await World.create("a", "b", "mallory")
    made = await declare(world, "a", "bank", "mallory", is_published=False)
    await publish(world, resigned(made, world["mallory"]), "a")
    async with world.engine() as engine:
        assert names(await world.perspective(engine, "a")) == set()


async def test_name_by_an_attester_that_may_not_attest_is_ignored() -> None:
    world = await World.create("a", "b")
    made = await declare(world, "a", "b", "b")
    async with world.engine() as engine:
        perspective = await engine.perspective(world["a"], LOCATION)
        known = engine.known_entity(world.hash("a"))
        assert known is not None
        await engine.perspective(world["a"], LOCATION)
        without = replace(known, verifying_capabilities=(1,))
        without.__dict__["hash"] = known.hash
        perspective.state.discovery.library.remember_entity(without)
        await engine.resync(perspective, now=NOW)
        assert names(perspective) == set()
    assert made.attester == world.hash("a")


async def test_poisoned_queue_hides_no_name() -> None:
    """Defect 6 of the original: one bad entry, and nothing behind it is ever found."""
    world = await World.create("a", "b", "mallory")
    forged = await declare(world, "a", "forged", "mallory", is_published=False)
    for poison in (
        b"garbage",
        world["b"].entity.wire,
        forged.wire[:-9],
        resigned(forged, world["mallory"]).wire,
        create_name_declaration(
            make_entity(), LOCATION, NameBody("lost", world.hash("b"), LOCATION, PERIOD)
        ).wire,
        unreadable(world, "a").wire,
    ):
        stored = await world.store.put(LOCATION, poison)
        await world.store.enqueue(LOCATION, world.hash("a"), stored)
    await world.store.enqueue(LOCATION, world.hash("a"), Hash.of(b"not in storage"))
    await declare(world, "a", "genuine", "b")
    async with world.engine() as engine:
        perspective = await world.perspective(engine, "a")
        assert names(perspective) == {"genuine"}
        found = await engine.naming.resolve(perspective, "genuine", now=NOW)
        assert found.entity.hash == world.hash("b")


def unreadable(world: World, attester: str) -> NameDeclaration:
    """Return a declaration, validly signed, whose plain body is garbage."""
    secret = world[attester]
    tbs = der.sequence(
        secret.entity.hash.to_der(),
        LOCATION.to_der(),
        der.sequence(),
        der.sequence(),
        der.octets(b"garbage"),
        der.sequence(der.external((17, 2), der.sequence())),
    )
    signature = der.octets(secret.signing_key.sign(tbs))
    return NameDeclaration.from_bytes(
        der.external(NAME_DECLARATION_KIND, der.sequence(tbs, signature))
    )


async def test_stranger_cannot_have_further_queues_read() -> None:
    """Anybody may name anybody in my queue; whom a stranger named is of no interest to me."""
    world = await World.create("a", "stranger", "victim")
    await declare(world, "stranger", "victim", "victim", queue="a")
    async with world.engine() as engine:
        perspective = await world.perspective(engine, "a")
        assert perspective.state.graph.queue_count() == 1
        # Once the stranger is of interest, so is whom he named.
        await engine.mark_interesting(perspective, world.hash("stranger"), LOCATION)
        assert perspective.state.graph.queue_count() == 3


async def test_squatting_in_a_foreign_queue_gives_no_name_there() -> None:
    world = await World.create("a", "mallory")
    await declare(world, "mallory", "bank", "mallory", queue="a")
    async with world.engine() as engine:
        perspective = await world.perspective(engine, "a")
        assert perspective.state.graph.names.candidates(world.hash("a"), "bank") == []


async def test_flood_of_strangers_names_hides_neither_names_nor_grants(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(graph_module, "ENTRIES_MAX", 30)
    monkeypatch.setattr(graph_module, "ENTRIES_FORGOTTEN_AT_ONCE", 10)
    monkeypatch.setattr(known_names_module, "NAMES_MAX", 20)
    world = await World.create("a", "b", "stranger")
    for n in range(60):
        await declare(world, "stranger", f"n{n}", "b", queue="a")
    await declare(world, "a", "mine", "b")
    await declare(world, "b", "theirs", "a")
    await world.grant("namespace", "a", "publish", "*")
    async with world.engine() as engine:
        perspective = await world.perspective(engine, "a")
        assert {"mine", "theirs"} <= names(perspective)
        assert len(perspective.state.graph.names) <= 21
        assert len(perspective.state.graph.grants()) == 1


async def test_names_of_one_attester_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_names_module, "NAMES_PER_ATTESTER_MAX", 5)
    world = await World.create("a", "b")
    await declare(world, "a", "b", "b")
    for n in range(8):
        await declare(world, "b", f"n{n}", "a")
    async with world.engine() as engine:
        perspective = await world.perspective(engine, "a")
        assert len(perspective.state.graph.names.by(world.hash("b"))) == 5


async def test_grants_and_names_share_a_queue() -> None:
    world = await World.create("a", "b")
    await declare(world, "a", "before", "b")
    await world.publish(forge(world.namespace, world["a"], world.policy("publish", "*")))
    await declare(world, "a", "after", "b")
    async with world.engine() as engine:
        perspective = await world.perspective(engine, "a")
        assert names(perspective) == {"before", "after"}
        assert len(perspective.state.graph.grants()) == 1


# --- what comes late ------------------------------------------------------------------------------


async def test_name_that_was_missing_is_found_when_it_comes() -> None:
    world = await World.create("a", "b")
    late = await declare(world, "a", "late", "b", is_published=False)
    await world.store.enqueue(LOCATION, world.hash("a"), late.hash)
    await declare(world, "a", "there", "b")
    async with world.engine() as engine:
        perspective = await world.perspective(engine, "a")
        assert names(perspective) == {"there"}
        await world.store.put(LOCATION, late.wire)
        await engine.resync(perspective, now=NOW)
        assert names(perspective) == {"there", "late"}


async def test_name_whose_attester_was_missing_counts_when_he_comes() -> None:
    """Nothing counts before the attester's signature has been checked."""
    world = await World.create("a")
    await world.add("b", is_published=False)
    await declare(world, "a", "b", "b")
    await declare(world, "b", "a", "a")
    async with world.engine() as engine:
        perspective = await world.perspective(engine, "a")
        assert names(perspective) == {"b"}
        await world.store.put(LOCATION, world["b"].entity.wire)
        await engine.resync(perspective, now=NOW)
        assert names(perspective) == {"b", "a"}


async def test_silence_while_names_are_fetched_is_reported_and_ends() -> None:
    world = await World.create("a", "b")
    await declare(world, "a", "b", "b")
    async with world.engine() as engine:
        perspective = await engine.perspective(world["a"], LOCATION)
        world.store.substitutes[next(iter(world.store.queues[LOCATION][world.hash("a")]))] = b"lie"
        report = await engine.resync(perspective, now=NOW)
        assert report.failures
        assert names(perspective) == set()
        world.store.substitutes.clear()
        assert (await engine.resync(perspective, now=NOW)).is_complete
        assert names(perspective) == {"b"}


def test_what_was_forgotten_while_it_was_being_tried_stays_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(graph_module, "ENTRIES_MAX", 4)
    graph = PerspectiveGraph(Hash.of(b"own"), LOCATION)
    (position,) = graph.take_unread(1)
    graph.advance(position, [Hash.of(b"%d" % n) for n in range(4)])
    tried = graph.take_to_open(4)
    assert len(graph.advance(position, [Hash.of(b"%d" % n) for n in range(4, 8)])) == 4
    for entry, outcome in zip(tried, ("locked", "discarded", "opened", "missing"), strict=True):
        match outcome:
            case "locked":
                graph.keep_locked(entry, graph.own, tried=0, envelope_key=None)
            case "discarded":
                graph.discard(entry)
            case "opened":
                graph.keep_opened(entry, b"")
            case _:
                graph.keep_unsettled(entry)
    assert graph.take_changes() == []
    assert graph.locked() == []
    graph.begin_synchronization()
    assert len(graph.take_to_open(8)) == 4
