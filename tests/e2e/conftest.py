"""Two storage servers, a designated router and a site router as real processes.

The keys are made once for the whole run; routers are made per module, so that no test can leave
another module a broken tier.
"""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterator
from contextlib import ExitStack

import pytest

from tests.support.tier import Ground, Tier
from wavemq.testing import RouterProcess, RouterSettings, StorageProcess, World
from wavemq.testing.processes import ServerProcess

# Who may do what; everybody else's grants are absent on purpose.
EVERYTHING = "wavemq:publish,subscribe,query@namespace.pem/*"
READING = "wavemq:subscribe,query@namespace.pem/*"
KEYS = "wave:decrypt@namespace.pem/*"
GRANTS_IN_THE_CLOUD = {"operator": (EVERYTHING, KEYS), "observer": (READING, KEYS)}
GRANTS_AT_THE_SITE = {
    "service": (EVERYTHING, KEYS),
    "reader": (READING, KEYS),
    "auditor": (READING,),
    "tenant": ("wavemq:publish,subscribe@namespace.pem/tenant/*",),
    "stranger": (),
}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the logs of every process with a failure."""
    report = yield
    arguments = getattr(item, "funcargs", {})
    if report.failed:
        for value in arguments.values():
            servers = value.servers if isinstance(value, Tier) else ()
            for server in (value,) if isinstance(value, ServerProcess) else servers:
                report.sections.append((f"log of {server.name}", server.log))
    return report


@pytest.fixture(scope="session")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Two storage servers, one in the cloud and one at the site, with keys and grants in both."""
    folder = tmp_path_factory.mktemp("ground")
    with ExitStack() as stack:
        cloud = stack.enter_context(StorageProcess(folder / "cloud", name="cloud"))
        near = stack.enter_context(StorageProcess(folder / "near", name="near"))
        world = World(folder / "keys", {"default": cloud.location, "near": near.location})
        site_world = World(
            folder / "keys", {"default": near.location, "cloud": cloud.location}, name="site"
        )
        for name in ("namespace", "router", *GRANTS_IN_THE_CLOUD):
            world.entity(name)
        for name in GRANTS_AT_THE_SITE:
            site_world.entity(name)
        for subject, statements in (GRANTS_IN_THE_CLOUD | GRANTS_AT_THE_SITE).items():
            for statement in statements:
                world.grant(statement, attester="namespace", subject=subject)
        statement = "wavemq:route@namespace.pem/*"
        world.grant(statement, attester="namespace", subject="router")
        proof = world.prove(statement, subject="router", outfile="routing.pem")
        yield Ground(
            world=world,
            site_world=site_world,
            cloud_storage=cloud,
            site_storage=near,
            routing_proof=proof,
        )


@pytest.fixture(scope="module")
def tier(ground: Ground, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tier]:
    """A designated router and a site router, fresh for this module."""
    folder = tmp_path_factory.mktemp("tier")
    cloud, near = ground.cloud_storage.location, ground.site_storage.location
    designated_settings = RouterSettings(
        directory=folder / "designated",
        storage={"default": cloud, "near": near},
        routing_proofs=(ground.routing_proof,),
        peer_listen="127.0.0.1:0",
    )
    designated_settings.directory.mkdir()
    shutil.copy(ground.world.path("router.pem"), designated_settings.entity_path)
    with ExitStack() as stack:
        designated = stack.enter_context(RouterProcess(designated_settings, name="designated"))
        site = stack.enter_context(
            RouterProcess(
                RouterSettings(
                    directory=folder / "site",
                    storage={"default": near, "cloud": cloud},
                    uplinks={ground.world.hash_of("namespace").to_text(): designated.peer},
                ),
                name="site",
            )
        )
        yield Tier(ground=ground, designated=designated, site=site)
