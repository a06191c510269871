"""Other brokers that this machine has, as real processes: what ours is compared with.

Owns how each is started durably, or as durably as it can be. Refuses to install any: an absent one
is named with the way to get it. Fault model: one may not listen in time; the error holds its log.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bench.load_generator import LoadFailedError, Target
from wavemq.testing.processes import LEASH

HOST: Final = "127.0.0.1"
LISTEN_SECONDS_MAX: Final = 20.0
PEERS_BIN: Final = Path(__file__).resolve().parent.parent / ".venv-peers" / "bin"
"""Where `make bench-peers` puts those that come from PyPI."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A broker to compare with.

    Args:
        name: its column.
        command: its program.
        hint: how to get it.
        protocol: arguments of the generator.
        arguments: of the program, given a folder of its own and a port; may write files there.
        load: what makes the load instead of the generator, behind the program.
        options: of the generator that `load` knows; a workload with others is left out.
    """

    name: str
    command: str
    hint: str
    protocol: tuple[str, ...]
    arguments: Callable[[Path, int], list[str]]
    load: tuple[str, ...] = ()
    options: frozenset[str] | None = None

    def knows(self, arguments: Sequence[str]) -> bool:
        """Return whether a workload with these arguments can be run."""
        used = {word for word in arguments if word.startswith("--")}
        return self.options is None or used <= self.options

    def find(self) -> str | None:
        """Return the path of its program; None if it is absent."""
        if self.load:  # a package, of the environment whose interpreter is the program
            found = next(PEERS_BIN.parent.glob("lib/python3*/site-packages/zenoh"), None)
            return None if found is None else str(PEERS_BIN / self.command)
        beside = PEERS_BIN / self.command
        if beside.exists():
            return str(beside)
        path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
        return shutil.which(self.command, path=path)

    @contextmanager
    def running(self, folder: Path) -> Iterator[Target]:
        """Start it with its files in `folder`, and end it.

        Raises:
            LoadFailedError: it is absent, or does not listen in time.
        """
        program = self.find()
        if program is None:
            raise LoadFailedError(f"{self.name}: {self.command} is not installed ({self.hint})")
        folder.mkdir(parents=True)
        port = _free_port()
        log_path = folder / "log"
        leash = [sys.executable, "-I", "-S", str(LEASH), str(os.getpid())]
        with log_path.open("wb") as log:
            process = subprocess.Popen(
                [*leash, program, *self.arguments(folder, port)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=folder,
                start_new_session=True,
            )
        try:
            _wait_listening(self.name, process, port, log_path)
            address = (f"{HOST}:{port}",)
            target = Target(self.protocol, address, address, ((self.name, process.pid),))
            yield replace(target, command=(program, *self.load)) if self.load else target
        finally:
            process.terminate()
            try:
                process.wait(LISTEN_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as taken:
        return int(taken.getsockname()[1])


def _wait_listening(name: str, process: subprocess.Popen[bytes], port: int, log_path: Path) -> None:
    end = time.monotonic() + LISTEN_SECONDS_MAX
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection((HOST, port), timeout=1.0).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    words = log_path.read_text(errors="replace")[-2000:]
    raise LoadFailedError(f"{name} does not listen; its log:\n{words}")


def _nats_arguments(folder: Path, port: int) -> list[str]:
    config = folder / "nats.conf"
    # 2.9 has no setting for it: the file store is synchronized every two minutes.
    config.write_text(
        f'host: {HOST}\nport: {port}\njetstream {{ store_dir: "{folder}/store" }}\n'
        "max_payload: 8MB\n"
    )
    return ["-c", str(config)]


def _mosquitto_arguments(folder: Path, port: int) -> list[str]:
    config = folder / "mosquitto.conf"
    user = "user root\n" if os.geteuid() == 0 else ""
    config.write_text(
        f"listener {port} {HOST}\nallow_anonymous true\n{user}"
        f"persistence true\npersistence_location {folder}/\n"
        "max_inflight_messages 0\nmax_queued_messages 0\n"
    )
    return ["-c", str(config)]


def _amqtt_arguments(folder: Path, port: int) -> list[str]:
    config = folder / "amqtt.yaml"
    config.write_text(
        f"listeners:\n  default:\n    type: tcp\n    bind: {HOST}:{port}\n"
        "    max_connections: 2000\nplugins:\n"
        "  amqtt.plugins.authentication.AnonymousAuthPlugin:\n    allow_anonymous: true\n"
    )
    return ["-c", str(config)]


ZENOH_LOAD: Final = str(Path(__file__).resolve().with_name("zenoh_load.py"))


def _zenoh_arguments(folder: Path, port: int) -> list[str]:
    return [ZENOH_LOAD, "route", "--publish-to", f"{HOST}:{port}"]


MQTT: Final = ("--protocol", "mqtt")
NATS: Final = Peer(
    "NATS",
    "nats-server",
    "Debian: apt install nats-server",
    ("--protocol", "nats"),
    _nats_arguments,
)
PEERS: Final = (
    NATS,
    Peer("Mosquitto", "mosquitto", "Debian: apt install mosquitto", MQTT, _mosquitto_arguments),
    Peer("amqtt", "amqtt", "PyPI: make bench-peers", MQTT, _amqtt_arguments),
    Peer(
        "Zenoh",
        "python",
        "eclipse-zenoh of PyPI: make bench-peers",
        (),
        _zenoh_arguments,
        load=(ZENOH_LOAD, "load"),
        options=frozenset({"--in-flight", "--rate", "--acknowledge"}),
    ),
)
