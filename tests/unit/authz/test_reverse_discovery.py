"""Discovery: what a perspective finds, whatever is in the queues and however storage behaves."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tests.support.object_stores import LOCATION, MemoryObjectStore
from tests.support.worlds import DAY_S, NOW, World, after, forge, make_entity
from wavemq.authz import graph as graph_module
from wavemq.authz.discovery import SyncProgress
from wavemq.authz.engine import Engine, EngineConfig
from wavemq.authz.perspective import Perspective
from wavemq.authz.state import FILE_NAME
from wavemq.errors import (
    InvalidParameterError,
    KeyringDecryptError,
    MessageDecryptError,
    NoProofFoundError,
)
from wavemq.wave.attestation_create import NamespaceKeys, create_attestation
from wavemq.wave.hashes import WAVE_PERMISSION_SET, Hash
from wavemq.wave.keyring import EntitySecret
from wavemq.wave.location import Location
from wavemq.wave.pem import encode_pem
from wavemq.wave.policy import RTreePolicy, Statement


async def can_publish(engine: Engine, perspective: Perspective, world: World, topic: str) -> bool:
    try:
        await engine.prove(
            perspective,
            namespace=world.hash("namespace"),
            statements=world.policy("publish", topic).statements,
            now=NOW,
        )
    except NoProofFoundError:
        return False
    return True


# --- reach ------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_reversed", [False, True], ids=["in order", "reverse order"])
async def test_three_hops_are_found_in_whatever_order_they_were_granted(is_reversed: bool) -> None:
    world = await World.create("a", "b", "c")
    hops = [("namespace", "a", 2), ("a", "b", 1), ("b", "c", 0)]
    for attester, subject, indirections in reversed(hops) if is_reversed else hops:
        await world.grant(
            attester, subject, "publish", "x/*", indirections=indirections, is_encrypted=True
        )
    async with world.engine() as engine:
        perspective = await world.perspective(engine, "c")
        assert await can_publish(engine, perspective, world, "x/y")


@pytest.mark.parametrize("is_told", [False, True], ids=["not told where", "told where"])
async def test_entity_that_lives_in_another_storage_is_found(is_told: bool) -> None:
    elsewhere = Location("http://elsewhere.example/v1")
    world = await World.create(store=MemoryObjectStore(elsewhere, LOCATION))
    await world.add("a")
    await world.grant("namespace", "a", "publish", "x/*", is_encrypted=True)
    config = EngineConfig(LOCATION, locations=(LOCATION, elsewhere))
    async with Engine(world.store, None, config) as engine:
        perspective = await engine.perspective(world["a"], elsewhere if is_told else None)
        await engine.resync(perspective, now=NOW)
        assert await can_publish(engine, perspective, world, "x/y")


async def test_grants_made_while_running_are_found_by_the_next_synchronization() -> None:
    world = await World.create("a", "b")
    async with world.engine() as engine:
        perspective = await world.perspective(engine, "b")
        assert not await can_publish(engine, perspective, world, "x")
        await world.grant("a", "b", "publish", "*", is_encrypted=True)
        await engine.resync(perspective, now=NOW)
        assert not await can_publish(engine, perspective, world, "x")
        await world.grant("namespace", "a", "publish", "*", indirections=1, is_encrypted=True)
        await engine.resync(perspective, now=NOW)
        assert await can_publish(engine, perspective, world, "x")


async def test_grant_hidden_by_its_partition_is_found_once_a_key_for_it_comes() -> None:
    """A labelled attestation becomes active when a second grant brings the key for its body."""
    world = await World.create("a", "b")
    # What the namespace granted to a is under "secret"; a's first grant to b does not open that.
    created = create_attestation(
        world.namespace,
        LOCATION,
        world["a"].entity,
        LOCATION,
        RTreePolicy(world.hash("namespace"), LOCATION, 1, world.policy("publish", "*").statements),
        not_before=after(-DAY_S),
        not_after=after(100 * DAY_S),
        visibility=(b"secret",),
    )
    await world.publish(created)

    async def a_grants_b(visibility: bytes) -> None:
        await world.publish(
            create_attestation(
                world["a"],
                LOCATION,
                world["b"].entity,
                LOCATION,
                RTreePolicy(
                    world.hash("namespace"), LOCATION, 0, world.policy("publish", "*").statements
                ),
                not_before=after(-DAY_S),
                not_after=after(100 * DAY_S),
                visibility=(visibility,),
            )
        )

    async with world.engine() as engine:
        await a_grants_b(b"other")
        perspective = await world.perspective(engine, "b")
        assert not await can_publish(engine, perspective, world, "x")
        assert len(perspective.state.graph.locked()) == 1
        await a_grants_b(b"secret")
        await engine.resync(perspective, now=NOW)
        assert await can_publish(engine, perspective, world, "x")
        assert perspective.state.graph.locked() == []


async def test_keys_of_a_promoted_attestation_belong_to_whom_they_belong() -> None:
    """A reader who delegates hands on namespace keys; they must be filed under the namespace."""
    world = await World.create("a", "b")
    await world.grant_decryption("a", "plant/*")
    async with world.engine() as engine:
        granting = await world.perspective(engine, "a")
        delegated = await engine.grant(
            granting,
            subject=world.hash("b"),
            subject_location=LOCATION,
            policy=RTreePolicy(
                world.hash("namespace"),
                LOCATION,
                0,
                (Statement(WAVE_PERMISSION_SET, ("decrypt",), "plant/line1/*"),),
            ),
            valid_from=NOW,
            valid_until=after(100 * DAY_S),
            now=NOW,
        )
        await engine.publish_attestation(delegated.attestation)
        reading = await world.perspective(engine, "b")
        inside = await engine.encrypt(
            b"21.5", now=NOW, namespace=world.hash("namespace"), resource="plant/line1/temp"
        )
        outside = await engine.encrypt(
            b"21.5", now=NOW, namespace=world.hash("namespace"), resource="plant/line2/temp"
        )
        assert await engine.decrypt(reading, inside) == b"21.5"
        with pytest.raises(MessageDecryptError):
            await engine.decrypt(reading, outside)


async def test_attester_sees_what_he_granted() -> None:
    world = await World.create("a", "b")
    await world.grant("namespace", "a", "publish", "*", indirections=1)
    await world.grant("a", "b", "publish", "x")
    async with world.engine() as engine:
        perspective = await world.perspective(engine, "b")
        found = await engine.lookup(perspective, now=NOW, attester=world.hash("a"))
        assert [one.attestation.subject for one in found] == [world.hash("b")]
        both = await engine.lookup(perspective, now=NOW)
        assert len(both) == 2
        assert all(one.validity.is_valid for one in both)


async def test_cycle_of_grants_ends() -> None:
    world = await World.create("a", "b", "c")
    for attester, subject in (("a", "b"), ("b", "c"), ("c", "a"), ("a", "a"), ("namespace", "a")):
        await world.grant(attester, subject, "publish", "*", indirections=9)
    async with world.engine() as engine:
        perspective = await world.perspective(engine, "c")
        assert await can_publish(engine, perspective, world, "x")


async def test_progress_counts_queues_and_ends_complete() -> None:
    world = await World.create("a", "b")
    await world.grant("namespace", "a", "publish", "*", indirections=1)
    await world.grant("a", "b", "publish", "*")
    told: list[SyncProgress] = []
    async with world.engine() as engine:
        perspective = await engine.perspective(world["b"])
        report = await engine.resync(perspective, now=NOW, progress=told.append)
    assert told[0].completed < told[-1].completed
    assert told[-1] == SyncProgress(report.requested, report.completed, report.opened)
    assert report.is_complete
    assert (report.requested, report.opened) == (3, 2)


# --- poison -----------------------------------------------------------------------------------


async def poison(world: World, name: str) -> None:
    """Put one of everything that does not belong there into an entity's queue."""
    queue = world.hash(name)
    store = world.store
    garbage = await store.put(LOCATION, b"garbage")
    nobody = make_entity()
    for entry in (
        Hash.of(b"not in storage"),
        garbage,
        world.hash("namespace"),
        await store.put(LOCATION, nobody.entity.wire),
    ):
        await store.enqueue(LOCATION, queue, entry)
    stranger = make_entity()
    await store.put(LOCATION, stranger.entity.wire)
    policy = world.policy("publish", "*")
    # Forged: it says that the namespace granted, a stranger's key signed.
    await world.publish(
        forge(stranger, world[name], policy, claimed_attester=world.hash("namespace"))
    )
    # By an entity that is in no storage.
    await world.publish(forge(make_entity(), world[name], policy))
    # For another subject altogether.
    await world.store.enqueue(
        LOCATION,
        queue,
        await store.put(LOCATION, forge(stranger, nobody, policy).attestation.wire),
    )


