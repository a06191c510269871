"""What is worked out in bulk equals what is worked out alone, and what others work out."""

from __future__ import annotations

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from wavemq import _kernel
from wavemq.crypto import wkdibe
from wavemq.crypto.hashing import keccak256, keccak256_many
from wavemq.crypto.signing import SignedBytes, SigningKey, verify, verify_each
from wavemq.errors import InternalError, InvalidSignatureError, MessageDecryptError

RATE_BYTES = 136
ORDER = 2**252 + 27742317777372353535851937790883648493
SMALL_ORDER_POINTS = tuple(
    bytes.fromhex(point)
    for point in (
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    )
)
unhurried = settings(deadline=None, max_examples=100, derandomize=True)
lengths = st.one_of(
    st.integers(0, 400),
    st.integers(0, 40).map(lambda blocks: blocks * RATE_BYTES),
    st.integers(1, 40).map(lambda blocks: blocks * RATE_BYTES - 1),
)


@unhurried
@given(st.lists(lengths, max_size=13), st.binary(min_size=1, max_size=64))
def test_hashes_in_bulk_are_the_hashes_alone(sizes: list[int], seed: bytes) -> None:
    contents = [(seed * size)[index : index + size] for index, size in enumerate(sizes)]
    assert keccak256_many(contents) == [keccak256(content) for content in contents]


def is_genuine_to_openssl(one: SignedBytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(one.public).verify(one.signature, one.content)
    except (InvalidSignature, ValueError):
        return False
    return True


@st.composite
def signed_bytes(draw: st.DrawFn) -> SignedBytes:
    """Return a genuine signature, or one with something changed."""
    key = SigningKey.generate()
    content = draw(st.binary(max_size=200))
    public, signature = key.public, key.sign(content)
    match draw(st.sampled_from(("nothing", "bit", "scalar", "public", "lengths", "content"))):
        case "bit":
            flip = 1 << draw(st.integers(0, 511))
            signature = (int.from_bytes(signature, "little") ^ flip).to_bytes(64, "little")
        case "scalar":
            scalar = int.from_bytes(signature[32:], "little") + ORDER
            signature = signature[:32] + scalar.to_bytes(32, "little")
        case "public":
            public = draw(st.sampled_from((*SMALL_ORDER_POINTS, draw(st.binary(max_size=40)))))
        case "lengths":
            signature = signature[: draw(st.integers(0, 63))]
        case "content":
            content += b"."
        case _:
            pass
    return SignedBytes(public, signature, content)


@unhurried
@given(st.lists(signed_bytes(), max_size=12))
def test_signatures_in_bulk_hold_where_they_hold_alone_and_to_openssl(
    signed: list[SignedBytes],
) -> None:
    failures = verify_each(signed)
    assert len(failures) == len(signed)
    for one, failure in zip(signed, failures, strict=True):
        assert (failure is None) == is_genuine_to_openssl(one)
        if failure is None:
            verify(one.public, one.signature, one.content)
        else:
            with pytest.raises(InvalidSignatureError) as alone:
                verify(one.public, one.signature, one.content)
            assert alone.value.reason == failure.reason


@pytest.mark.parametrize("public", SMALL_ORDER_POINTS)
@pytest.mark.parametrize("commitment", SMALL_ORDER_POINTS)
def test_keys_of_small_order_are_judged_as_openssl_judges_them(
    public: bytes, commitment: bytes
) -> None:
    """Such a key signs anything for those that take it; all implementations must agree."""
    for content in (b"", b"one", b"two", b"three"):
        one = SignedBytes(public, commitment + bytes(32), content)
        assert (verify_each([one]) == [None]) == is_genuine_to_openssl(one)


@pytest.mark.parametrize("count", [1, 31, 32, 45])
def test_every_key_of_a_bulk_opens_what_is_for_it_and_nothing_else(count: int) -> None:
    """From 32 keys on, the kernel makes them by combs: all numbers of fixed slots are tried."""
    params, master = wkdibe.setup()
    patterns = [
        (b"top", *(b"%d of %d" % (slot, number) for slot in range(number % 19)))
        + (b"",) * (19 - number % 19)
        for number in range(count)
    ]
    top = master.derive(params, (b"top", *(b"",) * 19))
    for holder in (master, top):
        secrets = wkdibe.derive_many(params, holder, patterns)
        for pattern, secret in zip(patterns, secrets, strict=True):
            key = wkdibe.SecretKey(secret)
            sealed = wkdibe.encrypt(params, pattern, b"content")
            assert wkdibe.decrypt(key, params, pattern, sealed) == b"content"
            narrower = (*pattern[:19], b"last")
            sealed = wkdibe.encrypt(params, narrower, b"content")
            qualified = key.qualify(params, narrower)
            assert wkdibe.decrypt(qualified, params, narrower, sealed) == b"content"
            elsewhere = (b"elsewhere", *pattern[1:])
            sealed = wkdibe.encrypt(params, elsewhere, b"content")
            with pytest.raises(MessageDecryptError):
                wkdibe.decrypt(key, params, elsewhere, sealed)


def test_a_panic_in_the_kernel_is_an_internal_error() -> None:
    with pytest.raises(InternalError, match="the kernel failed: asked to"):
        _kernel.panic_for_test()
