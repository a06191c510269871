"""Two storage servers, a designated router and a site router as real processes.

The keys are made once for the whole run; routers are made per module, so that no test can leave
another module a broken tier.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack

import pytest

from tests.support.tier import Ground, Tier
from wavemq.testing import RouterProcess, RouterSettings, StorageProcess, World
from wavemq.testing.processes import ServerProcess

# Who may do what; everybody else's grants are absent on purpose.
GRANTS = {
    "service": ("wavemq:publish,subscribe,query@namespace.pem/*", "wave:decrypt@namespace.pem/*"),
    "observer": ("wavemq:subscribe,query@namespace.pem/*", "wave:decrypt@namespace.pem/*"),
    "auditor": ("wavemq:subscribe,query@namespace.pem/*",),
    "tenant": ("wavemq:publish,subscribe@namespace.pem/tenant/*",),
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
    """Two storage servers, and keys and grants spread over both."""
    folder = tmp_path_factory.mktemp("ground")
    with ExitStack() as stack:
        storages = tuple(
            stack.enter_context(StorageProcess(folder / f"objects-{name}", name=name))
            for name in ("default", "second")
        )
        world = World(folder / "keys", {one.name: one.location for one in storages})
        world.entity("namespace")
        world.entity("router")
        for name in ("service", "observer", "auditor", "tenant", "stranger"):
            world.entity(name, location="second")
        for subject, statements in GRANTS.items():
            for statement in statements:
                world.grant(statement, attester="namespace", subject=subject)
        statement = "wavemq:route@namespace.pem/*"
        world.grant(statement, attester="namespace", subject="router")
        proof = world.prove(statement, subject="router", outfile="routing.pem")
        yield Ground(world=world, storages=storages, routing_proof=proof)


@pytest.fixture(scope="module")
def tier(ground: Ground, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tier]:
    """A designated router and a site router, fresh for this module."""
    folder = tmp_path_factory.mktemp("tier")
    designated_settings = RouterSettings(
        directory=folder / "designated",
        storage=ground.locations,
        routing_proofs=(ground.routing_proof,),
        peer_listen="127.0.0.1:0",
    )
    designated_settings.directory.mkdir()
    designated_settings.entity_path.write_bytes(ground.world.path("router.pem").read_bytes())
    with ExitStack() as stack:
        designated = stack.enter_context(RouterProcess(designated_settings, name="designated"))
        site = stack.enter_context(
            RouterProcess(
                RouterSettings(
                    directory=folder / "site",
                    storage=ground.locations,
                    uplinks={ground.world.hash_of("namespace").to_text(): designated.peer},
                ),
                name="site",
            )
        )
        yield Tier(
            world=ground.world,
            designated=designated,
            site=site,
            servers=(designated, site, *ground.storages),
        )