async def test_poisoned_queue_hides_nothing() -> None:
    world = await World.create("a", "b")
    await poison(world, "b")
    await poison(world, "a")
    await world.grant("namespace", "a", "publish", "*", indirections=1, is_encrypted=True)
    await world.grant("a", "b", "publish", "x/*", is_encrypted=True)
    await poison(world, "b")
    async with world.engine() as engine:
        perspective = await world.perspective(engine, "b")
        assert await can_publish(engine, perspective, world, "x/y")
        assert not await can_publish(engine, perspective, world, "z")


async def test_object_that_was_missing_is_found_when_it_comes() -> None:
    world = await World.create("a")
    late = await world.grant("namespace", "a", "publish", "*", is_published=False)
    await world.store.enqueue(LOCATION, world.hash("a"), late.attestation.hash)
    async with world.engine() as engine:
        perspective = await world.perspective(engine, "a")
        assert not await can_publish(engine, perspective, world, "x")
        await world.store.put(LOCATION, late.attestation.wire)
        await engine.resync(perspective, now=NOW)
        assert await can_publish(engine, perspective, world, "x")


async def test_attester_that_was_missing_is_found_when_it_comes() -> None:
    world = await World.create("a")
    await world.add("b", is_published=False)
    await world.grant("namespace", "b", "publish", "*", indirections=1, is_encrypted=True)
    await world.grant("b", "a", "publish", "*", is_encrypted=True)
    async with world.engine() as engine:
        perspective = await world.perspective(engine, "a")
        assert not await can_publish(engine, perspective, world, "x")
        await world.store.put(LOCATION, world["b"].entity.wire)
        await engine.resync(perspective, now=NOW)
        assert await can_publish(engine, perspective, world, "x")


