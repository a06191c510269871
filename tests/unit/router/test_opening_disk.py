"""A router's disk is opened whole or not at all, and what it held is handed out once."""

from __future__ import annotations

from pathlib import Path

import pytest

from wavemq.errors import ConfigError, StorageFaultError
from wavemq.router.config import RouterConfig, parse_config
from wavemq.router.disk import open_disk, opening_disk
from wavemq.storage.journal import EntryRow, JournalBatch, QueueRow
from wavemq.testing import RouterSettings


def configuration(folder: Path) -> RouterConfig:
    objects = {"provider": "local", "path": str(folder / "objects"), "url": "http://x.invalid/v1"}
    settings = RouterSettings(directory=folder, storage={"default": objects})
    return parse_config(settings.to_toml(), {})


def test_disk_holds_what_a_former_life_wrote(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    disk = open_disk(config)
    disk.journal.write(
        JournalBatch(queues=[QueueRow(1, b"definition", b"")], entries=[EntryRow(1, 2, 3, 4)])
    )
    disk.close()
    disk = opening_disk(config).result()
    contents = disk.take_contents()
    disk.close()
    assert [(one.queue, list(one.entries)) for one in contents.queues] == [(1, [(2, 3, 4)])]


def test_disk_serves_one_router_at_a_time(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    disk = open_disk(config)
    with pytest.raises(ConfigError, match="in use by another process"):
        opening_disk(config).result()
    disk.close()
    open_disk(config).close()


def test_nothing_stays_open_when_a_part_cannot_be_opened(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    config.retained_directory.parent.mkdir(parents=True)
    config.retained_directory.write_text("no directory")
    with pytest.raises(StorageFaultError):
        open_disk(config)
    config.retained_directory.unlink()
    open_disk(config).close()
