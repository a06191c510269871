"""What the pairing schemes refuse: unsound points, keys and patterns, each with its error."""

from __future__ import annotations

from functools import cache

import pytest

from wavemq import _kernel
from wavemq.crypto import hashing, lqibe, wkdibe
from wavemq.errors import MalformedObjectError, MalformedPartitionError, MessageDecryptError

FULL: wkdibe.Pattern = tuple(b"component %d" % slot for slot in range(20))
HALF: wkdibe.Pattern = FULL[:10] + (b"",) * 10
FREE: wkdibe.Pattern = (b"",) * 20
IDENTITY = b"$GLOBAL"
ONE, TWO, SEVEN = (value.to_bytes(32, "big") for value in (1, 2, 7))
OUTSIDE = hashing.shake256(b"no subgroup", 48)


@cache
def system() -> tuple[wkdibe.Params, wkdibe.MasterKey]:
    return wkdibe.setup()


@cache
def half_key() -> wkdibe.SecretKey:
    params, master = system()
    return master.derive(params, HALF)


@pytest.mark.parametrize(("group", "size"), [(1, 96), (2, 192)])
def test_zero_coordinates_without_their_flag_are_not_infinity(group: int, size: int) -> None:
    with pytest.raises(_kernel.EncodingError, match="not on the curve"):
        _kernel.recode_point(group, bytes(size), False, True)


@pytest.mark.parametrize("first", [0xE0, 0xC0, 0x80, 0x40])
def test_infinity_has_exactly_one_compressed_form(first: int) -> None:
    exact = bytes((first,)) + bytes(47)
    if first == 0xC0:
        assert _kernel.recode_point(1, exact, True, True) == exact
    else:
        with pytest.raises(_kernel.EncodingError):
            _kernel.recode_point(1, exact, True, True)
    with pytest.raises(_kernel.EncodingError):
        _kernel.recode_point(1, bytes((first,)) + bytes(46) + b"\1", True, True)


def test_a_mapped_digest_without_its_cofactor_is_outside_the_subgroup() -> None:
    point = _kernel.map_to_g1(OUTSIDE)
    with pytest.raises(_kernel.EncodingError, match="subgroup"):
        _kernel.recode_point(1, point, True, True)
    with pytest.raises(MalformedObjectError):
        wkdibe.MasterKey(point)
    twisted = _kernel.map_to_g2(OUTSIDE + OUTSIDE)
    with pytest.raises(_kernel.EncodingError, match="subgroup"):
        _kernel.recode_point(2, twisted, True, True)
    with pytest.raises(MalformedObjectError):
        lqibe.Params.from_bytes(twisted * 2)


def test_parameters_of_the_right_length_but_21_slots_are_refused() -> None:
    params, _ = system()
    plain = b"\0" + params.to_bytes()[1:]
    assert len(plain) == wkdibe.PARAMS_BYTES
    with pytest.raises(MalformedObjectError, match="20 slots"):
        wkdibe.Params.from_bytes(plain)
    lazy = wkdibe.Params(plain)
    with pytest.raises(MalformedObjectError):
        wkdibe.encrypt(lazy, FULL, b"content")
    with pytest.raises(MalformedObjectError):
        wkdibe.derive_many(lazy, system()[1], [FULL])


@pytest.mark.parametrize("place", [0, 1, 97, 193, 241, 289, 337, 1249])
def test_parameters_with_one_bad_element_are_refused(place: int) -> None:
    changed = bytearray(system()[0].to_bytes())
    changed[place] = 0x02 if place == 0 else changed[place] & 0x7F
    with pytest.raises(MalformedObjectError):
        wkdibe.Params.from_bytes(bytes(changed))


def test_uncompressed_parameters_with_another_pairing_are_refused() -> None:
    encoded = system()[0].decoded.to_bytes(compressed=False)
    start = 1 + 2 * 192 + 2 * 96
    other = _kernel.pair(_kernel.multiply_generator(1, ONE), _kernel.multiply_generator(2, SEVEN))
    changed = encoded[:start] + other + encoded[start + 576 :]
    assert _kernel.WkdParams.from_bytes(encoded, compressed=False).slots == 20
    with pytest.raises(_kernel.EncodingError, match="target group"):
        _kernel.WkdParams.from_bytes(changed, compressed=False)


@pytest.mark.parametrize("size", [0, 1, 192, 194, 193 + 51, 193 + 52 * 21])
def test_a_secret_key_of_a_length_that_fits_no_slots_is_refused_at_once(size: int) -> None:
    with pytest.raises(MalformedObjectError, match="length"):
        wkdibe.SecretKey(bytes(size))


def test_a_secret_key_with_a_bad_point_is_cheap_to_hold_and_refused_at_use() -> None:
    params, _ = system()
    data = wkdibe.encrypt(params, FULL, b"content")
    for place in (1, 49, 145, 193):
        changed = bytearray(half_key().to_bytes())
        changed[place] &= 0x7F
        key = wkdibe.SecretKey(bytes(changed))
        with pytest.raises(MalformedObjectError):
            key.check()
        with pytest.raises(MalformedObjectError):
            wkdibe.decrypt(key, params, FULL, data)
        with pytest.raises(MalformedObjectError):
            wkdibe.derive_many(params, key, [FULL])