class RepeatingStore(MemoryObjectStore):
    """A hostile server whose queues go round in a circle."""

    async def iterate(
        self, location: Location, queue: Hash, token: str, /
    ) -> tuple[Hash, str] | None:
        step = await super().iterate(location, queue, token)
        return step if step is None or step[1] != "5" else (step[0], "2")


class EndlessStore(MemoryObjectStore):
    """A hostile server whose queues never end."""

    async def iterate(
        self, location: Location, queue: Hash, token: str, /
    ) -> tuple[Hash, str] | None:
        await self._reach(location)
        self.iterations += 1
        index = int(token) if token else 0
        entries = self.queues[location][queue]
        return (entries[index % len(entries)] if entries else queue), str(index + 1)


async def test_queue_that_repeats_its_tokens_is_left() -> None:
    world = await World.create("a", store=RepeatingStore())
    await world.grant("namespace", "a", "publish", "*")
    for n in range(8):
        await world.store.enqueue(LOCATION, world.hash("a"), Hash.of(b"%d" % n))
    async with world.engine() as engine:
        perspective = await engine.perspective(world["a"])
        report = await engine.resync(perspective, now=NOW)
        assert any("repeats a token" in failure for failure in report.failures)
        assert await can_publish(engine, perspective, world, "x")


async def test_endless_queue_is_left_at_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wavemq.limits.QUEUE_ENTRIES_MAX", 500)
    world = await World.create("a", store=EndlessStore())
    await world.grant("namespace", "a", "publish", "*")
    async with world.engine() as engine:
        perspective = await engine.perspective(world["a"])
        report = await engine.resync(perspective, now=NOW)
        assert any("more than 500 entries" in failure for failure in report.failures)
        assert await can_publish(engine, perspective, world, "x")
        before = world.store.iterations
        await engine.resync(perspective, now=NOW)
        assert world.store.iterations == before


