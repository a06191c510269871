"""The `[storage.NAME]` tables: what is accepted, and one clear sentence for what is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from wavemq.errors import ConfigError, UnsupportedLocationSchemeError
from wavemq.net.objects import HttpStorage, LocalStorage, LocationRouter, parse_storages
from wavemq.wave.location import Location

HTTP = {"provider": "http_v1", "url": "https://storage.example/v1", "version": "1"}


def test_tables_of_the_original_are_accepted() -> None:
    (storage,) = parse_storages({"default": HTTP})
    assert storage == HttpStorage("default", Location("https://storage.example/v1"))
    assert str(storage) == "HTTP v1 at https://storage.example/v1"


def test_keys_match_without_regard_to_case() -> None:
    assert parse_storages({"default": {"Provider": "http_v1", "URL": "http://h/v1"}}) == (
        HttpStorage("default", Location("http://h/v1")),
    )


def test_default_comes_first() -> None:
    storages = parse_storages({"a": {**HTTP, "url": "http://a/v1"}, "default": HTTP})
    assert [storage.name for storage in storages] == ["default", "a"]


def test_local_storage_has_a_location_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "my objects"
    (storage,) = parse_storages({"default": {"provider": "local", "path": str(path)}})
    expected = Location(f"local://{tmp_path}/my%20objects")
    assert storage == LocalStorage("default", expected, path)


def test_local_storage_may_be_told_its_url() -> None:
    table = {"provider": "local", "path": "/srv/objects", "url": "http://gateway:8080/v1"}
    (storage,) = parse_storages({"default": table})
    assert storage.location == Location("http://gateway:8080/v1")


def test_location_without_a_trailing_slash_is_another_one() -> None:
    router = LocationRouter.from_tables({"default": HTTP})
    assert router.name_of(Location("https://storage.example/v1")) == "default"
    assert router.name_of(Location("https://storage.example/v1/")) is None


BAD_TABLES: dict[str, tuple[dict[str, Any], str]] = {
    "no default": ({"other": HTTP}, "no storage location is named 'default'"),
    "empty": ({}, "no storage location is named 'default'"),
    "no provider": ({"default": {"url": "http://h/v1"}}, "has no provider"),
    "unknown provider": ({"default": {"provider": "ftp"}}, "unknown provider 'ftp'"),
    "no url": ({"default": {"provider": "http_v1"}}, "has no url"),
    "not a url": ({"default": {"provider": "http_v1", "url": "host/v1"}}, "is not a URL"),
    "no host": ({"default": {"provider": "http_v1", "url": "http:///v1"}}, "is not a URL"),
    "bad port": ({"default": {"provider": "http_v1", "url": "http://h:x/v1"}}, "is not a URL"),
    "query": ({"default": {"provider": "http_v1", "url": "http://h/v1?a=b"}}, "is not a URL"),
    "password": ({"default": {"provider": "http_v1", "url": "http://u:p@h/v1"}}, "is not a URL"),
    "line break": ({"default": {"provider": "http_v1", "url": "http://h/\nv1"}}, "is not a URL"),
    "proof mode": ({"default": {**HTTP, "v1key": "-----BEGIN"}}, "sets v1key"),
    "unknown key": ({"default": {**HTTP, "urll": "x"}}, "unknown key 'urll'"),
    "number": ({"default": {**HTTP, "version": 1}}, "version is not a string"),
    "not a table": ({"default": "http_v1"}, "is not a table"),
    "twice": ({"default": {**HTTP, "URL": "http://h/v1"}}, "occurs twice"),
    "no path": ({"default": {"provider": "local"}}, "has no path"),
    "bad home": ({"default": {"provider": "local", "path": "~nobody-here/x"}}, "path"),
    "same url": ({"default": HTTP, "again": HTTP}, "have the same URL"),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_bad_table_is_refused_in_one_sentence(case: str) -> None:
    tables, sentence = BAD_TABLES[case]
    with pytest.raises(ConfigError) as refused:
        LocationRouter.from_tables(tables)
    assert sentence in refused.value.reason
    assert "\n" not in refused.value.reason


def test_unknown_location_name_has_its_code() -> None:
    router = LocationRouter.from_tables({"default": HTTP})
    assert router.location_of("default") == router.location_of("") == router.default_location
    with pytest.raises(UnsupportedLocationSchemeError) as refused:
        router.location_of("elsewhere")
    assert refused.value.code == 910
    assert "'elsewhere'" in refused.value.reason


def test_opening_a_router_touches_nothing(tmp_path: Path) -> None:
    path = tmp_path / "objects"
    LocationRouter.from_tables({"default": {"provider": "local", "path": str(path)}})
    assert not path.exists()
