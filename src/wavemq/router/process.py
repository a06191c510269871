"""One router, from its configuration to its end.

Owns the assembly of all parts, the ready line, and the order of stopping. Refuses to know what the
parts do. Fault model: whatever is wrong before the router serves ends it with one sentence; later,
SIGTERM and SIGINT stop it in order, a defect of ours stops it with an error, and what was answered
is on disk in every case.

The ready line, alone on stdout, when everything serves:
`ready local=HOST:PORT peer=HOST:PORT|- metrics=HOST:PORT|-`.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from dataclasses import dataclass
from random import Random
from typing import Final

import structlog

import wavemq
from wavemq.authz.admission import Admission
from wavemq.authz.engine import Engine, EngineConfig
from wavemq.authz.publishing import Publishing
from wavemq.clock import Clock, SystemClock
from wavemq.errors import ConfigError, WaveMQError
from wavemq.net.addresses import Address, bound_address, listen
from wavemq.net.certificate import make_server_certificate
from wavemq.net.grpc_server import CONNECTIONS_MAX
from wavemq.net.link import HANDSHAKES_MAX, LINKS_MAX, LinkLimits
from wavemq.net.local_server import serve_local
from wavemq.net.objects import LocationRouter
from wavemq.net.peer_server import serve_peers
from wavemq.net.reactor import Reactor, running_reactor
from wavemq.net.uplink import Uplink
from wavemq.router.config import QueueBounds, RouterConfig
from wavemq.router.counts import DoorCounts
from wavemq.router.descriptors import ConnectionBounds, connection_bounds
from wavemq.router.disk import OpenedDisk, opening_disk
from wavemq.router.doorway import Doorway
from wavemq.router.driver import Driver
from wavemq.router.identity import keep_published, load_designations, load_router_entity
from wavemq.router.local_door import LocalDoor
from wavemq.router.logs import set_up_logging
from wavemq.router.metrics import ProcessMetrics, render_dropped, render_metrics
from wavemq.router.metrics_server import MetricsServer
from wavemq.router.peer_door import PeerDoor
from wavemq.router.readings import metric_values
from wavemq.router.recording import Recorder, snapshot_from
from wavemq.router.status_page import status_json
from wavemq.router.uplink_door import UplinkDoor
from wavemq.router.watch import AuthorityWatch
from wavemq.routing.config import QueueLimits, RoutingConfig
from wavemq.routing.router import Router
from wavemq.wave import signature
from wavemq.wave.hashes import Hash
from wavemq.wave.keyring import EntitySecret
from wavemq.wire.handshake import RouterClaim

_COLLECTOR_THRESHOLDS: Final = (20_000, 20, 100)
"""Of young, middle-aged and old objects, as `gc.set_threshold` takes them."""

_log = structlog.get_logger("wavemq.router.process")


@dataclass(frozen=True, slots=True)
class BoundAddresses:
    """Where a router is found; None: that door does not exist."""

    local: Address
    peer: Address | None
    metrics: Address | None

    def ready_line(self) -> str:
        """Return the line that scripts wait for."""
        return f"ready local={self.local} peer={self.peer or '-'} metrics={self.metrics or '-'}"


def run_until_signal(
    config: RouterConfig, disk: Future[OpenedDisk], on_ready: Callable[[str], None]
) -> None:
    """Run a router until SIGTERM or SIGINT; errors as `starting.run_router`.

    Args:
        config: of the router.
        disk: of the router, being opened.
        on_ready: given the ready line.
    """
    set_up_logging()
    asyncio.run(_run_until_signal(config, disk, on_ready))


async def _run_until_signal(
    config: RouterConfig, disk: Future[OpenedDisk], on_ready: Callable[[str], None]
) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    _calm_collector()
    await run(
        config,
        clock=SystemClock(),
        random=Random(),  # noqa: S311 - jitter, no secret
        stopping=stopping,
        on_ready=lambda addresses: on_ready(addresses.ready_line()),
        disk=disk,
    )


def _calm_collector() -> None:
    """Have Python look for cycles of garbage as rarely as messages make them, which is hardly ever.

    As it comes, it looks at all young objects for each 700 more of them, so at every message that
    waits for its reader several times: a fifth of the time that a streamed message takes.
    """
    gc.freeze()  # what was imported stays
    gc.set_threshold(*_COLLECTOR_THRESHOLDS)


async def run(
    config: RouterConfig,
    *,
    clock: Clock,
    random: Random,
    stopping: asyncio.Event,
    on_ready: Callable[[BoundAddresses], None],
    disk: Future[OpenedDisk] | None = None,
) -> None:
    """Run a router until `stopping` is set; errors as `starting.run_router`.

    Args:
        config: of the router.
        clock: tells the time.
        random: for jitter.
        stopping: set it to stop in order.
        on_ready: told where the doors are, once they are open.
        disk: of the router, being opened; None: it is opened here.
    """
    try:
        async with AsyncExitStack() as stack:
            parts = await _assemble(config, clock, stack, disk or opening_disk(config))
            await _serve(config, parts, random, stopping, on_ready)
    except* WaveMQError as group:
        raise _first(group) from group
    _log.info("router_stopped")


@dataclass(frozen=True, slots=True)
class _Parts:
    """What exists before anything is served."""

    store: LocationRouter
    secret: EntitySecret
    admission: Admission
    publishing: Publishing
    designations: Mapping[Hash, bytes]
    recorder: Recorder
    core: Router
    clock: Clock


async def _assemble(
    config: RouterConfig, clock: Clock, stack: AsyncExitStack, opening: Future[OpenedDisk]
) -> _Parts:
    """Open everything; what is opened is closed by the stack."""
    stack.push_async_callback(asyncio.to_thread, _close, opening)
    store = await stack.enter_async_context(LocationRouter.from_tables(config.storage_tables))
    secret = await load_router_entity(config.entity_file, store.default_location, clock.now())
    engine_config = EngineConfig(
        default_location=store.default_location,
        locations=store.locations,
        default_to_unrevoked=config.is_default_unrevoked,
        revocation_ttl_s=config.revocation_interval_s,
        revocation_grace_s=config.revocation_grace_s,
    )
    engine = await stack.enter_async_context(Engine(store, config.database, engine_config))
    admission = Admission(engine)
    stack.push_async_callback(admission.aclose)
    designations = await load_designations(
        config.designated_files, secret.entity.hash, admission, clock.now()
    )
    for uplink in config.uplinks:
        if uplink.namespace in designations:
            raise ConfigError(
                f"this router is the designated one of {uplink.namespace.to_text()}; "
                "remove its RoutingConfig.Router entry"
            )
    disk = await asyncio.wrap_future(opening)
    recorder = Recorder(disk.journal, disk.retained)
    router_id = await asyncio.to_thread(recorder.router_id, lambda: str(uuid.uuid4()))
    snapshot = snapshot_from(disk.take_contents())
    publishing = Publishing(engine, admission, origin_router=router_id)
    stack.push_async_callback(publishing.aclose)
    routing_config = RoutingConfig(
        router_id=router_id,
        uplinks=frozenset(uplink.namespace for uplink in config.uplinks),
        designated=frozenset(designations),
        queue_expiry_s=config.queue_expiry_s,
        consumer_queue=_limits(config.subscription_queue),
        uplink_queue=_limits(config.uplink_queue),
        durability=config.durability,
    )
    return _Parts(
        store=store,
        secret=secret,
        admission=admission,
        publishing=publishing,
        designations=designations,
        recorder=recorder,
        core=Router(routing_config, snapshot, clock.now()),
        clock=clock,
    )


def _close(opening: Future[OpenedDisk]) -> None:
    """Close a disk, also if nobody came to wait for it."""
    if opening.cancel():
        return
    with suppress(WaveMQError, CancelledError):  # then there is nothing to close; it was told
        opening.result().close()


class _StoppedError(Exception):
    """Ends the background work after an orderly stop; never leaves this module."""


@asynccontextmanager
async def _running_driver(
    parts: _Parts, uplinks: dict[Hash, Uplink], reactor: Reactor
) -> AsyncIterator[Driver]:
    """Give a driver whose disk is let go of at the end."""
    driver = Driver(parts.core, parts.recorder, uplinks, parts.clock, outgoing=reactor)
    try:
        yield driver
    finally:
        await driver.aclose()


async def _serve(
    config: RouterConfig,
    parts: _Parts,
    random: Random,
    stopping: asyncio.Event,
    on_ready: Callable[[BoundAddresses], None],
) -> None:
    """Serve until told to stop; then close doors, links and disk, in this order."""
    counts = DoorCounts()
    uplinks: dict[Hash, Uplink] = {}
    bounds = connection_bounds(ConnectionBounds(CONNECTIONS_MAX, LINKS_MAX, HANDSHAKES_MAX))
    try:
        async with (
            running_reactor() as reactor,
            _running_driver(parts, uplinks, reactor) as driver,
            asyncio.TaskGroup() as group,
        ):
            group.create_task(reactor.run())
            doorway = Doorway(driver, parts.admission, parts.clock, group, counts)
            uplink_door = UplinkDoor(doorway)
            for one in config.uplinks:
                uplinks[one.namespace] = Uplink(
                    one.namespace, one.address, uplink_door, random=random
                )
            local_door = LocalDoor(
                doorway,
                publishing=parts.publishing,
                locations=parts.store,
                designated=frozenset(parts.designations),
                uplinks=uplinks,
            )
            watch = AuthorityWatch(
                doorway,
                publishing=parts.publishing,
                uplinks=uplinks,
                uplink_door=uplink_door,
                designations=parts.designations,
                interval_s=config.revocation_interval_s,
                grace_s=config.revocation_grace_s,
            )
            group.create_task(driver.run())
            group.create_task(watch.run())
            group.create_task(
                keep_published(parts.secret, parts.store, parts.store.default_location, random)
            )
            async with AsyncExitStack() as open_doors:
                metrics = _open_metrics(config, driver, counts, group, open_doors)
                peer = await _open_peer_door(
                    config, parts, PeerDoor(doorway), bounds, group, open_doors
                )
                local = await open_doors.enter_async_context(
                    serve_local(config.local_listen, local_door, connections_max=bounds.programs)
                )
                for uplink in uplinks.values():
                    group.create_task(uplink.run())
                addresses = BoundAddresses(local=local, peer=peer, metrics=metrics)
                _log.info(
                    "router_ready",
                    version=wavemq.__version__,
                    durability=config.durability.value,
                    local=str(local),
                    peer=str(peer),
                    metrics=str(metrics),
                )
                on_ready(addresses)
                await stopping.wait()
                _log.info("router_stopping")
            raise _StoppedError
    except* _StoppedError:
        pass  # everything in the group has been cancelled and has ended


async def _open_peer_door(
    config: RouterConfig,
    parts: _Parts,
    port: PeerDoor,
    bounds: ConnectionBounds,
    group: asyncio.TaskGroup,
    stack: AsyncExitStack,
) -> Address | None:
    if config.peer_listen is None:
        return None
    certificate = await asyncio.to_thread(make_server_certificate, parts.clock.now())
    # One certificate for all links of this process, so one signature over it.
    signed = signature.sign(parts.secret, certificate.signature)
    claims = {
        namespace: RouterClaim(router=parts.secret.entity.hash, signature=signed, proof=proof)
        for namespace, proof in parts.designations.items()
    }
    listening = stack.enter_context(closing(listen(config.peer_listen)))
    # Links are cut last: calls under way still get their answers, and need not be repeated.
    serving: list[asyncio.Task[None]] = []
    stack.push_async_callback(_cancel, serving)
    listener = await stack.enter_async_context(
        serve_peers(
            listening,
            port,
            certificate=certificate,
            claims=claims,
            limits=LinkLimits(handshakes_max=bounds.handshakes, links_max=bounds.links),
        )
    )
    serving.append(group.create_task(listener.serve()))
    return bound_address(listening)


def _open_metrics(
    config: RouterConfig,
    driver: Driver,
    counts: DoorCounts,
    group: asyncio.TaskGroup,
    stack: AsyncExitStack,
) -> Address | None:
    """Serve metrics if their address is free; a router without them is better than none."""
    if config.metrics_listen is None:
        return None
    try:
        listening = listen(config.metrics_listen)
    except ConfigError as error:
        _log.warning("metrics_not_served", reason=error.reason)
        return None
    stack.enter_context(closing(listening))
    own = ProcessMetrics()

    def read() -> bytes:
        core = driver.statistics()
        values = render_metrics(metric_values(core, counts))
        return values + render_dropped(core.dropped) + own.to_bytes()

    def read_status() -> bytes:
        return status_json(driver, config)

    server = MetricsServer(listening, read, read_status)
    serving = group.create_task(server.serve())

    async def stop() -> None:
        server.stop()
        await asyncio.wait({serving})

    stack.push_async_callback(stop)
    return bound_address(listening)


async def _cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
        await asyncio.wait({task})


def _limits(bounds: QueueBounds) -> QueueLimits:
    return QueueLimits(messages_max=bounds.messages_max, bytes_max=bounds.bytes_max)


def _first(group: BaseExceptionGroup[WaveMQError]) -> WaveMQError:
    """Return the first error of a group: what follows it is mostly its consequence."""
    found = group.exceptions[0]
    return found if isinstance(found, WaveMQError) else _first(found)
