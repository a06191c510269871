"""What the SDK refuses before it sends anything."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import wavemq
from wavemq.client.connection import check_address
from wavemq.client.identity import load_identity, load_namespace
from wavemq.clock import instant_from_seconds
from wavemq.errors import (
    InvalidParameterError,
    KeyringDecryptError,
    MissingParameterError,
    PassphraseRequiredError,
    RequestError,
    UnexpectedObjectError,
)
from wavemq.limits import ENTITY_BYTES_MAX
from wavemq.wave.hashes import Hash
from wavemq.wave.keyring import EntitySecret

NOW = instant_from_seconds(1_800_000_000)
LATER = instant_from_seconds(1_900_000_000)


@pytest.fixture(scope="module")
def secret() -> EntitySecret:
    return EntitySecret.create(not_before=NOW, not_after=LATER, revocation_location=None)


@pytest.mark.parametrize(
    "address", ["127.0.0.1:4516", "[::1]:1", "router.example:65535", "unix:/x"]
)
def test_address_of_a_router_is_accepted(address: str) -> None:
    assert check_address(address) == address


@pytest.mark.parametrize(
    "address",
    ["", "localhost", ":4516", "host:", "host:0", "host:65536", "host:-1", "host:٣", "unix:"],
)
def test_malformed_address_is_refused(address: str) -> None:
    with pytest.raises(InvalidParameterError, match="host:port"):
        check_address(address)


def test_secret_is_read_from_bytes_or_file(secret: EntitySecret, tmp_path: Path) -> None:
    path = tmp_path / "service.pem"
    path.write_bytes(secret.to_bytes())
    for source in (secret.to_bytes(), path, str(path)):
        assert load_identity(source, None).entity == secret.entity.hash


def test_protected_secret_needs_its_passphrase(secret: EntitySecret) -> None:
    protected = secret.to_bytes(b"correct")
    assert load_identity(protected, "correct").entity == secret.entity.hash
    with pytest.raises(PassphraseRequiredError):
        load_identity(protected, None)
    with pytest.raises(KeyringDecryptError):
        load_identity(protected, "wrong")


def test_public_entity_is_not_a_secret_and_the_error_says_so(
    secret: EntitySecret, tmp_path: Path
) -> None:
    path = tmp_path / "public.ent"
    path.write_bytes(secret.entity.wire)
    with pytest.raises(UnexpectedObjectError, match="is not an entity secret"):
        load_identity(path, None)


def test_content_that_is_no_entity_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnexpectedObjectError, match="is not an entity secret"):
        load_identity(b"hello", None)
    with pytest.raises(InvalidParameterError, match="cannot be read"):
        load_identity(tmp_path / "missing", None)
    with pytest.raises(InvalidParameterError, match="the limit is"):
        load_identity(bytes(ENTITY_BYTES_MAX + 1), None)


def test_secret_is_never_shown(secret: EntitySecret) -> None:
    identity = load_identity(secret.to_bytes(b"open sesame"), "open sesame")
    bus = wavemq.connect("127.0.0.1:1", entity=secret.to_bytes(), namespace=secret.entity.hash)
    for shown in (repr(identity), repr(bus)):
        assert "sesame" not in shown
        assert repr(secret.to_bytes())[2:-1] not in shown
    assert secret.entity.hash.to_text() in repr(bus)


def test_namespace_is_a_hash_its_text_its_bytes_or_a_file(
    secret: EntitySecret, tmp_path: Path
) -> None:
    expected = secret.entity.hash
    path = tmp_path / "namespace.ent"
    path.write_bytes(secret.entity.wire)
    (tmp_path / "secret.pem").write_bytes(secret.to_bytes())
    sources: list[Hash | str | Path | bytes] = [
        expected,
        expected.to_text(),
        expected.to_bytes(),
        secret.entity.wire,
        path,
        str(path),
        tmp_path / "secret.pem",
    ]
    assert {load_namespace(source) for source in sources} == {expected}


@pytest.mark.parametrize("source", ["", "not a hash", "A" * 48, b"", b"junk", Path("/nonexistent")])
def test_malformed_namespace_is_refused(source: str | bytes | Path) -> None:
    with pytest.raises(InvalidParameterError):
        load_namespace(source)


async def test_bus_is_used_inside_its_block_only(secret: EntitySecret) -> None:
    bus = wavemq.connect("127.0.0.1:1", entity=secret.to_bytes(), namespace=secret.entity.hash)
    with pytest.raises(RequestError, match="async with"):
        await bus.publish("a", b"x")
    with pytest.raises(RequestError, match="async with"):
        bus.subscribe("a")
    with pytest.raises(RequestError, match="async with"):
        bus.query("a")


async def test_call_without_any_namespace_is_refused(secret: EntitySecret) -> None:
    bus = wavemq.connect("127.0.0.1:1", entity=secret.to_bytes())
    with pytest.raises(MissingParameterError, match="namespace"):
        await bus.publish("a", b"x")


def test_importing_the_package_loads_no_grpc() -> None:
    program = (
        "import sys, wavemq; print('grpc' in sys.modules, sorted(wavemq.__all__) == dir(wavemq))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.split() == [b"False", b"True"]


def test_unknown_name_of_the_package_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="frobnicate"):
        _ = getattr(wavemq, "frobnicate")  # noqa: B009 - a literal name would not type-check
