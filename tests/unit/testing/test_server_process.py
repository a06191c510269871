"""Process fixtures, shown with small stand-ins for a server."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from wavemq.testing.processes import ProcessFailedError, ServerProcess
from wavemq.testing.settings import RouterSettings

READY_THEN_WAIT = (
    "import signal; print('ready local=127.0.0.1:1 peer=-', flush=True); signal.pause()"
)


def stand_in(directory: Path, program: str) -> ServerProcess:
    return ServerProcess("stand-in", ["python", "-c", program], log_path=directory / "log")


def test_ready_line_gives_the_addresses(tmp_path: Path) -> None:
    with stand_in(tmp_path, READY_THEN_WAIT) as process:
        assert process.ready == {"local": "127.0.0.1:1", "peer": "-"}


def test_stop_ends_by_sigterm_and_returns_the_status(tmp_path: Path) -> None:
    process = stand_in(tmp_path, READY_THEN_WAIT).start()
    assert process.stop() == -signal.SIGTERM
    assert not process.is_running


def test_process_that_ends_before_it_is_ready_shows_its_log(tmp_path: Path) -> None:
    process = stand_in(tmp_path, "print('bad key frobnicate'); raise SystemExit(1)")
    with pytest.raises(ProcessFailedError, match="bad key frobnicate"):
        process.start()
    assert not process.is_running
    assert "bad key frobnicate" in (tmp_path / "log").read_text()


def test_error_inside_the_block_kills_the_process(tmp_path: Path) -> None:
    process = stand_in(tmp_path, READY_THEN_WAIT)
    with pytest.raises(ZeroDivisionError), process:
        _ = 1 / 0
    assert not process.is_running


def test_killed_parent_takes_its_processes_with_it(tmp_path: Path) -> None:
    program = f"""
import sys
from pathlib import Path
from wavemq.testing.processes import ServerProcess
process = ServerProcess("child", ["python", "-c", {READY_THEN_WAIT!r}], log_path=Path(sys.argv[1]))
process.start()
print(process.pid, flush=True)
input()
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "log")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert parent.stdout is not None
    assert parent.stdin is not None
    child = int(parent.stdout.readline())
    descriptor = os.pidfd_open(child)
    parent.kill()
    parent.wait()
    parent.stdin.close()
    ended, _, _ = select.select([descriptor], [], [], 10)
    os.close(descriptor)
    parent.stdout.close()
    assert ended


def test_settings_write_the_layout_of_the_original(tmp_path: Path) -> None:
    settings = RouterSettings(
        directory=tmp_path / 'a "quoted" place',
        storage={"default": {"provider": "http_v1", "url": "http://127.0.0.1:1/v1"}},
        uplinks={"GyDe9VG264izUi37aBGdVRV4wzL-TeBOXCLD_rR4ACbdLQ==": "127.0.0.1:2"},
        routing_proofs=(tmp_path / "proof.pem",),
        peer_listen="127.0.0.1:0",
    )
    read = tomllib.loads(settings.write().read_text())
    assert read["WaveConfig"]["storage"]["default"]["url"] == "http://127.0.0.1:1/v1"
    assert read["WaveConfig"]["database"] == str(settings.directory / "state" / "wave")
    assert read["RoutingConfig"]["Router"] == [
        {
            "Namespace": "GyDe9VG264izUi37aBGdVRV4wzL-TeBOXCLD_rR4ACbdLQ==",
            "Address": "127.0.0.1:2",
        }
    ]
    assert read["RoutingConfig"]["DesignatedNamespaceFiles"] == [str(tmp_path / "proof.pem")]
    assert read["PeerConfig"] == {"listenAddr": "127.0.0.1:0"}
    assert read["LocalConfig"] == {"listenAddr": "127.0.0.1:0"}
