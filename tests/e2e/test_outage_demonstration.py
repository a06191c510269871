"""`examples/demo_outage.py` keeps its promises through a short storm, and says so."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
SECONDS = 15


def test_outage_demonstration_delivers_what_was_answered() -> None:
    with tempfile.TemporaryDirectory(prefix="wq-") as folder:
        done = subprocess.run(
            [sys.executable, str(ROOT / "examples" / "demo_outage.py"), "--seconds", str(SECONDS)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"TMPDIR": folder, "PATH": "/usr/bin:/bin", "NO_COLOR": "1"},
            timeout=240,
            check=False,
        )
    text = done.stdout.decode()
    assert done.returncode == 0, text
    (answered, delivered) = re.findall(
        r"answered (\d+), delivered (\d+), out of order 0, duplicates 0", text
    )[-1]
    assert answered == delivered
    assert int(answered) > 100
    assert "link down" in text
    assert "site killed" in text
