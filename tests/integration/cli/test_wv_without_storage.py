"""`wv` while its storage is away: files stay, sentences name the server, nothing hangs."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.storage_server import storage_server


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration that names a server which is not there."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    path = tmp_path / "wave.toml"
    path.write_text(
        f'[storage.default]\nprovider = "http_v1"\nurl = "http://127.0.0.1:{port}/v1"\n'
    )
    return path


def call(directory: Path, *arguments: str) -> tuple[int, str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("WAVE_")}
    done = subprocess.run(
        [sys.executable, "-m", "wavemq.cli.wv", "--config", "wave.toml", *arguments],
        cwd=directory,
        env={**kept, "WAVE_HOME": str(directory / "home")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done.returncode, done.stdout, done.stderr


def test_entity_that_could_not_be_published_is_kept(config: Path) -> None:
    status, output, _ = call(config.parent, "mke", "--nopassphrase", "-o", "a.pem")
    assert status == 1
    assert re.fullmatch(
        r"wrote entity: a\.pem\npublish error: \(204: storage 'default' at http://.*\)\n", output
    )
    assert (config.parent / "a.pem").exists()


def test_failures_name_the_server(config: Path) -> None:
    assert call(config.parent, "mke", "--nopassphrase", "--nopublish", "-o", "a.pem")[0] == 0
    hash_text = "GyAZSVTobuuPkf-YOsxW5shK4pqQfOfnY46GV9UUmbGIpA=="
    for arguments in (
        ("resync", "--perspective", "a.pem"),
        ("publish", "a.pem"),
        ("resolve", hash_text),
    ):
        status, output, _ = call(config.parent, *arguments)
        assert status == 1
        assert "(204: " in output
        assert "http://127.0.0.1:" in output


def test_two_configurations_do_not_mix(tmp_path: Path, config: Path) -> None:
    """What one storage holds is not found at another, although the state is shared."""
    with storage_server(tmp_path / "one") as one, storage_server(tmp_path / "two") as two:
        first = two_line_config(config, one.ready["http"])
        config.write_text(first)
        assert call(tmp_path, "mke", "--nopassphrase", "-o", "a.pem")[0] == 0
        config.write_text(two_line_config(config, two.ready["http"]))
        status, output, _ = call(tmp_path, "publish", "a.pem")
        assert (status, output) == (0, "")


def two_line_config(config: Path, address: str) -> str:
    return re.sub(r"127\.0\.0\.1:\d+", address, config.read_text())
