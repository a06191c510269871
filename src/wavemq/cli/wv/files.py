"""Files of keys, grants and proofs: read whole, written whole or not at all.

Owns sizes, modes and the order of system calls. Refuses to know what the bytes mean. Fault model:
a file may be missing, unreadable, huge or somebody else's; a crash while writing leaves the old
file or the new one. Secrets are private from their first byte and are never overwritten.
"""

from __future__ import annotations

import errno
import os
import secrets
from pathlib import Path
from typing import Final

from wavemq.cli.wv.text import UsageFaultError
from wavemq.limits import OBJECT_BYTES_MAX

FILE_BYTES_MAX: Final = 2 * OBJECT_BYTES_MAX
"""An object in PEM is a third longer than its DER."""
SECRET_MODE: Final = 0o600
PUBLIC_MODE: Final = 0o644
_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})


def read_file(path: str) -> bytes:
    """Return the content of a file.

    Raises:
        OSError: it cannot be read.
        UsageFaultError: it is larger than any object.
    """
    with Path(path).open("rb") as file:
        content = file.read(FILE_BYTES_MAX + 1)
    if len(content) > FILE_BYTES_MAX:
        raise UsageFaultError(f'file "{path}" is larger than {FILE_BYTES_MAX} bytes')
    return content


def reason_of(error: OSError) -> str:
    """Return what the system says, without Python's number and path."""
    return (error.strerror or str(error)).lower()


def write_new(path: Path, content: bytes, *, mode: int) -> None:
    """Write a file that does not exist yet; durable on return.

    Raises:
        UsageFaultError: it exists, or cannot be written.
    """
    partial = _write_partial(path, content, mode)
    try:
        _name_exclusively(partial, path)
    except FileExistsError as error:
        raise UsageFaultError(
            f'file "{path}" exists already: choose another name with --outfile, or remove it'
        ) from error
    except OSError as error:
        raise UsageFaultError(f'could not write file "{path}": {reason_of(error)}') from error
    finally:
        partial.unlink(missing_ok=True)
    _sync_directory(path)


def replace_file(path: Path, content: bytes, *, marker: bytes, mode: int) -> None:
    """Write a file, replacing only one that begins with `marker`; durable on return.

    Raises:
        UsageFaultError: another kind of file stands there, or it cannot be written.
    """
    try:
        with path.open("rb") as existing:
            is_same_kind = existing.read(len(marker)) == marker
    except FileNotFoundError:
        write_new(path, content, mode=mode)
        return
    except OSError as error:
        raise UsageFaultError(f'could not write file "{path}": {reason_of(error)}') from error
    if not is_same_kind:
        raise UsageFaultError(
            f'file "{path}" exists already and is of another kind: '
            "choose another name with --outfile, or remove it"
        )
    partial = _write_partial(path, content, mode)
    try:
        partial.replace(path)
    except OSError as error:
        raise UsageFaultError(f'could not write file "{path}": {reason_of(error)}') from error
    finally:
        partial.unlink(missing_ok=True)
    _sync_directory(path)


def _write_partial(path: Path, content: bytes, mode: int) -> Path:
    """Write the content beside its place, under a name nobody else uses."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            partial.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UsageFaultError(f'could not write file "{path}": {reason_of(error)}') from error
    return partial


def _name_exclusively(partial: Path, path: Path) -> None:
    """Give the file its name unless the name is taken; raises FileExistsError then."""
    try:
        os.link(partial, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # A file system without hard links: reserve the name first, then replace what we reserved.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, SECRET_MODE))
        partial.replace(path)


def _sync_directory(path: Path) -> None:
    handle = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
