from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from wavemq.errors import ConfigError
from wavemq.limits import MIB
from wavemq.net.addresses import Address
from wavemq.router.config import CONFIG_BYTES_MAX, QueueBounds, load_config, parse_config
from wavemq.wave.hashes import Hash

NAMESPACE = Hash.of(b"namespace")
SWITCH = "defaultToUnrevoked = true"
SITE = f"""
[WaveConfig]
  database = "/var/lib/wavemq/wave"
  # a site must go on without the internet
  defaultToUnrevoked = true

  [WaveConfig.storage]
    [WaveConfig.storage.default]
    provider = "http_v1"
    url = "https://storage.example/v1"
    version = "1"

[QueueConfig]
  queueDataStore = "/var/lib/wavemq/queue"
  queueExpiry = 2592000
  subscriptionQueueMaxLength = 10000
  subscriptionQueueMaxSize = 100
  trunkingQueueMaxLength = 1000000
  trunkingQueueMaxSize = 1000
  flushInterval = 30

[LocalConfig]
  listenAddr = "127.0.0.1:4516"

[RoutingConfig]
  PersistDataStore = "/var/lib/wavemq/persist"
  RouterEntityFile = "/etc/wavemq/router.ent"

  [[RoutingConfig.Router]]
    Namespace = "{NAMESPACE.to_text()}"
    Address = "router.example:4515"
"""
DESIGNATED = """
[WaveConfig]
  database = "/var/lib/wavemq/wave"
  defaultToUnrevoked = false
  listenIP = "127.0.0.1:4110"
  httpListenIP = "127.0.0.1:4111"

  [WaveConfig.storage]
    [WaveConfig.storage.default]
    provider = "http_v1"
    url = "https://storage.example/v1"
    version = "1"

[QueueConfig]
  queueDataStore = "/var/lib/wavemq/queue"
  queueExpiry = 2592000
  subscriptionQueueMaxLength = 10000
  subscriptionQueueMaxSize = 100
  trunkingQueueMaxLength = 1000000
  trunkingQueueMaxSize = 1000
  flushInterval = 30

[LocalConfig]
  listenAddr = "127.0.0.1:4516"

[PeerConfig]
  listenAddr = "0.0.0.0:4515"

[RoutingConfig]
  PersistDataStore = "/var/lib/wavemq/persist"
  RouterEntityFile = "/etc/wavemq/router.ent"
  DesignatedNamespaceFiles = ["/etc/wavemq/namespace.pem"]
"""


def test_site_file_of_the_original_is_understood() -> None:
    config = parse_config(SITE, {})
    assert config.database == Path("/var/lib/wavemq/wave")
    assert config.is_default_unrevoked
    assert config.storage_tables["default"]["provider"] == "http_v1"
    assert config.queue_directory == Path("/var/lib/wavemq/queue")
    assert config.queue_expiry_s == 2_592_000
    assert config.subscription_queue == QueueBounds(10_000, 100 * MIB)
    assert config.uplink_queue == QueueBounds(1_000_000, 1000 * MIB)
    assert config.local_listen == Address("127.0.0.1", 4516)
    assert config.peer_listen is None
    assert config.retained_directory == Path("/var/lib/wavemq/persist")
    assert config.entity_file == Path("/etc/wavemq/router.ent")
    assert config.designated_files == ()
    assert [(one.namespace, str(one.address)) for one in config.uplinks] == [
        (NAMESPACE, "router.example:4515")
    ]
    assert config.metrics_listen == Address("127.0.0.1", 6060)


def test_designated_file_of_the_original_is_understood() -> None:
    config = parse_config(DESIGNATED, {})
    assert not config.is_default_unrevoked
    assert config.peer_listen == Address("0.0.0.0", 4515)
    assert config.designated_files == (Path("/etc/wavemq/namespace.pem"),)
    assert config.uplinks == ()


@pytest.mark.parametrize("change", [str.upper, str.lower, str.swapcase])
def test_keys_are_matched_in_any_case(change: Callable[[str], str]) -> None:
    def changed(line: str) -> str:
        key, equals, value = line.partition("=")
        # The name of a storage location is the operator's, not a key.
        return "default".join(map(change, key.split("default]"))) + equals + value

    lines = SITE.replace("defaultToUnrevoked", "defaultTOunrevoked").splitlines()
    text = "\n".join(
        changed(line).replace("default", "default]", 1) if ".default]" in line else changed(line)
        for line in lines
        if "#" not in line
    )
    assert parse_config(text, {}) == parse_config(SITE, {})