async def test_flood_of_useless_entries_does_not_hide_a_grant(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(graph_module, "ENTRIES_MAX", 50)
    monkeypatch.setattr(graph_module, "ENTRIES_FORGOTTEN_AT_ONCE", 10)
    world = await World.create("a")
    for n in range(300):
        await world.store.enqueue(LOCATION, world.hash("a"), Hash.of(b"%d" % n))
    await world.grant("namespace", "a", "publish", "*")
    async with world.engine() as engine:
        perspective = await world.perspective(engine, "a")
        assert await can_publish(engine, perspective, world, "x")


async def test_crowd_of_strangers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_module, "INTERESTING_QUEUES_MAX", 5)
    world = await World.create("a")
    await world.grant("namespace", "a", "publish", "*")
    for _ in range(10):
        stranger = make_entity()
        await world.store.put(LOCATION, stranger.entity.wire)
        policy = world.policy("publish", "*")
        await world.publish(forge(stranger, world["a"], policy))
    async with world.engine() as engine:
        perspective = await world.perspective(engine, "a")
        assert perspective.state.graph.queue_count() == 5
        assert await can_publish(engine, perspective, world, "x")


async def test_strangers_keys_do_not_displace_the_namespaces() -> None:
    """Anybody may send keys that pretend to be the namespace's; the real ones still work."""
    world = await World.create("reader", "mallory")
    # Mallory's grant carries bundles in the namespace's parameters, made from his own masters.
    pretended = NamespaceKeys(world.namespace.entity, master=world["mallory"])
    policy = RTreePolicy(
        world.hash("namespace"),
        LOCATION,
        0,
        (Statement(WAVE_PERMISSION_SET, ("decrypt",), "plant/*"),),
    )
    await world.publish(
        create_attestation(
            world["mallory"],
            LOCATION,
            world["reader"].entity,
            LOCATION,
            policy,
            not_before=after(-DAY_S),
            not_after=after(100 * DAY_S),
            namespace_keys=pretended,
        )
    )
    await world.grant_decryption("reader", "plant/*")
    async with world.engine() as engine:
        perspective = await world.perspective(engine, "reader")
        sealed = await engine.encrypt(
            b"21.5", now=NOW, namespace=world.hash("namespace"), resource="plant/x"
        )
        assert await engine.decrypt(perspective, sealed) == b"21.5"


# --- silence ----------------------------------------------------------------------------------


async def test_silent_storage_is_reported_and_what_is_known_is_used(tmp_path: Path) -> None:
    world = await World.create("a", "b")
    await world.grant("namespace", "a", "publish", "*", indirections=1, is_encrypted=True)
    await world.grant("a", "b", "publish", "*", is_encrypted=True)
    async with world.engine(state_dir=tmp_path) as engine:
        await world.perspective(engine, "b")
    world.store.is_away = True
    async with world.engine(state_dir=tmp_path) as engine:
        perspective = await engine.perspective(world["b"])
        report = await engine.resync(perspective, now=NOW)
        assert report.failures
        assert not report.is_complete
        assert await can_publish(engine, perspective, world, "x")