def test_a_secret_key_with_unknown_repeated_or_unsorted_slots_is_refused() -> None:
    encoded = half_key().to_bytes()
    body, last, before = encoded[:-52], encoded[-52:], encoded[-104:-52]
    for wrong in (
        body + last[:48] + (20).to_bytes(4, "big"),
        body + last[:48] + (2**32 - 1).to_bytes(4, "big"),
        body + before,
        encoded[:-104] + last + before,
    ):
        with pytest.raises(MalformedObjectError):
            wkdibe.SecretKey(wrong).check()


def test_qualification_that_frees_a_fixed_slot_is_refused() -> None:
    params, _ = system()
    for pattern in (FREE, (b"", *FULL[1:]), (*HALF[:9], b"", *FULL[10:])):
        with pytest.raises(MalformedObjectError, match="fixed"):
            half_key().qualify(params, pattern)
        with pytest.raises(MalformedObjectError, match="fixed"):
            wkdibe.derive_many(params, half_key(), [FULL, pattern])


@pytest.mark.parametrize("pattern", [(), FULL[:19], (*FULL, b"more")])
def test_a_pattern_without_twenty_components_is_refused(pattern: wkdibe.Pattern) -> None:
    params, master = system()
    with pytest.raises(MalformedPartitionError):
        wkdibe.encrypt(params, pattern, b"content")
    with pytest.raises(MalformedPartitionError):
        master.derive(params, pattern)
    with pytest.raises(MalformedPartitionError):
        half_key().qualify(params, pattern)
    with pytest.raises(MalformedPartitionError):
        wkdibe.derive_many(params, master, [FULL, pattern])
    with pytest.raises(MessageDecryptError):
        wkdibe.decrypt(half_key(), params, pattern, wkdibe.encrypt(params, FULL, b"content"))


@pytest.mark.parametrize("place", [0, 1, 2, 300, 577, 600, 673, 700, 721, 722, 737])
def test_a_changed_message_is_refused_whoever_reads(place: int) -> None:
    params, master = system()
    changed = bytearray(wkdibe.encrypt(params, FULL, b"content"))
    changed[place] ^= 0x01
    for holder in (master, half_key()):
        with pytest.raises(MessageDecryptError):
            wkdibe.decrypt(holder, params, FULL, bytes(changed))


def test_a_cut_message_is_refused() -> None:
    params, master = system()
    data = wkdibe.encrypt(params, FULL, b"content")
    for size in (0, 1, 2, 17, 18, 721, 722, 737, len(data) - 1):
        with pytest.raises(MessageDecryptError):
            wkdibe.decrypt(master, params, FULL, data[:size])


def test_a_changed_or_cut_identity_message_is_refused() -> None:
    params, master = lqibe.setup()
    secret, point = master.extract(IDENTITY), lqibe.identity_point(IDENTITY)
    data = lqibe.encrypt(params, IDENTITY, b"content")
    assert lqibe.decrypt(secret, point, data) == b"content"
    for place in (0, 1, 2, 50, 97, 98, len(data) - 1):
        changed = bytearray(data)
        changed[place] ^= 0x01
        with pytest.raises(MessageDecryptError):
            lqibe.decrypt(secret, point, bytes(changed))
    for size in (0, 2, 98, 113, len(data) - 1):
        with pytest.raises(MessageDecryptError):
            lqibe.decrypt(secret, point, data[:size])
    with pytest.raises(MessageDecryptError):
        lqibe.decrypt(master.extract(b"another"), point, data)
    with pytest.raises(MessageDecryptError):
        lqibe.decrypt(lqibe.SecretKey(bytes(48)), point, data)


def test_keys_do_not_show_themselves() -> None:
    _, master = system()
    ibe_params, ibe_master = lqibe.setup()
    del ibe_params
    for key in (master, half_key(), ibe_master, ibe_master.extract(IDENTITY)):
        for shown in (repr(key), str(key)):
            assert key.to_bytes().hex()[:16] not in shown
            assert repr(key.to_bytes())[2:18] not in shown
    assert repr(master.decoded) == "WkdMasterKey(...)"
    assert repr(half_key().decoded) == "WkdSecretKey(...)"


def test_key_material_and_systems_have_bounded_sizes() -> None:
    params, _ = system()
    for length in (0, 1025):
        with pytest.raises(_kernel.EncodingError):
            params.decoded.encapsulate(FULL, length)
    for slots in (0, 65):
        with pytest.raises(_kernel.EncodingError):
            _kernel.WkdParams.setup(slots)


def test_encapsulation_with_a_given_scalar_is_the_formula() -> None:
    # With P the generator: U = rho*P, and the pairing is e(Q, rho*s*P) (crypto.md 4).
    secret, rho = 1009, 2003
    params = _kernel.multiply_generator(2, ONE) + _kernel.multiply_generator(
        2, secret.to_bytes(32, "big")
    )
    key, ciphertext = _kernel.lq_encapsulate_with_scalar(
        params, IDENTITY, rho.to_bytes(32, "big"), 28
    )
    assert ciphertext == _kernel.multiply_generator(2, rho.to_bytes(32, "big"))
    point = lqibe.identity_point(IDENTITY)
    shared = _kernel.pair(point, _kernel.multiply_generator(2, (secret * rho).to_bytes(32, "big")))
    assert key == hashing.shake256(point + ciphertext + shared, 28)
