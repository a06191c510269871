"""`examples/demo.py` succeeds, and leaves nothing running however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DEMO_SECONDS_MAX = 60.0
END_SECONDS_MAX = 20.0


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path: sockets in it must keep the limit of their names."""
    with tempfile.TemporaryDirectory(prefix="wq-") as path:
        yield Path(path)


def start_demo(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, str(ROOT / "examples" / "demo.py")],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"},
        start_new_session=True,
    )


def processes_of(folder: Path) -> list[str]:
    """Return the command lines of running processes that name `folder`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue  # it has ended meanwhile
            if str(folder).encode() in words:
                found.append(words.replace(b"\0", b" ").decode(errors="replace"))
    return found


def test_demonstration_checks_itself_and_cleans_up(folder: Path) -> None:
    started = time.monotonic()
    demo = start_demo(folder)
    output, _ = demo.communicate(timeout=DEMO_SECONDS_MAX + END_SECONDS_MAX)
    text = output.decode()
    assert demo.returncode == 0, text
    assert "checks passed" in text
    assert text.count("hello world\n") >= 5
    assert "$ wv rtgrant --attester namespace.pem --subject service.pem" in text
    assert time.monotonic() - started < DEMO_SECONDS_MAX
    assert processes_of(folder) == []
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "status"),
    [
        (signal.SIGINT, 130),
        (signal.SIGTERM, 128 + signal.SIGTERM),
        (signal.SIGKILL, -signal.SIGKILL),
    ],
)
def test_interrupted_demonstration_leaves_nothing_running(
    folder: Path, number: signal.Signals, status: int
) -> None:
    demo = start_demo(folder)
    assert demo.stdout is not None
    seen = b""
    for line in demo.stdout:
        seen += line
        if b"2. A designated router" in line:
            break
    assert processes_of(folder) != [], seen.decode()
    demo.send_signal(number)
    output, _ = demo.communicate(timeout=END_SECONDS_MAX)
    assert demo.returncode == status, (seen + output).decode()
    assert b"Traceback" not in output
    deadline = time.monotonic() + END_SECONDS_MAX
    while processes_of(folder) and time.monotonic() < deadline:
        time.sleep(0.05)  # the kernel ends a killed parent's children in its own time
    assert processes_of(folder) == []
    if number is not signal.SIGKILL:
        assert list(folder.iterdir()) == []
