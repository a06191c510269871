"""Laws of the pairing schemes: who can read, whatever the chain of keys; encodings are unique."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wavemq import _kernel
from wavemq.crypto import exchange, lqibe, symmetric, wkdibe
from wavemq.errors import MessageDecryptError

ORDER = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
PRIME = int(
    "1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf"
    "6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab",
    16,
)

scalars = st.integers(1, ORDER - 1)
components = st.binary(min_size=1, max_size=40)
patterns = st.lists(st.one_of(st.just(b""), components), min_size=20, max_size=20).map(tuple)
unhurried = settings(deadline=None, max_examples=25, derandomize=True)


@cache
def system() -> tuple[wkdibe.Params, wkdibe.MasterKey]:
    return wkdibe.setup()


def be(value: int) -> bytes:
    return (value % ORDER).to_bytes(32, "big")


def is_greater(value: int) -> bool:
    """`greater` of crypto.md 1.4, on plain integers."""
    return value * 2**384 % PRIME > -value * 2**384 % PRIME


@unhurried
@given(scalars)
def test_the_sign_bit_compares_montgomery_forms(value: int) -> None:
    first = _kernel.multiply_generator(1, be(value))
    plain = _kernel.recode_point(1, first, True, False)
    assert bool(first[0] & 0x20) == is_greater(int.from_bytes(plain[48:], "big"))
    second = _kernel.multiply_generator(2, be(value))
    plain = _kernel.recode_point(2, second, True, False)
    high, low = (int.from_bytes(plain[start : start + 48], "big") for start in (96, 144))
    assert bool(second[0] & 0x20) == is_greater(high or low)


@unhurried
@given(scalars, st.sampled_from([1, 2]))
def test_flipping_the_sign_bit_is_negation(value: int, group: int) -> None:
    point = _kernel.multiply_generator(group, be(value))
    flipped = bytes((point[0] ^ 0x20,)) + point[1:]
    assert _kernel.recode_point(group, flipped, True, True) == flipped
    assert flipped == _kernel.multiply_generator(group, be(-value))


@unhurried
@given(scalars, scalars)
def test_pairing_is_bilinear(left: int, right: int) -> None:
    base = _kernel.pair(
        _kernel.multiply_generator(1, be(left * right)), _kernel.multiply_generator(2, be(1))
    )
    moved = _kernel.pair(
        _kernel.multiply_generator(1, be(left)), _kernel.multiply_generator(2, be(right))
    )
    assert base == moved == _kernel.recode_gt(moved)


@settings(deadline=None, max_examples=300, derandomize=True)
@given(st.sampled_from([1, 2]), st.data())
def test_bytes_are_refused_or_come_back_the_same(group: int, data: st.DataObject) -> None:
    is_compressed = data.draw(st.booleans())
    size = 48 * group * (1 if is_compressed else 2)
    encoded = data.draw(st.binary(min_size=size, max_size=size))
    try:
        again = _kernel.recode_point(group, encoded, is_compressed, is_compressed)
    except _kernel.EncodingError:
        return
    assert again == encoded


@unhurried
@given(patterns, st.data())
def test_every_key_down_a_chain_reads_what_its_pattern_covers(
    pattern: wkdibe.Pattern, data: st.DataObject
) -> None:
    params, master = system()
    full = tuple(part or b"rest %d" % slot for slot, part in enumerate(pattern))
    depth = data.draw(st.integers(0, 20))
    middle = tuple(part if slot < depth else pattern[slot] for slot, part in enumerate(full))
    message = wkdibe.encrypt(params, full, b"content")
    key = master.derive(params, pattern)
    child = key.qualify(params, middle)
    assert child.free_slot_count == middle.count(b"")
    (leaf,) = wkdibe.derive_many(params, child, [full])
    for holder in (master, key, child, wkdibe.SecretKey(leaf)):
        assert wkdibe.decrypt(holder, params, full, message) == b"content"


@unhurried
@given(patterns, st.integers(0, 19), components)
def test_a_key_for_another_value_reads_nothing(
    pattern: wkdibe.Pattern, slot: int, other: bytes
) -> None:
    params, master = system()
    full = tuple(part or b"rest %d" % place for place, part in enumerate(pattern))
    if other == full[slot]:
        return
    wrong = (*full[:slot], other, *full[slot + 1 :])
    message = wkdibe.encrypt(params, full, b"content")
    key = master.derive(params, tuple(p if i == slot else b"" for i, p in enumerate(wrong)))
    for asked in (full, wrong):
        with pytest.raises(MessageDecryptError):
            wkdibe.decrypt(key, params, asked, message)


@unhurried
@given(patterns)
def test_keys_are_fresh_each_time_and_encode_uniquely(pattern: wkdibe.Pattern) -> None:
    params, master = system()
    one, two = wkdibe.derive_many(params, master, [pattern, pattern])
    assert one != two
    assert wkdibe.SecretKey(one).decoded.to_bytes() == one
    assert len(one) == wkdibe.secret_key_length(pattern.count(b""))


@unhurried
@given(st.lists(patterns, max_size=9))
def test_bulk_keys_come_in_the_order_of_their_patterns(wanted: list[wkdibe.Pattern]) -> None:
    params, master = system()
    made = wkdibe.derive_many(params, master, wanted)
    assert len(made) == len(wanted)
    for pattern, key in zip(wanted, made, strict=True):
        free = [slot for slot, part in enumerate(pattern) if not part]
        assert wkdibe.SecretKey(key).decoded.free_slots == free


@unhurried
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=64), st.binary(max_size=64))
def test_any_32_bytes_are_an_identity_master_key(
    raw: bytes, identity: bytes, content: bytes
) -> None:
    if int.from_bytes(raw, "little") % ORDER == 0:
        return
    params = lqibe.Params.from_bytes(
        _kernel.multiply_generator(2, be(1))
        + _kernel.multiply_generator(2, be(int.from_bytes(raw, "little")))
    )
    secret = lqibe.MasterKey(raw).extract(identity)
    point = lqibe.identity_point(identity)
    assert lqibe.decrypt(secret, point, lqibe.encrypt(params, identity, content)) == content


@unhurried
@given(st.binary(max_size=300), st.integers(0, 10**6), st.integers(1, 255))
def test_direct_and_sealed_messages_refuse_any_change(
    content: bytes, place: int, change: int
) -> None:
    secret = exchange.generate()
    made = exchange.direct_encrypt(exchange.public_of(secret), content)
    assert len(made) == len(content) + exchange.DIRECT_OVERHEAD_BYTES
    assert exchange.direct_decrypt(secret, made) == content
    changed = bytearray(made)
    changed[place % len(made)] ^= change
    # The top bit of the ephemeral key is ignored by X25519 (RFC 7748, 5).
    if changed[31] ^ made[31] != 0x80:
        with pytest.raises(MessageDecryptError):
            exchange.direct_decrypt(secret, bytes(changed))
    key = bytes(range(28))
    sealed = bytearray(symmetric.seal(key, content))
    assert symmetric.open_sealed(key, bytes(sealed)) == content
    sealed[place % len(sealed)] ^= change
    with pytest.raises(MessageDecryptError):
        symmetric.open_sealed(key, bytes(sealed))