async def test_silence_of_one_location_does_not_hide_another() -> None:
    away = Location("http://away/v1", 1)
    world = await World.create("a", store=MemoryObjectStore(LOCATION, away))
    await world.grant("namespace", "a", "publish", "*")
    world.store.away_locations.add(away)
    async with world.engine() as engine:
        await engine.perspective(world["a"], away)
        perspective = await engine.perspective(world["a"], LOCATION)
        report = await engine.resync(perspective, now=NOW)
        assert len(report.failures) == 1
        assert await can_publish(engine, perspective, world, "x")


async def test_queue_named_in_two_places_is_read_where_the_object_is() -> None:
    elsewhere = Location("http://elsewhere/v1", 1)
    world = await World.create("a", store=MemoryObjectStore(LOCATION, elsewhere))
    hidden = await world.grant("namespace", "a", "publish", "*", is_published=False)
    # The first place only mentions the object, the second has it.
    await world.store.enqueue(LOCATION, world.hash("a"), hidden.attestation.hash)
    async with world.engine() as engine:
        perspective = await world.perspective(engine, "a")
        await world.store.put(elsewhere, hidden.attestation.wire)
        await world.store.enqueue(elsewhere, world.hash("a"), hidden.attestation.hash)
        await engine.perspective(world["a"], elsewhere)
        await engine.resync(perspective, now=NOW)
        assert await can_publish(engine, perspective, world, "x")


# --- memory -----------------------------------------------------------------------------------


async def test_new_process_goes_on_without_storage_and_without_opening_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await World.create("a", "b", "c")
    await world.grant("namespace", "a", "publish", "*", indirections=2, is_encrypted=True)
    await world.grant("a", "b", "publish", "*", indirections=1, is_encrypted=True)
    await world.grant("b", "c", "publish", "x/*", is_encrypted=True)
    await world.grant_decryption("c", "x/*")
    async with world.engine(state_dir=tmp_path) as engine:
        await world.perspective(engine, "c")
        sealed = await engine.encrypt(
            b"1", now=NOW, namespace=world.hash("namespace"), resource="x/y"
        )
    world.store.is_away = True
    opened: list[str] = []
    for name in ("envelope_key_with_label", "envelope_key_as_subject", "body_key_with_master"):
        monkeypatch.setattr(
            f"wavemq.authz.opening.{name}", lambda *_, name=name: opened.append(name)
        )
    async with world.engine(state_dir=tmp_path) as engine:
        perspective = await engine.perspective(world["c"])
        assert await can_publish(engine, perspective, world, "x/y")
        assert await engine.decrypt(perspective, sealed) == b"1"
    assert opened == []


async def test_second_synchronization_reads_on_where_the_first_ended(tmp_path: Path) -> None:
    world = await World.create("a")
    for n in range(20):
        await world.grant("namespace", "a", "publish", f"t{n}")
    async with world.engine(state_dir=tmp_path) as engine:
        await world.perspective(engine, "a")
    world.store.iterations = 0
    world.store.gets.clear()
    async with world.engine(state_dir=tmp_path) as engine:
        await world.perspective(engine, "a")
    assert world.store.iterations == 2  # the ends of the queues of a and of the namespace
    assert world.store.gets == []


def contents_of(directory: Path) -> list[bytes]:
    return [file.read_bytes() for file in directory.iterdir()]


async def test_disk_holds_no_key_that_opens_anything(tmp_path: Path) -> None:
    world = await World.create("a")
    created = await world.grant("namespace", "a", "publish", "*", is_encrypted=True)
    async with world.engine(state_dir=tmp_path) as engine:
        await world.perspective(engine, "a")
    for content in contents_of(tmp_path):
        assert created.prover_key not in content
        assert created.verifier_key not in content
        assert world["a"].secret64 not in content
        assert world["a"].direct_secret not in content


