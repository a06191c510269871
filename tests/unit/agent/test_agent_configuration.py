"""What `wave.toml` may say, and what is told about mistakes in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from wavemq.agent.config import AgentConfig, read_config
from wavemq.errors import ConfigError
from wavemq.net.addresses import Address

ORIGINAL = """
database = "/var/lib/wave/db"
listenIp = "127.0.0.1:410"
httpListenIp = "127.0.0.1:411"
defaultToUnrevoked = false
[storage]
  [storage.default]
  provider = "http_v1"
  url = "https://storage.example/v1"
  version = "1"
"""


def read(directory: Path, text: str, *, are_storages_checked: bool = True) -> AgentConfig:
    path = directory / "wave.toml"
    path.write_text(text)
    return read_config(path, are_storages_checked=are_storages_checked)


def test_originals_sample_is_read(tmp_path: Path) -> None:
    config = read(tmp_path, ORIGINAL)
    assert config.database == Path("/var/lib/wave/db")
    assert config.grpc == Address("127.0.0.1", 410)
    assert config.http == Address("127.0.0.1", 411)
    assert config.unix is None
    assert not config.is_default_unrevoked
    assert config.location_router().default_location.url == "https://storage.example/v1"


def test_keys_are_matched_without_regard_to_case(tmp_path: Path) -> None:
    keys = ("database", "listenIp", "httpListenIp", "provider", "url")
    shouted = ORIGINAL
    for key in keys:
        shouted = shouted.replace(f"{key} =", f"{key.upper()} =")
    shouted = shouted.replace("[storage", "[STORAGE")
    config = read(tmp_path, shouted)
    assert config.database == Path("/var/lib/wave/db")
    assert config.location_router().default_location.url == "https://storage.example/v1"


def test_part_of_a_routers_configuration_is_read(tmp_path: Path) -> None:
    nested = ORIGINAL.replace("[storage", "[WaveConfig.storage")
    config = read(tmp_path, f"[WaveConfig]\n{nested}\n[LocalConfig]\nlistenAddr = ':1'\n")
    assert config.grpc == Address("127.0.0.1", 410)


def test_revocation_is_configured(tmp_path: Path) -> None:
    config = read(
        tmp_path,
        f"revocationCheckInterval = 60\nrevocationGrace = 0\n{ORIGINAL}"
        "[storage.other]\nprovider='local'\npath='/srv/objects'\n",
    )
    engine = config.engine_config(config.location_router())
    assert (engine.revocation_ttl_s, engine.revocation_grace_s) == (60, 0)
    assert len(engine.locations) == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("frobnicate = 1", "frobnicate"),
        ("revocationCheckInterval = 0", "revocationCheckInterval"),
        ("revocationCheckInterval = true", "revocationCheckInterval"),
        ("revocationGrace = -1", "revocationGrace"),
        ("listenIp = 'nowhere'", "listenIp"),
        ("listenUnix = 3", "listenUnix"),
        ("defaultToUnrevoked = 'no'", "defaultToUnrevoked"),
        ("storage = 'here'", "storage"),
        ("storage = {default = 'here'}", "'default'"),
        ("storage = {default = {provider = 1}}", "provider"),
        ("listenIp = ':1'\nLISTENIP = ':2'", "twice"),
        ("x = " + "9" * 5000, "not TOML"),
        ("x = " + "[" * 5000, "not TOML"),
        ("#" * (1 << 21), "larger"),
    ],
)
def test_mistake_names_the_key(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected) as caught:
        read(tmp_path, text, are_storages_checked=False)
    assert "wave.toml" in caught.value.reason


def test_storages_are_checked_where_that_is_asked_for(tmp_path: Path) -> None:
    text = ORIGINAL.replace("http_v1", "carrier_pigeon")
    read(tmp_path, text, are_storages_checked=False)
    with pytest.raises(ConfigError, match="carrier_pigeon"):
        read(tmp_path, text)


def test_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    path = tmp_path / "wave.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not TOML"):
        read_config(path)
    with pytest.raises(ConfigError, match="could not read"):
        read_config(tmp_path)
