"""Routers, storage servers and WAVE agents as real processes.

Owns start, readiness, log, stop and kill of the installed commands. Refuses to know what a
server does once it is ready. Fault model: it may exit before it is ready, hang at its end, or
outlive the program that started it; each has a bound and a last resort (SIGKILL, the leash).
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections import deque
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from wavemq.testing.settings import LOOPBACK, AgentSettings, RouterSettings

READY_SECONDS_MAX: Final = 30.0
STOP_SECONDS_MAX: Final = 15.0
LOG_LINES_KEPT: Final = 200
LEASH: Final = Path(__file__).with_name("leash.py")
"""Run by its path, so that its start costs no import of this package."""


class ProcessFailedError(Exception):
    """A process did not become ready, or did not end; the text ends with its log."""


def command_path(name: str) -> str:
    """Return the installed command `name`, first looking beside the running interpreter.

    Raises:
        ProcessFailedError: it is not installed.
    """
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise ProcessFailedError(f"the command {name!r} is not installed beside {sys.executable}")
    return found


class ServerProcess:
    """One server: started whole, ended surely.

    Args:
        name: for logs and errors.
        arguments: of the command, its name first.
        log_path: gets everything that it prints.
        environment: added to this process's own.
    """

    def __init__(
        self,
        name: str,
        arguments: list[str],
        *,
        log_path: Path,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.name = name
        self.arguments = arguments
        self.log_path = log_path
        self.ready: dict[str, str] = {}
        self._environment = environment or {}
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._settled = threading.Event()
        self._last_lines: deque[str] = deque(maxlen=LOG_LINES_KEPT)

    @property
    def command_line(self) -> str:
        """The command as one would type it."""
        return shlex.join(self.arguments)

    @property
    def log(self) -> str:
        """The last lines that it printed."""
        return "\n".join(self._last_lines)

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id; only while it runs."""
        if self._process is None:
            raise ProcessFailedError(f"{self.name} is not running")
        return self._process.pid

    def start(self) -> Self:
        """Start it and wait for its ready line, `ready KEY=VALUE ...`.

        Raises:
            ProcessFailedError: it ended first, or was not ready in time.
        """
        if self.is_running:
            raise ProcessFailedError(f"{self.name} runs already")
        self._settled.clear()
        self.ready = {}
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        leash = [sys.executable, "-I", "-S", str(LEASH), str(os.getpid())]
        self._process = subprocess.Popen(  # noqa: S603 - the commands are this project's own
            [*leash, command_path(self.arguments[0]), *self.arguments[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **self._environment},
            start_new_session=True,  # a terminal's Ctrl-C is for the parent, who ends us in order
        )
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        if not self._settled.wait(READY_SECONDS_MAX) or not self.ready:
            is_late = self._process.poll() is None
            self.kill()
            verb = f"was not ready within {READY_SECONDS_MAX:g} s" if is_late else "ended early"
            raise ProcessFailedError(f"{self.name} {verb}; its log:\n{self.log}")
        return self

    def stop(self) -> int:
        """End it with SIGTERM and return its exit status; of one that has ended too.

        Raises:
            ProcessFailedError: it did not end in time and was killed.
        """
        process = self._started()
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            status = process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired as error:
            self.kill()
            raise ProcessFailedError(
                f"{self.name} did not end within {STOP_SECONDS_MAX:g} s of SIGTERM; "
                f"its log:\n{self.log}"
            ) from error
        self._join_reader()
        return status

    def kill(self) -> None:
        """End it at once with SIGKILL; nothing happens if it has ended."""
        process = self._process
        if process is not None:
            process.kill()
            process.wait()
            self._join_reader()

    def pause(self) -> None:
        """Stop it in place with SIGSTOP: its sockets stay, nobody answers."""
        self._started().send_signal(signal.SIGSTOP)

    def unpause(self) -> None:
        """Let it go on after `pause`."""
        self._started().send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        """Start it."""
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it: in order after success, at once after an error."""
        if error is not None:
            self.kill()
        elif self.is_running:
            self.stop()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise ProcessFailedError(f"{self.name} was not started")
        return self._process

    def _join_reader(self) -> None:
        if self._reader is not None:
            self._reader.join(STOP_SECONDS_MAX)

    def _read_log(self) -> None:
        """Copy the output to the log until it ends; runs in a thread of its own."""
        process = self._started()
        assert process.stdout is not None
        with process.stdout as output, self.log_path.open("ab") as log:
            for raw in output:
                log.write(raw)
                log.flush()
                line = raw.decode(errors="replace").rstrip()
                self._last_lines.append(line)
                doors = self._doors_in(line)
                if doors:
                    self.ready = doors
                    self._settled.set()
        self._settled.set()

    def _doors_in(self, line: str) -> dict[str, str]:
        """Return the addresses if this is the line that says that the server is ready."""
        words = line.split()
        if words[:1] != ["ready"]:
            return {}
        return dict(word.partition("=")[::2] for word in words[1:])


class StorageProcess(ServerProcess):
    """An object storage server: `wavemq storage`.

    Args:
        directory: where it keeps objects; survives `kill` and `start`.
        name: for logs and errors.
    """

    def __init__(self, directory: Path, *, name: str = "storage") -> None:
        self.directory = directory
        super().__init__(
            name, self._arguments(directory, LOOPBACK), log_path=directory.parent / f"{name}.log"
        )

    @staticmethod
    def _arguments(directory: Path, listen: str) -> list[str]:
        return ["wavemq", "storage", "--listen", listen, "--data", str(directory)]

    @property
    def address(self) -> str:
        """Its `host:port`."""
        return self.ready["http"]

    @property
    def location(self) -> dict[str, str]:
        """The keys of a storage table that names this server."""
        return {"provider": "http_v1", "url": f"http://{self.address}/v1", "version": "1"}

    def start(self) -> Self:
        """Start it; its address stays the same when it is started again."""
        super().start()
        self.arguments = self._arguments(self.directory, self.address)
        return self


class RouterProcess(ServerProcess):
    """A site or designated router: `wavemq CONFIG.toml`.

    Args:
        settings: what goes into its configuration; state in its directory survives `kill`.
        name: for logs and errors.
        environment: added to this process's own.
    """

    def __init__(
        self,
        settings: RouterSettings,
        *,
        name: str = "router",
        environment: dict[str, str] | None = None,
    ) -> None:
        self.settings = settings
        super().__init__(
            name,
            ["wavemq", str(settings.config_path)],
            log_path=settings.directory / f"{name}.log",
            environment={"METRICS_ADDRESS": settings.metrics_listen, **(environment or {})},
        )

    @property
    def local(self) -> str:
        """Address of the door for programs."""
        return self.ready["local"]

    @property
    def peer(self) -> str:
        """Address of the door for site routers."""
        return self.ready["peer"]

    @property
    def metrics(self) -> str:
        """Address of the metrics."""
        return self.ready["metrics"]

    def start(self) -> Self:
        """Write the configuration and start it; addresses stay when it is started again."""
        self.settings.write()
        super().start()
        self.settings = replace(
            self.settings,
            local_listen=self.local,
            peer_listen=None if self.settings.peer_listen is None else self.peer,
        )
        return self


class AgentProcess(ServerProcess):
    """A WAVE daemon: `waved --config FILE`.

    Args:
        settings: what goes into its configuration; state in its directory survives `kill`.
        name: for logs and errors.
    """

    def __init__(self, settings: AgentSettings, *, name: str = "agent") -> None:
        self.settings = settings
        super().__init__(
            name,
            ["waved", "--config", str(settings.config_path)],
            log_path=settings.directory / f"{name}.log",
        )

    @property
    def address(self) -> str:
        """Address of gRPC, for `wv --agent`."""
        return self.ready["grpc"]

    @property
    def http(self) -> str:
        """Address of the HTTP gateway."""
        return self.ready["http"]

    def start(self) -> Self:
        """Write the configuration and start it; addresses stay when it is started again."""
        self.settings.write()
        super().start()
        self.settings = replace(
            self.settings,
            listen=self.address,
            http_listen=None if self.settings.http_listen is None else self.http,
        )
        return self

    def _doors_in(self, line: str) -> dict[str, str]:
        """Return the addresses that the daemon's log tells."""
        try:
            entry = json.loads(line)
        except ValueError:  # a line for people
            return {}
        if not isinstance(entry, dict) or entry.get("event") != "agent_started":
            return {}
        return {door: str(entry[door]) for door in ("grpc", "http", "unix") if door in entry}