async def test_damaged_sealed_keys_are_found_again(tmp_path: Path) -> None:
    world = await World.create("a")
    await world.grant("namespace", "a", "publish", "*", is_encrypted=True)
    async with world.engine(state_dir=tmp_path) as engine:
        await world.perspective(engine, "a")
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        connection.execute("UPDATE entries SET sealed = x'00'")
    connection.close()
    async with world.engine(state_dir=tmp_path) as engine:
        perspective = await engine.perspective(world["a"])
        assert not await can_publish(engine, perspective, world, "x")
        await engine.resync(perspective, now=NOW)
        assert await can_publish(engine, perspective, world, "x")


# --- perspectives -----------------------------------------------------------------------------


async def test_perspective_is_found_by_its_entity_whatever_the_form_of_its_secret() -> None:
    world = await World.create("a")
    der = world["a"].to_bytes()
    pem = encode_pem("WAVE ENTITY SECRET", der)
    locked = world["a"].to_bytes(b"passphrase")
    async with world.engine() as engine:
        states = [
            (await engine.perspective(EntitySecret.from_bytes(content, passphrase))).state
            for content, passphrase in ((der, None), (pem, None), (locked, b"passphrase"))
        ]
        assert states[0] is states[1] is states[2]
        assert engine.statistics().perspectives == 1


async def test_other_keys_for_a_known_entity_are_refused() -> None:
    """Who hands over somebody's public entity with keys of his own gets nothing of his."""
    world = await World.create("victim", "mallory")
    victim, mallory = world["victim"], world["mallory"]
    async with world.engine() as engine:
        await engine.perspective(victim)
        with pytest.raises(KeyringDecryptError):
            EntitySecret(victim.entity, mallory.entries)
        mixed = EntitySecret(victim.entity, (victim.entries[0], *mallory.entries[1:]))
        with pytest.raises(InvalidParameterError):
            await engine.perspective(mixed)
    async with world.engine() as engine:
        with pytest.raises(InvalidParameterError):
            await engine.perspective(mixed)


async def test_perspectives_in_memory_are_bounded_and_come_back_from_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wavemq.authz.perspectives.PERSPECTIVES_MAX", 2)
    world = await World.create("a", "b", "c")
    await world.grant("namespace", "a", "publish", "*", is_encrypted=True)
    async with world.engine(state_dir=tmp_path) as engine:
        for name in "abc":
            await world.perspective(engine, name)
        assert engine.statistics().perspectives == 2
        world.store.is_away = True
        again = await engine.perspective(world["a"])
        assert await can_publish(engine, again, world, "x")


async def test_place_that_nobody_here_serves_is_no_failure() -> None:
    world = await World.create("a")
    await world.grant("namespace", "a", "publish", "*")
    async with world.engine() as engine:
        perspective = await engine.perspective(world["a"])
        perspective.state.graph.note_interesting(
            world.hash("a"), Location("http://mallory.example/v1", 1)
        )
        assert (await engine.resync(perspective, now=NOW)).is_complete


async def test_junk_does_not_starve_the_retries_of_what_is_merely_late(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(graph_module, "RETRIES_MAX", 4)
    world = await World.create("a")
    for n in range(10):
        await world.store.enqueue(LOCATION, world.hash("a"), Hash.of(b"%d" % n))
    late = await world.grant("namespace", "a", "publish", "*", is_published=False)
    await world.store.enqueue(LOCATION, world.hash("a"), late.attestation.hash)
    async with world.engine() as engine:
        perspective = await world.perspective(engine, "a")
        await world.store.put(LOCATION, late.attestation.wire)
        for _ in range(3):
            await engine.resync(perspective, now=NOW)
        assert await can_publish(engine, perspective, world, "x")


async def test_secrets_do_not_show() -> None:
    world = await World.create("a")
    async with Engine(world.store, None, EngineConfig(LOCATION)) as engine:
        shown = repr(await engine.perspective(world["a"]))
    assert "secret" not in shown
    assert str(world["a"].secret64) not in shown
