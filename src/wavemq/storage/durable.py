"""Small files that are replaced whole.

Owns one way to do it: beside, to disk, over the old one, and the folder to disk. Refuses to know
contents. Fault model: at a power cut the file is the old or the new one, never a mixture.
"""

from __future__ import annotations

import os
from pathlib import Path


def replace_file(path: Path, content: bytes) -> None:
    """Put new content in the place of a file, durably.

    Raises:
        OSError: the file is as it was.
    """
    beside = path.with_name(path.name + ".new")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
