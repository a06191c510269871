"""Where `wv` finds its storage: the order of places, and clear refusals."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from wavemq.agent.config import AgentConfig
from wavemq.cli.wv.settings import read_settings
from wavemq.errors import ConfigError

WAVED = """
database = "/var/lib/wave/db"
listenIp = "127.0.0.1:410"
httpListenIp = "127.0.0.1:411"
defaultToUnrevoked = true
[storage]
  [storage.default]
  provider = "http_v1"
  url = "https://storage.example/v1"
  version = "1"
"""


def read_local(config: str | None, environment: Mapping[str, str]) -> AgentConfig:
    settings = read_settings(config, environment)
    assert settings.daemon is None
    assert settings.local is not None
    return settings.local


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_file_of_the_original_is_read(tmp_path: Path) -> None:
    settings = read_local(write(tmp_path / "w.toml", WAVED), {"WAVE_HOME": str(tmp_path)})
    assert settings.is_default_unrevoked
    assert settings.location_router().default_location.url == "https://storage.example/v1"
    assert settings.database == tmp_path


def test_revocation_keys_are_read_in_any_case(tmp_path: Path) -> None:
    text = "revocationcheckinterval = 60\nREVOCATIONGRACE = 0\n" + WAVED
    for content, expected in ((text, (60, 0)), (WAVED, (300, 86_400))):
        settings = read_local(write(tmp_path / "w.toml", content), {"WAVE_HOME": str(tmp_path)})
        assert (settings.revocation_ttl_s, settings.revocation_grace_s) == expected


def test_wave_part_of_a_router_file_is_read(tmp_path: Path) -> None:
    text = """
[WaveConfig]
  database = "/x"
  [WaveConfig.storage.default]
  provider = "http_v1"
  url = "http://h/v1"
[QueueConfig]
  queueExpiry = 5
"""
    settings = read_local(write(tmp_path / "r.toml", text), {})
    assert settings.location_router().default_location.url == "http://h/v1"


def test_argument_comes_before_environment(tmp_path: Path) -> None:
    named = write(tmp_path / "a.toml", WAVED)
    other = write(tmp_path / "b.toml", WAVED.replace("storage.example", "other.example"))
    environment = {"WAVE_CONFIG": other, "WAVE_HOME": str(tmp_path)}
    for config, host in ((named, "storage.example"), (None, "other.example")):
        router = read_local(config, environment).location_router()
        assert router.default_location.url == f"https://{host}/v1"


def test_without_configuration_storage_is_local(tmp_path: Path) -> None:
    settings = read_local(None, {"WAVE_HOME": str(tmp_path)})
    assert settings.location_router().default_location.url == f"local://{tmp_path}/objects"


def test_state_is_in_the_home_directory_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read_local(None, {}).database == tmp_path / ".local/share/wave"


BAD = {
    "not toml": ("= 5", "is not TOML"),
    "not utf-8": ("\udcff", "is not TOML"),
    "unknown key": ('listen = "x"\n' + WAVED, "unknown key 'listen'"),
    "no storage": ('database = "x"', "no storage location is named 'default'"),
    "storage no table": ('storage = "x"', "storage is not a table"),
    "number": (WAVED.replace('"1"', "1"), "version is not a text"),
    "no interval": (
        "revocationCheckInterval = 0\n" + WAVED,
        "revocationCheckInterval is not a whole number from 1 to 86400",
    ),
    "long grace": (
        "revocationGrace = 604801\n" + WAVED,
        "revocationGrace is not a whole number from 0 to 604800",
    ),
    "bad switch": (WAVED.replace("true", '"yes"'), "defaultToUnrevoked is not true or false"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_configuration_is_refused_in_one_sentence(tmp_path: Path, case: str) -> None:
    text, says = BAD[case]
    path = tmp_path / "wave.toml"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ConfigError) as refused:
        read_settings(str(path), {"WAVE_HOME": str(tmp_path)})
    assert says in refused.value.reason
    assert str(path) in refused.value.reason


def test_named_configuration_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="could not read configuration"):
        read_settings(str(tmp_path / "none.toml"), {})


def test_daemon_needs_no_configuration(tmp_path: Path) -> None:
    settings = read_settings(str(tmp_path / "none.toml"), {}, daemon="127.0.0.1:410")
    assert settings.daemon == "127.0.0.1:410"
    assert settings.local is None