def test_optional_keys_have_the_defaults_of_the_documentation() -> None:
    lines = [line for line in SITE.splitlines() if "Queue" not in line or "queueData" in line]
    lines = [line for line in lines if "flushInterval" not in line and "queueExpiry" not in line]
    text = "\n".join(lines).replace("  queueDataStore", "[QueueConfig]\n  queueDataStore")
    config = parse_config(text, {})
    assert config.queue_expiry_s == 86_400
    assert config.subscription_queue == QueueBounds(10_000, 100 * MIB)
    assert config.uplink_queue == QueueBounds(100_000, 1000 * MIB)


@pytest.mark.parametrize(("value", "meant"), [("journaled", "journaled"), ("accepted", "accepted")])
def test_durability_can_be_chosen(value: str, meant: str) -> None:
    assert parse_config(SITE, {}).durability == "journaled"
    text = SITE.replace("  queueDataStore", f'  durability = "{value}"\n  queueDataStore')
    assert parse_config(text, {}).durability == meant


@pytest.mark.parametrize("value", ['"JOURNALED"', '""', "1", "true"])
def test_unknown_durability_is_a_mistake_that_names_the_choices(value: str) -> None:
    text = SITE.replace("  queueDataStore", f"  durability = {value}\n  queueDataStore")
    with pytest.raises(ConfigError, match='durability must be "journaled" or "accepted"'):
        parse_config(text, {})


@pytest.mark.parametrize("key", ["revocationCheckInterval", "RevocationCHECKinterval"])
def test_bounds_of_revocation_are_read_in_any_case(key: str) -> None:
    config = parse_config(SITE, {})
    assert (config.revocation_interval_s, config.revocation_grace_s) == (300, 86_400)
    text = SITE.replace("  default", f"  {key} = 86400\n  revocationgrace = 0\n  default", 1)
    config = parse_config(text, {})
    assert (config.revocation_interval_s, config.revocation_grace_s) == (86_400, 0)


def test_every_mistake_is_reported_at_once() -> None:
    text = (
        SITE.replace("queueExpiry = 2592000", 'queueExpiry = "long"')
        .replace("flushInterval", "flushIntervall")
        .replace("127.0.0.1:4516", "4516")
        .replace('database = "/var/lib/wavemq/wave"', "")
        .replace("defaultToUnrevoked = true", "defaultToUnrevoked = 1")
        .replace("subscriptionQueueMaxSize = 100", "subscriptionQueueMaxSize = 0")
        .replace(NAMESPACE.to_text(), "nonsense")
        .replace("http_v1", "http_v2")
        + "\n[Extra]\nkey = 1\n"
    )
    with pytest.raises(ConfigError) as caught:
        parse_config(text, {"METRICS_ADDRESS": "nowhere"})
    for part in (
        "WaveConfig.database is missing",
        "WaveConfig.defaultToUnrevoked must be true or false",
        "http_v2",
        "QueueConfig.queueExpiry must be a whole number from 1 to",
        "QueueConfig.subscriptionQueueMaxSize must be a whole number from 1 to",
        "QueueConfig.flushIntervall is not a key",
        "LocalConfig.listenAddr must be an address",
        "RoutingConfig.Router[0].Namespace must be the hash of an entity",
        "Extra is not a key",
        "METRICS_ADDRESS",
    ):
        assert part in caught.value.reason
    assert len(caught.value.reason.strip().splitlines()) == 10


