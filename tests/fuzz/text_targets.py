"""Fuzz targets: texts of people, operators and servers: topics, patterns, configuration, JSON."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Final

from tests.fuzz import decoder_seeds as seeds
from tests.fuzz.fuzz_target import Target, each, expect
from tests.support.vectors import vectors
from wavemq.agent.config import read_config
from wavemq.cli.wv import text as typed
from wavemq.cli.wv.settings import CONFIG_VARIABLE, HOME_VARIABLE, read_settings
from wavemq.clock import Instant
from wavemq.errors import ConfigError
from wavemq.messages.topic import Topic, TopicFilter
from wavemq.net.addresses import Address
from wavemq.net.objects_config import HttpStorage, parse_storages
from wavemq.net.objects_http import HttpObjects
from wavemq.router.config import load_config, parse_config
from wavemq.wave.hashes import Hash
from wavemq.wave.location import Location
from wavemq.wave.partition import e2ee_prefix
from wavemq.wave.pattern import is_valid_resource, is_within, restrict


def _text(given: bytes) -> str:
    """Return any text, lone surrogates included: JSON and command lines can hold them."""
    return given.decode("utf-8", "surrogateescape")


def _topics(given: bytes) -> None:
    text = _text(given)
    asked, _, topic = text.partition("\n")
    wanted = TopicFilter(asked)
    expect(fact=TopicFilter(wanted.text) == wanted, otherwise="another filter")
    found = Topic(topic)
    wanted.matches(found)
    expect(fact=TopicFilter(found.text).matches(found), otherwise="a topic misses itself")


def _patterns(given: bytes) -> None:
    """Restrict two resources; where both are sound, the result is within both."""
    one, _, other = _text(given).partition("\n")
    found = restrict(one, other)
    if found is not None and is_valid_resource(one) and is_valid_resource(other):
        expect(fact=is_valid_resource(found), otherwise=f"{found!r} is no resource")
        expect(fact=is_within(found, one) and is_within(found, other), otherwise="too wide")
    each(
        lambda: e2ee_prefix(one, is_message=False),
        lambda: e2ee_prefix(other, is_message=True),
        lambda: found,
    )


def _pattern_pairs() -> list[bytes]:
    pairs = vectors("objects")["restrict_by"]
    return [f"{one}\n{other}".encode() for one, other, _ in pairs]


def _router_configuration(given: bytes) -> None:
    text = given.decode("utf-8", "replace")
    first = _configuration_or_refusal(text)
    expect(fact=_configuration_or_refusal(text) == first, otherwise="two readings differ")
    if isinstance(first, str):
        raise ConfigError(first)


def _configuration_or_refusal(text: str) -> object:
    try:
        return parse_config(text, {})
    except ConfigError as error:
        return str(error)


_DIRECTORY: Final = Path(tempfile.mkdtemp(prefix="wavemq-fuzz-"))
atexit.register(shutil.rmtree, _DIRECTORY, ignore_errors=True)


def _configuration_files(given: bytes) -> None:
    """Read one file as configuration of `wv`, of the agent and of the router."""
    path = _DIRECTORY / "configuration.toml"
    path.write_bytes(given)
    environment = {HOME_VARIABLE: str(_DIRECTORY), CONFIG_VARIABLE: str(path)}
    each(
        lambda: read_settings(None, environment),
        lambda: read_config(path),
        lambda: load_config(path, {}),
    )


_ROUTER_TOML: Final = b"""
[WaveConfig]
database = "/var/lib/wavemq/wave"
defaultToUnrevoked = false
[WaveConfig.storage.default]
provider = "http_v1"
url = "https://storage.example/v1"
version = "1"
[QueueConfig]
queueDataStore = "/var/lib/wavemq/queues"
queueExpiry = 86400
subscriptionQueueMaxLength = 100
[LocalConfig]
listenAddr = "127.0.0.1:4516"
[PeerConfig]
listenAddr = "[::1]:4515"
[RoutingConfig]
PersistDataStore = "/var/lib/wavemq/retained"
RouterEntityFile = "/etc/wavemq/router.ent"
DesignatedNamespaceFiles = ["a.pem"]
[[RoutingConfig.Router]]
Namespace = "GyAZSVTobuuPkf-YOsxW5shK4pqQfOfnY46GV9UUmbGIpA=="
Address = "router.example:4515"
"""
_WAVE_TOML: Final = b"""
database = "/var/lib/wave/db"
listenIp = "127.0.0.1:410"
defaultToUnrevoked = true
[storage.default]
provider = "local"
path = "~/objects"
"""
_HUGE_NUMBER: Final = b"[QueueConfig]\nqueueExpiry = " + b"9" * 5000
_NESTED: Final = b"a = " + b"[" * 5000 + b"]" * 5000
_NULL_PATH: Final = b'[WaveConfig]\ndatabase = "\\u0000"\n'
_LONG_PORT: Final = b'[LocalConfig]\nlistenAddr = ":' + b"1" * 5000 + b'"'


def _configurations() -> list[bytes]:
    odd = [_HUGE_NUMBER, _NESTED, _NULL_PATH, _LONG_PORT]
    return [_ROUTER_TOML, _WAVE_TOML, *odd]


def _storage_table(given: bytes) -> None:
    """Read a storage table whose values are the lines given."""
    keys = ("provider", "url", "path", "version", "v1key", "V1AUDITORS")
    lines = _text(given).split("\n")
    parse_storages({"default": dict(zip(keys, lines, strict=False))})


def _storage_tables() -> list[bytes]:
    return [b"http_v1\nhttp://127.0.0.1:80/v1", b"local\n\n/objects", b"http_v1\nhttp://[::1/v1"]


def _storage_answer(given: bytes) -> None:
    """Read an answer in every way that a call reads one."""
    objects = _storage()
    fields = objects._fields(given)
    each(
        lambda: objects._token(fields, "").encode(),
        lambda: objects._bytes(fields, "der"),
        lambda: objects._hash(fields, "hash"),
    )


def _storage_refusal(given: bytes) -> None:
    _storage()._refuse_status(500, given, "get an object")


@cache
def _storage() -> HttpObjects:
    return HttpObjects(HttpStorage("default", Location("http://127.0.0.1:1/v1")))


def _addresses(given: bytes) -> None:
    address = Address.parse(_text(given))
    expect(fact=Address.parse(str(address)) == address, otherwise="another address")


def _typed_texts(given: bytes) -> None:
    """Read what people type to `wv`; each text is read on its own."""
    text = _text(given)
    typed.quote(text)
    typed.quote(given)
    refusals = []
    for read in (
        lambda: typed.instant_after(Instant(0), text),
        lambda: typed.parse_statements([text]),
        lambda: typed.parse_indirections(text),
    ):
        try:
            read()
        except typed.UsageFaultError as error:
            refusals.append(error)
    if len(refusals) == 3:
        raise refusals[0]


def _hash_text(given: bytes) -> None:
    text = _text(given)
    expect(fact=Hash.from_text(text).to_text() == text, otherwise="another hash")


TARGETS = (
    Target("topics", _topics, lambda: [b"a/+/*\na/b/c", "ä/*\nä".encode()], 1500, size_max=3000),
    Target("patterns", _patterns, _pattern_pairs, 2000, size_max=2000),
    Target("router_configuration", _router_configuration, _configurations, 400),
    Target("configuration_files", _configuration_files, _configurations, 200),
    Target("storage_table", _storage_table, _storage_tables, 800, size_max=2000),
    Target("storage_answer", _storage_answer, seeds.storage_answers, 600),
    Target("storage_refusal", _storage_refusal, lambda: [b"no", b"\x1b[2J\xff\n"], 300),
    Target(
        "addresses",
        _addresses,
        lambda: [b"127.0.0.1:1", b"[::1]:65535", b"[[]]:1", b":" + b"1" * 5000],
        800,
    ),
    Target(
        "typed_texts",
        _typed_texts,
        lambda: [b"1y30d2h", b"wavemq:publish,query@ns/a/*", b"0x10", b"9" * 5000 + b"s"],
        800,
        (typed.UsageFaultError,),
    ),
    Target("hash_text", _hash_text, lambda: [Hash(bytes(32)).to_text().encode()], 800),
)
