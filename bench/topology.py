"""Our routers as real processes, for load from outside.

Owns keys, grants and routers of one place: a router alone, or a designated router with sites.
Refuses to make load. Fault model: a router may not start; the error holds its log.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wavemq.testing import RouterProcess, RouterSettings, World

URL: Final = "http://bench.invalid/v1"
"""The location that objects name; a local provider serves it without a server."""
LOOPBACK: Final = "127.0.0.1:0"
PARTITION: Final = "load/secret"
"""For which payloads are encrypted end to end where a workload asks for it."""
FILTERS: Final = ("load/*", "unused/*")


@dataclass(frozen=True, slots=True)
class Place:
    """Running routers, and who may publish and subscribe there.

    Args:
        designated: the designated router of the namespace.
        sites: routers under it.
        entity: file of the secret of whoever publishes and subscribes.
        namespace: its hash, in hexadecimal digits.
    """

    designated: RouterProcess
    sites: tuple[RouterProcess, ...]
    entity: Path
    namespace: str

    @property
    def routers(self) -> tuple[RouterProcess, ...]:
        """All of them."""
        return (self.designated, *self.sites)


@contextmanager
def running(
    folder: Path, *, site_count: int = 0, queue_length_max: int = 10_000
) -> Iterator[Place]:
    """Start a designated router and `site_count` sites in `folder`, with durable queues.

    Args:
        folder: empty; holds keys and state.
        site_count: routers under the designated one.
        queue_length_max: as `RouterSettings` has it.
    """
    location = {"default": {"provider": "local", "path": str(folder / "objects"), "url": URL}}
    world = World(folder / "keys", location)
    for name in ("namespace", "service", "router"):
        world.entity(name)
    for filter_text in FILTERS:
        world.grant(
            f"wavemq:publish,subscribe@namespace.pem/{filter_text}",
            attester="namespace",
            subject="service",
        )
    world.grant(f"wave:decrypt@namespace.pem/{PARTITION}", attester="namespace", subject="service")
    route = "wavemq:route@namespace.pem/*"
    world.grant(route, attester="namespace", subject="router")
    proof = world.prove(route, subject="router", outfile="routing.pem")
    namespace = world.hash_of("namespace")
    with ExitStack() as stack:
        settings = RouterSettings(
            directory=folder / "designated",
            storage=location,
            peer_listen=LOOPBACK,
            routing_proofs=(proof,),
            queue_length_max=queue_length_max,
        )
        settings.directory.mkdir()
        settings.entity_path.write_bytes(world.path("router.pem").read_bytes())
        designated = stack.enter_context(RouterProcess(settings, name="designated"))
        sites = tuple(
            stack.enter_context(
                RouterProcess(
                    RouterSettings(
                        directory=folder / f"site{index}",
                        storage=location,
                        uplinks={namespace.to_text(): designated.peer},
                        queue_length_max=queue_length_max,
                    ),
                    name=f"site{index}",
                )
            )
            for index in range(site_count)
        )
        yield Place(designated, sites, world.path("service.pem"), namespace.to_bytes().hex())
