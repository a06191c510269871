"""`wavemq status` asks a real router, and servers that are none."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from wavemq.testing import RouterProcess, RouterSettings, World
from wavemq.testing.processes import command_path

SECONDS_MAX = 30


def run(*arguments: str, **environment: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [command_path("wavemq"), "status", *arguments],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def free_address() -> str:
    """Nobody listens there."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("status")
    objects = {"provider": "local", "path": str(folder / "objects"), "url": "http://x.invalid/v1"}
    world = World(folder / "keys", {"default": objects})
    world.entity("namespace")
    return world


def settings(world: World, folder: Path, uplinks: dict[str, str]) -> RouterSettings:
    objects = world.directory.parent / "objects"
    location = {"provider": "local", "path": str(objects), "url": "http://x.invalid/v1"}
    return RouterSettings(directory=folder, storage={"default": location}, uplinks=uplinks)


@pytest.fixture(scope="module")
def lonely_site(
    world: World, free_address: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RouterProcess]:
    """A site router whose designated router is away."""
    uplinks = {world.hash_of("namespace").to_text(): free_address}
    with RouterProcess(settings(world, tmp_path_factory.mktemp("site"), uplinks)) as router:
        yield router


def test_router_without_trouble_is_status_0(world: World, tmp_path: Path) -> None:
    with RouterProcess(settings(world, tmp_path, {})) as router:
        code, output, complaints = run(METRICS_ADDRESS=router.metrics)
    assert (code, complaints) == (0, "")
    assert "disk        ok" in output
    assert "no uplinks" in output


def test_uplink_that_is_down_is_status_1(lonely_site: RouterProcess, free_address: str) -> None:
    code, output, complaints = run(lonely_site.metrics)
    assert (code, complaints) == (1, "")
    (line,) = (one for one in output.splitlines() if one.startswith(free_address))
    assert line.split()[1] == "DOWN"


def test_json_is_the_page_in_one_line(lonely_site: RouterProcess) -> None:
    code, output, _ = run("--json", f"http://{lonely_site.metrics}/status")
    assert code == 1
    assert output.count("\n") == 1
    assert json.loads(output)["uplinks"][0]["is_connected"] is False


def test_router_that_is_away_is_status_2_and_a_sentence(free_address: str) -> None:
    code, output, complaints = run("--json", free_address)
    assert (code, output) == (2, "")
    assert complaints.startswith(
        f"wavemq status: no router answers at http://{free_address}/status"
    )
    assert "ready line" in complaints


def test_wrong_address_is_status_2() -> None:
    code, output, complaints = run("nonsense")
    assert (code, output) == (2, "")
    assert "give HOST:PORT" in complaints


def test_watching_shows_one_look_after_the_other_and_ends_with_the_last(
    lonely_site: RouterProcess,
) -> None:
    watching = subprocess.Popen(
        [command_path("wavemq"), "status", "--watch", "--json", lonely_site.metrics],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Whoever runs the tests in the background of a shell has made us ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert watching.stdout is not None
    looks = [json.loads(watching.stdout.readline()) for _ in range(3)]
    watching.send_signal(signal.SIGINT)
    rest, complaints = watching.communicate(timeout=SECONDS_MAX)
    assert watching.returncode == 1
    assert len({look["router_id"] for look in looks}) == 1
    assert "Traceback" not in complaints
    assert all(json.loads(line) for line in rest.splitlines())


class _Stranger(BaseHTTPRequestHandler):
    """Answers as its path asks for."""

    def do_GET(self) -> None:
        if self.path == "/missing":
            self.send_error(404)
            return
        self.send_response(200)
        self.end_headers()
        if self.path == "/text":
            self.wfile.write(b"hello")
            return
        try:
            while self.path == "/endless":
                self.wfile.write(b" " * 65536)
        except OSError:
            return  # the reader has had enough

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


@pytest.fixture(scope="module")
def stranger() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Stranger)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("path", "reason"),
    [("/missing", "status 404"), ("/text", "not JSON"), ("/endless", "endless")],
)
def test_server_that_is_no_router_is_status_2(stranger: str, path: str, reason: str) -> None:
    code, output, complaints = run(stranger + path)
    assert (code, output) == (2, "")
    assert "is no router's status page" in complaints
    assert reason in complaints