@pytest.mark.parametrize(
    ("table", "count"), [("WaveConfig", 1), ("QueueConfig", 1), ("LocalConfig", 1)]
)
def test_missing_table_is_one_mistake(table: str, count: int) -> None:
    begin = SITE.index(f"[{table}]")
    end = min(
        (
            SITE.index(f"\n[{other}]")
            for other in ("QueueConfig", "LocalConfig", "RoutingConfig")
            if SITE.index(f"\n[{other}]") > begin
        ),
    )
    with pytest.raises(ConfigError, match=f"{table} is missing") as caught:
        parse_config(SITE[:begin] + SITE[end:], {})
    assert len(caught.value.reason.strip().splitlines()) == count


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        ("queueExpiry = 2592000", "queueExpiry = true", "must be a whole number"),
        ("queueExpiry = 2592000", "queueExpiry = 0", "from 1 to"),
        ("queueExpiry = 2592000", "queueExpiry = 1.5", "must be a whole number"),
        ("flushInterval = 30", "flushInterval = -1", "from 0 to"),
        (SWITCH, f"{SWITCH}\nrevocationCheckInterval = 0", "from 1 to 86400"),
        (SWITCH, f"{SWITCH}\nrevocationCheckInterval = 86401", "from 1 to 86400"),
        (SWITCH, f"{SWITCH}\nrevocationGrace = 604801", "from 0 to 604800"),
        (SWITCH, f"{SWITCH}\nrevocationGrace = -1", "from 0 to 604800"),
        ("queueExpiry = 2592000", "queueExpiry = 1\nQueueEXPIRY = 2", "given twice"),
        ('listenAddr = "127.0.0.1:4516"', 'listenAddr = ""', "must not be empty"),
        ('listenAddr = "127.0.0.1:4516"', "listenAddr = 4516", "must be a string"),
        ('listenAddr = "127.0.0.1:4516"', 'listenAddr = "h:65536"', "not host:port"),
        ('listenAddr = "127.0.0.1:4516"', 'listenAddr = "::1:4516"', "not host:port"),
        ("[WaveConfig.storage.default]", "[WaveConfig.storage.other]", "default"),
        ('Address = "router.example:4515"', "", "Router[0].Address is missing"),
        ("[[RoutingConfig.Router]]", "[RoutingConfig.Router]", "Router must be an array"),
    ],
)
def test_single_mistake_is_named(old: str, new: str, mistake: str) -> None:
    assert old in SITE
    with pytest.raises(ConfigError) as caught:
        parse_config(SITE.replace(old, new, 1), {})
    assert mistake in caught.value.reason


def test_value_where_a_table_belongs_is_one_mistake() -> None:
    begin, end = SITE.index("[LocalConfig]"), SITE.index("[RoutingConfig]")
    with pytest.raises(ConfigError, match="must be a table") as caught:
        parse_config("LocalConfig = 3\n" + SITE[:begin] + SITE[end:], {})
    assert caught.value.reason == "LocalConfig must be a table, not 3"


def test_namespace_with_two_designated_routers_is_a_mistake() -> None:
    entry = SITE[SITE.index("  [[RoutingConfig.Router]]") :]
    with pytest.raises(ConfigError, match="configured twice"):
        parse_config(SITE + entry, {})


def test_files_that_are_no_names_are_mistakes() -> None:
    with pytest.raises(ConfigError, match=r"DesignatedNamespaceFiles\[0\]"):
        parse_config(DESIGNATED.replace('["/etc/wavemq/namespace.pem"]', "[7]"), {})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", Address("127.0.0.1", 6060)),
        ("0.0.0.0:9000", Address("0.0.0.0", 9000)),
        (":9000", Address("0.0.0.0", 9000)),
        ("[::1]:9000", Address("::1", 9000)),
        ("off", None),
    ],
)
def test_environment_moves_the_metrics(value: str, expected: Address | None) -> None:
    config = parse_config(SITE, {"METRICS_ADDRESS": value})
    assert config == replace(parse_config(SITE, {}), metrics_listen=expected)


def test_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.toml cannot be read"):
        load_config(tmp_path / "missing.toml", {})
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path, {})


@pytest.mark.parametrize(
    ("content", "mistake"),
    [
        (b"\xff\xfe", "not UTF-8"),
        (b"[broken", "not TOML"),
        (b"a = " + b"[" * 100_000, "not TOML|nested too deeply"),
        (b"#" * (CONFIG_BYTES_MAX + 1), "over"),
        (b"", "WaveConfig is missing"),
    ],
)
def test_file_that_is_no_configuration_is_refused(
    tmp_path: Path, content: bytes, mistake: str
) -> None:
    path = tmp_path / "router.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=mistake):
        load_config(path, {})


def test_file_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "router.toml"
    path.write_text(SITE)
    assert load_config(path, {}) == parse_config(SITE, {})
