"""The main job, end to end, with real processes; checks itself, exits with 1 if anything differs.

Starts object storage, a designated router and a site router, makes entities, grants and a routing
proof with `wv`, runs the hello program, cuts the designated router and brings it back, and lets
intruders try. Everything lives in a temporary folder and ends with this program.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.table import Table
from rich.text import Text

import wavemq
from wavemq.clock import SystemClock
from wavemq.errors import AuthorizationError
from wavemq.testing import (
    CommandFailedError,
    ProcessFailedError,
    RouterProcess,
    RouterSettings,
    StorageProcess,
    World,
)
from wavemq.testing.forgery import forge_proof

EXAMPLES = Path(__file__).resolve().parent
WAIT_SECONDS_MAX = 20.0
QUIET_SECONDS = 1.0
"""How long a subscriber is watched to be sure that nothing arrives."""
TOPIC = "example/topic"
FILTER = "example/*"


class DifferenceError(Exception):
    """Something was not as it must be."""


@dataclass(slots=True)
class Report:
    """What is shown and what was checked."""

    console: Console
    checks: list[tuple[str, str]] = field(default_factory=list)

    def heading(self, text: str) -> None:
        """Begin a part."""
        self.console.print(f"\n[bold cyan]{text}[/]")

    def say(self, text: str) -> None:
        """Explain."""
        self.console.print(f"  {text}", markup=False, highlight=False, soft_wrap=True, style="dim")

    def command(self, line: str) -> None:
        """Show a command that runs."""
        self.console.print(f"  $ {line}", markup=False, highlight=False, soft_wrap=True)

    def output(self, text: str) -> None:
        """Show what a command printed."""
        for line in text.rstrip().splitlines():
            self.console.print(f"    {line}", markup=False, highlight=False, soft_wrap=True)

    def check(self, *, is_true: bool, what: str, seen: str) -> None:
        """Record a check.

        Raises:
            DifferenceError: it does not hold.
        """
        if not is_true:
            raise DifferenceError(f"expected: {what}; seen: {seen}")
        self.checks.append((what, seen))
        self.console.print("  ✓ ", Text(what), ": ", Text(seen, "bold"), sep="", style="green")


@dataclass(frozen=True, slots=True)
class Stage:
    """The processes and keys of the demonstration."""

    storage: StorageProcess
    designated: RouterProcess
    site: RouterProcess
    world: World


def make_world(stack: ExitStack, report: Report, folder: Path) -> Stage:
    """Start storage, make keys, grants and routing proof, start both routers."""
    storage, designated, world = make_cloud(stack, report, folder)
    site = make_site(stack, report, folder, storage, world, designated.peer)
    report.say("the site's configuration, in the layout of the original:")
    report.output(site.settings.config_path.read_text())
    return Stage(storage=storage, designated=designated, site=site, world=world)


def make_cloud(
    stack: ExitStack, report: Report, folder: Path
) -> tuple[StorageProcess, RouterProcess, World]:
    """Start storage, make keys, grants and routing proof, start the designated router."""
    report.heading("1. Object storage, entities, grants, a routing proof")
    storage = StorageProcess(folder / "objects")
    stack.callback(storage.kill)
    report.command(f"{storage.command_line} &")
    storage.start()
    report.say(f"entities and grants are stored by their hash at http://{storage.address}/v1")

    location = {"default": storage.location}
    world = World(folder / "keys", location, show=report.command)
    for name in ("namespace", "router", "service", "observer", "stranger"):
        world.entity(name)
    report.say("the namespace lets the service publish and subscribe, and the observer subscribe;")
    report.say("wave:decrypt hands over the keys that open end-to-end encrypted payloads")
    for name, permissions in (("service", "publish,subscribe"), ("observer", "subscribe")):
        for statement in (f"wavemq:{permissions}", "wave:decrypt"):
            world.grant(f"{statement}@namespace.pem/{FILTER}", attester="namespace", subject=name)
    report.say("the router becomes the designated one by a proof that it may route everything")
    world.grant("wavemq:route@namespace.pem/*", attester="namespace", subject="router")
    proof = world.prove("wavemq:route@namespace.pem/*", subject="router", outfile="routing.pem")
    verdict = world.run("verify", "routing.pem")
    report.output(verdict)
    report.check(
        is_true="route" in verdict and world.hash_of("router").to_text() in verdict,
        what="the routing proof verifies and names the router",
        seen="wv verify agrees",
    )

    report.heading("2. A designated router and a site router")
    designated_settings = RouterSettings(
        directory=folder / "designated",
        storage=location,
        routing_proofs=(proof,),
        peer_listen="127.0.0.1:0",
    )
    designated_settings.directory.mkdir()
    (folder / "keys" / "router.pem").rename(designated_settings.entity_path)
    designated = RouterProcess(designated_settings, name="designated")
    stack.callback(designated.kill)
    report.command(f"{designated.command_line} &")
    designated.start()
    report.output("ready " + " ".join(f"{key}={value}" for key, value in designated.ready.items()))
    return storage, designated, world


def make_site(
    stack: ExitStack,
    report: Report,
    folder: Path,
    storage: StorageProcess,
    world: World,
    peer: str,
) -> RouterProcess:
    """Start the site router, whose designated router is found at `peer`."""
    site = RouterProcess(
        RouterSettings(
            directory=folder / "site",
            storage={"default": storage.location},
            uplinks={world.hash_of("namespace").to_text(): peer},
        ),
        name="site",
    )
    stack.callback(site.kill)
    report.command(f"{site.command_line} &")
    site.start()
    report.output("ready " + " ".join(f"{key}={value}" for key, value in site.ready.items()))
    return site


async def within(
    what: str, is_reached: Callable[[], Awaitable[bool]], seconds_max: float = WAIT_SECONDS_MAX
) -> None:
    """Wait until `is_reached` answers true.

    Raises:
        DifferenceError: it did not in time.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds_max
    while not await is_reached():
        if loop.time() > deadline:
            raise DifferenceError(f"{what}: not within {seconds_max:g} s")
        await asyncio.sleep(0.05)


