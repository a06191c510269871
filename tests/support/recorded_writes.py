"""What a process wrote, operation by operation, and what a disk holds of it after a power cut."""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

SOURCE = Path(__file__).with_name("record_writes.c")
SECTOR_BYTES = 512
_HEAD = struct.Struct("=cH")
_BODY = struct.Struct("=QI")


@dataclass(frozen=True, slots=True)
class Operation:
    """One change: `w`rite, `t`runcate, `s`ync, `r`ename or `u`nlink."""

    kind: str
    path: str
    offset: int
    content: bytes


def record(program: str, root: Path, folder: Path) -> list[Operation]:
    """Run a Python program with `root` as its argument; return all changes to files below it."""
    library, log = folder / "record_writes.so", folder / "writes.log"
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"], check=True
    )
    root.mkdir()
    environment = {
        "LD_PRELOAD": str(library),
        "WAVEMQ_TEST_LOG": str(log),
        "WAVEMQ_TEST_ROOT": f"{root}/",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    subprocess.run([sys.executable, "-c", program, str(root)], check=True, env=environment)
    return list(_parsed(log.read_bytes()))


def _parsed(log: bytes) -> Iterator[Operation]:
    at = 0
    while at < len(log):
        kind, path_bytes = _HEAD.unpack_from(log, at)
        at += _HEAD.size
        path = log[at : at + path_bytes].decode()
        at += path_bytes
        offset, size = _BODY.unpack_from(log, at)
        at += _BODY.size
        yield Operation(kind.decode(), path, offset, log[at : at + size])
        at += size


@dataclass(slots=True)
class _File:
    durable: bytes = b""
    pending: list[Operation] = field(default_factory=list)


class Disk:
    """Files as operations are applied, and what of them is certain to survive."""

    def __init__(self) -> None:
        self._files: dict[str, _File] = {}
        # Renames and unlinks since the folder was synchronized, and what was there before.
        self._folder: dict[str, _File] = {}

    def apply(self, operation: Operation) -> None:
        """Take note of the next operation."""
        path = operation.path
        if operation.kind == "s" and path == "":
            self._folder = dict(self._files)
        elif operation.kind == "s":
            file = self._files.setdefault(path, _File())
            file.durable, file.pending = _content(file, file.pending), []
        elif operation.kind == "r":
            self._files[operation.content.decode()] = self._files.pop(path)
        elif operation.kind == "u":
            self._files.pop(path, None)
        else:
            self._files.setdefault(path, _File()).pending.append(operation)

    def after_a_kill(self) -> dict[str, bytes]:
        """Return all that was written."""
        return {name: _content(file, file.pending) for name, file in self._files.items()}

    def after_a_power_cut(self, dice: Random) -> dict[str, bytes]:
        """Return what was synchronized, and of the rest some, in pieces."""
        is_folder_lost = bool(self._folder) and dice.random() < 0.5
        files = dict(self._folder) if is_folder_lost else dict(self._files)
        found: dict[str, bytes] = {}
        for name, file in files.items():
            kept = [one for one in file.pending if dice.random() < 0.5]
            found[name] = _content(file, [_torn(one, dice) for one in kept])
        return found

    def copy(self) -> Disk:
        """Return one that goes its own way."""
        return deepcopy(self)


def torn(operation: Operation, dice: Random) -> Operation:
    """Return an operation of which only the first sectors got to disk."""
    return _torn(operation, dice, chance=1.0)


def _torn(operation: Operation, dice: Random, chance: float = 0.3) -> Operation:
    if operation.kind != "w" or dice.random() >= chance:
        return operation
    sectors = dice.randrange(1 + len(operation.content) // SECTOR_BYTES)
    kept = operation.content[: sectors * SECTOR_BYTES]
    return Operation("w", operation.path, operation.offset, kept)


def _content(file: _File, operations: list[Operation]) -> bytes:
    content = bytearray(file.durable)
    for one in operations:
        if one.kind == "t":
            del content[one.offset :]
            content.extend(bytes(one.offset - len(content)))
        elif one.content:
            content.extend(bytes(max(0, one.offset + len(one.content) - len(content))))
            content[one.offset : one.offset + len(one.content)] = one.content
    return bytes(content)
