"""A configuration that asks for proofs of a storage server gets them checked, or nothing starts."""

from __future__ import annotations

import pytest

from wavemq.errors import ConfigError
from wavemq.net.objects_config import parse_storages

TABLE = {"provider": "http_v1", "url": "http://127.0.0.1:1/v1"}


@pytest.mark.parametrize("spelling", ["v1key", "V1Key", "v1auditors"])
def test_location_whose_proofs_are_not_checked_is_refused(spelling: str) -> None:
    # A key that is no key is refused by whoever checks proofs and by whoever does not.
    with pytest.raises(ConfigError, match=r"default.*(v1key|v1auditors)"):
        parse_storages({"default": {**TABLE, spelling: "no key"}})


def test_empty_key_asks_for_nothing() -> None:
    assert len(parse_storages({"default": {**TABLE, "v1key": ""}})) == 1