async def take(subscription: wavemq.Subscription, count: int, who: str) -> list[wavemq.Received]:
    """Return the next `count` messages of `subscription`.

    Raises:
        DifferenceError: they did not arrive in time.
    """
    found: list[wavemq.Received] = []
    try:
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while len(found) < count:
                found.append(await anext(subscription))
    except TimeoutError as error:
        raise DifferenceError(f"{who} got {len(found)} of {count} messages in time") from error
    return found


async def is_quiet(subscription: wavemq.Subscription) -> bool:
    """Return whether nothing arrives on `subscription` for a while."""
    try:
        async with asyncio.timeout(QUIET_SECONDS):
            await anext(subscription)
    except TimeoutError:
        return True
    return False


async def greet(report: Report, stage: Stage, observed: wavemq.Subscription) -> None:
    """Run the hello program against the site; the observer listens at the designated router."""
    report.heading("3. Hello world, through two routers")
    arguments = [
        "--address",
        stage.site.local,
        "--entity",
        str(stage.world.path("service.pem")),
        "--namespace",
        stage.world.hash_of("namespace").to_text(),
    ]
    report.command(f"python examples/hello.py {' '.join(arguments)}")
    hello = await asyncio.create_subprocess_exec(
        sys.executable,
        str(EXAMPLES / "hello.py"),
        *arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        raw, _ = await asyncio.wait_for(hello.communicate(), WAIT_SECONDS_MAX)
    finally:
        if hello.returncode is None:
            hello.kill()
    printed = raw.decode()
    report.output(printed)
    report.check(
        is_true=hello.returncode == 0 and printed.splitlines() == ["hello world"] * 5,
        what="hello.py publishes five encrypted messages at the site and reads them back",
        seen=f"{printed.count('hello world')} printed, exit status {hello.returncode}",
    )
    messages = await take(observed, 5, "the observer at the designated router")
    service = stage.world.hash_of("service")
    report.check(
        is_true=all(
            message.payload == b"hello world"
            and message.source == service
            and message.encryption_partition == (b"example", b"topic")
            for message in messages
        ),
        what="a subscriber at the designated router gets them too, signed by the service",
        seen=f"{len(messages)} messages, encrypted end to end, decrypted by its own grant",
    )


async def cut_the_link(
    report: Report,
    stage: Stage,
    service: wavemq.Bus,
    near: wavemq.Subscription,
    far: wavemq.Subscription,
) -> None:
    """Kill the designated router, publish on, bring it back."""
    report.heading("4. The designated router dies; the site goes on")
    report.command(f"kill -9 {stage.designated.pid}   # the designated router")
    stage.designated.kill()

    async def is_link_down() -> bool:
        return (await service.status()).uplinks_connected == 0

    await within("the site notices that its uplink is down", is_link_down)
    status = await service.status()
    report.say(
        f"site router: {status.uplinks_connected} of {status.uplinks_configured} uplinks connected"
    )
    texts = [f"during the outage {number}".encode() for number in range(1, 6)]
    for text in texts:
        await service.publish(TOPIC, text, encryption_partition=TOPIC)
    report.say("published five more at the site; each publish was answered")
    local = [message.payload for message in await take(near, 5, "the subscriber at the site")]
    report.check(
        is_true=local == texts,
        what="the subscriber at the site gets them at once",
        seen=f"{len(local)} of 5, in order",
    )
    report.check(
        is_true=await is_quiet(far),
        what="the subscriber at the designated router gets nothing",
        seen=f"silence for {QUIET_SECONDS:g} s",
    )

    report.heading("5. The designated router returns; what was queued arrives")
    report.command(f"{stage.designated.command_line} &")
    stage.designated.start()
    caught_up = await take(far, 5, "the observer, after the return,")
    while caught_up[0].payload == b"hello world":
        # What was under way when the router was killed may come again (docs/durability.md).
        caught_up = [*caught_up[1:], *await take(far, 1, "the observer, after the return,")]
    report.check(
        is_true=[message.payload for message in caught_up] == texts,
        what="what was published during the outage arrives at the designated router",
        seen=f"{len(caught_up)} of 5, in order",
    )
    report.check(
        is_true=await is_quiet(far) and not any(any(one.drops) for one in caught_up),
        what="each of them once, none dropped",
        seen="no duplicate, drop counts 0",
    )


async def try_to_intrude(
    report: Report,
    stage: Stage,
    near: wavemq.Subscription,
    far: wavemq.Subscription,
) -> None:
    """Publish without a grant, and with a proof that does not begin at the namespace."""
    report.heading("6. Intruders")
    namespace = stage.world.hash_of("namespace")
    secret = stage.world.path("stranger.pem").read_bytes()
    forged = forge_proof(
        secret, namespace=namespace, resource=FILTER, permission="publish", now=SystemClock().now()
    )
    report.say("the stranger has an entity and no grant")
    async with wavemq.connect(stage.site.local, entity=secret, namespace=namespace) as stranger:
        try:
            await stranger.publish(TOPIC, b"let me in")
            refused = "accepted"
        except AuthorizationError as error:
            refused = str(error)
        report.check(
            is_true=refused != "accepted",
            what="a publisher without a grant is refused",
            seen=refused,
        )
        report.say("then it grants itself `publish` in a namespace that is not its own, and forges")
        report.say("a proof from that; the original accepts such proofs")
        stage.world.path("forged.pem").write_bytes(forged.pem)
        verdict = stage.world.run("verify", "forged.pem", is_failure_expected=True).strip()
        report.output(verdict)
        report.check(is_true="912" in verdict, what="wv refuses the forged proof", seen="912")
        try:
            await stranger.publish(TOPIC, b"let me in", proof=forged.der)
            refused = "accepted"
        except AuthorizationError as error:
            refused = str(error)
        report.check(
            is_true=refused != "accepted",
            what="the site router refuses the forged proof",
            seen=refused,
        )
    report.check(
        is_true=await is_quiet(near) and await is_quiet(far),
        what="none of it reaches a subscriber",
        seen=f"silence for {QUIET_SECONDS:g} s",
    )


async def tell(report: Report, stage: Stage) -> None:
    """Parts 3 to 6, with one subscriber at each router."""
    policy = wavemq.ReconnectPolicy(ceiling_s=1.0)

    def show_change(change: wavemq.ConnectionChange) -> None:
        if change.state is not wavemq.LinkState.RETRYING:
            report.say(f"observer's subscription {change.topic_filter}: {change.state}")

    namespace = stage.world.hash_of("namespace")
    observer_file = stage.world.path("observer.pem")
    service_file = stage.world.path("service.pem")
    async with (
        wavemq.connect(
            stage.designated.local,
            entity=observer_file,
            namespace=namespace,
            reconnect=policy,
            on_change=show_change,
        ) as observer,
        observer.subscribe(FILTER) as far,
    ):
        await greet(report, stage, far)
        async with (
            wavemq.connect(stage.site.local, entity=service_file, namespace=namespace) as service,
            service.subscribe(FILTER) as near,
        ):
            await cut_the_link(report, stage, service, near, far)
            await try_to_intrude(report, stage, near, far)


def close_down(report: Report, stage: Stage) -> None:
    """End every process in order and check that it ends well."""
    report.heading("7. Everything ends in order")
    statuses = {
        server.name: server.stop() for server in (stage.site, stage.designated, stage.storage)
    }
    report.check(
        is_true=set(statuses.values()) == {0},
        what="SIGTERM ends all three processes",
        seen=", ".join(f"{name} {status}" for name, status in statuses.items()),
    )


def summarize(report: Report, seconds: float) -> None:
    """Print one line per check."""
    table = Table("checked", "seen", title="\nSummary", title_justify="left")
    for what, seen in report.checks:
        table.add_row(Text(what), Text(seen))
    report.console.print(table)
    report.console.print(f"[bold green]{len(report.checks)} checks passed[/] in {seconds:.1f} s")


def end_by_signal(number: int, frame: FrameType | None) -> None:
    """Turn a request to end into an exception, so that every process is ended on the way out."""
    raise SystemExit(128 + number)


def main() -> int:
    """Run the demonstration; return 0 if every check holds."""
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # a killed router is no news here
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end_by_signal)
    # A shell that starts us in the background has Ctrl-C ignored; whoever sends it means it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    report = Report(Console(highlight=False))
    started = time.monotonic()
    stage: Stage | None = None
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wavemq-demo-")))
        os.environ["TMPDIR"] = str(folder)  # so that a killed router leaves nothing elsewhere
        try:
            stage = make_world(stack, report, folder)
            asyncio.run(tell(report, stage))
            close_down(report, stage)
        except KeyboardInterrupt:
            report.console.print("\ninterrupted; ending every process")
            return 130
        except (
            DifferenceError,
            CommandFailedError,
            ProcessFailedError,
            wavemq.WaveMQError,
        ) as error:
            report.console.print(f"\nFAILED: {error}", style="bold red", markup=False)
            for server in () if stage is None else (stage.site, stage.designated, stage.storage):
                report.console.print(f"--- last lines of {server.name}", style="dim")
                report.console.print("\n".join(server.log.splitlines()[-20:]), markup=False)
            return 1
    summarize(report, time.monotonic() - started)
    return 0


if __name__ == "__main__":
    sys.exit(main())
