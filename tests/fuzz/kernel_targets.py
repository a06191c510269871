"""Fuzz targets: points, keys, parameters and ciphertexts of the kernel, and what stands on them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final

from tests.fuzz import decoder_seeds as seeds
from tests.fuzz.fuzz_target import Target, each, expect
from tests.support.vectors import vectors
from wavemq import _kernel
from wavemq.crypto import exchange, lqibe, signing, symmetric, wkdibe
from wavemq.crypto.encapsulation import Opener, Openers, decapsulate_many
from wavemq.errors import InvalidSignatureError
from wavemq.wave.bundle import ContentKey
from wavemq.wave.partition import Partition

_CRYPTO: Final = vectors("crypto")
_OPENERS: Final = Openers()
_PATTERN: Final[Partition] = (b"\x00e2ee", *(b"",) * 19)
_WHOLE: Final[Partition] = tuple(bytes((slot + 1,)) for slot in range(20))


def _point(group: int, *, is_compressed: bool) -> Callable[[bytes], None]:
    def decode(given: bytes) -> None:
        for to_compressed in (False, True):
            other = _kernel.recode_point(group, given, is_compressed, to_compressed)
            again = _kernel.recode_point(group, other, to_compressed, is_compressed)
            expect(fact=again == given, otherwise="encodes again to another point")

    return decode


def _points(group: int, *, is_compressed: bool) -> Callable[[], list[bytes]]:
    size = (48 if group == 1 else 96) * (1 if is_compressed else 2)
    return lambda: [
        raw
        for name, text in _CRYPTO["points"].items()
        if name.startswith(f"g{group}") and len(raw := bytes.fromhex(text)) == size
    ]


def _gt(given: bytes) -> None:
    expect(fact=_kernel.recode_gt(given) == given, otherwise="another element")


def _pairing(given: bytes) -> None:
    _kernel.recode_gt(_kernel.pair(given[:48], given[48:]))


def _pairs() -> list[bytes]:
    p, q = (_kernel.multiply_generator(group, bytes(31) + b"\x02") for group in (1, 2))
    return [p + q]


def _wkd_params(given: bytes) -> None:
    params = _kernel.WkdParams.from_bytes(given)
    expect(fact=params.to_bytes() == given, otherwise="other parameters")
    plain = params.to_bytes(compressed=False)
    again = _kernel.WkdParams.from_bytes(plain, compressed=False)
    expect(fact=again.to_bytes() == given, otherwise="other parameters when not compressed")


def _oaque_params(given: bytes) -> None:
    params = wkdibe.Params(given)
    params.check()
    expect(fact=params.decoded.to_bytes() == given, otherwise="other parameters")
    wkdibe.encrypt(params, _WHOLE, b"content")


def _oaque_master(given: bytes) -> None:
    master = wkdibe.MasterKey(given)
    expect(fact=master.decoded.to_bytes() == given, otherwise="another key")
    master.derive(seeds.entity_of("ns").oaque_params, _WHOLE)


def _oaque_secret(given: bytes) -> None:
    key = wkdibe.SecretKey(given)
    key.check()
    expect(fact=key.decoded.to_bytes() == given, otherwise="another key")
    params = seeds.entity_of("ns").oaque_params
    key.qualify(params, _PATTERN)
    wkdibe.decrypt(key, params, _PATTERN, _oaque_message())


@cache
def _oaque_message() -> bytes:
    return wkdibe.encrypt(seeds.entity_of("ns").oaque_params, _PATTERN, bytes(28))


def _oaque_key() -> bytes:
    params = seeds.entity_of("ns").oaque_params
    return seeds.secret_of("ns").oaque_master.derive(params, _PATTERN).to_bytes()


def _oaque_ciphertext(given: bytes) -> None:
    params = seeds.entity_of("ns").oaque_params
    opener = _OPENERS.of_pattern(_held_key(), _PATTERN)
    _same_in_bulk(opener, given[2:722], lambda: _decapsulated(given[2:722]))
    for holder in (seeds.secret_of("ns").oaque_master, wkdibe.SecretKey(_held_key())):
        wkdibe.decrypt(holder, params, _PATTERN, given)


def _decapsulated(ciphertext: bytes) -> bytes:
    return _kernel.WkdSecretKey.from_bytes(_held_key()).decapsulate(20, _PATTERN, ciphertext, 28)


def _same_in_bulk(opener: Opener, ciphertext: bytes, alone: Callable[[], bytes]) -> None:
    """Expect the same key in bulk as by itself, or none where that refuses the ciphertext."""
    (found,) = decapsulate_many([(opener, ciphertext)], 28)
    try:
        key = alone()
    except _kernel.EncodingError:
        key = None
    expect(fact=found == key, otherwise="another key in bulk")


@cache
def _held_key() -> bytes:
    return _oaque_key()


def _content_key(given: bytes) -> None:
    params = seeds.entity_of("ns").oaque_params
    ContentKey(_PATTERN, given).open(params, _PATTERN, _oaque_message())


def _ibe_params(given: bytes) -> None:
    params = lqibe.Params(given)
    params.check()
    expect(fact=params.to_bytes() == given, otherwise="other parameters")
    lqibe.encrypt(params, b"identity", b"content")


def _ibe_master(given: bytes) -> None:
    key = lqibe.MasterKey(given).extract(b"identity").to_bytes()
    expect(fact=_kernel.recode_point(1, key, True, True) == key, otherwise="no point")


def _ibe_secret(given: bytes) -> None:
    lqibe.decrypt(lqibe.SecretKey(given[:48]), given[48:96], _ibe_message())


@cache
def _ibe_message() -> bytes:
    return lqibe.encrypt(seeds.entity_of("ns").ibe_params, b"identity", b"content")


def _ibe_ciphertext(given: bytes) -> None:
    key, point = _ibe_key(), lqibe.identity_point(b"identity")
    opener = _OPENERS.of_identity(key.to_bytes(), point)
    _same_in_bulk(
        opener,
        given[2:98],
        lambda: _kernel.lq_decapsulate(key.to_bytes(), point, given[2:98], 28),
    )
    lqibe.decrypt(key, point, given)


@cache
def _ibe_key() -> lqibe.SecretKey:
    return seeds.secret_of("ns").ibe_master.extract(b"identity")


def _ibe_secrets() -> list[bytes]:
    key = seeds.secret_of("ns").ibe_master.extract(b"identity").to_bytes()
    return [key + lqibe.identity_point(b"identity")]


def _direct_message(given: bytes) -> None:
    each(
        lambda: exchange.direct_decrypt(seeds.secret_of("ns").direct_secret, given),
        lambda: exchange.public_of(given),
    )


def _direct_messages() -> list[bytes]:
    public = seeds.entity_of("ns").direct_key
    return [exchange.direct_encrypt(public, b"content"), bytes(48), b"\x01" + bytes(47)]


def _direct_key(given: bytes) -> None:
    exchange.direct_encrypt(given, b"content")


def _ed25519(given: bytes) -> None:
    """Check a signature, one by one and in bulk: both must say the same."""
    public, raw, content = given[:32], given[32:96], given[96:]
    outcome = signing.verify_each([signing.SignedBytes(public, raw, content)])[0]
    try:
        signing.verify(public, raw, content)
    except InvalidSignatureError:
        expect(fact=outcome is not None, otherwise="bulk accepts what alone is refused")
        raise
    expect(fact=outcome is None, otherwise="bulk refuses what alone is accepted")


def _signed() -> list[bytes]:
    key = signing.SigningKey(seeds.secret_of("ns").secret64)
    return [key.public + key.sign(b"content") + b"content"]


def _sealed(given: bytes) -> None:
    each(
        lambda: symmetric.open_sealed(bytes(28), given),
        lambda: symmetric.open_sealed(given[:28], given[28:]),
    )


_REFUSED: Final = (_kernel.EncodingError,)

TARGETS = (
    *(
        Target(
            f"point_g{group}_{'compressed' if is_compressed else 'plain'}",
            _point(group, is_compressed=is_compressed),
            _points(group, is_compressed=is_compressed),
            600,
            _REFUSED,
            512,
        )
        for group in (1, 2)
        for is_compressed in (True, False)
    ),
    Target("gt", _gt, lambda: [bytes.fromhex(_CRYPTO["gt_generator"])], 200, _REFUSED, 1024),
    Target("pairing", _pairing, _pairs, 200, _REFUSED, 512),
    Target(
        "wkd_params_of_any_size",
        _wkd_params,
        lambda: [bytes.fromhex(_CRYPTO["wkdibe"]["params_compressed"])],
        150,
        _REFUSED,
    ),
    Target("oaque_params", _oaque_params, lambda: [seeds.entity_of("ns").oaque_params_bytes], 80),
    Target(
        "oaque_master", _oaque_master, lambda: [seeds.secret_of("ns").oaque_master.to_bytes()], 150
    ),
    Target("oaque_secret", _oaque_secret, lambda: [_oaque_key()], 80),
    Target("oaque_ciphertext", _oaque_ciphertext, lambda: [_oaque_message()], 150),
    Target("oaque_content_key", _content_key, lambda: [_oaque_key()], 80),
    Target("ibe_params", _ibe_params, lambda: [seeds.entity_of("ns").ibe_params_bytes], 150),
    Target("ibe_master", _ibe_master, lambda: [seeds.secret_of("ns").ibe_master.to_bytes()], 150),
    Target("ibe_secret", _ibe_secret, _ibe_secrets, 200),
    Target("ibe_ciphertext", _ibe_ciphertext, lambda: [_ibe_message()], 150),
    Target("direct_message", _direct_message, _direct_messages, 400),
    Target("direct_key", _direct_key, lambda: [seeds.entity_of("ns").direct_key], 300),
    Target("ed25519", _ed25519, _signed, 500),
    Target("sealed", _sealed, lambda: [symmetric.seal(bytes(28), b"content"), bytes(44)], 300),
)
