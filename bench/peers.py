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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
    """

    name: str
    command: str
    hint: str
    protocol: tuple[str, ...]
    arguments: Callable[[Path, int], list[str]]

    def find(self) -> str | None:
        """Return the path of its program; None if it is absent."""
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
            raise LoadFailedError(f"{self.command}: not installed ({self.hint})")
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
            yield Target(self.protocol, address, address, ((self.name, process.pid),))
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
)
