"""Run a command that dies with its parent: `python leash.py PARENT COMMAND...`.

Owns one promise: whatever ends the parent, SIGKILL included, the command does not outlive it.
Refuses to know what it runs. Fault model: the parent may have died before the leash was tied; the
command then never starts. Linux only, by prctl(2); the command keeps the process id. The kernel
watches the parent's starting thread: start processes from a thread that lives on.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Final

PR_SET_PDEATHSIG: Final = 1


def main(arguments: list[str]) -> int:
    """Tie the leash and become the command; returns only on failure."""
    parent, command = int(arguments[0]), arguments[1:]
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        print(f"prctl failed with errno {ctypes.get_errno()}", file=sys.stderr)  # noqa: T201 - to the log
    elif os.getppid() == parent:
        os.execv(command[0], command)  # noqa: S606 - running a command is what this is for
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
