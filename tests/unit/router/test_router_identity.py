from __future__ import annotations

import stat
from pathlib import Path
from random import Random

import pytest

from tests.support.object_stores import LOCATION, MemoryObjectStore
from tests.support.worlds import DAY_S, NOW, World, after, make_entity
from wavemq.authz.admission import Admission
from wavemq.errors import ConfigError, UnavailableError
from wavemq.router.identity import keep_published, load_designations, load_router_entity
from wavemq.wave.keyring import EntitySecret
from wavemq.wave.pem import ENTITY_SECRET, EXPLICIT_PROOF, decode_pem, encode_pem

YEAR_S = 365 * DAY_S


async def test_missing_entity_is_made_for_thirty_years_and_readable_by_its_owner_only(
    tmp_path: Path,
) -> None:
    path = tmp_path / "etc" / "router.ent"
    secret = await load_router_entity(path, LOCATION, NOW)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found = decode_pem(path.read_bytes())
    assert found is not None
    assert found[0] == ENTITY_SECRET
    secret.entity.check_validity(after(30 * YEAR_S - DAY_S))
    assert secret.entity.validity.not_after <= after(30 * YEAR_S)
    assert [one for one in path.parent.iterdir() if one != path] == []


async def test_entity_is_the_same_the_next_time(tmp_path: Path) -> None:
    path = tmp_path / "router.ent"
    first = await load_router_entity(path, LOCATION, NOW)
    second = await load_router_entity(path, LOCATION, NOW)
    assert first.entity.hash == second.entity.hash


@pytest.mark.parametrize("is_pem", [False, True])
async def test_entity_is_read_in_both_forms(tmp_path: Path, is_pem: bool) -> None:
    path = tmp_path / "router.ent"
    made = make_entity()
    content = made.to_bytes()
    path.write_bytes(encode_pem(ENTITY_SECRET, content) if is_pem else content)
    assert (await load_router_entity(path, LOCATION, NOW)).entity.hash == made.entity.hash


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"nonsense", "not usable"),
        (b"", "not usable"),
        (make_entity().entity.wire, "not usable"),
        (make_entity().to_bytes(b"word"), "protected"),
        (make_entity(not_after=after(-1)).to_bytes(), "not valid"),
    ],
    ids=["nonsense", "empty", "public", "protected", "expired"],
)
async def test_entity_that_is_not_usable_stops_the_router(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "router.ent"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=reason):
        await load_router_entity(path, LOCATION, NOW)
    assert path.read_bytes() == content


async def test_entity_in_a_place_that_cannot_be_written_stops_the_router(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be"):
        await load_router_entity(tmp_path / "file" / "router.ent", LOCATION, NOW)


async def test_entity_is_published_once() -> None:
    store, secret = MemoryObjectStore(), make_entity()
    await keep_published(secret, store, LOCATION, Random(1))
    assert store.objects[LOCATION] == {secret.entity.hash: secret.entity.wire}
    await keep_published(secret, store, LOCATION, Random(1))
    assert len(store.objects[LOCATION]) == 1


async def test_secret_is_never_published() -> None:
    store, secret = MemoryObjectStore(), make_entity()
    await keep_published(secret, store, LOCATION, Random(1))
    assert EntitySecret.from_bytes(secret.to_bytes()).entity.hash == secret.entity.hash
    for content in store.objects[LOCATION].values():
        assert secret.secret64[:32] not in content


class Routers:
    """A world in which `router` may route the namespace, and files with its proofs."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.folder = folder
        self.admission = Admission(world.engine())

    async def proof(self, name: str, permissions: str, resource: str, subject: str) -> Path:
        grant = await self.world.grant("namespace", subject, permissions, resource)
        path = self.folder / name
        path.write_bytes(self.world.proof(grant))
        return path


@pytest.fixture
async def routers(tmp_path: Path) -> Routers:
    return Routers(await World.create("router", "other"), tmp_path)


@pytest.mark.parametrize("is_pem", [False, True])
async def test_routing_proof_designates_its_namespace(routers: Routers, is_pem: bool) -> None:
    path = await routers.proof("proof", "route", "*", "router")
    proof = path.read_bytes()
    if is_pem:
        path.write_bytes(encode_pem(EXPLICIT_PROOF, proof))
    found = await load_designations([path], routers.world.hash("router"), routers.admission, NOW)
    assert found == {routers.world.hash("namespace"): proof}


@pytest.mark.parametrize(
    ("permissions", "resource", "subject"),
    [("publish", "*", "router"), ("route", "a/*", "router"), ("route", "*", "other")],
    ids=["no route permission", "a part of the namespace", "proof of another entity"],
)
async def test_proof_that_does_not_designate_this_router_stops_it(
    routers: Routers, permissions: str, resource: str, subject: str
) -> None:
    path = await routers.proof("proof", permissions, resource, subject)
    with pytest.raises(ConfigError, match="does not make this router"):
        await load_designations([path], routers.world.hash("router"), routers.admission, NOW)


async def test_expired_proof_stops_the_router(routers: Routers) -> None:
    path = await routers.proof("proof", "route", "*", "router")
    with pytest.raises(ConfigError, match="does not make this router"):
        await load_designations(
            [path], routers.world.hash("router"), routers.admission, after(2 * YEAR_S)
        )


@pytest.mark.parametrize("content", [b"", b"nonsense", b"-----BEGIN WAVE EXPLICIT PROOF-----"])
async def test_file_that_is_no_proof_stops_the_router(routers: Routers, content: bytes) -> None:
    path = routers.folder / "proof"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="does not make this router"):
        await load_designations([path], routers.world.hash("router"), routers.admission, NOW)


async def test_missing_proof_is_named(routers: Routers) -> None:
    with pytest.raises(ConfigError, match="absent cannot be read"):
        await load_designations(
            [routers.folder / "absent"], routers.world.hash("router"), routers.admission, NOW
        )


async def test_two_proofs_for_one_namespace_are_a_mistake(routers: Routers) -> None:
    first = await routers.proof("first", "route", "*", "router")
    second = await routers.proof("second", "route", "*", "router")
    with pytest.raises(ConfigError, match="repeats"):
        await load_designations(
            [first, second], routers.world.hash("router"), routers.admission, NOW
        )


async def test_storage_that_is_away_is_not_a_wrong_proof(routers: Routers) -> None:
    path = await routers.proof("proof", "route", "*", "router")
    routers.world.store.is_away = True
    with pytest.raises(UnavailableError):
        await load_designations([path], routers.world.hash("router"), routers.admission, NOW)
