"""Make the virtual environment in which the unmodified pyxbos 0.2.33 runs.

Owns `.venv-pyxbos` at the root of the repository, made on first use and reused while the recipe is
the same. The pins matter: its generated code refuses protobuf 5 and newer, and its hashing call
refuses xxhash 4. Run it by hand to make the environment ahead of the tests.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from contextlib import ExitStack
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = ROOT / ".venv-pyxbos"
DEPENDENCIES: Final = (
    "grpcio==1.85.1",
    "protobuf==3.20.3",
    "googleapis-common-protos==1.59.1",
    "aiogrpc==1.8",
    "xxhash==3.8.2",
    "jq==1.13.0",
    "toml==0.10.2",
    "tlslite-ng==0.8.2",
)
CLIENT: Final = "pyxbos==0.2.33"
INSTALL_SECONDS_MAX: Final = 240


def interpreter() -> Path:
    """Return the environment's Python, making the environment when it is missing or outdated."""
    python = FOLDER / "bin" / "python"
    recipe = hashlib.sha256("\n".join((sys.version, *DEPENDENCIES, CLIENT)).encode()).hexdigest()
    stamp = FOLDER / "recipe"
    with ExitStack() as stack:
        lock = os.open(ROOT, os.O_RDONLY)
        stack.callback(os.close, lock)
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test runs must not build it at once
        if stamp.exists() and stamp.read_text() == recipe:
            return python
        shutil.rmtree(FOLDER, ignore_errors=True)
        venv.create(FOLDER, with_pip=True, symlinks=True)
        # pyxbos declares dependencies that no longer install; those it needs are named above.
        for arguments in ([*DEPENDENCIES], ["--no-deps", CLIENT]):
            done = subprocess.run(
                [
                    str(python),
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--disable-pip-version-check",
                    *arguments,
                ],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=INSTALL_SECONDS_MAX,
                check=False,
            )
            if done.returncode != 0:
                raise RuntimeError(
                    f"pip could not install {' '.join(arguments)}:\n{done.stdout.decode()}"
                )
        stamp.write_text(recipe)
    return python


if __name__ == "__main__":
    sys.stdout.write(f"{interpreter()}\n")
